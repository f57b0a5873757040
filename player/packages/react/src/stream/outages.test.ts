// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
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

const RUN = /^\/runs\/run-1$/;
const EVENTS = /\/events$/;
const never = () => new Promise<Response>(() => undefined);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  closeAll();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function show(state: "hidden" | "visible"): void {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
  document.dispatchEvent(new Event("visibilitychange"));
}

/** A service whose streams are held back: pages of events are all that gets through. */
function heldBack(): ScriptedService {
  return new ScriptedService()
    .on(RUN_STREAM, () => new ScriptedStream())
    .on(RUN, () => scripted.json(scripted.run({ lastSeq: 5 })))
    .on(EVENTS, never);
}

it("a network that is away for a while is no reason to ask for pages of events", async () => {
  let isAway = true;
  const service = new ScriptedService()
    .on(RUN_STREAM, () => (isAway ? never() : firstStatus(new ScriptedStream())))
    .on(RUN, never);
  const source = open(service);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(source.getState()).toMatchObject({ connection: "reconnecting", transport: "stream" });
  isAway = false;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.getState()).toMatchObject({ connection: "live", transport: "stream" });
});

it("a stream whose answer is held back as a whole gives way to pages of events", async () => {
  const source = open(heldBack().on(RUN_STREAM, never));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.getState()).toMatchObject({ connection: "live", transport: "poll" });
});

it("a page of events that never comes is asked for again", async () => {
  const service = heldBack().sequence(
    EVENTS,
    () => scripted.json({ events: [], nextAfter: 5, live: true }),
    never,
    () => scripted.json({ events: [], nextAfter: 9, live: true, done: { status: "COMPLETED", finalSeq: 9 } }),
  );
  const source = open(service);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(source.getState()).toMatchObject({ connection: "ended", transport: "poll" });
});

it("pages of events give way to the stream when one tries again and it gets through", async () => {
  let isHeldBack = true;
  const service = heldBack().on(RUN_STREAM, () =>
    isHeldBack ? new ScriptedStream() : firstStatus(new ScriptedStream()),
  );
  const source = open(service);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.getState().transport).toBe("poll");
  source.reconnect();
  await vi.advanceTimersByTimeAsync(15_000);
  expect(source.getState(), "one more that says nothing is enough").toMatchObject({ transport: "poll" });
  isHeldBack = false;
  source.reconnect();
  await vi.advanceTimersByTimeAsync(100);
  expect(source.getState()).toMatchObject({ connection: "live", transport: "stream" });
});

it("back in sight, the stream does not wait for answers that never come", async () => {
  const service = serviceWithOutput(
    () => firstStatus(new ScriptedStream()).id(5),
    () => firstStatus(new ScriptedStream()),
  );
  attach(open(service));
  await vi.advanceTimersByTimeAsync(200);
  show("hidden");
  await vi.advanceTimersByTimeAsync(31_000);
  service.on(INDEX, never);
  show("visible");
  await vi.advanceTimersByTimeAsync(11_000);
  expect(service.asked(RUN_STREAM)).toHaveLength(3);
});

it("what was let go while out of sight begins again in sight", async () => {
  const service = new ScriptedService().on(RUN_STREAM, () => firstStatus(new ScriptedStream()));
  const source = open(service);
  await vi.advanceTimersByTimeAsync(100);
  show("hidden");
  await vi.advanceTimersByTimeAsync(31_000);
  source.release();
  show("visible");
  source.retain();
  await vi.advanceTimersByTimeAsync(100);
  expect(service.asked(RUN_STREAM)).toHaveLength(2);
  expect(source.getState().connection).toBe("live");
});

it("a service that refuses by an event is asked less and less often", async () => {
  const refused = () => {
    const stream = new ScriptedStream().event("error", {
      code: "UNAVAILABLE",
      message: "away",
      retryable: true,
    });
    stream.close();
    return stream;
  };
  const service = new ScriptedService().on(RUN_STREAM, refused);
  open(service, { reconnectDelayMs: 1_000 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(service.asked(RUN_STREAM).length).toBeLessThan(12);
});

it("a stream that breaks after its first status each time is opened less and less often", async () => {
  const broken = () => {
    const stream = new ScriptedStream().event("status", { seq: 1, run: scripted.run() });
    setTimeout(() => stream.cut(), 5);
    return stream;
  };
  const service = new ScriptedService().on(RUN_STREAM, broken);
  open(service, { reconnectDelayMs: 1_000 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(service.asked(RUN_STREAM).length).toBeLessThan(12);
});

it("a wait that the page gave stays, whatever the service would like", async () => {
  const wishing = () => {
    const stream = new ScriptedStream().retry(30_000).event("status", { seq: 1, run: scripted.run() });
    setTimeout(() => stream.cut(), 5);
    return stream;
  };
  const service = new ScriptedService().on(RUN_STREAM, wishing);
  open(service, { reconnectDelayMs: 100 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(service.asked(RUN_STREAM).length).toBeGreaterThan(2);
});

it("a token that cannot be had at the moment fails no console", async () => {
  const service = serviceWithOutput(
    () => firstStatus(new ScriptedStream()).id(5),
    () => firstStatus(new ScriptedStream()),
  ).sequence(
    INDEX,
    () => scripted.refusal(401, "UNAUTHENTICATED"),
    () => scripted.index(),
  );
  const getToken = vi
    .fn<() => Promise<string>>()
    .mockResolvedValueOnce("old")
    .mockRejectedValueOnce(new Error("502"))
    .mockResolvedValue("new");
  const { sink, feed } = attach(open(service, { getToken }));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(feed.getState().error).toBeUndefined();
  expect(sink.text).toBe("one ");
});

it("a console that has failed begins anew with the next attempt, also after the run's end", async () => {
  const done = { status: "COMPLETED", finalSeq: 5, streams: [] };
  const service = serviceWithOutput(() => firstStatus(new ScriptedStream()).event("done", done, 5)).sequence(
    NODE_STREAM,
    () => scripted.refusal(403, "FORBIDDEN"),
    () => new ScriptedStream().event("terminal", scripted.output(4, 0, "one "), 4).event("done", done, 5),
  );
  const source = open(service);
  const { sink, feed } = attach(source);
  await vi.advanceTimersByTimeAsync(100);
  expect(source.getState().connection).toBe("ended");
  expect(feed.getState().error?.code).toBe("FORBIDDEN");
  source.reconnect();
  await vi.advanceTimersByTimeAsync(100);
  expect(sink.text).toBe("one ");
  expect(feed.getState()).toMatchObject({ error: undefined, isLoading: false });
});
