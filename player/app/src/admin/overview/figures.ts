/** The key figures, as tiles tell them. */
import type { AdminMemory, AdminStats } from "@runcast/react";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatShare,
  plural,
} from "../../format/format";
import type { Section } from "../link";

export interface Figure {
  readonly name: string;
  readonly label: string;
  readonly value: string;
  /** A sentence below it. */
  readonly more: string;
  /** Something is to be looked at. */
  readonly tone?: "warning" | "failed";
  /** How much of a limit is used, and where it gets tight, both from 0 to 1. */
  readonly meter?: { readonly used: number; readonly tight: number };
  /** Where there is more of it. */
  readonly section?: Section;
}

/** A share of failed answers that is no accident. */
const MANY_ERRORS = 0.01;

export function figuresOf(stats: AdminStats | undefined, memory: AdminMemory | undefined): Figure[] {
  return [memoryFigure(memory), ...statsFigures(stats)];
}

function memoryFigure(memory: AdminMemory | undefined): Figure {
  const named = { name: "memory", label: "Memory" };
  if (memory === undefined) return { ...named, value: "–", more: "in physical memory" };
  const { rss, limits } = memory;
  const tone = rss > limits.hard ? "failed" : rss > limits.soft ? "warning" : undefined;
  return {
    ...named,
    value: formatBytes(rss),
    more: `of ${formatBytes(limits.soft)} soft, ${formatBytes(limits.hard)} hard limit`,
    meter: { used: Math.min(1, rss / limits.hard), tight: limits.soft / limits.hard },
    ...(tone && { tone }),
  };
}

function statsFigures(stats: AdminStats | undefined): Figure[] {
  const { sessions, streams, performance } = stats ?? {};
  return [
    {
      name: "sessions",
      label: "Active sessions",
      value: sessions ? formatCount(sessions.active) : "–",
      more: sessions ? sessionsTold(sessions) : "interactive terminals",
      section: "sessions",
      ...(sessions && sessions.errors > 0 && { tone: "failed" as const }),
    },
    {
      name: "viewers",
      label: "Viewers",
      value: streams ? formatCount(streams.viewers) : "–",
      more: "streams of runs that are connected",
      section: "streams",
    },
    {
      name: "throughput",
      label: "Throughput",
      value: streams ? `${formatBytes(streams.bytesPerSecond)}/s` : "–",
      more: streams ? `${formatRate(streams.chunksPerSecond)} chunks/s, a mean of 10 s` : "a mean of 10 s",
    },
    {
      name: "backlog",
      label: "Archive backlog",
      value: streams ? formatBytes(streams.archiveBacklogBytes) : "–",
      more: "waits for archive and rows",
    },
    {
      name: "lag",
      label: "Replica lag",
      value: streams ? formatDuration(streams.replicaLagMs) : "–",
      more: "that the oldest entry waits",
      ...(streams && streams.replicaLagMs > 10_000 && { tone: "warning" as const }),
    },
    {
      name: "response",
      label: "Response time, p95",
      value: performance ? formatShort(performance.p95ResponseTime) : "–",
      more: performance
        ? `mean ${formatShort(performance.averageResponseTime)}, ${plural(performance.requests, "request")} in 5 min`
        : "in 5 min",
    },
    {
      name: "errors",
      label: "Error rate",
      value: performance ? formatShare(performance.errorRate) : "–",
      more: "answered with 5xx in 5 min",
      ...(performance &&
        performance.errorRate > 0 && {
          tone: performance.errorRate >= MANY_ERRORS ? ("failed" as const) : ("warning" as const),
        }),
    },
  ];
}

function sessionsTold({ inactive, total, errors }: AdminStats["sessions"]): string {
  const failed = errors > 0 ? `, ${errors} failed` : "";
  return `${plural(total, "session")} in all, ${inactive} inactive${failed}`;
}

/** Times of answers are short: `0.6ms`, `12ms`, `1.4s`. */
function formatShort(milliseconds: number): string {
  return milliseconds < 10 ? `${milliseconds.toFixed(1)}ms` : formatDuration(milliseconds);
}
