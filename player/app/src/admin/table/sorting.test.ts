import { describe, expect, it } from "vitest";
import { inOrder, nextOrder } from "./sorting";

describe("the order of rows", () => {
  it("turns with each click, and another column begins anew", () => {
    const first = nextOrder(undefined, "idle");
    expect(first).toEqual({ key: "idle", isDescending: true });
    const second = nextOrder(first, "idle");
    expect(second).toEqual({ key: "idle", isDescending: false });
    expect(nextOrder(second, "idle")).toBeUndefined();
    expect(nextOrder(second, "buffer")).toEqual({ key: "buffer", isDescending: true });
  });

  it("knows numbers and words, and keeps equal rows as they came", () => {
    const rows = [
      { id: "a", size: 9, name: "shell 10" },
      { id: "b", size: 100, name: "shell 2" },
      { id: "c", size: 9, name: "Logs" },
    ];
    const ids = (sorted: typeof rows) => sorted.map(({ id }) => id).join("");
    expect(ids(inOrder(rows, ({ size }) => size, true))).toBe("bac");
    expect(ids(inOrder(rows, ({ size }) => size, false))).toBe("acb");
    expect(ids(inOrder(rows, ({ name }) => name, false))).toBe("cba");
    expect(ids(rows)).toBe("abc");
  });
});
