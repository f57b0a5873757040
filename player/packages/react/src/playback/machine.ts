import type { PlaybackPhase, PlaybackState } from "./types.ts";

export const MIN_SPEED = 0.5;
export const MAX_SPEED = 16;

/** What happens to a player. */
export type PlaybackEvent =
  /** A terminal is there; with a place: the recording there, else what is newest. */
  | { type: "open"; atMs?: number }
  /** How long the recording is now, and whether it still grows. */
  | { type: "measured"; durationMs: number; isGrowing: boolean }
  | { type: "play" }
  | { type: "pause" }
  | { type: "toggle" }
  | { type: "seek"; atMs: number }
  | { type: "step"; direction: 1 | -1 }
  | { type: "jumpToLive" }
  | { type: "setSpeed"; speed: number }
  | { type: "setIdleLimit"; idleLimitMs: number | null }
  /** The terminal shows the recording at this place. */
  | { type: "arrived"; atMs: number }
  | { type: "tick"; atMs: number }
  /** The playhead waits for a page, and has it. */
  | { type: "starved" }
  | { type: "fed" }
  /** Everything up to the end has been played. */
  | { type: "reachedEnd" }
  | { type: "failed"; message: string };

/** What the player does about it. */
export type PlaybackEffect =
  | { type: "showLive" }
  | { type: "hideLive" }
  | { type: "seek"; atMs: number }
  /** With a place: the terminal does not stand there yet. */
  | { type: "step"; direction: 1 | -1; fromMs?: number }
  | { type: "startClock" }
  | { type: "stopClock" };

export type Transition = [PlaybackState, PlaybackEffect[]];

export const INITIAL_PLAYBACK: PlaybackState = {
  phase: "idle",
  positionMs: 0,
  durationMs: 0,
  speed: 1,
  idleLimitMs: null,
  isGrowing: false,
  isPlayWanted: false,
  error: undefined,
};

type Rule<T extends PlaybackEvent["type"]> = (
  state: PlaybackState,
  event: Extract<PlaybackEvent, { type: T }>,
) => Transition;
type Rules = { [T in PlaybackEvent["type"]]?: Rule<T> };

/** The phase in which a recording stands still. */
function still(state: PlaybackState): PlaybackPhase {
  return state.isGrowing ? "rewound" : "paused";
}

function stay(state: PlaybackState): Transition {
  return [state, []];
}

function showNewest(state: PlaybackState, ...before: PlaybackEffect[]): Transition {
  const phase = state.isGrowing ? "live" : "ended";
  const next = {
    ...state,
    phase,
    positionMs: state.durationMs,
    isPlayWanted: false,
    error: undefined,
  } as const;
  return [next, [...before, { type: "showLive" }]];
}

function seekTo(state: PlaybackState, atMs: number, isPlayWanted: boolean): Transition {
  const target = Math.min(Math.max(atMs, 0), state.durationMs);
  if (target >= state.durationMs && state.durationMs > 0) return showNewest(state, { type: "stopClock" });
  const next = { ...state, phase: "seeking", positionMs: target, isPlayWanted, error: undefined } as const;
  return [next, [{ type: "stopClock" }, { type: "hideLive" }, { type: "seek", atMs: target }]];
}

function step(state: PlaybackState, direction: 1 | -1): Transition {
  const next = { ...state, phase: "seeking", isPlayWanted: false, error: undefined } as const;
  const isElsewhere = state.phase === "seeking" || state.error !== undefined;
  const effect = { type: "step", direction, ...(isElsewhere && { fromMs: state.positionMs }) } as const;
  return [next, [{ type: "stopClock" }, { type: "hideLive" }, effect]];
}

const measured: Rule<"measured"> = (state, { durationMs, isGrowing }) => {
  const longer = { ...state, durationMs: Math.max(durationMs, state.positionMs), isGrowing };
  // What was opened before anything was known of the node counts as ended until then.
  if (state.phase === "live" || (state.phase === "ended" && isGrowing)) {
    return stay({ ...longer, phase: isGrowing ? "live" : "ended", positionMs: longer.durationMs });
  }
  if (state.phase === "ended") return stay({ ...longer, positionMs: longer.durationMs });
  if (state.phase === "rewound" && !isGrowing) return stay({ ...longer, phase: "paused" });
  if (state.phase === "paused" && isGrowing) return stay({ ...longer, phase: "rewound" });
  return stay(longer);
};

const always: Rules = {
  measured,
  setSpeed: (state, { speed }) => stay({ ...state, speed: Math.min(Math.max(speed, MIN_SPEED), MAX_SPEED) }),
  setIdleLimit: (state, { idleLimitMs }) => stay({ ...state, idleLimitMs }),
};

/** After a failure the terminal does not stand where it should: that place is sought first. */
function playOn(state: PlaybackState): Transition {
  if (state.error !== undefined) return seekTo(state, state.positionMs, true);
  return [{ ...state, phase: "playing", isPlayWanted: true }, [{ type: "startClock" }]];
}

const standing: Rules = {
  play: playOn,
  toggle: playOn,
  seek: (state, { atMs }) => seekTo(state, atMs, false),
  step: (state, { direction }) => step(state, direction),
  jumpToLive: (state) => showNewest(state),
};

const pausePlaying = (state: PlaybackState): Transition => [
  { ...state, phase: still(state), isPlayWanted: false },
  [{ type: "stopClock" }],
];

/** Everything has been played: what still grows is live from here on. */
function reachedEnd(state: PlaybackState): Transition {
  if (state.isGrowing) return showNewest(state, { type: "stopClock" });
  const next = { ...state, phase: "ended", positionMs: state.durationMs, isPlayWanted: false } as const;
  return [next, [{ type: "stopClock" }]];
}

/** Where the terminal is on its way to another place, or waits for a page. */
const underway: Rules = {
  play: (state) => stay({ ...state, isPlayWanted: true }),
  pause: (state) => stay({ ...state, isPlayWanted: false }),
  toggle: (state) => stay({ ...state, isPlayWanted: !state.isPlayWanted }),
  seek: (state, { atMs }) => seekTo(state, atMs, state.isPlayWanted),
  step: (state, { direction }) => step(state, direction),
  jumpToLive: (state) => showNewest(state, { type: "stopClock" }),
  failed: (state, { message }) =>
    stay({ ...state, phase: still(state), isPlayWanted: false, error: message }),
};

/** Rewinding what is live goes on playing from there. */
const live: Rules = {
  pause: (state) => seekToEdge(state),
  toggle: (state) => seekToEdge(state),
  seek: (state, { atMs }) => (atMs >= state.durationMs ? stay(state) : seekTo(state, atMs, true)),
  step: (state, { direction }) => (direction === 1 ? stay(state) : step(state, direction)),
};

/** Stops at what is newest now, while the node goes on. */
function seekToEdge(state: PlaybackState): Transition {
  const next = { ...state, phase: "seeking", isPlayWanted: false } as const;
  return [next, [{ type: "hideLive" }, { type: "seek", atMs: state.durationMs }]];
}

/** What each phase makes of what happens; anything else changes nothing. */
const TABLE: Record<PlaybackPhase, Rules> = {
  idle: {
    open: (state, { atMs }) => {
      if (atMs === undefined) return showNewest(state);
      const next = { ...state, phase: "seeking", positionMs: Math.max(atMs, 0) } as const;
      return [next, [{ type: "seek", atMs: next.positionMs }]];
    },
  },
  live,
  ended: {
    play: (state) => seekTo(state, 0, true),
    toggle: (state) => seekTo(state, 0, true),
    seek: (state, { atMs }) => (atMs >= state.durationMs ? stay(state) : seekTo(state, atMs, false)),
    step: (state, { direction }) => (direction === 1 ? stay(state) : step(state, direction)),
    jumpToLive: (state) => showNewest(state),
  },
  paused: standing,
  rewound: standing,
  playing: {
    pause: pausePlaying,
    toggle: pausePlaying,
    seek: (state, { atMs }) => seekTo(state, atMs, true),
    step: (state, { direction }) => step(state, direction),
    jumpToLive: (state) => showNewest(state, { type: "stopClock" }),
    tick: (state, { atMs }) =>
      stay({ ...state, positionMs: atMs, durationMs: Math.max(state.durationMs, atMs) }),
    starved: (state) => [{ ...state, phase: "loading" }, [{ type: "stopClock" }]],
    reachedEnd,
    failed: (state, { message }) => [
      { ...state, phase: still(state), isPlayWanted: false, error: message },
      [{ type: "stopClock" }],
    ],
  },
  loading: {
    ...underway,
    fed: (state) =>
      state.isPlayWanted
        ? [{ ...state, phase: "playing" }, [{ type: "startClock" }]]
        : stay({ ...state, phase: still(state) }),
    reachedEnd: (state) => (state.isPlayWanted ? reachedEnd(state) : stay({ ...state, phase: still(state) })),
  },
  seeking: {
    ...underway,
    arrived: (state, { atMs }) => {
      const there = { ...state, positionMs: atMs, durationMs: Math.max(state.durationMs, atMs) };
      if (state.isPlayWanted) return [{ ...there, phase: "playing" }, [{ type: "startClock" }]];
      return stay({ ...there, phase: still(state) });
    },
  },
};

/** The player's whole behaviour: what it is next and what is to be done. */
export function transition(state: PlaybackState, event: PlaybackEvent): Transition {
  const rule = (TABLE[state.phase][event.type] ?? always[event.type]) as
    | ((state: PlaybackState, event: PlaybackEvent) => Transition)
    | undefined;
  return rule === undefined ? stay(state) : rule(state, event);
}
