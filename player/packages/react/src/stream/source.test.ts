// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";
import { RuncastClient } from "../api/client.ts";
import type { StreamFinal } from "../api/types.ts";
import { eventually } from "../testing/eventually.ts";
import {
  attach,
  closeAll,
  firstStatus,
  INDEX,
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

/** What the streams of a long output hold once they have ended. */
const LONG: StreamFinal[] = [
  { stream: "pty", chunks: 5, bytes: 5 * 1024 * 1024, sha256: "", complete: true },
];

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

  it("that came just before the end of the run gets the rest all the same", async () => {
    const runStream = firstStatus(new ScriptedStream()).id(5);
    const service = serviceWithOutput(() => runStream).sequence(
      NODE_STREAM,
      () => {
        // The run ends between the console's own request and its part in the run's stream.
        runStream.event("done", { status: "COMPLETED", finalSeq: 9, streams: [] }, 9);
        return new ScriptedStream()
          .event("terminal", scripted.output(4, 0, "one "), 4)
          .event("live", { seq: 5 });
      },
      () =>
        new ScriptedStream()
          .event("terminal", scripted.output(6, 1, "two"), 6)
          .event("done", { status: "COMPLETED", finalSeq: 9, streams: [] }, 9),
    );
    const source = open(service);
    const { sink, feed } = attach(source);
    await eventually(() => expect(sink.text).toBe("one two"));
    expect(source.getState().connection).toBe("ended");
    expect(service.asked(NODE_STREAM)[1]?.query.get("after")).toBe("5");
    expect(feed.cursor).toBe(9);
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

  it("misses nothing when the stream has not said yet where it is", async () => {
    const queued = { nodes: [scripted.node("a", { status: "PENDING", streams: [] })] };
    const service = new ScriptedService().sequence(
      RUN_STREAM,
      () => firstStatus(new ScriptedStream(), queued),
      () => firstStatus(new ScriptedStream(), queued).event("terminal", scripted.output(3, 0, "early"), 3),
    );
    const { sink } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("early"));
    expect(service.asked(RUN_STREAM)[1]?.query.toString()).toBe("nodes=a&after=1");
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

  it.each([
    ["ended before", scripted.node("a", { status: "FAILED", exitCode: 3, final: LONG }), false],
    ["ends just then", scripted.node("a"), true],
  ])("that joins a node at its last screen is ended if it %s", async (_name, node, endsLater) => {
    const payload = Buffer.from("screen").toString("base64");
    const screen = { nodeRef: "a", stream: "pty", cols: 90, rows: 20, seq: 7, chunkIndex: 4, atMs: 40 };
    const joined = firstStatus(new ScriptedStream(), { nodes: [node] });
    const service = new ScriptedService()
      .on(INDEX, () => scripted.index({ bytes: 5 * 1024 * 1024 }))
      .on(NODE_STREAM, () =>
        new ScriptedStream().event("snapshot", { ...screen, payload, linesAbove: 0 }).id(7),
      )
      .sequence(
        RUN_STREAM,
        () => firstStatus(new ScriptedStream(), { nodes: [node] }).id(2),
        () => joined,
      );
    const { sink, feed } = attach(open(service));
    await eventually(() => expect(sink.text).toBe("screen"));
    if (endsLater) {
      await eventually(() => expect(service.asked(RUN_STREAM)).toHaveLength(2));
      expect(feed.getState().isEnded).toBe(false);
      const end = scripted.node("a", { status: "FAILED", exitCode: 3, final: LONG });
      joined.event("status", { seq: 8, run: scripted.runWithoutNodes(), node: end }, 8);
    }
    await eventually(() => expect(feed.getState()).toMatchObject({ isEnded: true, exitCode: 3 }));
    expect(feed.getState().integrity).toBe("unknown");
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
    joined.event("terminal", scripted.output(10, 4, "five "), 10);
    joined.event("terminal", scripted.output(12, 6, "seven"), 12);
    await eventually(() => expect(sink.text).toBe("one two five seven"));
    expect(source.getState().gaps).toEqual([{ fromSeq: 7, toSeq: 9, reason: "lost" }]);
    expect(feed.getState().gaps, "the one that was told, and the hole after it").toBe(2);
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
    ["goes on by its cursor", 200, false],
    ["begins anew when it is far behind", 6 * 1024 * 1024, true],
  ])("for 30 s the stream is closed; back, a console %s", async (_name, bytes, isAnew) => {
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
    const [, ...anew] = service.asked(NODE_STREAM);
    expect(anew.map((request) => request.query.get("from"))).toEqual(isAnew ? ["live"] : []);
    const returned = service.asked(RUN_STREAM)[2]?.query;
    expect(returned?.get("nodes")).toBe(isAnew ? null : "a");
    expect(returned?.get("after")).toBe("5");
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
