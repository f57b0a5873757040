import type { Run, RunNode } from "@runcast/react";

/** A run with its nodes, as a stream begins with it; a list of runs leaves them out. */
export type WholeRun = Run & { readonly nodes: RunNode[] };

export function isWhole(run: Run | undefined): run is WholeRun {
  return run?.nodes != null;
}
