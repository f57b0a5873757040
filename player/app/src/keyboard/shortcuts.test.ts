import { describe, expect, it } from "vitest";
import { keyName, SHORTCUT_GROUPS, takesText } from "./shortcuts";

const press = (key: string, more = {}) => ({ key, ctrlKey: false, altKey: false, metaKey: false, ...more });
const element = (tagName: string, attributes: Record<string, string> = {}) => ({
  tagName,
  getAttribute: (name: string) => attributes[name] ?? null,
});

describe("shortcuts", () => {
  it("leave the browser its own", () => {
    expect(keyName(press("j"))).toBe("j");
    expect(keyName(press("c", { ctrlKey: true }))).toBeUndefined();
    expect(keyName(press("d", { metaKey: true }))).toBeUndefined();
  });

  it("are text in a field", () => {
    expect(takesText(element("INPUT", { type: "search" }))).toBe(true);
    expect(takesText(element("TEXTAREA"))).toBe(true);
    expect(takesText(element("INPUT", { type: "checkbox" }))).toBe(false);
    expect(takesText(element("BUTTON"))).toBe(false);
    expect(takesText(null)).toBe(false);
  });

  it("are each told once", () => {
    for (const group of SHORTCUT_GROUPS) {
      const keys = group.shortcuts.flatMap((shortcut) => shortcut.keys);
      expect(new Set(keys).size).toBe(keys.length);
    }
  });
});
