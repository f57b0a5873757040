import { ApiError, type SessionAnswer } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { barrierTo, fontToFit, isLive, socketOf, tellRefusal } from "./reach";

const caller: SessionAnswer = {
  mode: "token",
  tenant: "default",
  scopes: ["admin", "terminals:read"],
} as SessionAnswer;

describe("what is reached of a session", () => {
  it("is one's own, with the scope", () => {
    expect(barrierTo({ tenant: "default" }, caller, "terminals:read")).toBeUndefined();
    expect(barrierTo({ tenant: "default" }, caller, "terminals:write")).toBe(
      "This login lacks the scope terminals:write.",
    );
    expect(barrierTo({ tenant: "acme" }, caller, "terminals:read")).toContain("tenant acme");
  });

  it("is told where the service refuses it", () => {
    expect(tellRefusal(new ApiError(404, "NOT_FOUND", "x"))).toContain("does not reach it");
    expect(tellRefusal(new ApiError(0, "NETWORK", "x"))).toBe("The service cannot be reached.");
  });

  it("lives until it is ended", () => {
    const states = ["creating", "active", "inactive", "terminating", "terminated", "error"] as const;
    expect(states.filter((state) => isLive({ state }))).toEqual(["creating", "active", "inactive"]);
  });

  it("is on its instance", () => {
    expect(socketOf("s/1", undefined)).toBeUndefined();
    expect(socketOf("s/1", "http://b:7420/")).toBe("http://b:7420/api/v1/terminals/s%2F1/ws");
  });

  it("is shown as large as there is room", () => {
    expect(fontToFit(80, 1100)).toBe(13);
    expect(fontToFit(120, 800)).toBe(11);
    expect(fontToFit(80, 350)).toBe(7);
    expect(fontToFit(1000, 350)).toBe(5);
  });
});
