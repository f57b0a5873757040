/** How fast counters grow, from what was read of them again and again. */

export interface Counters {
  /** Milliseconds; when they were read. */
  readonly at: number;
  readonly values: ReadonlyMap<string, number>;
}

export interface Rates {
  readonly last: Counters;
  /** By name, a second; nothing for what was seen once, or began anew. */
  readonly perSecond: ReadonlyMap<string, number>;
}

/** Two readings that lie closer together say little. */
const LEAST_MS = 900;

/** The rates after one more reading. */
export function nextRates(before: Rates | undefined, now: Counters): Rates {
  if (before === undefined) return { last: now, perSecond: new Map() };
  const elapsedMs = now.at - before.last.at;
  if (elapsedMs < LEAST_MS) return before;
  const perSecond = new Map<string, number>();
  for (const [name, value] of now.values) {
    const earlier = before.last.values.get(name);
    if (earlier !== undefined && value >= earlier)
      perSecond.set(name, ((value - earlier) * 1000) / elapsedMs);
  }
  return { last: now, perSecond };
}
