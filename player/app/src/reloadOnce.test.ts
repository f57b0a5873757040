import { expect, it, vi } from "vitest";
import { reloadOnce } from "./reloadOnce";

it("reloads for a part that did not come, but not again and again", () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as Storage;
  const reload = vi.fn();
  expect(reloadOnce(storage, 1_000_000, reload)).toBe(true);
  expect(reloadOnce(storage, 1_005_000, reload)).toBe(false);
  expect(reloadOnce(storage, 1_011_000, reload)).toBe(true);
  expect(reload).toHaveBeenCalledTimes(2);
});
