import { createParser } from "eventsource-parser";
import { ApiError } from "../api/error.ts";

/** How long a stream may take to say its first byte. The service says one at once. */
export const FIRST_BYTE_TIMEOUT_MS = 10_000;
/** Silence after which a connection counts as cut: three of the service's comments are missing. */
export const SILENCE_TIMEOUT_MS = 50_000;
/** Longest event in characters: far above what a chunk or a run of 1,000 nodes takes. */
const MAX_EVENT_CHARACTERS = 32 * 1024 * 1024;

/** What a stream or a page of events says. */
export interface EventHandlers {
  /** An event with its data; `seq` is its id, if it has one. */
  event(name: string, data: unknown): void;
  /** Everything up to here has been told, also where events were filtered out. */
  advance(seq: number): void;
  /** The service's wish for the wait before an attempt. */
  retry(delayMs: number): void;
  /** Undefined while more may be read. */
  room(): Promise<void> | undefined;
  /** True if nothing more is wanted of this connection. */
  isSatisfied(): boolean;
}

/** A connection that gave nothing at all: something between holds the stream back. */
export class SilentStreamError extends Error {}

/**
 * Reads Server-Sent Events until the body ends, the handlers are satisfied or the signal is aborted. Reading stops
 * while there is no room, so that the service waits. Throws `ApiError` for a refusal and for a cut.
 *
 * @returns "none" if the service said that nothing will come (204), else "end".
 */
export async function readEvents(
  open: (signal: AbortSignal) => Promise<Response>,
  handlers: EventHandlers,
  signal: AbortSignal,
): Promise<"none" | "end"> {
  const silence = new Silence(signal);
  try {
    const response = await open(silence.signal);
    if (response.status === 204) return "none";
    if (!response.ok) throw await ApiError.from(response);
    if (response.body === null) throw new ApiError(0, "PROTOCOL", "the stream has no body");
    await readBody(response.body, handlers, silence);
    return "end";
  } catch (error) {
    if (signal.aborted) return "end";
    throw silence.explain(error);
  } finally {
    silence.stop();
  }
}

async function readBody(
  body: ReadableStream<Uint8Array>,
  handlers: EventHandlers,
  silence: Silence,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = eventParser(handlers);
  const abort = () => void reader.cancel().catch(() => undefined);
  silence.signal.addEventListener("abort", abort);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      silence.signal.throwIfAborted();
      if (done) return;
      silence.heard();
      parser.feed(decoder.decode(value, { stream: true }));
      if (handlers.isSatisfied()) return;
      const room = handlers.room();
      if (room !== undefined) {
        silence.suspend();
        await room;
        silence.heard();
      }
    }
  } finally {
    silence.signal.removeEventListener("abort", abort);
    await reader.cancel().catch(() => undefined);
  }
}

function eventParser(handlers: EventHandlers): { feed(text: string): void } {
  /** An id is told before its event; it counts once the event has been handled. */
  let openId: string | undefined;
  const settle = () => {
    const seq = openId === undefined || openId === "" ? Number.NaN : Number(openId);
    openId = undefined;
    if (Number.isSafeInteger(seq) && !handlers.isSatisfied()) handlers.advance(seq);
  };
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARACTERS,
    onRetry: (delayMs) => handlers.retry(delayMs),
    onId: (id) => {
      settle();
      openId = id;
    },
    onEvent: (event) => {
      if (event.id !== openId) settle();
      if (handlers.isSatisfied()) {
        openId = undefined;
        return;
      }
      handlers.event(event.event ?? "message", parseData(event.data));
      settle();
    },
  });
  return {
    feed(text) {
      parser.feed(text);
      settle();
    },
  };
}

function parseData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(0, "PROTOCOL", "an event is no JSON", { cause: error });
  }
}

/** Ends a connection that says nothing for too long. */
class Silence {
  readonly #controller = new AbortController();
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasHeard = false;
  #isTooLong = false;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
    this.#arm(FIRST_BYTE_TIMEOUT_MS);
  }

  heard(): void {
    this.#hasHeard = true;
    this.#arm(SILENCE_TIMEOUT_MS);
  }

  /** While this side does not read, nothing is heard. */
  suspend(): void {
    clearTimeout(this.#timer);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  /** What a failure of the connection was. */
  explain(error: unknown): unknown {
    if (this.#isTooLong && !this.#hasHeard) return new SilentStreamError("the stream said nothing");
    if (this.#isTooLong) return new ApiError(0, "NETWORK", "the stream fell silent", { cause: error });
    if (error instanceof ApiError) return error;
    return new ApiError(0, "NETWORK", "the stream was cut", { cause: error });
  }

  #arm(timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isTooLong = true;
      this.#controller.abort();
    }, timeoutMs);
  }
}
