import { aborted } from "./backoff.ts";
import { type JoinContext, join } from "./join.ts";
import { asStreamError } from "./streamErrors.ts";
import type { TerminalConsumer } from "./types.ts";
import { isFarBehind } from "./visibility.ts";

/** The consoles of a run: those that are brought to the present, and those that take part in its stream. */
export class Participants {
  readonly #context: JoinContext;
  readonly #runKnown: Promise<void>;
  readonly #onChange: () => void;
  readonly #joining = new Map<TerminalConsumer, AbortController>();
  readonly #joined = new Set<TerminalConsumer>();
  readonly #failed = new Set<TerminalConsumer>();

  /** `onChange`: the stream has to be opened for others than before. */
  constructor(context: JoinContext, runKnown: Promise<void>, onChange: () => void) {
    this.#context = context;
    this.#runKnown = runKnown;
    this.#onChange = onChange;
  }

  /** Those for whom the stream is opened. */
  get waiting(): readonly TerminalConsumer[] {
    return [...this.#joined].filter((consumer) => !consumer.isEnded);
  }

  add(consumer: TerminalConsumer): void {
    const controller = new AbortController();
    this.#joining.set(consumer, controller);
    this.#join(consumer, controller.signal).catch((error: unknown) => {
      if (controller.signal.aborted) return;
      this.#joining.delete(consumer);
      this.#failed.add(consumer);
      consumer.failed(asStreamError(error));
    });
  }

  /** Who could not be brought to the present begins anew. */
  retryFailed(): void {
    for (const consumer of this.#failed) {
      this.#failed.delete(consumer);
      consumer.restart();
      this.add(consumer);
    }
  }

  remove(consumer: TerminalConsumer): void {
    this.#joining.get(consumer)?.abort();
    this.#joining.delete(consumer);
    this.#failed.delete(consumer);
    if (this.#joined.delete(consumer) && !consumer.isEnded) this.#onChange();
  }

  /** The run's stream has ended: who was not on it yet gets the rest by a request of its own. */
  finish(): void {
    for (const consumer of this.waiting) {
      if ((consumer.cursor ?? 0) >= this.#context.position()) continue;
      this.#joined.delete(consumer);
      this.add(consumer);
    }
  }

  /** After a long absence: who is too far behind begins anew. */
  async restartFarBehind(signal: AbortSignal): Promise<void> {
    const look = async (consumer: TerminalConsumer) => {
      if (!(await isFarBehind(this.#context, consumer, signal)) || !this.#joined.delete(consumer)) return;
      consumer.restart();
      this.add(consumer);
    };
    await Promise.all(this.waiting.map(look));
  }

  async #join(consumer: TerminalConsumer, signal: AbortSignal): Promise<void> {
    await Promise.race([this.#runKnown, aborted(signal)]);
    do {
      await join(this.#context, consumer, signal);
      if (signal.aborted) return;
      // The stream may have ended meanwhile, and nobody else brings what came last.
    } while (
      this.#context.hasEnded() &&
      !consumer.isEnded &&
      (consumer.cursor ?? 0) < this.#context.position()
    );
    this.#joining.delete(consumer);
    this.#joined.add(consumer);
    if (!consumer.isEnded) this.#onChange();
  }
}
