// @vitest-environment jsdom
import { expect, it, vi } from "vitest";
import { node } from "../testing/service.ts";
import { cellsToFit, fontToFit, MIN_FONT_PX } from "./fit.ts";
import { formatBytes, formatTime, nodeOfInterest, speakTime } from "./format.ts";
import { ticksOf } from "./ticks.ts";
import { openLink } from "./viewer.ts";

it.each([
  [0, "0:00"],
  [83_200, "1:23"],
  [3_723_000, "1:02:03"],
  [-5, "0:00"],
])("%i ms is %s", (atMs, text) => {
  expect(formatTime(atMs)).toBe(text);
});

it("times are spoken, sizes are short", () => {
  expect(formatTime(83_260, "tenths")).toBe("1:23.2");
  expect(speakTime(61_000)).toBe("1 minute 1 second");
  expect([512, 1_536, 5 * 1024 * 1024].map(formatBytes)).toEqual(["512 B", "1.5 KiB", "5.0 MiB"]);
});

it.each([
  ["the first that failed", ["COMPLETED", "FAILED", "RUNNING"], "n1"],
  ["the newest that runs", ["COMPLETED", "RUNNING", "RUNNING"], "n2"],
  ["the last that ran", ["COMPLETED", "COMPLETED"], "n1"],
] as const)("of interest is %s", (_name, statuses, ref) => {
  const nodes = statuses.map((status, at) =>
    node(`n${at}`, { status, startedAt: `2026-01-01T00:00:0${at}Z` }),
  );
  expect(nodeOfInterest(nodes)?.ref).toBe(ref);
});

it("of interest is some node even if none has started", () => {
  expect(nodeOfInterest([node("n0", { startedAt: null })])?.ref).toBe("n0");
  expect(nodeOfInterest([])).toBeUndefined();
});

it("a font shrinks until the terminal fits, and no further than one can read", () => {
  const cell = { width: 8, height: 16, fontPx: 13 };
  expect(fontToFit(cell, 80, 24, { width: 2_000, height: 2_000 }, 13)).toBe(13);
  expect(fontToFit(cell, 80, 24, { width: 492, height: 2_000 }, 13)).toBe(9.5);
  expect(fontToFit(cell, 80, 24, { width: 2_000, height: 200 }, 13)).toBe(MIN_FONT_PX);
  expect(cellsToFit(cell, { width: 810, height: 10 })).toEqual({ cols: 101, rows: 4 });
});

it("ticks are in order: attempts, markers and the failure", () => {
  const index = {
    durationMs: 900,
    markers: [
      { atMs: 500, label: "attempt 2" },
      { atMs: 100, label: "link" },
    ],
  };
  const failed = node("a", { status: "FAILED", failure: { kind: "EXIT_CODE", message: "exit code 1" } });
  expect(ticksOf(failed, index as never, [{ atMs: 300, kind: "gap", label: "lost" }])).toEqual([
    { atMs: 100, kind: "marker", label: "link" },
    { atMs: 300, kind: "gap", label: "lost" },
    { atMs: 500, kind: "start", label: "attempt 2" },
    { atMs: 900, kind: "failure", label: "exit code 1" },
  ]);
});

it("links of programs open for http and https alone", () => {
  const open = vi.spyOn(window, "open").mockReturnValue(null);
  for (const uri of ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "no address"])
    openLink(uri);
  expect(open).not.toHaveBeenCalled();
  openLink("https://example.org/a");
  expect(open).toHaveBeenCalledWith("https://example.org/a", "_blank", "noopener,noreferrer");
});
