import type { TerminalSink } from "../console/types.ts";

/**
 * `live`: what the node writes is shown as it comes, or all of it if it has ended. Any other phase shows the
 * recording at `positionMs`; `rewound` is paused in the past of a node that still writes.
 */
export type PlaybackPhase =
  | "idle"
  | "loading"
  | "playing"
  | "paused"
  | "seeking"
  | "ended"
  | "live"
  | "rewound";

export interface PlaybackState {
  readonly phase: PlaybackPhase;
  readonly positionMs: number;
  /** The end so far. */
  readonly durationMs: number;
  /** 0.5 to 16. */
  readonly speed: number;
  /** Pauses of the output are cut to this; null: they are played as they were. */
  readonly idleLimitMs: number | null;
  /** True while the node may still write. */
  readonly isGrowing: boolean;
  /** What comes after `seeking` or `loading`. */
  readonly isPlayWanted: boolean;
  readonly error: string | undefined;
}

export type TickKind = "marker" | "start" | "failure" | "end" | "gap";

/** A place on the timeline that is worth a look. */
export interface Tick {
  atMs: number;
  kind: TickKind;
  label: string;
}

/** Plays the recording of one node into a terminal; loads only what is around the playhead. */
export interface Player {
  getState(): PlaybackState;
  /** Calls after every change, ticks of the clock included (at most once a frame). */
  subscribe(listener: () => void): () => void;
  /** Where it paints; gives back how to stop. */
  attach(sink: TerminalSink): () => void;
  play(): void;
  pause(): void;
  toggle(): void;
  /** To a place on the time axis, in milliseconds. */
  seekTo(atMs: number): void;
  /** By milliseconds, negative: back. */
  seekBy(deltaMs: number): void;
  /** Factor 0.5 to 16. */
  setSpeed(speed: number): void;
  setIdleLimit(idleLimitMs: number | null): void;
  /** To the next output, paused. */
  stepForward(): void;
  /** To the output before, paused. */
  stepBackward(): void;
  /** To the marker after or before the playhead. */
  nextMarker(): void;
  previousMarker(): void;
  /** To what the node writes now, or to the end of what it wrote. */
  jumpToLive(): void;
}
