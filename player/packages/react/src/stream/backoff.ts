/** The longest wait between two attempts. */
export const MAX_DELAY_MS = 30_000;

/** Waits between attempts: doubled after each, up to 30 s, and spread so that viewers do not come back at once. */
export class Backoff {
  #baseMs: number;
  #attempts = 0;

  constructor(baseMs: number) {
    this.#baseMs = baseMs;
  }

  /** The service's `retry:` takes the place of the first wait. */
  setBase(baseMs: number): void {
    this.#baseMs = Math.min(Math.max(baseMs, 0), MAX_DELAY_MS);
  }

  /** An event came: the next wait is the first again. */
  reset(): void {
    this.#attempts = 0;
  }

  /** Milliseconds until the next attempt: half of the wait to all of it, at least `atLeastMs`. */
  next(atLeastMs = 0): number {
    const wait = Math.min(this.#baseMs * 2 ** this.#attempts, MAX_DELAY_MS);
    this.#attempts += 1;
    return Math.max(atLeastMs, wait * (0.5 + Math.random() / 2));
  }
}

/** Resolves after `delayMs`, or at once when the signal is aborted. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done);
  });
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
