import { describe, expect, it } from "vitest";
import { BYTE_STEPS, byteTick, COUNT_STEPS, readoutTime, timeTicks } from "./axes";

const at = (hours: number, minutes: number, seconds = 0) =>
  new Date(2026, 2, 10, hours, minutes, seconds).getTime() / 1000;

describe("axes", () => {
  it("have whole bytes", () => {
    expect([0, 64 * 2 ** 20, 1.5 * 2 ** 30, 256].map(byteTick)).toEqual(["0", "64 MiB", "1.5 GiB", "256 B"]);
    expect(BYTE_STEPS.slice(0, 3)).toEqual([1, 2, 4]);
    expect(COUNT_STEPS.slice(0, 5)).toEqual([1, 2, 5, 10, 20]);
  });

  it("tell the time as finely as their ticks lie", () => {
    expect(timeTicks([at(14, 5), at(14, 10)], 300)).toEqual(["14:05", "14:10"]);
    expect(timeTicks([at(14, 5, 30)], 30)).toEqual(["14:05:30"]);
    expect(timeTicks([at(0, 0), at(1, 0)], 3600)).toEqual(["10 Mar", "01:00"]);
    expect(readoutTime(at(9, 7, 5))).toBe("09:07:05");
  });
});
