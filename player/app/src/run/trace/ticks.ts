import type { RunNode, Tick, TraceEvent } from "@runcast/react";
import { momentOf } from "./traceFilter";

const LABELS: Partial<Record<TraceEvent["type"], Pick<Tick, "kind" | "label">>> = {
  NODE_STARTED: { kind: "start", label: "Started" },
  NODE_RETRYING: { kind: "failure", label: "Attempt failed" },
  NODE_FAILED: { kind: "failure", label: "Failed" },
  NODE_TIMED_OUT: { kind: "failure", label: "Timed out" },
  NODE_CANCELLED: { kind: "failure", label: "Cancelled" },
  NODE_COMPLETED: { kind: "end", label: "Completed" },
};

/** What the trace says of a node, as places on its timeline. */
export function ticksOf(trace: readonly TraceEvent[], node: RunNode): Tick[] {
  const ticks: Tick[] = [];
  for (const event of trace) {
    const look = LABELS[event.type];
    const atMs = look && event.nodeRef === node.ref ? momentOf(event, node.startedAt) : undefined;
    if (look && atMs !== undefined) ticks.push({ ...look, atMs });
  }
  return ticks;
}
