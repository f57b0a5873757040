import type { RuncastClient } from "../api/client.ts";
import { ApiError } from "../api/error.ts";
import type { Gap, RunNode, Snapshot, TerminalChunk } from "../api/types.ts";
import { Backoff, pause } from "./backoff.ts";
import { pollEvents } from "./polling.ts";
import type { RunView } from "./runView.ts";
import { type EventHandlers, readEvents } from "./sse.ts";
import { cut, isPassing, retryAfterMs, streamError } from "./streamErrors.ts";
import type { TerminalConsumer, Transport } from "./types.ts";
import { ANSWER_TIMEOUT_MS, within } from "./within.ts";

/** Output up to here is shown from its beginning; a longer one from its last screen. */
export const WHOLE_LIMIT_BYTES = 4 * 1024 * 1024;
/** Lines above a screen that is joined: the most that the service gives. */
const SCROLLBACK_LINES = 5_000;

export interface JoinContext {
  readonly client: RuncastClient;
  readonly runId: string;
  readonly view: RunView;
  readonly reconnectDelayMs: number;
  /** Up to where the run's stream has been read. */
  position(): number;
  /** True once the run's stream has sent everything. */
  hasEnded(): boolean;
  transport(): Transport;
}

/**
 * Brings a consumer to the present by a short request of its own, so that it can take part in the run's stream from
 * there on. What passes by itself is tried again; throws what does not.
 */
export async function join(
  context: JoinContext,
  consumer: TerminalConsumer,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(context.reconnectDelayMs);
  while (!signal.aborted) {
    try {
      await attempt(context, consumer, signal);
      if (signal.aborted) return;
      tellEnd(context, consumer);
      consumer.loaded();
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) throw error;
      if (consumer.cursor === undefined) consumer.restart();
      await pause(backoff.next(retryAfterMs(error)), signal);
    }
  }
}

function tellEnd({ view }: JoinContext, consumer: TerminalConsumer): void {
  const node = view.node(consumer.nodeRef);
  const endSeq = view.endOf(consumer.nodeRef);
  if (node !== undefined && endSeq !== undefined && endSeq <= (consumer.cursor ?? -1))
    consumer.finished(node);
}

/** How many bytes of output a node has so far. */
export async function bytesOf(context: JoinContext, node: RunNode, signal: AbortSignal): Promise<number> {
  if (node.final != null) return node.final.reduce((bytes, stream) => bytes + stream.bytes, 0);
  const { client, runId } = context;
  const indexes = await within(ANSWER_TIMEOUT_MS, signal, (inner) =>
    Promise.all(node.streams.map((stream) => client.index(runId, node.ref, { stream }, { signal: inner }))),
  );
  return indexes.reduce((bytes, index) => bytes + index.bytes, 0);
}

async function attempt(context: JoinContext, consumer: TerminalConsumer, signal: AbortSignal): Promise<void> {
  if (consumer.cursor !== undefined) {
    await readUpToNow(context, consumer, signal);
    return;
  }
  const node = context.view.node(consumer.nodeRef);
  if (node === undefined) throw new ApiError(404, "NOT_FOUND", `the run has no node \`${consumer.nodeRef}\``);
  if (node.streams.length === 0) {
    consumer.advance(Math.max(context.view.seq, context.position()));
    return;
  }
  const bytes = await bytesOf(context, node, signal);
  if (bytes <= WHOLE_LIMIT_BYTES) {
    await readUpToNow(context, consumer, signal);
    return;
  }
  consumer.joinedLate(bytes);
  await readLastScreen(context, consumer, node, signal);
}

async function readUpToNow(
  context: JoinContext,
  consumer: TerminalConsumer,
  signal: AbortSignal,
): Promise<void> {
  const handlers = new ConsumerHandlers(consumer, "untilLive");
  if (context.transport() === "poll") {
    const filters = { nodes: consumer.nodeRef, types: "terminal", after: consumer.cursor ?? 0 };
    await pollEvents(context.client, context.runId, filters, handlers, signal);
    return;
  }
  const query = { types: "terminal", after: consumer.cursor };
  const outcome = await readEvents((inner) => openNode(context, consumer, query, inner), handlers, signal);
  if (outcome === "none") consumer.advance(context.position());
  else if (!handlers.isSatisfied() && !signal.aborted) throw cut();
}

async function readLastScreen(
  context: JoinContext,
  consumer: TerminalConsumer,
  node: RunNode,
  signal: AbortSignal,
): Promise<void> {
  if (context.transport() === "poll") {
    if (node.terminal.mode === "pipe") {
      await readUpToNow(context, consumer, signal);
      return;
    }
    const screen = await within(ANSWER_TIMEOUT_MS, signal, (inner) =>
      context.client.screen(context.runId, consumer.nodeRef, {}, { signal: inner }),
    );
    consumer.snapshot({ ...screen, chunkIndex: screen.chunkIndex ?? null, linesAbove: 0 });
    consumer.advance(screen.seq);
    return;
  }
  const handlers = new ConsumerHandlers(consumer, "untilId");
  const query = { types: "terminal", from: "live", scrollback: SCROLLBACK_LINES };
  await readEvents((inner) => openNode(context, consumer, query, inner), handlers, signal);
  if (!handlers.isSatisfied() && !signal.aborted) throw cut();
}

function openNode(
  context: JoinContext,
  consumer: TerminalConsumer,
  query: Record<string, string | number | undefined>,
  signal: AbortSignal,
): Promise<Response> {
  const path = `/runs/${encodeURIComponent(context.runId)}/terminal/${encodeURIComponent(consumer.nodeRef)}/stream`;
  return context.client.send(path, query, { signal, headers: { Accept: "text/event-stream" } });
}

/** Gives a stream of one node to its consumer, until what was there has come. */
class ConsumerHandlers implements EventHandlers {
  readonly #consumer: TerminalConsumer;
  readonly #mode: "untilLive" | "untilId";
  #isSatisfied = false;

  constructor(consumer: TerminalConsumer, mode: "untilLive" | "untilId") {
    this.#consumer = consumer;
    this.#mode = mode;
  }

  event(name: string, data: unknown): void {
    switch (name) {
      case "terminal":
        this.#consumer.accept(data as TerminalChunk);
        break;
      case "snapshot":
        this.#consumer.snapshot(data as Snapshot);
        break;
      case "gap":
        this.#consumer.gap(data as Gap);
        break;
      case "live":
        if (this.#mode === "untilLive") this.#present((data as { seq: number }).seq);
        break;
      case "done":
        this.#present((data as { finalSeq: number }).finalSeq);
        break;
      case "error":
        throw streamError(data);
    }
  }

  advance(seq: number): void {
    this.#consumer.advance(seq);
    if (this.#mode === "untilId") this.#isSatisfied = true;
  }

  retry(): void {}

  room(): Promise<void> | undefined {
    return this.#consumer.room();
  }

  isSatisfied(): boolean {
    return this.#isSatisfied;
  }

  #present(seq: number): void {
    this.#consumer.advance(seq);
    this.#isSatisfied = true;
  }
}
