import type { RunNode, TraceEvent } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { ticksOf } from "./ticks";

const node = {
  ref: "build",
  startedAt: "2026-03-10T12:00:01.000Z",
  finishedAt: "2026-03-10T12:00:05.000Z",
} as RunNode;
const event = (type: TraceEvent["type"], nodeRef: string, second: number, more: object = {}): TraceEvent => ({
  seq: second,
  id: String(second),
  runId: "run",
  nodeRef,
  type,
  level: "info",
  message: "attempt 1 failed",
  timestamp: `2026-03-10T12:00:0${second}.000Z`,
  ...more,
});

describe("ticksOf", () => {
  it("tells starts and failures on the time axis of the node", () => {
    const trace = [
      event("NODE_STARTED", "build", 1, { data: { attempt: 1 } }),
      event("NODE_RETRYING", "build", 2),
      event("NODE_STARTED", "build", 2, { data: { attempt: 2 } }),
      event("NODE_FAILED", "lint", 4),
      event("NODE_FAILED", "build", 5),
    ];
    expect(ticksOf(trace, node)).toEqual([
      { kind: "start", label: "Started", atMs: 0 },
      { kind: "failure", label: "attempt 1 failed", atMs: 1000 },
      { kind: "failure", label: "lint failed", atMs: 3000 },
    ]);
  });

  it("leaves out what was before or after", () => {
    expect(ticksOf([event("NODE_FAILED", "lint", 0), event("NODE_TIMED_OUT", "lint", 9)], node)).toEqual([]);
    expect(ticksOf([event("NODE_FAILED", "lint", 2)], { ...node, startedAt: null })).toEqual([]);
  });
});
