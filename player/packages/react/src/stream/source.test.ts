// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";
import { RuncastClient } from "../api/client.ts";
import { TerminalFeed } from "../console/feed.ts";
import { eventually } from "../testing/eventually.ts";
import * as scripted from "../testing/service.ts";
import { ScriptedService, ScriptedStream } from "../testing/service.ts";
import { RecordingSink } from "../testing/sink.ts";
import { RunSource } from "./source.ts";
import type { StreamOptions } from "./types.ts";

const RUN_STREAM = /^\/runs\/run-1\/stream$/;
const NODE_STREAM = /^\/runs\/run-1\/terminal\/a\/stream$/;
const INDEX = /\/index$/;

const opened: RunSource[] = [];

function open(service: ScriptedService, options: StreamOptions = {}): RunSource {
  const source = new RunSource("run-1", { fetch: service.fetch, reconnectDelayMs: 1, ...options });
  opened.push(source);
  source.retain();
  return source;
}

function firstStatus(stream: ScriptedStream, more = {}): ScriptedStream {
  return stream.retry(1).event("status", { seq: 1, run: scripted.run(more) });
}

/** A console of node `a` that takes part in the run's stream. */
function attach(
  source: RunSource,
  sink = new RecordingSink(),
): { feed: TerminalFeed; sink: RecordingSink; detach: () => void } {
  const feed = new TerminalFeed("a", sink, "all");
  return { feed, sink, detach: source.attach(feed) };
}

/** A service whose node has written `one`, up to seq 5; each stream of the run is one of `streams`. */
function serviceWithOutput(
  ...streams: ((request: scripted.SeenRequest) => ReturnType<Parameters<ScriptedService["on"]>[1]>)[]
) {
  return new ScriptedService()
    .on(INDEX, () => scripted.index())
    .on(NODE_STREAM, () =>
      new ScriptedStream()
        .event("status", { seq: 5, run: scripted.run() })
        .event("terminal", scripted.output(4, 0, "one "), 4)
        .event("live", { seq: 5 }),
    )
    .sequence(RUN_STREAM, ...streams);
}

afterEach(() => {
  for (const source of opened.splice(0)) source.disconnect();
  vi.useRealTimers();
});

describe("a run's stream", () => {
  it("begins with what is live and ends with done", async () => {
    const stream = new ScriptedStream();
    const service = new ScriptedService().on(RUN_STREAM, () => firstStatus(stream));
    const source = open(service);
    expect(source.getState().connection).toBe("connecting");
    await eventually(() => expect(source.getState().connection).toBe("live"));
    expect(service.requests[0]?.query.get("from")).toBe("live");
    stream.event(
      "status",
      {
        seq: 9,
        run: scripted.runWithoutNodes({ status: "COMPLETED" }),
        node: scripted.node("a", { status: "COMPLETED" }),
      },
      9,
    );
    stream.event("done", { status: "COMPLETED", finalSeq: 9, streams: [] }, 9).close();
    await eventually(() => expect(source.getState().connection).toBe("ended"));
    expect(source.getState().status).toBe("COMPLETED");
    expect(source.getState().run?.nodes?.[0]?.status).toBe("COMPLETED");
    expect(source.done?.finalSeq).toBe(9);
    expect(service.requests).toHaveLength(1);
  });

  it("applies a status only above what it knows", async () => {
    const stream = new ScriptedStream();
    const source = open(new ScriptedService().on(RUN_STREAM, () => firstStatus(stream)));
    stream.event("status", { seq: 5, run: scripted.runWithoutNodes({ name: "newer" }) }, 5);
    stream.event("status", { seq: 4, run: scripted.runWithoutNodes({ name: "older" }) }, 4);
    stream.event("live", { seq: 5 });
    await eventually(() => expect(source.getState().run?.name).toBe("newer"));
  });

  it("keeps at most 1,000 gaps and 2,000 trace events, the newest", async () => {
    const stream = firstStatus(new ScriptedStream());
    const source = open(new ScriptedService().on(RUN_STREAM, () => stream));
    const told = vi.fn();
    source.onTrace(told);
    for (let seq = 2; seq <= 2_502; seq += 1)
      stream.event("trace", { seq, id: String(seq), type: "NODE_PROGRESS" }, seq);
    for (let seq = 3_001; seq <= 4_200; seq += 1)
      stream.event("gap", { fromSeq: seq, toSeq: seq, reason: "lost" }, seq);
    await eventually(() => expect(source.getState().gaps.at(-1)?.toSeq).toBe(4_200));
    expect(source.getState().gaps).toHaveLength(1_000);
    expect(source.trace()).toHaveLength(2_000);
    expect(source.trace().at(-1)?.seq).toBe(2_502);
    expect(told).toHaveBeenCalledTimes(2_501);
  });

  it("is closed when nobody holds it any more", async () => {
    const stream = firstStatus(new ScriptedStream());
    const source = open(new ScriptedService().on(RUN_STREAM, () => stream));
    await eventually(() => expect(source.getState().connection).toBe("live"));
    source.retain();
    source.release();
    expect(stream.isCancelled).toBe(false);
    source.release();
    await eventually(() => expect(stream.isCancelled).toBe(true));
  });
});

describe("a console", () => {
  it("gets what was there by a request of its own and then takes part in the run's stream", async () => {
    const joined = new ScriptedStream();
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(7),
      () =>
        firstStatus(joined)
          .event("terminal", scripted.output(4, 0, "one "), 4)
          .event("terminal", scripted.output(8, 1, "two"), 8),
    );
    const { sink, feed } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("one two"));
    const [, reopened] = service.asked(RUN_STREAM);
    expect(reopened?.query.get("nodes")).toBe("a");
    expect(reopened?.query.get("after")).toBe("5");
    expect(feed.getState()).toMatchObject({ lastSeq: 8, truncated: false, gaps: 0 });
  });

  it("of a node that has not started needs no request", async () => {
    const pending = { nodes: [scripted.node("a", { status: "PENDING", streams: [] })] };
    const service = new ScriptedService().sequence(
      RUN_STREAM,
      () => firstStatus(new ScriptedStream(), pending).id(3),
      () => firstStatus(new ScriptedStream(), pending).event("terminal", scripted.output(9, 0, "hello"), 9),
    );
    const { sink } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("hello"));
    expect(service.asked(/terminal/)).toHaveLength(0);
  });

  it("joins a long output at its last screen", async () => {
    const payload = Buffer.from("screen").toString("base64");
    const service = new ScriptedService()
      .on(INDEX, () => scripted.index({ bytes: 5 * 1024 * 1024 }))
      .on(NODE_STREAM, () =>
        new ScriptedStream()
          .event("status", { seq: 5, run: scripted.run() })
          .event("snapshot", {
            nodeRef: "a",
            stream: "pty",
            cols: 90,
            rows: 20,
            seq: 5,
            chunkIndex: 3,
            atMs: 40,
            payload,
            linesAbove: 7,
          })
          .id(5)
          .event("terminal", scripted.output(6, 4, "NOT FROM HERE"), 6),
      )
      .sequence(
        RUN_STREAM,
        () => firstStatus(new ScriptedStream()).id(2),
        () => firstStatus(new ScriptedStream()).event("terminal", scripted.output(6, 4, " more"), 6),
      );
    const { sink, feed } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("screen more"));
    expect(service.asked(NODE_STREAM)[0]?.query.get("from")).toBe("live");
    expect(sink.calls).toContain("resize 90×20");
    expect(feed.getState()).toMatchObject({ truncated: true, lines: 7, gaps: 0, integrity: "unknown" });
  });

  it("takes back nothing from a stream that was opened for others", async () => {
    const first = firstStatus(new ScriptedStream()).id(7);
    const service = serviceWithOutput(
      () => first,
      () => firstStatus(new ScriptedStream()),
    );
    const { sink, detach } = attach(open(service));
    await eventually(() => expect(service.asked(RUN_STREAM)).toHaveLength(2));
    detach();
    await eventually(() => expect(service.asked(RUN_STREAM)).toHaveLength(3));
    expect(service.asked(RUN_STREAM)[2]?.query.get("types")).toBe("status,trace");
    expect(sink.text).toBe("one ");
  });

  it("stops the reading of the stream above the high watermark", async () => {
    const joined = firstStatus(new ScriptedStream());
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(5),
      () => joined,
    );
    const { sink } = attach(open(service));
    await eventually(() => expect(service.asked(RUN_STREAM)).toHaveLength(2));
    sink.isTaking = false;
    const large = "x".repeat(300 * 1024);
    for (let at = 1; at <= 4; at += 1) joined.event("terminal", scripted.output(5 + at, at, large), 5 + at);
    await eventually(() => expect(sink.text.length).toBeGreaterThan(512 * 1024));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(joined.isStalled).toBe(true);
    sink.isTaking = true;
    sink.drain();
    await eventually(() => expect(sink.text.length).toBe(4 + 4 * large.length));
  });
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

describe("repeats and losses", () => {
  it("a repeat changes nothing, a hole is counted, a gap is told", async () => {
    const joined = firstStatus(new ScriptedStream());
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(5),
      () => joined,
    );
    const source = open(service);
    const { sink, feed } = attach(source);
    joined.event("terminal", scripted.output(6, 1, "two "), 6);
    joined.event("terminal", scripted.output(6, 1, "two "), 6);
    joined.event("gap", { fromSeq: 7, toSeq: 9, reason: "lost" }, 9);
    joined.event("terminal", scripted.output(10, 4, "five"), 10);
    await eventually(() => expect(sink.text).toBe("one two five"));
    expect(source.getState().gaps).toEqual([{ fromSeq: 7, toSeq: 9, reason: "lost" }]);
    expect(feed.getState().gaps).toBe(2);
  });
});

describe("where streams do not get through", () => {
  it("pages of events take their place after three that said nothing", async () => {
    vi.useFakeTimers();
    const never = () => new ScriptedStream();
    let page = 0;
    const service = new ScriptedService()
      .on(RUN_STREAM, never)
      .on(NODE_STREAM, never)
      .on(INDEX, () => scripted.index())
      .on(/^\/runs\/run-1$/, () => scripted.json(scripted.run({ lastSeq: 5 })))
      .on(/\/events$/, ({ query }) => {
        if (query.get("types") === "terminal") {
          return scripted.json({
            events: [{ event: "terminal", data: scripted.output(4, 0, "one ") }],
            nextAfter: 5,
            live: true,
          });
        }
        if (query.get("nodes") !== "a") return new Promise<Response>(() => undefined);
        page += 1;
        if (page === 1)
          return scripted.json({
            events: [{ event: "terminal", data: scripted.output(6, 1, "two") }],
            nextAfter: 6,
            live: true,
          });
        return scripted.json({
          events: [],
          nextAfter: 7,
          live: true,
          done: { status: "COMPLETED", finalSeq: 7, streams: [] },
        });
      });
    const source = open(service);
    const { sink } = attach(source);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(service.asked(RUN_STREAM)).toHaveLength(3);
    expect(source.getState()).toMatchObject({ transport: "poll", connection: "ended" });
    expect(sink.text).toBe("one two");
  });
});

describe("out of sight", () => {
  function show(state: "hidden" | "visible"): void {
    vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
    document.dispatchEvent(new Event("visibilitychange"));
  }

  it.each([
    ["goes on by its cursor", 200, "after", "5"],
    ["begins anew when it is far behind", 6 * 1024 * 1024, "from", "live"],
  ])("for 30 s the stream is closed; back, a console %s", async (_name, bytes, key, value) => {
    vi.useFakeTimers();
    const joined = firstStatus(new ScriptedStream());
    let known = 100;
    const service = serviceWithOutput(
      () => firstStatus(new ScriptedStream()).id(5),
      () => joined,
      () => firstStatus(new ScriptedStream()),
    ).on(INDEX, () => scripted.index({ bytes: known }));
    attach(open(service));
    await vi.advanceTimersByTimeAsync(200);
    expect(service.asked(RUN_STREAM)).toHaveLength(2);
    show("hidden");
    await vi.advanceTimersByTimeAsync(29_000);
    expect(joined.isCancelled).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(joined.isCancelled).toBe(true);
    expect(service.asked(RUN_STREAM)).toHaveLength(2);
    known = bytes;
    show("visible");
    await vi.advanceTimersByTimeAsync(200);
    const asked = [...service.asked(RUN_STREAM).slice(2), ...service.asked(NODE_STREAM).slice(1)];
    expect(asked.some((request) => request.query.get(key) === value)).toBe(true);
  });
});

it("a given client is used, and asks with its own token", async () => {
  const service = new ScriptedService().on(RUN_STREAM, () => firstStatus(new ScriptedStream()));
  const client = new RuncastClient({
    fetch: service.fetch,
    getToken: () => "t",
    baseUrl: "http://elsewhere/",
  });
  const source = open(new ScriptedService(), { client });
  await eventually(() => expect(source.getState().connection).toBe("live"));
  expect(service.requests[0]?.headers.get("Authorization")).toBe("Bearer t");
});
