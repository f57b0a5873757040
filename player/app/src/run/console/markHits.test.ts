import { describe, expect, it } from "vitest";
import { markHits, patternOf } from "./markHits";

const marked = (line: string, query: string, isRegex = false) =>
  markHits(line, query, isRegex).map((part) => (part.isHit ? `<${part.text}>` : part.text));

describe("markHits", () => {
  it("cuts at every hit and keeps the rest", () => {
    expect(marked("a.b a.b", "a.b")).toEqual(["<a.b>", " ", "<a.b>"]);
    expect(marked("axb", "a.b")).toEqual(["axb"]);
    expect(marked("error 12, error 7", "error \\d+", true)).toEqual(["<error 12>", ", ", "<error 7>"]);
  });

  it("marks nothing for what the browser does not understand", () => {
    expect(marked("text", "(?i)text", true)).toEqual(["text"]);
    expect(marked("text", "x*", true)).toEqual(["text"]);
    expect(patternOf("", false)).toBeUndefined();
  });

  it("shows a long line where the hit is", () => {
    const line = `${"-".repeat(5000)}needle${"-".repeat(5000)}`;
    const parts = markHits(line, "needle", false);
    expect(parts.map((part) => part.text).join("").length).toBe(400);
    expect(parts[1]).toMatchObject({ text: "needle", isHit: true });
  });
});
