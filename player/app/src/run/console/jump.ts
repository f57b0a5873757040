import type { RunConsoleHandle } from "@runcast/react";

/** How long a seek may take before the hit is no longer looked for. */
const PATIENCE_MS = 5_000;
/** So little that nothing but the hit's own output is missing. */
const JUST_BEFORE_MS = 0.01;

/** A line that was found. */
export interface Hit {
  readonly text: string;
  readonly atMs: number;
}

/**
 * Leads a console to a hit and marks it there. A seek shows a screen alone, and one output may hold many
 * screens: so it goes to just before the hit's output, writes that on top, and looks for the line in it.
 * Gives back how to stop.
 */
export function jumpTo(handle: RunConsoleHandle, hit: Hit, query: string, isRegex: boolean): () => void {
  const player = handle.getPlayer();
  if (player === undefined) return () => {};
  let hasStepped = false;
  let isStopped = false;
  let unsubscribe = () => {};
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
    unsubscribe();
  };
  const timer = setTimeout(stop, PATIENCE_MS);
  const look = () => {
    // What the console tells is as of its last rendering, which may be before the seek.
    const { phase } = player.getState();
    if (phase === "seeking" || phase === "loading") return;
    if (!hasStepped) {
      hasStepped = true;
      player.stepForward();
      return;
    }
    unsubscribe();
    // Behind what the terminal was given and has not taken yet.
    handle.getTerminal()?.write("", mark);
  };
  const mark = () => {
    if (isStopped) return;
    stop();
    handle.clearFind();
    // The newest line that matches is the one that has just been written.
    const isFound = handle.find(hit.text.trim(), { caseSensitive: true }, "previous");
    if (!isFound) handle.find(query, { regex: isRegex, caseSensitive: true }, "previous");
  };
  player.seekTo(Math.max(0, hit.atMs - JUST_BEFORE_MS));
  unsubscribe = player.subscribe(look);
  look();
  return stop;
}
