import type { RuncastClient } from "../api/client.ts";
import type { StreamName, TerminalChunk } from "../api/types.ts";
import type { Painter } from "../console/painter.ts";
import { ChunkPages } from "./pages.ts";

/** Chunks before a keyframe that are painted too, so that a console without a terminal shows more than a line. */
const LINES_BEFORE_CHUNKS = 200;
/** Below so many loaded chunks the next page is asked for. */
const LOW_CHUNKS = 150;

/** Shows a recording at any place and gives what follows; holds about two pages of each stream. */
export class RecordingDriver {
  readonly #client: RuncastClient;
  readonly #runId: string;
  readonly #nodeRef: string;
  readonly #pages: readonly ChunkPages[];
  /** Index of the last chunk shown, for each stream. */
  readonly #shown = new Map<StreamName, number>();
  /** Where the terminal stands; undefined: it does not show this recording. */
  #positionMs: number | undefined;
  #loading: { promise: Promise<void>; signal: AbortSignal } | undefined;

  constructor(client: RuncastClient, runId: string, nodeRef: string, streams: readonly StreamName[]) {
    this.#client = client;
    this.#runId = runId;
    this.#nodeRef = nodeRef;
    this.#pages = streams.map((stream) => new ChunkPages(client, runId, nodeRef, stream));
  }

  /** The terminal shows something else from now on. */
  leave(): void {
    this.#positionMs = undefined;
  }

  /** Shows the moment `atMs`. */
  async seek(atMs: number, painter: Painter, signal: AbortSignal): Promise<void> {
    if (this.#canPlayTo(atMs)) this.#paintTo(atMs, painter);
    else if (this.#hasTerminal) await this.#seekScreen({ atMs }, painter, signal);
    else await this.#seekLines(atMs, painter, signal);
    if (!signal.aborted) this.#positionMs = atMs;
  }

  /** Shows one output more or less; gives its place, undefined if there is none. */
  async step(direction: 1 | -1, painter: Painter, signal: AbortSignal): Promise<number | undefined> {
    return direction === 1 ? this.#stepForward(painter, signal) : this.#stepBackward(painter, signal);
  }

  /** The next chunk in the order of all streams; undefined while a page is missing, or at the end. */
  peek(): TerminalChunk | undefined {
    if (this.#pages.some((pages) => pages.head === undefined && !pages.isAtEnd)) return undefined;
    return this.#earliest()?.head;
  }

  /** Paints the next chunk. */
  play(painter: Painter): void {
    const pages = this.#earliest();
    const chunk = pages?.head;
    if (pages === undefined || chunk === undefined) return;
    painter.chunk(chunk);
    pages.take();
    this.#shown.set(pages.stream, chunk.chunkIndex);
    this.#positionMs = chunk.atMs;
  }

  /** True if everything has been shown, and nothing will ever follow. */
  get hasEnded(): boolean {
    return this.#pages.every((pages) => pages.hasEnded && pages.head === undefined);
  }

  /** True if everything has been shown that was there when it was asked last. */
  get isAtEnd(): boolean {
    return this.#pages.every((pages) => pages.isAtEnd && pages.head === undefined);
  }

  get isRunningLow(): boolean {
    return this.#pages.some((pages) => pages.loaded < LOW_CHUNKS && !pages.hasSeenTail);
  }

  /** Loads what comes next; one request at a time, unless the one before was given up. */
  loadMore(signal: AbortSignal): Promise<void> {
    if (this.#loading !== undefined && !this.#loading.signal.aborted) return this.#loading.promise;
    const wanting = this.#pages.filter((pages) => pages.loaded < LOW_CHUNKS);
    const promise = Promise.all(wanting.map((pages) => pages.loadMore(signal))).then(() => undefined);
    const loading = { promise, signal };
    this.#loading = loading;
    const settle = () => {
      if (this.#loading === loading) this.#loading = undefined;
    };
    promise.then(settle, settle);
    return promise;
  }

  get #hasTerminal(): boolean {
    return this.#pages[0]?.stream === "pty";
  }

  #earliest(): ChunkPages | undefined {
    const withHead = this.#pages.filter((pages) => pages.head !== undefined);
    return withHead.reduce<ChunkPages | undefined>(
      (first, pages) =>
        first?.head === undefined || (pages.head?.seq ?? 0) < first.head.seq ? pages : first,
      undefined,
    );
  }

  /** A place a little ahead is reached by playing what is loaded: scrollback stays. */
  #canPlayTo(atMs: number): boolean {
    if (this.#positionMs === undefined || atMs < this.#positionMs) return false;
    return this.#pages.every(
      (pages) => pages.hasEnded || (pages.last !== undefined && pages.last.atMs > atMs),
    );
  }

  #paintTo(atMs: number, painter: Painter): void {
    for (let chunk = this.peek(); chunk !== undefined && chunk.atMs <= atMs; chunk = this.peek())
      this.play(painter);
  }

  async #seekScreen(
    place: { atMs: number } | { chunkIndex: number },
    painter: Painter,
    signal: AbortSignal,
  ): Promise<number> {
    const screen = await this.#client.screen(this.#runId, this.#nodeRef, place, { signal });
    signal.throwIfAborted();
    const chunkIndex = screen.chunkIndex ?? -1;
    painter.screen(screen);
    this.#shown.set("pty", chunkIndex);
    this.#pages[0]?.startAfter(chunkIndex);
    this.#positionMs = screen.atMs;
    return screen.atMs;
  }

  /** Without a terminal there is no screen: the text from a keyframe before the place is painted. */
  async #seekLines(atMs: number, painter: Painter, signal: AbortSignal): Promise<void> {
    const starts = await Promise.all(
      this.#pages.map((pages) => this.#startOfLines(pages.stream, atMs, signal)),
    );
    signal.throwIfAborted();
    painter.reset();
    this.#shown.clear();
    for (const [at, pages] of this.#pages.entries()) pages.startAfter(starts[at] ?? -1);
    for (;;) {
      const chunk = this.peek();
      if (chunk !== undefined && chunk.atMs > atMs) return;
      if (chunk !== undefined) this.play(painter);
      else if (this.isAtEnd) return;
      else await this.#loadMissing(signal);
      await painter.backlog.room();
      signal.throwIfAborted();
    }
  }

  async #startOfLines(stream: StreamName, atMs: number, signal: AbortSignal): Promise<number> {
    const { keyframes } = await this.#client.index(this.#runId, this.#nodeRef, { stream }, { signal });
    const before = keyframes.filter((keyframe) => keyframe.atMs <= atMs).at(-1);
    return Math.max((before?.chunkIndex ?? 0) - LINES_BEFORE_CHUNKS, 0) - 1;
  }

  async #loadMissing(signal: AbortSignal): Promise<void> {
    await this.loadMore(signal);
    signal.throwIfAborted();
  }

  async #stepForward(painter: Painter, signal: AbortSignal): Promise<number | undefined> {
    for (let hasAsked = false; ; ) {
      const chunk = this.peek();
      if (chunk === undefined) {
        if (this.hasEnded || (hasAsked && this.isAtEnd)) return undefined;
        await this.#loadMissing(signal);
        hasAsked = true;
        continue;
      }
      this.play(painter);
      if (chunk.kind === "output") return chunk.atMs;
    }
  }

  async #stepBackward(painter: Painter, signal: AbortSignal): Promise<number | undefined> {
    const outputs = await Promise.all(this.#pages.map((pages) => this.#lastOutputs(pages.stream, signal)));
    const target = outputs
      .flat()
      .sort((one, other) => other.seq - one.seq)
      .at(1);
    signal.throwIfAborted();
    if (target === undefined) {
      await this.seek(0, painter, signal);
      return 0;
    }
    if (!this.#hasTerminal) {
      this.leave();
      await this.seek(target.atMs, painter, signal);
      return target.atMs;
    }
    return this.#seekScreen({ chunkIndex: target.chunkIndex }, painter, signal);
  }

  /** The newest outputs that are shown, at least two if there are two. */
  async #lastOutputs(stream: StreamName, signal: AbortSignal): Promise<readonly TerminalChunk[]> {
    const shown = this.#positionMs === undefined ? undefined : this.#shown.get(stream);
    if (shown === undefined && this.#positionMs !== undefined) return [];
    const outputs: TerminalChunk[] = [];
    let beforeChunk = shown === undefined ? END : shown + 1;
    // Markers and sizes may stand between them.
    while (outputs.length < 2 && beforeChunk > 0) {
      const query = { stream, beforeChunk, limit: BACK_CHUNKS };
      const { chunks } = await this.#client.chunks(this.#runId, this.#nodeRef, query, { signal });
      outputs.push(...chunks.filter((chunk) => chunk.kind === "output"));
      beforeChunk = chunks[0]?.chunkIndex ?? 0;
    }
    return outputs;
  }
}

/** Chunks of a look back. */
const BACK_CHUNKS = 16;
/** Above the index of any chunk. */
const END = Number.MAX_SAFE_INTEGER;
