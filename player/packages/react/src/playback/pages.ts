import type { RuncastClient } from "../api/client.ts";
import type { StreamName, TerminalChunk } from "../api/types.ts";

/** Chunks a page; the service cuts a page at about 4 MiB. */
const PAGE_CHUNKS = 500;

/** Reads one stream of a recording forward, a page at a time. */
export class ChunkPages {
  readonly stream: StreamName;
  readonly #load: (afterChunk: number, signal: AbortSignal) => Promise<readonly TerminalChunk[]>;
  #chunks: readonly TerminalChunk[] = [];
  #at = 0;
  #afterChunk = -1;
  #hasEnded = false;
  #isAtEnd = false;
  #hasSeenTail = false;

  constructor(client: RuncastClient, runId: string, nodeRef: string, stream: StreamName) {
    this.stream = stream;
    this.#load = async (afterChunk, signal) =>
      (await client.chunks(runId, nodeRef, { stream, afterChunk, limit: PAGE_CHUNKS }, { signal })).chunks;
  }

  /** Goes on behind a chunk; −1: at the beginning. */
  startAfter(chunkIndex: number): void {
    this.#chunks = [];
    this.#at = 0;
    this.#afterChunk = chunkIndex;
    this.#hasEnded = false;
    this.#isAtEnd = false;
    this.#hasSeenTail = false;
  }

  /** The next chunk, if it is loaded. */
  get head(): TerminalChunk | undefined {
    return this.#chunks[this.#at];
  }

  /** The last that is loaded. */
  get last(): TerminalChunk | undefined {
    return this.#at < this.#chunks.length ? this.#chunks.at(-1) : undefined;
  }

  /** How many chunks are loaded and not taken. */
  get loaded(): number {
    return this.#chunks.length - this.#at;
  }

  /** True once the last chunk of the stream is loaded: nothing will ever follow. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** True if nothing was beyond what is loaded when it was asked last; a node that still writes has more later. */
  get isAtEnd(): boolean {
    return this.#isAtEnd;
  }

  /** True if the last page was not full: asking again at once would give little. */
  get hasSeenTail(): boolean {
    return this.#hasSeenTail;
  }

  take(): void {
    this.#at += 1;
  }

  async loadMore(signal: AbortSignal): Promise<void> {
    const afterChunk = this.#afterChunk;
    const page = await this.#load(afterChunk, signal);
    if (signal.aborted || afterChunk !== this.#afterChunk) return;
    this.#hasEnded ||= page.at(-1)?.kind === "exit";
    this.#isAtEnd = this.#hasEnded || page.length === 0;
    this.#hasSeenTail = page.length < PAGE_CHUNKS;
    this.#chunks = [...this.#chunks.slice(this.#at), ...page];
    this.#at = 0;
    this.#afterChunk = page.at(-1)?.chunkIndex ?? afterChunk;
  }
}
