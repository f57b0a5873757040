// @vitest-environment jsdom
import { act, renderHook, waitFor } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { mergeIndexes } from "../../playback/mergeIndexes.ts";
import { RunSource } from "../../stream/source.ts";
import * as scripted from "../../testing/service.ts";
import { ScriptedService } from "../../testing/service.ts";
import { RecordingSink } from "../../testing/sink.ts";
import { useRecording } from "./useRecording.ts";

const ended = scripted.run({ status: "COMPLETED", nodes: [scripted.node("a", { status: "COMPLETED" })] });

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function show(state: "hidden" | "visible"): void {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
  document.dispatchEvent(new Event("visibilitychange"));
}

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

it("opens another node at the place that is given for it", async () => {
  const nodes = [scripted.node("a"), scripted.node("b")];
  const service = new ScriptedService().on(/index$/, () => scripted.index({ durationMs: 90_000 }));
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: scripted.run({ nodes }) });
  const { result, rerender } = renderHook(
    ({ nodeRef, startAtMs }) => useRecording(source, nodeRef, { startAtMs }),
    { initialProps: { nodeRef: "a", startAtMs: 10_000 } },
  );
  rerender({ nodeRef: "b", startAtMs: 70_000 });
  act(() => void result.current.player.attach(new RecordingSink()));
  expect(result.current.player.getState().positionMs).toBe(70_000);
});

it("shows no index of another node", async () => {
  const nodes = [scripted.node("a"), scripted.node("b")];
  const service = new ScriptedService()
    .on(/b\/index$/, () => new Promise<Response>(() => undefined))
    .on(/a\/index$/, () => scripted.index());
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: scripted.run({ nodes }) });
  const { result, rerender } = renderHook(({ nodeRef }) => useRecording(source, nodeRef), {
    initialProps: { nodeRef: "a" },
  });
  await waitFor(() => expect(result.current.index).toBeDefined());
  rerender({ nodeRef: "b" });
  expect(result.current.index).toBeUndefined();
});

it("asks for the index of an ended node until it has come", async () => {
  vi.useFakeTimers();
  const service = new ScriptedService().sequence(
    /index$/,
    () => scripted.refusal(503, "UNAVAILABLE"),
    () => scripted.index(),
  );
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: ended });
  const { result } = renderHook(() => useRecording(source, "a"));
  await act(() => vi.advanceTimersByTimeAsync(100));
  expect(result.current.index).toBeUndefined();
  await act(() => vi.advanceTimersByTimeAsync(30_000));
  expect(result.current.index?.durationMs).toBe(1_000);
  expect(service.asked(/index$/)).toHaveLength(2);
});

it("asks no more where asking again does not help", async () => {
  vi.useFakeTimers();
  const service = new ScriptedService().on(/index$/, () => scripted.refusal(410, "GONE"));
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: ended });
  renderHook(() => useRecording(source, "a"));
  await act(() => vi.advanceTimersByTimeAsync(60_000));
  expect(service.asked(/index$/)).toHaveLength(1);
});

it("asks for nothing in a tab that is not looked at, and at once when it is", async () => {
  show("hidden");
  const service = new ScriptedService().on(/index$/, () => scripted.index());
  const source = new RunSource("run-1", { fetch: service.fetch, initialRun: ended });
  const { result } = renderHook(() => useRecording(source, "a"));
  expect(service.requests).toHaveLength(0);
  show("visible");
  await waitFor(() => expect(result.current.index?.durationMs).toBe(1_000), { timeout: 2_000 });
});
