import type { Gap, RunNode, TerminalChunk } from "../api/types.ts";
import type { EventHandlers } from "./sse.ts";
import type { TerminalConsumer } from "./types.ts";

/** Gives the events of the run's stream to those who take part in it. */
export class RunHandlers implements EventHandlers {
  readonly #consumers: readonly TerminalConsumer[];
  readonly #take: (name: string, data: unknown) => void;
  readonly #advance: (seq: number) => void;
  readonly retry: (delayMs: number) => void;
  isDone = false;

  constructor(
    consumers: readonly TerminalConsumer[],
    take: (name: string, data: unknown) => void,
    advance: (seq: number) => void,
    retry: (delayMs: number) => void,
  ) {
    this.#consumers = consumers;
    this.#take = take;
    this.#advance = advance;
    this.retry = retry;
  }

  event(name: string, data: unknown): void {
    if (name === "terminal") {
      const chunk = data as TerminalChunk;
      for (const consumer of this.#consumers) {
        if (consumer.nodeRef === chunk.nodeRef) consumer.accept(chunk);
      }
    } else if (name === "gap") {
      for (const consumer of this.#consumers) consumer.gap(data as Gap);
    } else if (name === "status") {
      const { node } = data as { node?: RunNode };
      for (const consumer of this.#consumers) {
        if (node?.final != null && consumer.nodeRef === node.ref) consumer.finished(node);
      }
    }
    this.#take(name, data);
    if (name === "done") {
      this.advance((data as { finalSeq: number }).finalSeq);
      this.isDone = true;
    }
  }

  advance(seq: number): void {
    for (const consumer of this.#consumers) consumer.advance(seq);
    this.#advance(seq);
  }

  room(): Promise<void> | undefined {
    const waits = this.#consumers.map((consumer) => consumer.room()).filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  isSatisfied(): boolean {
    return this.isDone;
  }
}
