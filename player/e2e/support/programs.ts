// Nodes that end in each of the ways a node can end, and a run that has all of them.
import type { NodeDocument, RunDocument } from "./api.ts";

/** Prints three lines and fails. */
export const FAILING: NodeDocument = {
  ref: "compile",
  shell: "echo 'one file compiled'; echo 'error: semicolon missing'; echo '1 error'; exit 3",
};

/** A run in which every state of a node occurs but PENDING and RUNNING. */
export const EVERY_END: RunDocument = {
  name: "Every end",
  nodes: [
    { ref: "completes", shell: "echo done" },
    { ref: "fails", shell: "echo no; exit 3" },
    { ref: "is-skipped", shell: "true", dependsOn: ["fails"] },
    { ref: "times-out", shell: "exec sleep 600", timeoutSecs: 1 },
  ],
};

/** Fifty nodes in five rows of ten, each row waiting for the one before. */
export function fiftyNodes(): RunDocument {
  const nodes = Array.from({ length: 50 }, (_, place): NodeDocument => {
    const [row, column] = [Math.floor(place / 10), place % 10];
    return {
      ref: `step-${row}-${column}`,
      shell: `echo "this is step ${row}-${column}"`,
      ...(row > 0 && { dependsOn: [`step-${row - 1}-${column}`] }),
    };
  });
  return { name: "Fifty", nodes };
}

/** Prints `count` numbered lines as fast as the terminal takes them. */
export function lines(count: number, text = "line"): string {
  return `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo "${text} $i"; done`;
}
