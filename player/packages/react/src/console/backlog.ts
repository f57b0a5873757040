import type { TerminalSink } from "./types.ts";

/** Bytes given to the terminal and not parsed yet at which reading stops. */
export const HIGH_WATERMARK_BYTES = 512 * 1024;
/** Bytes at which it goes on. */
export const LOW_WATERMARK_BYTES = 128 * 1024;

/** Writes into a terminal and knows how much of it has not been taken yet. */
export class Backlog {
  readonly #sink: TerminalSink;
  #pendingBytes = 0;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(sink: TerminalSink) {
    this.#sink = sink;
  }

  write(data: Uint8Array): void {
    if (this.#isClosed || data.length === 0) return;
    this.#pendingBytes += data.length;
    this.#sink.write(data, () => {
      this.#pendingBytes -= data.length;
      if (this.#pendingBytes <= LOW_WATERMARK_BYTES) this.#wake();
    });
  }

  /** Undefined while there is room, else resolves at the low watermark or when it is closed. */
  room(): Promise<void> | undefined {
    if (this.#isClosed || this.#pendingBytes <= HIGH_WATERMARK_BYTES) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Nothing is written any more; who waits for room goes on. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
