/** Tells listeners that something changed, at most once a frame. */
export class Signal {
  readonly #listeners = new Set<() => void>();
  #cancel: (() => void) | undefined;

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** With the next frame. */
  notify(): void {
    if (this.#cancel !== undefined || this.#listeners.size === 0) return;
    this.#cancel = nextFrame(() => this.notifyNow());
  }

  notifyNow(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Longest wait for a frame: a page that is not painted has none. */
const FRAME_TIMEOUT_MS = 250;

/** Calls once, with the next frame; gives back how to cancel it. */
export function nextFrame(callback: () => void): () => void {
  let frame: number | undefined;
  const cancel = () => {
    clearTimeout(timer);
    if (frame !== undefined) cancelAnimationFrame(frame);
  };
  const run = () => {
    cancel();
    callback();
  };
  const hasFrames = typeof requestAnimationFrame === "function";
  const timer = setTimeout(run, hasFrames ? FRAME_TIMEOUT_MS : 16);
  if (hasFrames) frame = requestAnimationFrame(run);
  return cancel;
}
