import type { Gap, RunNode, Snapshot, StreamName, TerminalChunk } from "../api/types.ts";
import { Signal } from "../stream/signal.ts";
import type { StreamError, TerminalConsumer } from "../stream/types.ts";
import { decodeBase64 } from "./base64.ts";
import { Painter } from "./painter.ts";
import { StreamTrack } from "./streamTrack.ts";
import type { InitialOutput, Integrity, StreamChoice, TerminalSink, TerminalState } from "./types.ts";

export const EMPTY_TERMINAL: TerminalState = {
  lines: 0,
  bytes: 0,
  lastSeq: 0,
  lastAtMs: 0,
  cols: undefined,
  rows: undefined,
  isEnded: false,
  exitCode: undefined,
  signal: undefined,
  complete: undefined,
  integrity: "unknown",
  truncated: false,
  gaps: 0,
  isLoading: true,
  error: undefined,
};

/** Carries the output of one node from the run's stream into a terminal, each byte once. */
export class TerminalFeed implements TerminalConsumer {
  readonly nodeRef: string;
  readonly #choice: StreamChoice;
  readonly #changed = new Signal();
  readonly #painter: Painter;
  #tracks = new Map<StreamName, StreamTrack>();
  #cursor: number | undefined;
  #position = 0;
  #state: TerminalState = EMPTY_TERMINAL;
  #isClosed = false;

  constructor(nodeRef: string, sink: TerminalSink, choice: StreamChoice, initial?: InitialOutput) {
    this.nodeRef = nodeRef;
    this.#choice = choice;
    this.#painter = new Painter(sink);
    if (initial !== undefined) {
      this.#painter.screen(initial);
      this.#cursor = initial.seq;
      this.#track("pty").joinAfter(undefined);
      this.#set({ cols: initial.cols, rows: initial.rows, lastSeq: initial.seq, truncated: true });
    }
  }

  get cursor(): number | undefined {
    return this.#cursor;
  }

  get position(): number {
    return this.#position;
  }

  get isEnded(): boolean {
    return this.#state.isEnded;
  }

  getState(): TerminalState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }

  room(): Promise<void> | undefined {
    return this.#painter.backlog.room();
  }

  restart(): void {
    this.#tracks = new Map();
    this.#cursor = undefined;
    this.#position = 0;
    this.#painter.reset();
    const { complete } = this.#state;
    this.#set({ ...EMPTY_TERMINAL, complete });
  }

  snapshot(snapshot: Snapshot): void {
    if (this.#isClosed) return;
    this.#painter.screen(snapshot);
    this.#track(snapshot.stream).joinAfter(snapshot.chunkIndex);
    const { cols, rows, seq, atMs, linesAbove } = snapshot;
    this.#set({ cols, rows, lastSeq: seq, lastAtMs: atMs, lines: linesAbove, truncated: true });
  }

  joinedLate(position: number): void {
    this.#position = position;
    this.#set({ truncated: true });
  }

  accept(chunk: TerminalChunk): void {
    if (this.#isClosed || (this.#cursor !== undefined && chunk.seq <= this.#cursor)) return;
    if (this.#choice !== "all" && chunk.stream !== this.#choice) return;
    const track = this.#track(chunk.stream);
    const arrival = track.arrive(chunk);
    if (arrival === "repeat") return;
    const { gaps } = this.#state;
    this.#set({
      lastSeq: chunk.seq,
      lastAtMs: Math.max(this.#state.lastAtMs, chunk.atMs),
      gaps: arrival === "afterHole" ? gaps + 1 : gaps,
    });
    switch (chunk.kind) {
      case "output":
        this.#output(track, chunk);
        break;
      case "resize":
        this.#painter.chunk(chunk);
        if (chunk.cols != null && chunk.rows != null) this.#set({ cols: chunk.cols, rows: chunk.rows });
        break;
      case "gap":
        this.#set({ gaps: this.#state.gaps + 1 });
        break;
      case "exit":
        this.#exit(track, chunk);
        break;
    }
  }

  gap(gap: Gap): void {
    if (this.#isClosed || (this.#cursor !== undefined && gap.toSeq <= this.#cursor)) return;
    const isOther = gap.stream !== undefined && this.#choice !== "all" && gap.stream !== this.#choice;
    if (isOther || (gap.nodeRef !== undefined && gap.nodeRef !== this.nodeRef)) return;
    for (const [stream, track] of this.#tracks) {
      if (gap.stream === undefined || gap.stream === stream) track.tellHole();
    }
    this.#set({ gaps: this.#state.gaps + 1 });
  }

  advance(seq: number): void {
    if (this.#cursor === undefined || seq > this.#cursor) this.#cursor = seq;
  }

  finished(node: RunNode): void {
    if (this.#isClosed || this.isEnded) return;
    const { exitCode, signal } = node;
    this.#set({ isEnded: true, exitCode: exitCode ?? undefined, signal: signal ?? undefined });
  }

  loaded(): void {
    this.#set({ isLoading: false });
  }

  failed(error: StreamError): void {
    this.#set({ isLoading: false, error });
  }

  /** Takes what the recording's state or a check of the whole recording said. */
  judge(verdict: { complete?: boolean; integrity?: Integrity }): void {
    this.#set(verdict);
  }

  close(): void {
    this.#isClosed = true;
    this.#painter.backlog.close();
  }

  #output(track: StreamTrack, chunk: TerminalChunk): void {
    if (chunk.payload == null) return;
    const bytes = decodeBase64(chunk.payload);
    track.output(bytes);
    this.#position += bytes.length;
    this.#set({ bytes: this.#state.bytes + bytes.length, lines: this.#state.lines + countLineFeeds(bytes) });
    this.#painter.output(chunk.stream, bytes);
  }

  #exit(track: StreamTrack, chunk: TerminalChunk): void {
    track.end(chunk.final);
    // A node without a terminal has two streams, and each has its own end.
    const needed = this.#choice === "all" && chunk.stream !== "pty" ? 2 : 1;
    const tracks = [...this.#tracks.values()];
    this.#set({
      isEnded: tracks.filter((each) => each.isEnded).length >= needed,
      exitCode: chunk.exitCode ?? undefined,
      signal: chunk.signal ?? undefined,
      integrity: combined(tracks.map((each) => each.integrity)),
    });
  }

  #track(stream: StreamName): StreamTrack {
    let track = this.#tracks.get(stream);
    if (track === undefined) {
      track = new StreamTrack();
      if (this.#state.truncated) track.joinAfter(undefined);
      this.#tracks.set(stream, track);
    }
    return track;
  }

  #set(change: Partial<TerminalState>): void {
    this.#state = { ...this.#state, ...change };
    this.#changed.notify();
  }
}

function combined(all: readonly Integrity[]): Integrity {
  if (all.includes("mismatch")) return "mismatch";
  return all.every((each) => each === "verified") ? "verified" : "unknown";
}

function countLineFeeds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}
