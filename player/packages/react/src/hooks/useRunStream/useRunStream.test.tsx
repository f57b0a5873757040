// @vitest-environment jsdom
import { act, renderHook, waitFor } from "@testing-library/react";
import { StrictMode } from "react";
import { expect, it, vi } from "vitest";
import * as scripted from "../../testing/service.ts";
import { ScriptedService, ScriptedStream } from "../../testing/service.ts";
import { useRunStream } from "./useRunStream.ts";

const RUN_STREAM = /\/stream$/;

function live(stream = new ScriptedStream()): ScriptedStream {
  return stream.event("status", { seq: 2, run: scripted.run({ lastSeq: 2, name: "from the stream" }) });
}

it("shows the given run at once, and then what the stream says", async () => {
  const service = new ScriptedService().on(RUN_STREAM, () => live());
  const initialRun = scripted.run({ name: "given" });
  const { result } = renderHook(() => useRunStream("run-1", { fetch: service.fetch, initialRun }));
  expect(result.current).toMatchObject({
    connection: "connecting",
    isConnected: false,
    metadata: { branch: "main" },
  });
  expect(result.current.run?.name).toBe("given");
  await waitFor(() => expect(result.current.run?.name).toBe("from the stream"));
  expect(result.current).toMatchObject({
    connection: "live",
    isConnected: true,
    isDone: false,
    status: "RUNNING",
  });
});

it("keeps one stream while the component renders with new functions", async () => {
  const service = new ScriptedService().on(RUN_STREAM, () => live());
  const { result, rerender } = renderHook(() =>
    useRunStream("run-1", { fetch: (input, init) => service.fetch(input, init), getToken: () => "t" }),
  );
  const { source } = result.current;
  rerender();
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  rerender();
  expect(result.current.source).toBe(source);
  expect(service.requests).toHaveLength(1);
});

it("closes the stream when it goes, and opens another for another run", async () => {
  const streams = [new ScriptedStream(), new ScriptedStream()];
  const service = new ScriptedService()
    .on(/run-1\/stream$/, () => live(streams[0]))
    .on(/run-2\/stream$/, () => live(streams[1]));
  const { result, rerender, unmount } = renderHook(
    ({ runId }) => useRunStream(runId, { fetch: service.fetch }),
    {
      initialProps: { runId: "run-1" },
    },
  );
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  rerender({ runId: "run-2" });
  await waitFor(() => expect(streams[0]?.isCancelled).toBe(true));
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  expect(streams[1]?.isCancelled).toBe(false);
  unmount();
  await waitFor(() => expect(streams[1]?.isCancelled).toBe(true));
});

it("works in strict mode, which mounts twice", async () => {
  const service = new ScriptedService().on(RUN_STREAM, () => live());
  const { result } = renderHook(() => useRunStream("run-1", { fetch: service.fetch }), {
    wrapper: StrictMode,
  });
  await waitFor(() => expect(result.current.isConnected).toBe(true));
});

it("tells a failure, and tries again when asked", async () => {
  const service = new ScriptedService().sequence(
    RUN_STREAM,
    () => scripted.refusal(410, "GONE", "the run was purged"),
    () => live(),
  );
  const { result } = renderHook(() => useRunStream("run-1", { fetch: service.fetch }));
  await waitFor(() => expect(result.current.connection).toBe("failed"));
  expect(result.current.error).toEqual({ code: "GONE", message: "the run was purged", retryable: false });
  act(() => result.current.reconnect());
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  act(() => result.current.disconnect());
  expect(result.current.error?.code).toBe("DISCONNECTED");
});

it("renders at most once a frame, however much comes", async () => {
  const stream = live();
  const service = new ScriptedService().on(RUN_STREAM, () => stream);
  const renders = vi.fn();
  const { result } = renderHook(() => {
    renders();
    return useRunStream("run-1", { fetch: service.fetch });
  });
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  const before = renders.mock.calls.length;
  for (let seq = 3; seq < 503; seq += 1) {
    stream.event(
      "status",
      { seq, run: scripted.runWithoutNodes({ name: `status ${seq}`, lastSeq: seq }) },
      seq,
    );
  }
  await waitFor(() => expect(result.current.run?.name).toBe("status 502"));
  expect(renders.mock.calls.length - before).toBeLessThan(50);
});

it("begins with what is given for another run, not with what was given for the one before", async () => {
  const second = scripted.run({ runId: "run-2", name: "two", lastSeq: 3 });
  const service = new ScriptedService()
    .on(/run-1\/stream$/, () => live())
    .on(/run-2\/stream$/, () =>
      new ScriptedStream().event("status", { seq: 3, run: { ...second, name: "two, from the stream" } }),
    );
  const { result, rerender } = renderHook(
    ({ initialRun }) => useRunStream(initialRun.runId, { fetch: service.fetch, initialRun }),
    { initialProps: { initialRun: scripted.run({ name: "one", lastSeq: 90 }) } },
  );
  await waitFor(() => expect(result.current.isConnected).toBe(true));
  rerender({ initialRun: second });
  expect(result.current.run?.name).toBe("two");
  await waitFor(() => expect(result.current.run?.name).toBe("two, from the stream"));
});
