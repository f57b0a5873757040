import { describe, expect, it } from "vitest";
import { parseTerminalsLink, terminalsLink } from "./link";

describe("the address of the terminals", () => {
  it("says the same when it is read again", () => {
    for (const link of [
      { project: "demo", session: undefined, readonly: false },
      { project: "a.b-c_d", session: "session_1_abcdefgh", readonly: true },
      { project: undefined, session: undefined, readonly: false },
    ]) {
      const [path = "", search = ""] = terminalsLink(link).split("?");
      expect(parseTerminalsLink(path, search)).toEqual(link);
    }
  });

  it("is forgiving", () => {
    expect(parseTerminalsLink("/terminals/%zz", "").project).toBeUndefined();
    expect(parseTerminalsLink("/terminals/", "").project).toBeUndefined();
  });
});
