import type { TraceEvent } from "@runcast/react";
import { expect, it } from "vitest";
import { loadTrace, MOST_EVENTS } from "./loadTrace";

it("reads to the end and keeps the newest", async () => {
  const all = MOST_EVENTS + 2_500;
  const asked: number[] = [];
  const events = await loadTrace(async ({ after, limit }) => {
    asked.push(after);
    const seqs = Array.from({ length: Math.min(limit, all - after) }, (_, at) => after + at + 1);
    const page = seqs.map((seq) => ({ seq }) as TraceEvent);
    return { events: page, nextAfter: after + page.length };
  });
  expect(asked).toHaveLength(23);
  expect(events).toHaveLength(MOST_EVENTS);
  expect([events[0]?.seq, events.at(-1)?.seq]).toEqual([2_501, all]);
});
