import type { Screen, StreamName } from "../api/types.ts";
import type { StreamError } from "../stream/types.ts";

/** Where the bytes go: an xterm, or something like it. */
export interface TerminalSink {
  write(data: Uint8Array | string, callback?: () => void): void;
  resize(cols: number, rows: number): void;
  reset(): void;
}

/** A screen that is painted before the stream is open: `GET …/screen?format=json` gives one. */
export type InitialOutput = Pick<Screen, "payload" | "cols" | "rows" | "seq"> & {
  /** Shown where there is no terminal yet, as on a server. */
  text?: string;
};

/** Which output of a node: one stream, or all of them in their order. */
export type StreamChoice = StreamName | "all";

/**
 * What the hash says: `verified` and `mismatch` compare every byte with the SHA-256 of the node's end,
 * `unknown` until then, or if the viewer does not have every byte.
 */
export type Integrity = "unknown" | "verified" | "mismatch";

/** What is known of a console. Never holds output. */
export interface TerminalState {
  /** Lines of output so far, including those above a screen that was joined. */
  readonly lines: number;
  /** Bytes of output that came to this viewer. */
  readonly bytes: number;
  readonly lastSeq: number;
  /** Place of the newest chunk on the node's time axis, in milliseconds. */
  readonly lastAtMs: number;
  /** Size the program sees; undefined for nodes without a terminal. */
  readonly cols: number | undefined;
  readonly rows: number | undefined;
  /** True once the node's last chunk has come. */
  readonly isEnded: boolean;
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
  /** Whether the recording has everything: undefined until it is final. */
  readonly complete: boolean | undefined;
  readonly integrity: Integrity;
  /** True if this viewer does not have the beginning: it joined a long output at its last screen. */
  readonly truncated: boolean;
  /** Holes in what this viewer got. */
  readonly gaps: number;
  /** True until what was there already has come. */
  readonly isLoading: boolean;
  /** Why the output cannot be had. */
  readonly error: StreamError | undefined;
}
