import type { TelemetryEvent } from "@runcast/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Telemetry } from "./telemetry";

describe("Telemetry", () => {
  const batches: TelemetryEvent[][] = [];
  const telemetry = () =>
    new Telemetry(async (events) => {
      batches.push(events);
    }, 1000);

  beforeEach(() => {
    batches.length = 0;
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("sends one batch for all that happened meanwhile", () => {
    const counters = telemetry();
    counters.count("terminal_viewed");
    counters.count("gap_seen", 3);
    counters.count("terminal_viewed");
    vi.advanceTimersByTime(999);
    expect(batches).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(batches).toEqual([
      [
        { name: "terminal_viewed", count: 2 },
        { name: "gap_seen", count: 3 },
      ],
    ]);
  });

  it("sends at once when the page goes, and nothing twice", () => {
    const counters = telemetry();
    counters.count("reconnected");
    counters.flush();
    counters.flush();
    vi.advanceTimersByTime(5000);
    expect(batches).toEqual([[{ name: "reconnected", count: 1 }]]);
  });

  it("survives a service that is away", async () => {
    const counters = new Telemetry(() => Promise.reject(new Error("away")), 1000);
    counters.count("player_error");
    await vi.advanceTimersByTimeAsync(1000);
    counters.count("player_error", 0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
