// @vitest-environment jsdom
import { createHash } from "node:crypto";
import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";
import { RunSource } from "../../stream/source.ts";
import * as scripted from "../../testing/service.ts";
import { ScriptedService, ScriptedStream } from "../../testing/service.ts";
import { RecordingSink } from "../../testing/sink.ts";
import { useTerminalStream } from "./useTerminalStream.ts";

const TEXT = "one two";
const sha256 = createHash("sha256").update(TEXT).digest("hex");
const final = { chunks: 2, bytes: TEXT.length, sha256, complete: true };
const exit = scripted.output(6, 1, "", { kind: "exit", payload: null, exitCode: 0, final });
const ended = scripted.node("a", { status: "COMPLETED", final: [{ stream: "pty", ...final }] });

/** A run that has ended, as long as its recording is live in the archive. */
function endedService(states: string[]): ScriptedService {
  const run = scripted.run({ status: "COMPLETED", nodes: [ended], lastSeq: 8 });
  return new ScriptedService()
    .on(/^\/runs\/run-1$/, () => scripted.json(run))
    .on(/^\/runs\/run-1\/stream$/, () =>
      new ScriptedStream()
        .event("status", { seq: 8, run })
        .id(8)
        .event("done", { status: "COMPLETED", finalSeq: 8, streams: [] }, 8),
    )
    .on(/terminal\/a\/stream$/, () =>
      new ScriptedStream()
        .event("terminal", scripted.output(5, 0, TEXT), 5)
        .event("terminal", exit, 6)
        .event("done", { status: "COMPLETED", finalSeq: 8, streams: [] }, 8),
    )
    .on(/cast$/, () => new Response(TEXT))
    .sequence(
      /recordings$/,
      ...states.map((state) => () => scripted.json({ recordings: [{ nodeRef: "a", stream: "pty", state }] })),
    );
}

function render(service: ScriptedService) {
  const source = new RunSource("run-1", { fetch: service.fetch, reconnectDelayMs: 1 });
  source.retain();
  return renderHook(() => useTerminalStream(source, "a"));
}

it("gives the output to a terminal and tells about it", async () => {
  const { result } = render(endedService(["live", "complete"]));
  expect(result.current).toMatchObject({ isLoading: true, bytes: 0, complete: undefined });
  const sink = new RecordingSink();
  act(() => void result.current.attach(sink));
  await waitFor(() => expect(result.current.complete).toBe(true));
  expect(sink.text).toBe(TEXT);
  expect(result.current).toMatchObject({ isEnded: true, integrity: "verified", lastSeq: 6, exitCode: 0 });
});

it("says incomplete if the archive does", async () => {
  const { result } = render(endedService(["incomplete"]));
  act(() => void result.current.attach(new RecordingSink()));
  await waitFor(() => expect(result.current.complete).toBe(false));
});

it("comes anew to a second terminal, and keeps what it knew in between", async () => {
  const { result } = render(endedService(["complete"]));
  const first = new RecordingSink();
  let detach = () => {};
  act(() => {
    detach = result.current.attach(first);
  });
  await waitFor(() => expect(first.text).toBe(TEXT));
  act(() => detach());
  expect(result.current.bytes).toBe(TEXT.length);
  const second = new RecordingSink();
  act(() => void result.current.attach(second));
  await waitFor(() => expect(second.text).toBe(TEXT));
  expect(first.text).toBe(TEXT);
});

it("checks the whole recording on request", async () => {
  const service = endedService(["complete"]);
  const { result } = render(service);
  await expect(result.current.verify()).resolves.toBe(true);
  expect(service.asked(/cast$/)[0]?.query.toString()).toBe("format=raw&stream=pty");
  service.on(/cast$/, () => new Response("one twO"));
  await expect(result.current.verify()).resolves.toBe(false);
});

it("a node that is not there is this console's failure alone", async () => {
  const service = endedService(["complete"]);
  const source = new RunSource("run-1", { fetch: service.fetch });
  source.retain();
  const { result } = renderHook(() => useTerminalStream(source, "nobody"));
  act(() => void result.current.attach(new RecordingSink()));
  await waitFor(() => expect(result.current.error?.code).toBe("NOT_FOUND"));
  await waitFor(() => expect(source.getState().connection).toBe("ended"));
});

it("paints what is given for another node, not what was given for the one before", () => {
  const source = new RunSource("run-1", { fetch: new ScriptedService().fetch });
  const screenOf = (text: string) => ({
    nodeRef: text,
    initialOutput: { payload: Buffer.from(text).toString("base64"), cols: 80, rows: 24, seq: 9 },
  });
  const { result, rerender } = renderHook(
    ({ nodeRef, initialOutput }) => useTerminalStream(source, nodeRef, { initialOutput }),
    { initialProps: screenOf("a") },
  );
  rerender(screenOf("b"));
  const sink = new RecordingSink();
  act(() => void result.current.attach(sink));
  expect(sink.text).toBe("b");
});
