import type { AdminInstance } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { chooseInstance, mayBeGone, nameOf } from "./instances";

function row(id: string, unseenSecs = 1): AdminInstance {
  return { id, role: "all", url: `http://${id}`, startedAt: "", seenAt: "", unseenSecs };
}

describe("the instance that is shown", () => {
  const list = { instance: "b", instances: [row("a"), row("b"), row("old", 600)] };

  it("is the wanted one, also if it may be gone", () => {
    expect(chooseInstance(list, "a", "b")).toBe("a");
    expect(chooseInstance(list, "old", "b")).toBe("old");
  });

  it("stays while others answer", () => {
    expect(chooseInstance(list, undefined, "a")).toBe("a");
    expect(chooseInstance(list, undefined, undefined)).toBe("b");
  });

  it("is the one that answers, where the one before is gone", () => {
    expect(chooseInstance(list, undefined, "old")).toBe("b");
    expect(chooseInstance(list, "never", "unknown")).toBe("b");
  });
});

describe("an instance", () => {
  it("is called by its name, else by its id", () => {
    expect(nameOf({ ...row("a"), name: "web-1" })).toBe("web-1");
    expect(nameOf(row("a"))).toBe("a");
  });

  it("may be gone when it is silent", () => {
    expect(mayBeGone(row("a", 5))).toBe(false);
    expect(mayBeGone(row("a", 120))).toBe(true);
  });
});
