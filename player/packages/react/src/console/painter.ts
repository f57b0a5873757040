import type { StreamName, TerminalChunk } from "../api/types.ts";
import { Backlog } from "./backlog.ts";
import { decodeBase64 } from "./base64.ts";
import type { TerminalSink } from "./types.ts";
import { concat, openSequenceLength } from "./utf8.ts";

const RED = new TextEncoder().encode("\x1b[31m");
const DEFAULT_COLOUR = new TextEncoder().encode("\x1b[39m");
const NOTHING = new Uint8Array();

/** Paints chunks into a terminal: output as it is, standard error red, sizes as the program saw them. */
export class Painter {
  readonly backlog: Backlog;
  readonly #sink: TerminalSink;
  /** Bytes of a sequence that the last chunk of standard error cut, so that no colour falls into it. */
  #openSequence: Uint8Array = NOTHING;

  constructor(sink: TerminalSink) {
    this.#sink = sink;
    this.backlog = new Backlog(sink);
  }

  reset(): void {
    this.#openSequence = NOTHING;
    this.#sink.reset();
  }

  resize(cols: number, rows: number): void {
    this.#sink.resize(cols, rows);
  }

  screen(screen: { payload: string; cols: number; rows: number }): void {
    this.reset();
    this.#sink.resize(screen.cols, screen.rows);
    this.backlog.write(decodeBase64(screen.payload));
  }

  output(stream: StreamName, bytes: Uint8Array): void {
    if (stream !== "stderr") {
      this.backlog.write(bytes);
      return;
    }
    const whole = this.#openSequence.length === 0 ? bytes : concat([this.#openSequence, bytes]);
    const end = whole.length - openSequenceLength(whole);
    this.#openSequence = whole.slice(end);
    this.backlog.write(concat([RED, whole.subarray(0, end), DEFAULT_COLOUR]));
  }

  /** Paints a chunk of a recording. */
  chunk(chunk: TerminalChunk): void {
    if (chunk.kind === "output" && chunk.payload != null) {
      this.output(chunk.stream, decodeBase64(chunk.payload));
    } else if (chunk.kind === "resize" && chunk.cols != null && chunk.rows != null) {
      this.resize(chunk.cols, chunk.rows);
    }
  }
}
