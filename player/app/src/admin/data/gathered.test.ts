import { describe, expect, it, vi } from "vitest";
import { Gathered } from "./gathered";

describe("gathered points", () => {
  it("belong to their instance and come in order", () => {
    const gathered = new Gathered<{ at: number; viewers: number }>();
    const listener = vi.fn();
    const leave = gathered.subscribe(listener);
    gathered.add("a", { at: 1_000, viewers: 1 });
    gathered.add("a", { at: 4_000, viewers: 2 });
    gathered.add("a", { at: 4_000, viewers: 3 });
    gathered.add("b", { at: 2_000, viewers: 9 });
    leave();
    gathered.add("b", { at: 5_000, viewers: 9 });
    expect(gathered.of("a").map(({ viewers }) => viewers)).toEqual([1, 2]);
    expect(gathered.of("c")).toEqual([]);
    expect(listener).toHaveBeenCalledTimes(3);
  });

  it("are the same list until there is another one, and go after an hour", () => {
    const gathered = new Gathered<{ at: number }>();
    gathered.add("a", { at: 0 });
    expect(gathered.of("a")).toBe(gathered.of("a"));
    gathered.add("a", { at: 3_600_001 });
    expect(gathered.of("a")).toEqual([{ at: 3_600_001 }]);
  });
});
