import type { RecordingIndex, RunNode } from "../api/types.ts";
import type { Tick } from "../playback/types.ts";

/** What is worth a look on the timeline of a node, in its order. */
export function ticksOf(
  node: RunNode | undefined,
  index: RecordingIndex | undefined,
  more: readonly Tick[],
): readonly Tick[] {
  const ticks: Tick[] = [...more];
  for (const { atMs, label } of index?.markers ?? []) {
    const isAttempt = /^attempt \d+$/.test(label);
    ticks.push({ atMs, kind: isAttempt ? "start" : "marker", label });
  }
  const durationMs = index?.durationMs;
  if (node !== undefined && durationMs !== undefined && hasFailed(node)) {
    ticks.push({ atMs: durationMs, kind: "failure", label: node.failure?.message ?? "failed" });
  }
  return ticks.sort((one, other) => one.atMs - other.atMs);
}

function hasFailed(node: RunNode): boolean {
  return node.status === "FAILED" || node.status === "TIMED_OUT";
}
