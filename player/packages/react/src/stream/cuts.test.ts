import { afterEach, describe, expect, it, vi } from "vitest";
import { eventually } from "../testing/eventually.ts";
import {
  attach,
  closeAll,
  firstStatus,
  NODE_STREAM,
  open,
  RUN_STREAM,
  serviceWithOutput,
} from "../testing/openSource.ts";
import * as scripted from "../testing/service.ts";
import { ScriptedService, ScriptedStream } from "../testing/service.ts";

afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

describe("after a cut", () => {
  const whole = `id: 6\nevent: terminal\ndata: ${JSON.stringify(scripted.output(6, 1, "two "))}\n\n`;
  const label = `id: 6\nevent: terminal\ndata: ${JSON.stringify(scripted.output(6, 1, "two ", { origin: "é" }))}\n\n`;
  const bytes = new TextEncoder().encode(label);
  const insideCharacter = bytes.subarray(0, bytes.indexOf(0xc3) + 1);

  const cuts: [name: string, breakOff: () => ReturnType<Parameters<ScriptedService["on"]>[1]>][] = [
    ["in the middle of an event", () => cutAfter(whole.slice(0, 80))],
    ["in the middle of a character", () => cutAfter(insideCharacter)],
    ["between events", () => cutAfter(whole)],
    ["by an orderly end without done", () => closedAfter(whole)],
    [
      "by an error that passes",
      () =>
        closedAfter(
          `${whole}event: error\ndata: {"code":"UNAVAILABLE","message":"away","retryable":true}\n\n`,
        ),
    ],
    ["by a 503", () => scripted.refusal(503, "UNAVAILABLE", "away", { "Retry-After": "0" })],
    ["by a 429", () => scripted.refusal(429, "LIMIT_EXCEEDED")],
    ["by a proxy's own page", () => new Response("<html>", { status: 502 })],
    ["by a network that fails", () => new TypeError("failed to fetch")],
  ];

  function cutAfter(text: string | Uint8Array): ScriptedStream {
    const stream = firstStatus(new ScriptedStream()).raw(text);
    setTimeout(() => stream.cut(), 5);
    return stream;
  }

  function closedAfter(text: string): ScriptedStream {
    const stream = firstStatus(new ScriptedStream()).raw(text);
    stream.close();
    return stream;
  }

  /** The service sends again everything after the cursor. */
  function rest(request: scripted.SeenRequest): ScriptedStream {
    const after = Number(request.query.get("after"));
    const stream = firstStatus(new ScriptedStream());
    const chunks = [scripted.output(6, 1, "two "), scripted.output(7, 2, "three")];
    for (const chunk of chunks) if (chunk.seq > after) stream.event("terminal", chunk, chunk.seq);
    return stream;
  }

  it.each(cuts)("%s it goes on without a lost or repeated byte", async (_name, breakOff) => {
    const service = serviceWithOutput(() => firstStatus(new ScriptedStream()).id(5), breakOff, rest);
    const source = open(service);
    const { sink, feed } = attach(source);
    await eventually(() => expect(sink.text).toBe("one two three"));
    expect(feed.getState().gaps).toBe(0);
    expect(source.getState()).toMatchObject({ connection: "live", error: undefined });
  });

  it("tells that it is reconnecting, and when", async () => {
    const service = new ScriptedService().sequence(
      RUN_STREAM,
      () => cutAfter(""),
      () => scripted.refusal(503, "UNAVAILABLE", "away", { "Retry-After": "30" }),
    );
    const source = open(service);
    await eventually(() => expect(source.getState().error?.code).toBe("UNAVAILABLE"));
    const { connection, retryAtMs } = source.getState();
    expect(connection).toBe("reconnecting");
    expect(retryAtMs).toBeGreaterThan(Date.now() + 25_000);
    const before = service.requests.length;
    source.reconnect();
    await eventually(() => expect(service.requests.length).toBe(before + 1));
  });

  it("204 means that nothing more comes", async () => {
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(5),
      () => cutAfter(""),
      () => new Response(null, { status: 204 }),
    );
    const source = open(service);
    attach(source);
    await eventually(() => expect(source.getState().connection).toBe("ended"));
  });

  it("a first 401 asks for another token, a second one fails", async () => {
    const getToken = vi.fn().mockReturnValueOnce("old").mockReturnValueOnce("new").mockReturnValue("newest");
    const accepted = new Set(["new"]);
    const service = new ScriptedService().on(RUN_STREAM, ({ headers }) => {
      const token = headers.get("Authorization")?.replace("Bearer ", "") ?? "";
      return accepted.has(token) ? cutAfter("") : scripted.refusal(401, "UNAUTHENTICATED");
    });
    const source = open(service, { getToken });
    await eventually(() => expect(source.getState().reconnects).toBeGreaterThan(0));
    expect(getToken).toHaveBeenCalledTimes(2);
    accepted.clear();
    await eventually(() => expect(source.getState().connection).toBe("failed"));
    expect(source.getState().error).toMatchObject({ code: "UNAUTHENTICATED", retryable: false });
  });

  it.each([
    [403, "FORBIDDEN"],
    [404, "NOT_FOUND"],
    [410, "GONE"],
  ])("%i fails for good until somebody tries again", async (status, code) => {
    const service = new ScriptedService().sequence(
      RUN_STREAM,
      () => scripted.refusal(status, code),
      () => firstStatus(new ScriptedStream()),
    );
    const source = open(service);
    await eventually(() => expect(source.getState().connection).toBe("failed"));
    expect(source.getState().error?.code).toBe(code);
    source.reconnect();
    await eventually(() => expect(source.getState().connection).toBe("live"));
  });

  it("an error that does not pass fails", async () => {
    const service = new ScriptedService().on(RUN_STREAM, () =>
      closedAfter('event: error\ndata: {"code":"INTERNAL","message":"broken","retryable":false}\n\n'),
    );
    const source = open(service);
    await eventually(() =>
      expect(source.getState()).toMatchObject({ connection: "failed", error: { message: "broken" } }),
    );
  });

  it("in what a console asks for itself, that goes on where it was", async () => {
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(9),
      () => firstStatus(new ScriptedStream()),
    ).sequence(
      NODE_STREAM,
      () => cutAfter(`id: 4\nevent: terminal\ndata: ${JSON.stringify(scripted.output(4, 0, "one "))}\n\n`),
      () => new ScriptedStream().event("terminal", scripted.output(6, 1, "two"), 6).event("live", { seq: 9 }),
    );
    const { sink } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("one two"));
    expect(service.asked(NODE_STREAM).map((request) => request.query.get("after"))).toEqual([null, "4"]);
  });
});
