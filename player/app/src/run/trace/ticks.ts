import type { RunNode, Tick, TraceEvent } from "@runcast/react";

/**
 * What the trace adds to the timeline of a node: where it started, where an attempt failed, and where
 * other nodes failed meanwhile. Its markers and its own end the console knows itself.
 */
export function ticksOf(trace: readonly TraceEvent[], node: RunNode): Tick[] {
  const startedMs = Date.parse(node.startedAt ?? "");
  const finishedMs = node.finishedAt ? Date.parse(node.finishedAt) : Number.POSITIVE_INFINITY;
  const ticks: Tick[] = [];
  for (const event of trace) {
    const happenedMs = Date.parse(event.timestamp);
    if (!(happenedMs >= startedMs && happenedMs <= finishedMs)) continue;
    const tick = event.nodeRef === node.ref ? ownTick(event) : othersTick(event);
    if (tick) ticks.push({ ...tick, atMs: happenedMs - startedMs });
  }
  return ticks;
}

function ownTick(event: TraceEvent): Omit<Tick, "atMs"> | undefined {
  if (event.type === "NODE_RETRYING") return { kind: "failure", label: event.message };
  const attempt = (event.data as { attempt?: number } | null | undefined)?.attempt;
  // Later attempts are markers of the recording.
  if (event.type === "NODE_STARTED" && (attempt ?? 1) === 1) return { kind: "start", label: "Started" };
  return undefined;
}

function othersTick(event: TraceEvent): Omit<Tick, "atMs"> | undefined {
  if (event.type === "NODE_FAILED") return { kind: "failure", label: `${event.nodeRef} failed` };
  if (event.type === "NODE_TIMED_OUT") return { kind: "failure", label: `${event.nodeRef} timed out` };
  return undefined;
}
