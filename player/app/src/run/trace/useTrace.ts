import type { RunSource, TraceEvent } from "@runcast/react";
import { useEffect, useState } from "react";
import { client } from "../../service";
import { mergeTrace } from "./traceFilter";

/** The most events that are kept; the oldest go. */
export const MOST_EVENTS = 20_000;
const PAGE = 1_000;
const DRAW_EVERY_MS = 100;

/** The trace of a run: what was before from the service, what comes from the stream. */
export function useTrace(source: RunSource): readonly TraceEvent[] {
  const [events, setEvents] = useState<readonly TraceEvent[]>([]);
  useEffect(() => {
    const abort = new AbortController();
    let fresh: TraceEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const add = (more: readonly TraceEvent[]) => setEvents((known) => mergeTrace(known, more, MOST_EVENTS));
    const draw = () => {
      timer = undefined;
      add(fresh);
      fresh = [];
    };
    const stop = source.onTrace((event) => {
      fresh.push(event);
      timer ??= setTimeout(draw, DRAW_EVERY_MS);
    });
    setEvents(source.trace());
    // The stream tells what it misses sooner or later; what is missing here only makes the list shorter.
    loadTrace(source.runId, abort.signal, add).catch(() => undefined);
    return () => {
      stop();
      clearTimeout(timer);
      abort.abort();
    };
  }, [source]);
  return events;
}

async function loadTrace(
  runId: string,
  signal: AbortSignal,
  add: (events: readonly TraceEvent[]) => void,
): Promise<void> {
  let after = 0;
  for (let loaded = 0; loaded < MOST_EVENTS; loaded += PAGE) {
    const page = await client.trace(runId, { after, limit: PAGE }, { signal });
    if (page.events.length === 0) return;
    add(page.events);
    if (page.events.length < PAGE) return;
    after = page.nextAfter;
  }
}
