import type { TraceEvent, TracePage } from "@runcast/react";
import { mergeTrace } from "./traceFilter";

/** The most events that are kept; the oldest go. */
export const MOST_EVENTS = 20_000;
/** Events of a page. */
export const PAGE = 1_000;

/** Reads a trace to its end, a page at a time; gives the newest of it. */
export async function loadTrace(
  ask: (filters: { after: number; limit: number }) => Promise<TracePage>,
): Promise<readonly TraceEvent[]> {
  let events: readonly TraceEvent[] = [];
  for (let after = 0; ; ) {
    const page = await ask({ after, limit: PAGE });
    events = mergeTrace(events, page.events, MOST_EVENTS);
    if (page.events.length < PAGE) return events;
    after = page.nextAfter;
  }
}
