import type { ClientOptions, RuncastClient } from "../api/client.ts";
import type {
  ErrorCode,
  Gap,
  Run,
  RunNode,
  RunStatus,
  Snapshot,
  StreamFinal,
  TerminalChunk,
} from "../api/types.ts";

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
  /** Milliseconds before the first attempt after a cut; it grows up to 30 s. As the service wishes by default. */
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
  /** Everything up to here has come; undefined: it has nothing yet. */
  readonly cursor: number | undefined;
  /** Bytes of the node's output up to the cursor, as far as known. */
  readonly position: number;
  /** True if nothing more can come. */
  readonly isEnded: boolean;
  /** Takes a chunk; one at or below the cursor changes nothing. */
  accept(chunk: TerminalChunk): void;
  /** Takes a screen in the place of everything before it. */
  snapshot(snapshot: Snapshot): void;
  /** Is told what is missing, of its node or of the whole run. */
  gap(gap: Gap): void;
  /** Everything up to `seq` has come. */
  advance(seq: number): void;
  /** Forgets and clears everything: the content comes anew. */
  restart(): void;
  /** What comes now begins late, behind about so many bytes. */
  joinedLate(position: number): void;
  /** The node has ended and everything of it has come, but for a last chunk that a screen lies behind. */
  finished(node: RunNode): void;
  /** What was there already has come. */
  loaded(): void;
  /** What was there cannot be had, and asking again does not help. */
  failed(error: StreamError): void;
  /** Undefined while there is room, else resolves when there is again: reading stops until then. */
  room(): Promise<void> | undefined;
}
