import { describe, expect, it } from "vitest";
import { factsOf, isFault } from "./facts";

describe("what actors show of themselves", () => {
  it("reads as names and values", () => {
    const state = {
      nodeRef: "build",
      outputBytes: 146_325,
      pid: 31974,
      waits: null,
      lagMs: 1500,
      unseenSecs: 60,
      isFull: false,
      publishedThrough: 2859,
      share: 0.5,
      holds: { runs: 2 },
    };
    expect(factsOf(state).map(({ name, value }) => `${name}: ${value}`)).toEqual([
      "node ref: build",
      "output bytes: 143 KiB",
      "pid: 31974",
      "lag ms: 1.5s",
      "unseen secs: 1m 00s",
      "is full: no",
      "published through: 2,859",
      "share: 0.5",
      'holds: {"runs":2}',
    ]);
  });

  it("may be one word, or nothing", () => {
    expect(factsOf("up")).toEqual([{ name: "state", value: "up" }]);
    expect(factsOf(null)).toEqual([]);
    expect(factsOf("x".repeat(500))[0]?.value).toHaveLength(121);
  });

  it("knows a fault", () => {
    expect(["failed: no room", "panicked: at 1"].every(isFault)).toBe(true);
    expect(["finished", "stopped", "killed", "downstream closed", null, undefined].some(isFault)).toBe(false);
  });
});
