import { describe, expect, it } from "vitest";
import {
  elapsedMs,
  formatAgo,
  formatBytes,
  formatDuration,
  formatPosition,
  formatRate,
  formatShare,
  plural,
  shortId,
  wordsOf,
} from "./format";

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1024 * 150, "150 KiB"],
    [5 * 1024 ** 3, "5.0 GiB"],
  ])("%d is %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe("formatRate", () => {
  it.each([
    [0, "0"],
    [0.01, "<0.1"],
    [0.34, "0.3"],
    [9.9, "9.9"],
    [9.96, "10"],
    [1234.5, "1,235"],
  ])("%d is %s", (rate, text) => expect(formatRate(rate)).toBe(text));
});

describe("formatShare", () => {
  it.each([
    [0, "0%"],
    [0.00001, "<0.01%"],
    [0.0004, "0.04%"],
    [0.005, "0.5%"],
    [0.0234, "2.3%"],
    [0.5, "50%"],
    [1, "100%"],
  ])("%d is %s", (share, text) => expect(formatShare(share)).toBe(text));
});

describe("formatDuration", () => {
  it.each([
    [-5, "0ms"],
    [440, "440ms"],
    [1_440, "1.4s"],
    [9_949, "9.9s"],
    [9_950, "10s"],
    [59_600, "1m 00s"],
    [187_000, "3m 07s"],
    [7_500_000, "2h 05m"],
    [356_400_000, "4d 03h"],
  ])("%d is %s", (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));
});

describe("formatPosition", () => {
  it.each([
    [0, "0:00.0"],
    [83_270, "1:23.2"],
    [3_723_400, "1:02:03.4"],
  ])("%d is %s", (milliseconds, text) => expect(formatPosition(milliseconds)).toBe(text));
});

describe("formatAgo", () => {
  const now = Date.parse("2026-03-10T12:00:00.000Z");
  it.each([
    ["2026-03-10T11:59:58.000Z", "just now"],
    ["2026-03-10T11:59:18.000Z", "42s ago"],
    ["2026-03-10T11:55:00.000Z", "5m ago"],
    ["2026-03-10T09:00:00.000Z", "3h ago"],
    ["2026-03-08T09:00:00.000Z", "2d ago"],
    ["2026-02-01T09:00:00.000Z", "2026-02-01"],
  ])("%s is %s", (at, text) => expect(formatAgo(at, now)).toBe(text));
});

describe("elapsedMs", () => {
  it("goes on until there is an end", () => {
    const start = "2026-03-10T12:00:00.000Z";
    expect(elapsedMs(undefined, undefined, 0)).toBeUndefined();
    expect(elapsedMs(start, undefined, Date.parse(start) + 1500)).toBe(1500);
    expect(elapsedMs(start, "2026-03-10T12:00:09.000Z", 0)).toBe(9000);
  });
});

describe("shortId", () => {
  it("shortens only ids that the service made", () => {
    expect(shortId("nightly-42")).toBe("nightly-42");
    expect(shortId("run-01a1feec-90f1-7691-95bc-610085e43eaa")).toBe("run-…610085e43eaa");
  });
});

describe("plural", () => {
  it("agrees with its number", () => {
    expect(plural(1, "node")).toBe("1 node");
    expect(plural(1200, "line")).toBe("1,200 lines");
    expect(plural(2, "match", "matches")).toBe("2 matches");
  });
});

describe("wordsOf", () => {
  it("tells the parts of a name apart", () => {
    expect(wordsOf("archivedThrough")).toBe("Archived through");
    expect(wordsOf("screens")).toBe("Screens");
  });
});
