import { describe, expect, it } from "vitest";
import { nextRates } from "./rates";

const read = (at: number, values: Record<string, number>) => ({
  at,
  values: new Map(Object.entries(values)),
});

describe("rates between polls", () => {
  it("need two readings", () => {
    const first = nextRates(undefined, read(1_000, { a: 10 }));
    expect(first.perSecond.size).toBe(0);
    expect(nextRates(first, read(3_000, { a: 16 })).perSecond.get("a")).toBe(3);
  });

  it("know nothing of what is new, and of what began anew", () => {
    const first = nextRates(undefined, read(0, { a: 10, b: 5 }));
    const second = nextRates(first, read(2_000, { a: 2, b: 5, c: 100 }));
    expect([...second.perSecond]).toEqual([["b", 0]]);
  });

  it("wait where two readings are too close", () => {
    const first = nextRates(undefined, read(0, { a: 0 }));
    expect(nextRates(first, read(100, { a: 50 }))).toBe(first);
    expect(nextRates(first, read(2_000, { a: 60 })).perSecond.get("a")).toBe(30);
  });
});
