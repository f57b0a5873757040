import { Signal } from "../stream/signal.ts";
import type { RunSource } from "../stream/source.ts";
import { recordingVerdict, verifyRecording } from "./completion.ts";
import { EMPTY_TERMINAL, TerminalFeed } from "./feed.ts";
import type { InitialOutput, StreamChoice, TerminalSink, TerminalState } from "./types.ts";

/** Binds a terminal to the output of a node, as often as it comes back to it. */
export class TerminalLink {
  readonly #source: RunSource;
  readonly #nodeRef: string;
  readonly #choice: StreamChoice;
  readonly #changed = new Signal();
  #initial: InitialOutput | undefined;
  #feed: TerminalFeed | undefined;
  #state: TerminalState = EMPTY_TERMINAL;

  constructor(source: RunSource, nodeRef: string, choice: StreamChoice, initial?: InitialOutput) {
    this.#source = source;
    this.#nodeRef = nodeRef;
    this.#choice = choice;
    this.#initial = initial;
    if (initial !== undefined) this.#state = { ...EMPTY_TERMINAL, cols: initial.cols, rows: initial.rows };
  }

  /** What is known of the output; stays as it was while no terminal is bound. */
  getState(): TerminalState {
    return this.#feed?.getState() ?? this.#state;
  }

  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }

  attach(sink: TerminalSink): () => void {
    const feed = new TerminalFeed(this.#nodeRef, sink, this.#choice, this.#initial);
    this.#initial = undefined;
    this.#feed = feed;
    const ended = new AbortController();
    const unsubscribe = feed.subscribe(() => {
      if (feed.isEnded && !ended.signal.aborted && !this.#isWatched)
        this.#watchCompletion(feed, ended.signal);
      this.#changed.notifyNow();
    });
    const detach = this.#source.attach(feed);
    this.#changed.notify();
    return () => {
      detach();
      unsubscribe();
      ended.abort();
      feed.close();
      if (this.#feed !== feed) return;
      this.#state = feed.getState();
      this.#feed = undefined;
      this.#isWatched = false;
    };
  }

  async verify(signal?: AbortSignal): Promise<boolean> {
    const { client, runId } = this.#source;
    const run = await client.run(runId, signal === undefined ? {} : { signal });
    const node = run.nodes?.find((each) => each.ref === this.#nodeRef);
    if (node === undefined) throw new Error(`the run has no node \`${this.#nodeRef}\``);
    const isEqual = await verifyRecording(client, runId, node, this.#choice, signal);
    this.#feed?.judge({ integrity: isEqual ? "verified" : "mismatch" });
    return isEqual;
  }

  #isWatched = false;

  #watchCompletion(feed: TerminalFeed, signal: AbortSignal): void {
    this.#isWatched = true;
    const { client, runId } = this.#source;
    void recordingVerdict(client, runId, this.#nodeRef, this.#choice, signal).then((complete) => {
      if (complete !== undefined && !signal.aborted) feed.judge({ complete });
    });
  }
}
