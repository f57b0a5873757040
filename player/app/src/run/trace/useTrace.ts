import type { RunSource, TraceEvent } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { client, messageOf } from "../../service";
import { loadTrace, MOST_EVENTS } from "./loadTrace";
import { mergeTrace } from "./traceFilter";

const DRAW_EVERY_MS = 100;
const NONE: readonly TraceEvent[] = [];

export interface Trace {
  readonly events: readonly TraceEvent[];
  /** Why what was before is missing. */
  readonly error: string | undefined;
  /** Asks for it again. */
  readonly retry: () => void;
}

/** The trace of a run: what was before from the service, what comes from the stream. */
export function useTrace(source: RunSource): Trace {
  const { runId } = source;
  const before = useQuery({
    queryKey: ["trace", runId],
    queryFn: ({ signal }) => loadTrace((filters) => client.trace(runId, filters, { signal })),
    // What comes later tells the stream; who comes back begins anew.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const told = useTold(source);
  const loaded = before.data ?? NONE;
  const events = useMemo(() => mergeTrace(loaded, told, MOST_EVENTS), [loaded, told]);
  const { refetch } = before;
  return {
    events,
    error: before.error === null ? undefined : messageOf(before.error),
    retry: () => void refetch(),
  };
}

/** What the stream tells, drawn a few times a second. */
function useTold(source: RunSource): readonly TraceEvent[] {
  const [events, setEvents] = useState(NONE);
  useEffect(() => {
    let fresh: TraceEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      const more = fresh;
      timer = undefined;
      fresh = [];
      setEvents((known) => mergeTrace(known, more, MOST_EVENTS));
    };
    const stop = source.onTrace((event) => {
      fresh.push(event);
      timer ??= setTimeout(draw, DRAW_EVERY_MS);
    });
    setEvents(source.trace());
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [source]);
  return events;
}
