/** From figures to the columns of a plot. */
import type { AdminMemoryFigures } from "@runcast/react";

/** From the bottom of the stack to its top: first what is large and steady. */
const ORDER = [
  "unaccounted",
  "logTail",
  "terminalBuffers",
  "brokerWindows",
  "archiveBuffers",
  "screens",
  "sessions",
  "clients",
];

export interface MemoryColumns {
  /** Seconds since 1970, as plots take them. */
  readonly times: readonly number[];
  readonly rss: readonly number[];
  /** By name, in the order in which they are stacked. */
  readonly components: ReadonlyMap<string, readonly number[]>;
}

type Column = (number | null)[];

/** What the service remembers and what was gathered since, oldest first, each moment once, from `since` on. */
export function mergeSamples(
  remembered: readonly AdminMemoryFigures[],
  gathered: readonly AdminMemoryFigures[],
  since: number,
): AdminMemoryFigures[] {
  const byTime = new Map<number, AdminMemoryFigures>();
  for (const figures of [...remembered, ...gathered]) {
    const at = Date.parse(figures.at);
    if (at >= since) byTime.set(at, figures);
  }
  return [...byTime].sort(([one], [other]) => one - other).map(([, figures]) => figures);
}

export function memoryColumns(samples: readonly AdminMemoryFigures[]): MemoryColumns {
  const names = new Set(samples.flatMap(({ components }) => Object.keys(components)));
  const known = ORDER.filter((name) => names.has(name));
  const others = [...names].filter((name) => !ORDER.includes(name)).sort();
  return {
    times: samples.map(({ at }) => Date.parse(at) / 1000),
    rss: samples.map(({ rss }) => rss),
    components: new Map(
      [...known, ...others].map((name) => [name, samples.map(({ components }) => components[name] ?? 0)]),
    ),
  };
}

/** Each on top of those before it. */
export function stack(columns: readonly (readonly number[])[]): number[][] {
  const stacked: number[][] = [];
  for (const column of columns) {
    const below = stacked.at(-1);
    stacked.push(column.map((value, at) => value + (below?.[at] ?? 0)));
  }
  return stacked;
}

/** A break in every column where two times lie further apart: nobody looked between them. */
export function withGaps(
  times: readonly number[],
  columns: readonly (readonly number[])[],
  furthest: number,
): [number[], ...Column[]] {
  const allTimes: number[] = [];
  const all: Column[] = columns.map(() => []);
  times.forEach((time, at) => {
    const before = times[at - 1];
    if (before !== undefined && time - before > furthest) {
      allTimes.push((before + time) / 2);
      for (const column of all) column.push(null);
    }
    allTimes.push(time);
    for (const [place, column] of columns.entries()) all[place]?.push(column[at] ?? null);
  });
  return [allTimes, ...all];
}

/** The distance at which looks break: several of the usual ones. */
export function furthestOf(times: readonly number[], least: number): number {
  const distances = times.slice(1).map((time, at) => time - (times[at] ?? time));
  const usual = distances.sort((one, other) => one - other)[Math.floor(distances.length / 2)] ?? 0;
  return Math.max(least, usual * 3.5);
}
