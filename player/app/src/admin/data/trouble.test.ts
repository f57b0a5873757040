import { ApiError } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { tellTrouble } from "./trouble";

describe("what is said when there is no answer", () => {
  it.each([
    [new ApiError(0, "NETWORK", "x"), "The service does not answer."],
    [new ApiError(401, "UNAUTHENTICATED", "x"), "The service asks for a login."],
    [
      new ApiError(503, "UNAVAILABLE", "the database is away"),
      "The service cannot answer: the database is away.",
    ],
    [new ApiError(404, "NOT_FOUND", "there is no instance `a`"), "there is no instance `a`"],
    [new SyntaxError("Unexpected end"), "The service sends what is no answer."],
  ])("%s", (error, text) => expect(tellTrouble(error)).toBe(text));

  it("names the scope that is missing", () => {
    expect(tellTrouble(new ApiError(403, "FORBIDDEN", "x"))).toContain("scope admin");
  });
});
