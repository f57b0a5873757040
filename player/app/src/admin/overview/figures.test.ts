import type { AdminMemory, AdminStats } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { figuresOf } from "./figures";

const MiB = 2 ** 20;

function memory(rss: number): AdminMemory {
  const limits = { soft: 400 * MiB, hard: 500 * MiB };
  const figures = { at: "", rss, heap: 0, external: 0, components: {} };
  return { ...figures, instance: "a", limits, sessionCount: 0, runCount: 0 };
}

function stats(change: Partial<AdminStats["performance"]> = {}, errors = 0): AdminStats {
  return {
    instance: "a",
    memory: { rss: 0, heap: 0, external: 0 },
    sessions: { active: 3, inactive: 8, total: 12, errors },
    performance: { requests: 1, averageResponseTime: 0.55, p95ResponseTime: 47.9, errorRate: 0, ...change },
    streams: {
      viewers: 1200,
      chunksPerSecond: 85.7,
      bytesPerSecond: 223_129.3,
      archiveBacklogBytes: 0,
      replicaLagMs: 0,
    },
  };
}

function figure(name: string, ...given: Parameters<typeof figuresOf>) {
  const found = figuresOf(...given).find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no figure ${name}`);
  return found;
}

describe("key figures", () => {
  it("are there before anything is known", () => {
    expect(figuresOf(undefined, undefined).map(({ value }) => value)).toEqual(Array(8).fill("–"));
  });

  it("tell what they are", () => {
    const told = figuresOf(stats(), memory(64 * MiB)).map(({ value, more }) => `${value} ${more}`);
    expect(told).toEqual([
      "64.0 MiB of 400 MiB soft, 500 MiB hard limit",
      "3 12 sessions in all, 8 inactive",
      "1,200 streams of runs that are connected",
      "218 KiB/s 86 chunks/s, a mean of 10 s",
      "0 B waits for archive and rows",
      "0ms that the oldest entry waits",
      "48ms mean 0.6ms, 1 request in 5 min",
      "0% answered with 5xx in 5 min",
    ]);
  });

  it("warn at the limits of memory", () => {
    expect(figure("memory", undefined, memory(399 * MiB)).tone).toBeUndefined();
    expect(figure("memory", undefined, memory(401 * MiB)).tone).toBe("warning");
    const full = figure("memory", undefined, memory(900 * MiB));
    expect(full).toMatchObject({ tone: "failed", meter: { used: 1, tight: 0.8 } });
  });

  it("warn of failures", () => {
    expect(figure("errors", stats({ errorRate: 0.001 }), undefined).tone).toBe("warning");
    expect(figure("errors", stats({ errorRate: 0.02 }), undefined).tone).toBe("failed");
    expect(figure("sessions", stats({}, 2), undefined)).toMatchObject({
      tone: "failed",
      more: "12 sessions in all, 8 inactive, 2 failed",
    });
  });
});
