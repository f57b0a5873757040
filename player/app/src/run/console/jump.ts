import type { RunConsoleHandle } from "@runcast/react";

/** How long a seek may take before the hit is no longer looked for. */
const PATIENCE_MS = 5_000;

/**
 * Leads a console to a moment and marks there what was found, as soon as the moment is painted.
 * Gives back how to stop.
 */
export function jumpTo(handle: RunConsoleHandle, atMs: number, text: string, isRegex: boolean): () => void {
  let unsubscribe = () => {};
  const stop = () => {
    clearTimeout(timer);
    unsubscribe();
  };
  const timer = setTimeout(stop, PATIENCE_MS);
  const look = () => {
    const phase = handle.getState().playback?.phase;
    if (phase === "seeking" || phase === "loading") return;
    stop();
    handle.clearFind();
    // The newest line that matches is the one that has just been written.
    handle.find(text, { regex: isRegex, caseSensitive: true }, "previous");
  };
  handle.seekTo(atMs);
  unsubscribe = handle.subscribe(look);
  look();
  return stop;
}
