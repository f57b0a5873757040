import { describe, expect, it } from "vitest";
import { describeConnection } from "./connection";

describe("describeConnection", () => {
  const look = (
    connection: "live" | "reconnecting" | "ended",
    transport: "stream" | "poll",
    retryAtMs?: number,
  ) => describeConnection({ connection, transport, retryAtMs }, 10_000);

  it("counts down to the next attempt", () => {
    expect(look("reconnecting", "stream", 12_100).label).toBe("Reconnecting in 3s");
    expect(look("reconnecting", "stream", 9_000).label).toBe("Reconnecting");
  });

  it("says when it polls", () => {
    expect(look("live", "poll").label).toBe("Polling");
    expect(look("live", "stream").label).toBe("Live");
    expect(look("ended", "poll").tone).toBe("quiet");
  });
});
