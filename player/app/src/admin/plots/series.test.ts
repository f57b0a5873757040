import type { AdminMemoryFigures } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { furthestOf, memoryColumns, mergeSamples, stack, withGaps } from "./series";

function sample(second: number, components: Record<string, number>): AdminMemoryFigures {
  const rss = Object.values(components).reduce((sum, bytes) => sum + bytes, 0);
  return { at: new Date(second * 1000).toISOString(), rss, heap: 0, external: 0, components };
}

describe("samples", () => {
  it("are merged in the order of time, each moment once, and old ones go", () => {
    const merged = mergeSamples(
      [sample(10, { a: 1 }), sample(40, { a: 2 })],
      [sample(37, { a: 3 }), sample(40, { a: 4 }), sample(43, { a: 5 })],
      20_000,
    );
    expect(merged.map(({ components }) => components.a)).toEqual([3, 4, 5]);
  });

  it("become columns in the order of the stack; what one does not tell is nothing", () => {
    const { times, rss, components } = memoryColumns([
      sample(1, { clients: 1, unaccounted: 5, zebra: 2 }),
      sample(2, { clients: 3, unaccounted: 5, logTail: 4 }),
    ]);
    expect(times).toEqual([1, 2]);
    expect(rss).toEqual([8, 12]);
    expect([...components]).toEqual([
      ["unaccounted", [5, 5]],
      ["logTail", [0, 4]],
      ["clients", [1, 3]],
      ["zebra", [2, 0]],
    ]);
  });

  it("are nothing where there are none", () => {
    expect(memoryColumns([])).toEqual({ times: [], rss: [], components: new Map() });
  });
});

describe("stacking", () => {
  it("puts each on top of those before it", () => {
    expect(
      stack([
        [1, 2],
        [10, 20],
        [0, 5],
      ]),
    ).toEqual([
      [1, 2],
      [11, 22],
      [11, 27],
    ]);
    expect(stack([])).toEqual([]);
  });
});

describe("gaps", () => {
  it("break every column where nobody looked", () => {
    expect(
      withGaps(
        [0, 3, 100, 103],
        [
          [1, 2, 3, 4],
          [5, 6, 7, 8],
        ],
        30,
      ),
    ).toEqual([
      [0, 3, 51.5, 100, 103],
      [1, 2, null, 3, 4],
      [5, 6, null, 7, 8],
    ]);
  });

  it("follow how often it is looked", () => {
    expect(furthestOf([0, 30, 60, 200, 230], 12)).toBe(105);
    expect(furthestOf([0, 1, 2], 12)).toBe(12);
    expect(furthestOf([5], 12)).toBe(12);
  });
});
