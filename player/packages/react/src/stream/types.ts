import type { ClientOptions, RuncastClient } from "../api/client.ts";
import type { ErrorCode, Gap, Run, RunStatus, StreamFinal, TerminalChunk } from "../api/types.ts";

/**
 * How the page is connected to a run. `ended`: everything was sent. `failed`: asking again does not help, as the
 * run does not exist or access is refused; `reconnect()` tries all the same.
 */
export type Connection = "connecting" | "live" | "reconnecting" | "ended" | "failed";

/** `poll`: streams do not get through to this page, so it asks for pages of events. */
export type Transport = "stream" | "poll";

export interface StreamError {
  code: ErrorCode;
  message: string;
  retryable: boolean;
}

export interface StreamOptions extends ClientOptions {
  /** Instead of a client made of the other options. */
  client?: RuncastClient;
  /** What is shown before the stream has said anything. */
  initialRun?: Run;
  /** Milliseconds before the first attempt after a cut; it grows up to 30 s. 3,000 by default. */
  reconnectDelayMs?: number;
}

/** What is known of a run and of the connection to it. Never holds output. */
export interface RunState {
  readonly run: Run | undefined;
  readonly status: RunStatus | undefined;
  readonly connection: Connection;
  readonly transport: Transport;
  readonly error: StreamError | undefined;
  /** When the next attempt is made, in milliseconds since 1970; while `reconnecting`. */
  readonly retryAtMs: number | undefined;
  /** What exists nowhere any more, newest last, at most 1,000. */
  readonly gaps: readonly Gap[];
  /** How often the stream came back after a cut. */
  readonly reconnects: number;
}

/** What the end of a run says. */
export interface RunDone {
  status: RunStatus;
  finalSeq: number;
  streams: (StreamFinal & { nodeRef: string })[];
}

/** A reader of one node's output on the shared stream of its run. */
export interface TerminalConsumer {
  readonly nodeRef: string;
  /** Takes output, in order and each once: chunks at or below the cursor never come. */
  accept(chunk: TerminalChunk): void;
  /** Is told what is missing, of its node or of the whole run. */
  gap(gap: Gap): void;
  /** Is told that everything up to `seq` has come. */
  advance(seq: number): void;
  /** Everything up to here has been taken. */
  readonly cursor: number;
  /** Bytes that have come since the beginning of the stream, as far as known. */
  readonly position: number;
  /** Undefined while there is room, else resolves when there is again: reading stops until then. */
  room(): Promise<void> | undefined;
}
