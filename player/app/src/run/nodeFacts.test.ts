import type { RunNode } from "@runcast/react";
import { describe, expect, it } from "vitest";
import { exitOf, silenceOf, volumeOf } from "./nodeFacts";

const node = (more: Partial<RunNode>): RunNode => ({
  ref: "build",
  command: ["true"],
  status: "RUNNING",
  attempt: 1,
  dependsOn: [],
  runnerKind: "local",
  terminal: { mode: "pty", cols: 80, rows: 24 },
  streams: [],
  ...more,
});

describe("facts of a node", () => {
  it("tell a bad end only", () => {
    expect(exitOf(node({ exitCode: 0 }))).toBeUndefined();
    expect(exitOf(node({ exitCode: 2 }))).toBe("exit 2");
    expect(exitOf(node({ signal: 9 }))).toBe("signal 9");
  });

  it("count what the node counted, else what is recorded", () => {
    const recorded = { chunks: 3, bytes: 100, gaps: 0, state: "live" as const, streams: [] };
    const final = [
      { stream: "stdout" as const, chunks: 2, bytes: 10, sha256: "", complete: true },
      { stream: "stderr" as const, chunks: 1, bytes: 5, sha256: "", complete: true },
    ];
    expect(volumeOf(node({ final }), recorded)).toEqual({ chunks: 3, bytes: 15 });
    expect(volumeOf(node({}), recorded)).toEqual({ chunks: 3, bytes: 100 });
    expect(volumeOf(node({}), undefined)).toBeUndefined();
  });

  it("say why there is nothing to see", () => {
    const done = node({ ref: "fetch", status: "COMPLETED" });
    const waiting = node({ status: "PENDING", dependsOn: ["fetch", "lint"] });
    expect(silenceOf(waiting, [done, node({ ref: "lint" }), waiting])).toBe("Waits for lint");
    expect(silenceOf(node({ status: "PENDING" }), [])).toBe("Waits for a place");
    expect(silenceOf(node({ streams: ["pty"] }), [])).toBeUndefined();
  });
});
