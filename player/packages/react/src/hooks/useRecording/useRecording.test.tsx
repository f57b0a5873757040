// @vitest-environment jsdom
import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { mergeIndexes } from "../../playback/mergeIndexes.ts";
import { RunSource } from "../../stream/source.ts";
import * as scripted from "../../testing/service.ts";
import { ScriptedService } from "../../testing/service.ts";
import { RecordingSink } from "../../testing/sink.ts";
import { useRecording } from "./useRecording.ts";

const ended = scripted.run({ status: "COMPLETED", nodes: [scripted.node("a", { status: "COMPLETED" })] });

it("opens at a place with the screen there", async () => {
  const payload = Buffer.from("screen").toString("base64");
  const service = new ScriptedService()
    .on(/index$/, () =>
      scripted.index({ durationMs: 90_000, markers: [{ label: "m", seq: 4, atMs: 50_000 }] }),
    )
    .on(/screen$/, () => scripted.json({ payload, cols: 80, rows: 24, seq: 9, chunkIndex: 7, atMs: 40_000 }))
    .on(/terminal\/a$/, () => scripted.json({ chunks: [] }));
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: ended });
  const { result } = renderHook(() => useRecording(source, "a", { startAtMs: 42_000 }));
  const sink = new RecordingSink();
  act(() => void result.current.player.attach(sink));
  await waitFor(() => expect(sink.text).toBe("screen"));
  await waitFor(() => expect(result.current.index?.durationMs).toBe(90_000));
  expect(result.current.player.getState()).toMatchObject({
    phase: "paused",
    positionMs: 42_000,
    durationMs: 90_000,
  });
  expect(service.asked(/index$/)).toHaveLength(1);
  act(() => result.current.player.nextMarker());
  await waitFor(() =>
    expect(result.current.player.getState()).toMatchObject({ phase: "paused", positionMs: 50_000 }),
  );
});

it("asks for nothing when it is not enabled", () => {
  const service = new ScriptedService();
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: ended });
  renderHook(() => useRecording(source, "a", { isEnabled: false }));
  expect(service.requests).toHaveLength(0);
});

it("one index for two streams has the activity of both in its place", async () => {
  const index = async (durationMs: number, activity: number[]) =>
    (await scripted.index({ durationMs, activity, bytes: 10, state: "complete" }).json()) as never;
  const merged = mergeIndexes([await index(1_000, [1, 1, 1, 1]), await index(500, [2, 0, 0, 2])]);
  expect(merged).toMatchObject({ durationMs: 1_000, bytes: 20, state: "complete", activity: [3, 3, 1, 1] });
});
