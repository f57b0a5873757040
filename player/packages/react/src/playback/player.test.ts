import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RuncastClient } from "../api/client.ts";
import type { TerminalChunk } from "../api/types.ts";
import { Painter } from "../console/painter.ts";
import * as scripted from "../testing/service.ts";
import { ScriptedService } from "../testing/service.ts";
import { RecordingSink } from "../testing/sink.ts";
import { RecordingPlayer } from "./player.ts";
import { RecordingDriver } from "./recordingDriver.ts";

const CHUNKS = 1_200;
const STEP_MS = 100;

/** A recording of numbers, one every 100 ms, and an exit. */
const recording: TerminalChunk[] = Array.from({ length: CHUNKS }, (_, at) =>
  scripted.output(at + 2, at, `${at} `, { atMs: at * STEP_MS }),
);
recording.push(
  scripted.output(CHUNKS + 2, CHUNKS, "", { kind: "exit", payload: null, atMs: CHUNKS * STEP_MS }),
);

function page(query: URLSearchParams, chunks: readonly TerminalChunk[]): Response {
  const limit = Number(query.get("limit"));
  const before = query.get("beforeChunk");
  if (before !== null) {
    return scripted.json({
      chunks: chunks.filter((chunk) => chunk.chunkIndex < Number(before)).slice(-limit),
    });
  }
  const after = Number(query.get("afterChunk"));
  return scripted.json({ chunks: chunks.filter((chunk) => chunk.chunkIndex > after).slice(0, limit) });
}

function service(chunks: readonly TerminalChunk[] = recording): ScriptedService {
  return new ScriptedService()
    .on(/\/terminal\/a$/, ({ query }) => page(query, chunks))
    .on(/\/screen$/, ({ query }) => {
      const atMs = query.get("atMs");
      const last = chunks.findLast((chunk) =>
        atMs === null ? chunk.chunkIndex <= Number(query.get("chunkIndex")) : chunk.atMs <= Number(atMs),
      );
      const payload = Buffer.from(`<${last?.chunkIndex}>`).toString("base64");
      return scripted.json({
        cols: 80,
        rows: 24,
        seq: last?.seq,
        chunkIndex: last?.chunkIndex,
        atMs: last?.atMs,
        payload,
      });
    });
}

function open(
  from: ScriptedService,
  options: { startAtMs?: number; live?: (sink: unknown) => () => void; durationMs?: number } = {},
) {
  const client = new RuncastClient({ fetch: from.fetch });
  const player = new RecordingPlayer({ client, runId: "run-1", nodeRef: "a", ...options });
  const sink = new RecordingSink();
  player.setStreams(["pty"]);
  player.measure(options.durationMs ?? CHUNKS * STEP_MS, false);
  const detach = player.attach(sink);
  return { player, sink, detach };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a seek", () => {
  it("asks for the screen there and for what follows, and no more", async () => {
    const from = service();
    const { player, sink } = open(from, { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<600>");
    expect(player.getState()).toMatchObject({ phase: "paused", positionMs: 60_000 });
    expect(from.asked(/terminal\/a$/)).toHaveLength(1);
    expect(from.asked(/terminal\/a$/)[0]?.query.get("afterChunk")).toBe("600");
  });

  it("a little ahead plays what is loaded", async () => {
    const from = service();
    const { player, sink } = open(from, { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    player.seekBy(300);
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<600>601 602 603 ");
    expect(from.asked(/screen/)).toHaveLength(1);
  });

  it("back asks for the screen again; the last of several wins", async () => {
    const from = service();
    const { player, sink } = open(from, { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    player.seekTo(10_000);
    player.seekTo(20_000);
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<200>");
    expect(player.getState().positionMs).toBe(20_000);
  });

  it("that fails is told and leaves the player usable", async () => {
    const from = service();
    const { player } = open(from, { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    from.sequence(
      /screen/,
      () => scripted.refusal(503, "UNAVAILABLE", "the archive is away"),
      () => undefined,
    );
    player.seekTo(0);
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState()).toMatchObject({ phase: "paused", error: "the archive is away" });
    player.seekTo(10_000);
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState()).toMatchObject({ phase: "paused", positionMs: 10_000, error: undefined });
  });
});

describe("playing", () => {
  it.each([0.5, 1, 4, 16])("keeps the time at speed %f", async (speed) => {
    const { player, sink } = open(service(), { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    player.setSpeed(speed);
    player.play();
    await vi.advanceTimersByTimeAsync(1_000);
    player.pause();
    const shown = sink.text.match(/\d+ /g)?.length ?? 0;
    expect(Math.abs(shown - speed * 10)).toBeLessThanOrEqual(Math.ceil(speed));
  });

  it("goes over pages to the end, each chunk once, with two pages loaded at most", async () => {
    const from = service();
    const { player, sink } = open(from, { startAtMs: 0 });
    await vi.advanceTimersByTimeAsync(50);
    player.setSpeed(16);
    player.play();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(player.getState()).toMatchObject({ phase: "ended", positionMs: CHUNKS * STEP_MS });
    const numbers = Array.from({ length: CHUNKS - 1 }, (_, at) => `${at + 1} `).join("");
    expect(sink.text).toBe(`<0>${numbers}`);
    expect(from.asked(/terminal\/a$/).length).toBeLessThanOrEqual(4);
  });

  it("cuts pauses to the limit", async () => {
    const pause = [
      scripted.output(2, 0, "a", { atMs: 0 }),
      scripted.output(3, 1, "b", { atMs: 60_000 }),
      scripted.output(4, 2, "c", { atMs: 119_000 }),
    ];
    const { player, sink } = open(service(pause), { startAtMs: 0 });
    await vi.advanceTimersByTimeAsync(50);
    player.setIdleLimit(2_000);
    player.play();
    await vi.advanceTimersByTimeAsync(1_800);
    expect(sink.text).toBe("<0>");
    await vi.advanceTimersByTimeAsync(400);
    expect(sink.text).toBe("<0>b");
    await vi.advanceTimersByTimeAsync(2_300);
    expect(sink.text).toBe("<0>bc");
  });

  it("waits for a terminal that does not take what it is given", async () => {
    const large = [0, 1, 2, 3].map((at) =>
      scripted.output(at + 2, at, "x".repeat(400 * 1024), { atMs: at * 10 }),
    );
    const { player, sink } = open(service(large), { startAtMs: 0 });
    await vi.advanceTimersByTimeAsync(50);
    sink.isTaking = false;
    player.play();
    await vi.advanceTimersByTimeAsync(500);
    expect(sink.text.length).toBeLessThan(1_000 * 1024);
    sink.isTaking = true;
    sink.drain();
    await vi.advanceTimersByTimeAsync(500);
    expect(sink.text.length).toBeGreaterThan(1_100 * 1024);
  });
});

describe("steps", () => {
  it("go to the next output and back", async () => {
    const { player, sink } = open(service(), { startAtMs: 60_000 });
    await vi.advanceTimersByTimeAsync(50);
    player.stepForward();
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<600>601 ");
    expect(player.getState().positionMs).toBe(60_100);
    player.stepBackward();
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<600>");
    player.stepBackward();
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<599>");
    expect(player.getState()).toMatchObject({ phase: "paused", positionMs: 59_900 });
  });

  it("go from marker to marker", async () => {
    const { player } = open(service(), { startAtMs: 60_000 });
    player.setMarkers([70_000, 10_000]);
    await vi.advanceTimersByTimeAsync(50);
    player.nextMarker();
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState().positionMs).toBe(70_000);
    player.previousMarker();
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState().positionMs).toBe(10_000);
  });
});

describe("live", () => {
  it("is left by a seek, which stops what comes, and is found again by playing to its edge", async () => {
    const stops = vi.fn();
    const live = vi.fn((_sink: unknown) => stops);
    const { player, sink } = open(service(recording.slice(0, 100)), { live, durationMs: 10_000 });
    player.measure(10_000, true);
    expect(player.getState().phase).toBe("live");
    player.seekTo(9_000);
    expect(stops).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState().phase).toBe("playing");
    expect(sink.text).toContain("<90>");
    await vi.advanceTimersByTimeAsync(1_500);
    expect(player.getState()).toMatchObject({ phase: "live", positionMs: 10_000 });
    expect(live).toHaveBeenCalledTimes(2);
  });

  /** A node that has written up to 9 s, and to 59 s once a test has paused it. */
  async function pausedAtEdge() {
    const written = recording.slice(0, 91);
    const live = vi.fn((_sink: unknown) => () => undefined);
    const { player, sink } = open(service(written), { live, durationMs: 9_000 });
    player.measure(9_000, true);
    player.pause();
    await vi.advanceTimersByTimeAsync(50);
    expect(player.getState()).toMatchObject({ phase: "rewound", positionMs: 9_000 });
    written.push(...recording.slice(91, 591));
    player.measure(59_000, true);
    return { player, sink, live };
  }

  it("paused at its edge, a later place shows the screen there", async () => {
    const { player, sink } = await pausedAtEdge();
    player.seekTo(30_000);
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<300>");
  });

  it("paused at its edge, a step goes to what was written since", async () => {
    const { player, sink } = await pausedAtEdge();
    player.stepForward();
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<90>91 ");
    expect(player.getState()).toMatchObject({ phase: "rewound", positionMs: 9_100 });
  });

  it("paused at its edge, playing goes on where it was", async () => {
    const { player, sink, live } = await pausedAtEdge();
    player.play();
    await vi.advanceTimersByTimeAsync(1_050);
    expect(player.getState().phase).toBe("playing");
    expect(sink.text.startsWith("<90>91 92 93 ")).toBe(true);
    expect(live).toHaveBeenCalledTimes(1);
  });

  it("with nothing beyond its edge, playing is live again", async () => {
    const live = vi.fn((_sink: unknown) => () => undefined);
    const { player } = open(service(recording.slice(0, 91)), { live, durationMs: 9_000 });
    player.measure(9_000, true);
    player.pause();
    await vi.advanceTimersByTimeAsync(50);
    player.play();
    await vi.advanceTimersByTimeAsync(200);
    expect(player.getState().phase).toBe("live");
    expect(live).toHaveBeenCalledTimes(2);
  });

  it.each([
    ["playing", "play", "<300>301 302 "],
    ["a step", "stepForward", "<300>301 "],
  ] as const)(
    "after a seek that failed, %s begins at the place that was wished",
    async (_name, action, text) => {
      const live = vi.fn((_sink: unknown) => () => undefined);
      const from = service().sequence(
        /screen/,
        () => scripted.refusal(503, "UNAVAILABLE", "the archive is away"),
        () => undefined,
      );
      const { player, sink } = open(from, { live, durationMs: 60_000 });
      player.measure(60_000, true);
      player.seekTo(30_000);
      await vi.advanceTimersByTimeAsync(50);
      expect(player.getState()).toMatchObject({ phase: "rewound", positionMs: 30_000 });
      player[action]();
      await vi.advanceTimersByTimeAsync(250);
      expect(sink.text).toBe(text);
    },
  );

  it("a step while a seek is underway begins at its place", async () => {
    const { player, sink } = open(service(), { live: () => () => undefined, durationMs: 60_000 });
    player.measure(60_000, true);
    player.seekTo(30_000);
    player.stepForward();
    await vi.advanceTimersByTimeAsync(50);
    expect(sink.text).toBe("<300>301 ");
  });

  it("ends with the terminal", async () => {
    const stops = vi.fn();
    const { detach } = open(service(), { live: () => stops });
    detach();
    expect(stops).toHaveBeenCalledTimes(1);
  });
});

it("without a terminal, the text before a place comes from the keyframe before it", async () => {
  const pipes = recording.map((chunk) => ({ ...chunk, stream: "stdout" as const }));
  const from = service(pipes).on(/\/index$/, () =>
    scripted.index({
      keyframes: [
        { chunkIndex: 300, seq: 302, atMs: 30_000 },
        { chunkIndex: 600, seq: 602, atMs: 60_000 },
      ],
    }),
  );
  const client = new RuncastClient({ fetch: from.fetch });
  const player = new RecordingPlayer({ client, runId: "run-1", nodeRef: "a", startAtMs: 45_000 });
  const sink = new RecordingSink();
  player.measure(CHUNKS * STEP_MS, false);
  player.setStreams(["stdout"]);
  player.attach(sink);
  await vi.advanceTimersByTimeAsync(50);
  expect(sink.text.startsWith("100 101 ")).toBe(true);
  expect(sink.text.endsWith("449 450 ")).toBe(true);
  expect(from.asked(/screen/)).toHaveLength(0);
});

it("without a terminal, a seek that was given up paints nothing more", async () => {
  const payload = Buffer.from("x".repeat(300 * 1024)).toString("base64");
  const large = recording.slice(0, 6).map((chunk) => ({ ...chunk, stream: "stdout" as const, payload }));
  const from = service(large).on(/\/index$/, () => scripted.index());
  const client = new RuncastClient({ fetch: from.fetch });
  const driver = new RecordingDriver(client, "run-1", "a", ["stdout"]);
  const sink = new RecordingSink();
  sink.isTaking = false;
  const abort = new AbortController();
  const seeking = driver.seek(500, new Painter(sink), abort.signal).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(50);
  const written = sink.calls.length;
  abort.abort();
  sink.isTaking = true;
  sink.drain();
  await seeking;
  expect(sink.calls).toHaveLength(written);
});
