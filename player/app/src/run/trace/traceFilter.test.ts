import type { TraceEvent } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { mergeTrace, momentOf, passes } from "./traceFilter";

const event = (seq: number, more: Partial<TraceEvent> = {}): TraceEvent => ({
  seq,
  id: String(seq),
  runId: "run",
  type: "NODE_PROGRESS",
  level: "info",
  message: "",
  timestamp: "2026-03-10T12:00:01.500Z",
  ...more,
});

describe("passes", () => {
  it("takes the level as a minimum and the node exactly", () => {
    const warning = event(1, { level: "warn", nodeRef: "build" });
    expect(passes(warning, { level: "info", nodeRef: "" })).toBe(true);
    expect(passes(warning, { level: "error", nodeRef: "" })).toBe(false);
    expect(passes(warning, { level: "debug", nodeRef: "tests" })).toBe(false);
    expect(passes(event(2), { level: "debug", nodeRef: "build" })).toBe(false);
  });
});

describe("mergeTrace", () => {
  const seqs = (events: readonly TraceEvent[]) => events.map(({ seq }) => seq);

  it("appends what follows, puts what is older before it, and shows nothing twice", () => {
    const live = [event(5), event(7)];
    expect(seqs(mergeTrace(live, [event(9)], 10))).toEqual([5, 7, 9]);
    expect(seqs(mergeTrace(live, [event(1), event(5), event(6)], 10))).toEqual([1, 5, 6, 7]);
  });

  it("keeps the newest", () => {
    expect(seqs(mergeTrace([event(1), event(2)], [event(3)], 2))).toEqual([2, 3]);
  });
});

describe("momentOf", () => {
  it("counts from the start of the node", () => {
    expect(momentOf(event(1), "2026-03-10T12:00:00.000Z")).toBe(1500);
    expect(momentOf(event(1), "2026-03-10T12:00:09.000Z")).toBe(0);
    expect(momentOf(event(1), undefined)).toBeUndefined();
  });
});
