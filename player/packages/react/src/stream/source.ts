import { RuncastClient } from "../api/client.ts";
import { ApiError } from "../api/error.ts";
import type { Gap, Run, RunNode, TraceEvent } from "../api/types.ts";
import { aborted, Backoff, pause } from "./backoff.ts";
import { Newest } from "./bounded.ts";
import type { JoinContext } from "./join.ts";
import { Participants } from "./participants.ts";
import { pollEvents } from "./polling.ts";
import { RunHandlers } from "./runHandlers.ts";
import { RunView } from "./runView.ts";
import { Signal } from "./signal.ts";
import { readEvents, SilentStreamError } from "./sse.ts";
import { asStreamError, cut, isPassing, retryAfterMs, streamError } from "./streamErrors.ts";
import type {
  Connection,
  RunDone,
  RunState,
  StreamError,
  StreamOptions,
  TerminalConsumer,
  Transport,
} from "./types.ts";
import { watchVisibility } from "./visibility.ts";
import { ANSWER_TIMEOUT_MS, within } from "./within.ts";

const RECONNECT_DELAY_MS = 3_000;
const MAX_GAPS = 1_000;
const MAX_TRACE_EVENTS = 2_000;
/** Consoles that come and go together cost one new stream. */
const REOPEN_DELAY_MS = 50;
/** Streams in a row that gave nothing before this page asks for pages of events instead. */
const SILENT_STREAMS = 3;

/** One HTTP stream of a run, shared by all that show something of it on a page. */
export class RunSource {
  readonly runId: string;
  readonly client: RuncastClient;
  readonly #options: StreamOptions;
  readonly #view: RunView;
  readonly #gaps = new Newest<Gap>(MAX_GAPS);
  readonly #trace = new Newest<TraceEvent>(MAX_TRACE_EVENTS);
  readonly #traceListeners = new Set<(event: TraceEvent) => void>();
  readonly #changed = new Signal();
  readonly #tellRunKnown: () => void;
  readonly #participants: Participants;
  #holders = 0;
  #lifetime: AbortController | undefined;
  /** Ended to make the loop look at what is wanted now. */
  #attempt = new AbortController();
  #isHidden = false;
  #isWaiting = false;
  #position: number | undefined;
  #done: RunDone | undefined;
  #silentStreams = 0;
  #reopenTimer: ReturnType<typeof setTimeout> | undefined;
  #connection: Connection = "connecting";
  #transport: Transport = "stream";
  #error: StreamError | undefined;
  #retryAtMs: number | undefined;
  #reconnects = 0;
  #state: RunState | undefined;

  constructor(runId: string, options: StreamOptions = {}) {
    this.runId = runId;
    this.#options = options;
    this.client = options.client ?? new RuncastClient(options);
    this.#view = new RunView(options.initialRun);
    let resolve: () => void = () => undefined;
    const known = new Promise<void>((done) => {
      resolve = done;
    });
    this.#tellRunKnown = resolve;
    if (this.#view.hasNodes) resolve();
    const context: JoinContext = {
      client: this.client,
      runId,
      view: this.#view,
      reconnectDelayMs: options.reconnectDelayMs ?? RECONNECT_DELAY_MS,
      position: () => this.#position ?? -1,
      hasEnded: () => this.#isFinal,
      transport: () => this.#transport,
    };
    this.#participants = new Participants(context, known, () => this.#reopenSoon());
  }

  /** Opens the stream, until as many `release` have come. */
  retain(): void {
    this.#holders += 1;
    if (this.#holders === 1 && this.#lifetime === undefined && !this.#isFinal) this.#start();
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#stop();
  }

  getState(): RunState {
    this.#state ??= {
      run: this.#view.run,
      status: this.#view.run?.status,
      connection: this.#connection,
      transport: this.#transport,
      error: this.#error,
      retryAtMs: this.#retryAtMs,
      gaps: this.#gaps.items,
      reconnects: this.#reconnects,
    };
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }

  /** How the run ended, once everything has been sent. */
  get done(): RunDone | undefined {
    return this.#done;
  }

  /** Tells each trace event that comes from now on. */
  onTrace(listener: (event: TraceEvent) => void): () => void {
    this.#traceListeners.add(listener);
    return () => this.#traceListeners.delete(listener);
  }

  /** The newest trace events seen on this stream, at most 2,000; older ones are in `client.trace`. */
  trace(): readonly TraceEvent[] {
    return this.#trace.items;
  }

  /** Tries at once, also after `failed` and `disconnect`; so do consoles that have failed. */
  reconnect(): void {
    if (this.#holders === 0) return;
    this.#participants.retryFailed();
    if (this.#isFinal) return;
    const isPolling = this.#transport === "poll";
    if (isPolling) {
      this.#transport = "stream";
      // One more that says nothing is enough.
      this.#silentStreams = SILENT_STREAMS - 1;
      this.#show({ connection: "reconnecting", error: undefined });
    }
    if (this.#lifetime === undefined) this.#start();
    else if (isPolling || this.#connection !== "live") this.#attempt.abort();
  }

  disconnect(): void {
    this.#stop();
    if (this.#connection === "ended") return;
    this.#fail(new ApiError(0, "DISCONNECTED", "this page has disconnected"));
  }

  /** Lets a consumer take part: first what was there, then what comes. */
  attach(consumer: TerminalConsumer): () => void {
    this.#participants.add(consumer);
    return () => this.#participants.remove(consumer);
  }

  get #isFinal(): boolean {
    return this.#connection === "ended";
  }

  #start(): void {
    const lifetime = new AbortController();
    this.#lifetime = lifetime;
    this.#isHidden = false;
    if (this.#connection !== "connecting") this.#show({ connection: "connecting", error: undefined });
    const unwatch = watchVisibility((isHidden) => this.#setHidden(isHidden));
    lifetime.signal.addEventListener("abort", unwatch);
    void this.#loop(lifetime.signal);
  }

  #stop(): void {
    this.#lifetime?.abort();
    this.#lifetime = undefined;
    this.#attempt.abort();
    clearTimeout(this.#reopenTimer);
    this.#reopenTimer = undefined;
  }

  async #loop(lifetime: AbortSignal): Promise<void> {
    const backoff = new Backoff(this.#options.reconnectDelayMs ?? RECONNECT_DELAY_MS);
    while (!lifetime.aborted) {
      this.#attempt = new AbortController();
      const wakes = AbortSignal.any([lifetime, this.#attempt.signal]);
      if (this.#isHidden) {
        await aborted(wakes);
        continue;
      }
      try {
        const isEnd = await this.#connect(backoff, wakes);
        if (lifetime.aborted) return;
        if (isEnd) return this.#end();
        if (wakes.aborted) continue;
        throw cut();
      } catch (error) {
        const isHeldBack = error instanceof SilentStreamError && (await this.#isAnswered(wakes));
        if (lifetime.aborted) return;
        if (wakes.aborted) continue;
        if (!isPassing(error)) return this.#fail(error);
        if (isHeldBack) this.#silentStreams += 1;
        if (this.#silentStreams >= SILENT_STREAMS) this.#transport = "poll";
        const delayMs = backoff.next(retryAfterMs(error));
        this.#show({
          connection: "reconnecting",
          error: asStreamError(error),
          retryAtMs: Date.now() + delayMs,
        });
        this.#isWaiting = true;
        await pause(delayMs, wakes);
        this.#isWaiting = false;
      }
    }
  }

  /** True if the service answers what is no stream: then the network is there, and holds only streams back. */
  async #isAnswered(signal: AbortSignal): Promise<boolean> {
    try {
      await within(ANSWER_TIMEOUT_MS, signal, (inner) => this.client.run(this.runId, { signal: inner }));
      return true;
    } catch {
      return false;
    }
  }

  /** One stream, or pages of events, until it ends. True if nothing more will come. */
  async #connect(backoff: Backoff, signal: AbortSignal): Promise<boolean> {
    const consumers = this.#participants.waiting;
    const handlers = new RunHandlers(
      consumers,
      (name, data) => this.#take(name, data, backoff),
      (seq) => this.#advance(seq),
      // What the page has asked for stays.
      (delayMs) => this.#options.reconnectDelayMs === undefined && backoff.setBase(delayMs),
    );
    const nodes = [...new Set(consumers.map((consumer) => consumer.nodeRef))].join(",");
    const filters = nodes === "" ? { types: "status,trace" } : { nodes };
    const cursors = consumers.map((consumer) => consumer.cursor ?? 0);
    if (this.#transport === "poll") {
      await this.#poll(filters, cursors, handlers, signal);
      return handlers.isDone;
    }
    // Before the stream has said where it is, consoles go on from the run as it is known: `from=live` would skip output.
    const position = this.#position ?? (consumers.length === 0 ? undefined : this.#view.seq);
    const query =
      position === undefined
        ? { ...filters, from: "live" }
        : { ...filters, after: Math.min(position, ...cursors) };
    const path = `/runs/${encodeURIComponent(this.runId)}/stream`;
    const headers = { Accept: "text/event-stream" };
    const outcome = await readEvents(
      (inner) => this.client.send(path, query, { signal: inner, headers }),
      handlers,
      signal,
    );
    if (outcome === "none") handlers.advance(this.#position ?? 0);
    return outcome === "none" || handlers.isDone;
  }

  async #poll(
    filters: { types?: string; nodes?: string },
    cursors: readonly number[],
    handlers: RunHandlers,
    signal: AbortSignal,
  ): Promise<void> {
    const run = await within(ANSWER_TIMEOUT_MS, signal, (inner) =>
      this.client.run(this.runId, { signal: inner }),
    );
    handlers.event("status", { seq: run.lastSeq, run });
    const position = this.#position ?? run.lastSeq;
    await pollEvents(
      this.client,
      this.runId,
      { ...filters, after: Math.min(position, ...cursors) },
      handlers,
      signal,
    );
  }

  #take(name: string, data: unknown, backoff: Backoff): void {
    if (!isGreeting(name, data)) backoff.reset();
    this.#silentStreams = 0;
    const isNew = (seq: number) => this.#position === undefined || seq > this.#position;
    switch (name) {
      case "status":
        this.#takeStatus(data as { seq: number; run: Run; node?: RunNode });
        break;
      case "trace":
        if (isNew((data as TraceEvent).seq)) this.#takeTrace(data as TraceEvent);
        break;
      case "gap":
        if (isNew((data as Gap).toSeq)) this.#gaps.add(data as Gap);
        break;
      case "done":
        this.#done = data as RunDone;
        this.#advance(this.#done.finalSeq);
        break;
      case "error":
        throw streamError(data);
    }
    if (this.#connection !== "live") {
      if (this.#connection === "reconnecting") this.#reconnects += 1;
      this.#show({ connection: "live", error: undefined });
    } else if (name === "status" || name === "gap") {
      this.#state = undefined;
      this.#changed.notify();
    }
  }

  #takeStatus({ seq, run, node }: { seq: number; run: Run; node?: RunNode }): void {
    if (run.nodes != null) this.#view.replace(run, seq);
    else this.#view.apply(run, node, seq);
    if (this.#view.hasNodes) this.#tellRunKnown();
  }

  #takeTrace(event: TraceEvent): void {
    this.#trace.add(event);
    for (const listener of this.#traceListeners) listener(event);
  }

  #advance(seq: number): void {
    if (this.#position === undefined || seq > this.#position) this.#position = seq;
  }

  /** Opens the stream anew with the nodes that are wanted now. */
  #reopenSoon(): void {
    if (this.#lifetime === undefined || this.#isFinal) return;
    this.#reopenTimer ??= setTimeout(() => {
      this.#reopenTimer = undefined;
      // A wait between attempts goes on: its end opens with what is wanted then.
      if (!this.#isWaiting) this.#attempt.abort();
    }, REOPEN_DELAY_MS);
  }

  #setHidden(isHidden: boolean): void {
    this.#isHidden = isHidden;
    if (isHidden) {
      this.#attempt.abort();
      return;
    }
    void this.#comeBack();
  }

  /** Goes on where the page went out of sight; consoles that are too far behind begin anew. */
  async #comeBack(): Promise<void> {
    const lifetime = this.#lifetime?.signal;
    if (lifetime === undefined) return;
    await this.#participants.restartFarBehind(lifetime);
    this.#attempt.abort();
  }

  #end(): void {
    this.#lifetime?.abort();
    this.#lifetime = undefined;
    this.#show({ connection: "ended", error: undefined });
    this.#participants.finish();
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#show({ connection: "failed", error: asStreamError(error) });
  }

  #show(change: { connection: Connection; error: StreamError | undefined; retryAtMs?: number }): void {
    this.#connection = change.connection;
    this.#error = change.error;
    this.#retryAtMs = change.retryAtMs;
    this.#state = undefined;
    this.#changed.notifyNow();
  }
}

/** What a service says that may break off right behind it: a refusal, or the first status of a connection. */
function isGreeting(name: string, data: unknown): boolean {
  return name === "error" || (name === "status" && (data as { run: Run }).run.nodes != null);
}
