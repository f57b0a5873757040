import { describe, expect, it } from "vitest";
import { type AdminLink, adminLink, parseAdminLink } from "./link";

describe("the address of the administration", () => {
  it("says the same when it is read again", () => {
    const links: AdminLink[] = [
      { section: "overview", instance: undefined, range: "1h" },
      { section: "overview", instance: undefined, range: "24h" },
      { section: "sessions", instance: "runcast-a/b", range: "1h" },
    ];
    for (const link of links) {
      const [path = "", search = ""] = adminLink(link).split("?");
      expect(parseAdminLink(path, search)).toEqual(link);
    }
  });

  it("is short where nothing was chosen", () => {
    expect(adminLink({ section: "overview", instance: undefined, range: "1h" })).toBe("/admin");
    expect(adminLink({ section: "actors", instance: undefined, range: "1h" })).toBe("/admin/actors");
  });

  it("is forgiving, but knows what leads nowhere", () => {
    expect(parseAdminLink("/admin/", "range=2d&instance=")).toEqual({
      section: "overview",
      instance: undefined,
      range: "1h",
    });
    expect(parseAdminLink("/admin/nothing", "")).toBeUndefined();
    expect(parseAdminLink("/administration", "")).toBeUndefined();
  });
});
