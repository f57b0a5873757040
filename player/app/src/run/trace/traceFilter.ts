/** Which trace events the panel shows. */
import type { TraceEvent, TraceLevel } from "@runcast/react";

/** From what matters least to what matters most. */
export const LEVELS: readonly TraceLevel[] = ["debug", "info", "warn", "error"];

export interface TraceFilter {
  /** The lowest level that is shown. */
  readonly level: TraceLevel;
  /** Only this node; all, and the run's own, if empty. */
  readonly nodeRef: string;
}

export function passes(event: TraceEvent, filter: TraceFilter): boolean {
  const isLoudEnough = LEVELS.indexOf(event.level) >= LEVELS.indexOf(filter.level);
  return isLoudEnough && (filter.nodeRef === "" || event.nodeRef === filter.nodeRef);
}

/** Puts events in the order of their `seq`, each once; keeps the newest `limit`. */
export function mergeTrace(
  known: readonly TraceEvent[],
  more: readonly TraceEvent[],
  limit: number,
): readonly TraceEvent[] {
  const last = known[known.length - 1]?.seq ?? -1;
  const isTail = more.every((event, index) => event.seq > (more[index - 1]?.seq ?? last));
  const merged = isTail
    ? [...known, ...more]
    : [...new Map([...known, ...more].map((event) => [event.seq, event])).values()].sort(
        (left, right) => left.seq - right.seq,
      );
  return merged.length > limit ? merged.slice(merged.length - limit) : merged;
}

/** The moment of an event on the time axis of its node, in milliseconds; undefined before the node began. */
export function momentOf(event: TraceEvent, nodeStartedAt: string | null | undefined): number | undefined {
  if (!nodeStartedAt) return undefined;
  const atMs = Date.parse(event.timestamp) - Date.parse(nodeStartedAt);
  return Number.isFinite(atMs) ? Math.max(0, atMs) : undefined;
}
