import type { Player } from "../playback/types.ts";

/** Speeds that the keys and the menu go through. */
export const SPEEDS = [0.5, 1, 1.5, 2, 4, 8, 16] as const;
const SKIP_MS = 5_000;
const PAGE_PART = 0.1;

/** What the keys do, as the help shows it; those of asciinema-player. */
export const SHORTCUTS: readonly (readonly [keys: string, action: string])[] = [
  ["space", "play or pause"],
  ["← →", "5 seconds back or on"],
  ["shift ← →", "a tenth of the whole back or on"],
  ["0 … 9", "to 0 %, 10 % … 90 %"],
  ["[ ]", "to the marker before or after"],
  [", .", "to the output before or after, paused"],
  ["< >", "slower, faster"],
  ["l", "to the live end"],
  ["page ↑ ↓", "scroll the output"],
  ["f", "full screen"],
  ["?", "this help"],
];

export interface ShortcutTargets {
  player: Player | undefined;
  toggleFullscreen: () => void;
  toggleHelp: () => void;
}

/** Carries out a key; true if it was one of ours. */
export function carryOutShortcut(event: KeyboardEvent, targets: ShortcutTargets): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return false;
  if (event.key === "f") {
    targets.toggleFullscreen();
    return true;
  }
  if (event.key === "?") {
    targets.toggleHelp();
    return true;
  }
  const { player } = targets;
  // A button under the focus keeps the space bar.
  if (player === undefined || (event.key === " " && isButton(event.target))) return false;
  return carryOutPlayback(event, player);
}

function carryOutPlayback(event: KeyboardEvent, player: Player): boolean {
  const { durationMs, speed } = player.getState();
  if (/^[0-9]$/.test(event.key)) {
    player.seekTo((durationMs * Number(event.key)) / 10);
    return true;
  }
  const skipMs = event.shiftKey ? durationMs * PAGE_PART : SKIP_MS;
  const actions = new Map<string, () => void>([
    [" ", () => player.toggle()],
    ["ArrowLeft", () => player.seekBy(-skipMs)],
    ["ArrowRight", () => player.seekBy(skipMs)],
    ["<", () => player.setSpeed(speedBefore(speed))],
    [">", () => player.setSpeed(speedAfter(speed))],
    [".", () => player.stepForward()],
    [",", () => player.stepBackward()],
    ["[", () => player.previousMarker()],
    ["]", () => player.nextMarker()],
    ["l", () => player.jumpToLive()],
  ]);
  const action = actions.get(event.key);
  action?.();
  return action !== undefined;
}

function speedBefore(speed: number): number {
  return SPEEDS.findLast((each) => each < speed) ?? speed;
}

function speedAfter(speed: number): number {
  return SPEEDS.find((each) => each > speed) ?? speed;
}

/** The terminal's own text field takes no text. */
function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement) || target.classList.contains("xterm-helper-textarea")) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

function isButton(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("button, a, summary") !== null;
}
