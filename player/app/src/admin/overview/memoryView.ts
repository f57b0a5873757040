/** The plot of the memory: from samples to what is drawn, listed and said. */
import type { AdminMemory, AdminMemoryFigures } from "@runcast/react";
import type uPlot from "uplot";
import { formatBytes } from "../../format/format";
import { RANGES, type Range } from "../link";
import { type Component, componentOf } from "../plots/components";
import type { Marks, PlotLine, Scope } from "../plots/plotOptions";
import { furthestOf, memoryColumns, mergeSamples, stack, withGaps } from "../plots/series";

export const RSS = "rss";
/** Looks that lie further apart than this many seconds, and than several of the usual ones, are not joined. */
const LEAST_GAP_SECS = 15;
/** The room of a plot of nothing. */
const LEAST_TOP = 2 ** 20;

export interface MemoryRow {
  readonly component: Component;
  readonly now: number;
  readonly peak: number;
}

export interface MemoryView {
  /** Everything there is, from the top of the stack down. */
  readonly rows: readonly MemoryRow[];
  readonly rss: { readonly now: number; readonly peak: number };
  readonly lines: readonly PlotLine[];
  readonly data: uPlot.AlignedData;
  readonly scope: Scope;
  /** The samples behind the columns of `data`, by their time in seconds. */
  readonly byTime: ReadonlyMap<number, AdminMemoryFigures>;
  /** The same in words. */
  readonly told: string;
}

interface MemoryInput {
  remembered: readonly AdminMemoryFigures[];
  gathered: readonly AdminMemoryFigures[];
  report: Pick<AdminMemory, "limits" | "lastCleanup">;
  range: Range;
  hidden: ReadonlySet<string>;
  /** Leaves room for the limits, however far they are. */
  hasLimits: boolean;
}

/** Undefined before there is a sample. */
export function memoryView(input: MemoryInput): MemoryView | undefined {
  const { remembered, gathered, report, range, hidden, hasLimits } = input;
  const newest = [remembered.at(-1), gathered.at(-1)].flatMap((figures) =>
    figures === undefined ? [] : [Date.parse(figures.at)],
  );
  if (newest.length === 0) return undefined;
  const end = Math.max(...newest);
  const start = end - RANGES[range];
  const samples = mergeSamples(remembered, gathered, start);
  const { times, rss, components } = memoryColumns(samples);

  const shown = [...components].filter(([name]) => !hidden.has(name));
  const columns = stack(shown.map(([, column]) => column));
  const lines: PlotLine[] = shown.map(([name]) => ({ kind: "area", colour: componentOf(name).colour }));
  if (!hidden.has(RSS)) {
    columns.push([...rss]);
    lines.push({ kind: "line", colour: "--text" });
  }
  const highest = columns.reduce((most, column) => Math.max(most, highestOf(column)), LEAST_TOP);
  const top = hasLimits ? Math.max(highest, report.limits.hard) : highest;
  const rows = [...components].reverse().map(([name, column]) => ({
    component: componentOf(name),
    now: column.at(-1) ?? 0,
    peak: highestOf(column),
  }));
  const total = { now: rss.at(-1) ?? 0, peak: highestOf(rss) };
  return {
    rows,
    rss: total,
    lines,
    data: withGaps(times, columns, furthestOf(times, LEAST_GAP_SECS)),
    scope: { window: [start / 1000, end / 1000], top: top * 1.08, marks: marksOf(report) },
    byTime: new Map(samples.map((figures) => [Date.parse(figures.at) / 1000, figures])),
    told: tell(range, total, rows, report.limits),
  };
}

function highestOf(column: readonly number[]): number {
  return column.reduce((most, value) => Math.max(most, value), 0);
}

function marksOf({ limits, lastCleanup }: MemoryInput["report"]): Marks {
  return {
    limits: [
      { value: limits.soft, label: `soft limit ${formatBytes(limits.soft)}`, colour: "--accent-text" },
      { value: limits.hard, label: `hard limit ${formatBytes(limits.hard)}`, colour: "--status-failed" },
    ],
    moments: lastCleanup ? [{ at: Date.parse(lastCleanup.at) / 1000, label: "clean-up" }] : [],
  };
}

function tell(
  range: Range,
  rss: MemoryView["rss"],
  rows: readonly MemoryRow[],
  limits: AdminMemory["limits"],
): string {
  const parts = rows.map(({ component, now }) => `${component.label} ${formatBytes(now)}`);
  return [
    `Memory by component over ${range}.`,
    `RSS is ${formatBytes(rss.now)}, at most it was ${formatBytes(rss.peak)};`,
    `the limits are ${formatBytes(limits.soft)} and ${formatBytes(limits.hard)}.`,
    `Now: ${parts.join(", ")}.`,
  ].join(" ");
}
