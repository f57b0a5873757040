import { describe, expect, it } from "vitest";
import { isProject, nextTabName } from "./names";

describe("names of terminals", () => {
  it("count up", () => {
    expect(nextTabName("system", [])).toBe("system");
    expect(nextTabName("system", ["system"])).toBe("system 2");
    expect(nextTabName("system", ["system", "system 2", "system 4"])).toBe("system 3");
  });

  it("are projects as the service takes them", () => {
    expect(["demo", "a.b_c-1", "7"].every(isProject)).toBe(true);
    expect(["", ".a", "a b", "ä", "a".repeat(129)].some(isProject)).toBe(false);
  });
});
