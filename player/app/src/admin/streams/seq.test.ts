import { expect, it } from "vitest";
import { formatSeq } from "./seq";

it("a place in a log is read with its epoch, if there was more than one", () => {
  expect(formatSeq(0)).toBe("0");
  expect(formatSeq(1234)).toBe("1,234");
  expect(formatSeq(2 * 2 ** 32 + 17)).toBe("e2 · 17");
});
