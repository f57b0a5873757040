import type { AdminMemoryFigures } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { memoryView } from "./memoryView";

const MiB = 2 ** 20;
const AT = Date.parse("2026-03-10T12:00:00.000Z");

function sample(second: number, logTail: number, rest: number): AdminMemoryFigures {
  const at = new Date(AT + second * 1000).toISOString();
  const components = { logTail: logTail * MiB, unaccounted: rest * MiB };
  return { at, rss: (logTail + rest) * MiB, heap: 0, external: 0, components };
}

const report = { limits: { soft: 400 * MiB, hard: 500 * MiB } };
const nothing = { remembered: [], gathered: [], report, range: "15m", hidden: new Set<string>() } as const;

describe("the view of the memory", () => {
  it("is nothing before there is a sample", () => {
    expect(memoryView({ ...nothing, hasLimits: true })).toBeUndefined();
  });

  it("stacks the components below the RSS and ends with the newest sample", () => {
    const view = memoryView({
      ...nothing,
      remembered: [sample(-2000, 9, 9), sample(0, 10, 50), sample(10, 30, 50)],
      gathered: [sample(13, 20, 50)],
      hasLimits: false,
    });
    expect(view?.data).toEqual([
      [AT / 1000, AT / 1000 + 10, AT / 1000 + 13],
      [50 * MiB, 50 * MiB, 50 * MiB],
      [60 * MiB, 80 * MiB, 70 * MiB],
      [60 * MiB, 80 * MiB, 70 * MiB],
    ]);
    expect(view?.scope.window).toEqual([AT / 1000 + 13 - 900, AT / 1000 + 13]);
    expect(view?.scope.top).toBeCloseTo(80 * MiB * 1.08);
    expect(view?.rss).toEqual({ now: 70 * MiB, peak: 80 * MiB });
    expect(view?.rows.map(({ component, now, peak }) => [component.name, now / MiB, peak / MiB])).toEqual([
      ["logTail", 20, 30],
      ["unaccounted", 50, 50],
    ]);
    expect(view?.byTime.get(AT / 1000 + 10)?.components.logTail).toBe(30 * MiB);
  });

  it("leaves out what is hidden, and stacks the rest anew", () => {
    const view = memoryView({
      ...nothing,
      remembered: [sample(0, 10, 50), sample(10, 30, 50)],
      hidden: new Set(["unaccounted", "rss"]),
      hasLimits: false,
    });
    expect(view?.data.slice(1)).toEqual([[10 * MiB, 30 * MiB]]);
    expect(view?.lines).toEqual([{ kind: "area", colour: "--series-2" }]);
    expect(view?.rows).toHaveLength(2);
  });

  it("has room for the limits, marks the clean-up, and says it all in words", () => {
    const lastCleanup = { at: new Date(AT).toISOString(), freedBytes: 1, terminated: [] };
    const view = memoryView({
      ...nothing,
      remembered: [sample(10, 30, 50)],
      report: { ...report, lastCleanup },
      hasLimits: true,
    });
    expect(view?.scope.top).toBeCloseTo(500 * MiB * 1.08);
    expect(view?.scope.marks.limits.map(({ label }) => label)).toEqual([
      "soft limit 400 MiB",
      "hard limit 500 MiB",
    ]);
    expect(view?.scope.marks.moments).toEqual([{ at: AT / 1000, label: "clean-up" }]);
    expect(view?.told).toContain("RSS is 80.0 MiB");
    expect(view?.told).toContain("Log tail 30.0 MiB");
  });
});
