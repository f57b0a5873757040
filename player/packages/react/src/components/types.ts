import type { Terminal as Xterm } from "@xterm/xterm";
import type { ReactNode, Ref } from "react";
import type { RecordingIndex, TelemetryEvent } from "../api/types.ts";
import type { InitialOutput, StreamChoice, TerminalSink, TerminalState } from "../console/types.ts";
import type { PlaybackState, Player, Tick } from "../playback/types.ts";
import type { RunSource } from "../stream/source.ts";
import type { StreamOptions } from "../stream/types.ts";
import type { Theme } from "./useColorScheme.ts";

export interface FindOptions {
  regex?: boolean;
  caseSensitive?: boolean;
}

/** What a page can do with a console. */
export interface RunConsoleHandle {
  seekTo(atMs: number): void;
  jumpToLive(): void;
  play(): void;
  pause(): void;
  toggle(): void;
  setSpeed(speed: number): void;
  stepForward(): void;
  stepBackward(): void;
  /** Searches what the terminal holds and selects it; false if it is not there. */
  find(text: string, options?: FindOptions, direction?: "next" | "previous"): boolean;
  clearFind(): void;
  selection(): string;
  /** False if nothing was selected, or the browser refused. */
  copySelection(): Promise<boolean>;
  /** All that the terminal holds. */
  copyAll(): Promise<boolean>;
  scrollToBottom(): void;
  focus(): void;
  /** Compares every byte of the recording with the hash of its end. */
  verify(): Promise<boolean>;
  /** Undefined with `mode="live"`. */
  getPlayer(): Player | undefined;
  getState(): RunConsoleState;
  /** Calls after every change of `getState()`. */
  subscribe(listener: () => void): () => void;
  /** The terminal itself, for what this package does not do; undefined until it is there. */
  getTerminal(): Xterm | undefined;
}

export interface RunConsoleState {
  nodeRef: string | undefined;
  terminal: TerminalState;
  /** Undefined with `mode="live"`. */
  playback: PlaybackState | undefined;
  /** True while new output scrolls into view. */
  isFollowing: boolean;
}

export interface RunConsoleProps extends StreamOptions {
  runId: string;
  /** The node; else the one that is most worth a look, with a choice in the toolbar. */
  nodeRef?: string;
  /** Which output of a node without a terminal; `all` by default. */
  stream?: StreamChoice;
  /** `auto` (default): live, and the recording when somebody seeks. */
  mode?: "auto" | "live" | "recording";
  /** Opens the recording at this place. */
  startAtMs?: number;
  /** A screen that is painted at once; only what comes after its `seq` is asked for. */
  initialOutput?: InitialOutput;
  theme?: Theme;
  /** Pixels, the largest size; it shrinks to fit the terminal into its place. 13 by default. */
  fontSize?: number;
  /** False stops following new output, true goes back to it; else scrolling up pauses it. */
  follow?: boolean;
  onFollowChange?: (isFollowing: boolean) => void;
  /** Lines of scrollback; 10,000 by default. */
  maxLines?: number;
  /** The timeline with its buttons; true by default. */
  controls?: boolean;
  /** The line above: node, state, copy, download; true by default. */
  toolbar?: boolean;
  /** More buttons at the end of the toolbar. */
  toolbarExtra?: ReactNode;
  /** More ticks on the timeline. */
  ticks?: readonly Tick[];
  onTelemetry?: (event: TelemetryEvent) => void;
  /** After a seek and when playback stops, at most four times a second while it plays. */
  onPosition?: (atMs: number) => void;
  /** A stream that is shared with others on the page; else the console opens its own. */
  source?: RunSource;
  className?: string;
  ref?: Ref<RunConsoleHandle>;
}

export interface TerminalProps {
  /** Gets the terminal once, when it is there; what is given back runs when it goes. Other output: another `key`. */
  onReady: (sink: TerminalSink, terminal: Xterm) => (() => void) | undefined;
  /** The size that the program sees; undefined: as many cells as there is room for, LF begins a line. */
  size?: { cols: number; rows: number } | undefined;
  theme?: Theme;
  /** Pixels, the largest size. 13 by default. */
  fontSize?: number;
  /** Lines of scrollback; 10,000 by default. */
  maxLines?: number;
  /** What screen readers call it. */
  label?: string;
  /** Tells when scrolling leaves the newest line, and when it is back. */
  onFollowChange?: (isFollowing: boolean) => void;
}

export interface TimelineProps {
  playback: PlaybackState;
  index?: RecordingIndex | undefined;
  ticks?: readonly Tick[];
  onSeek: (atMs: number) => void;
  /** What screen readers call it. */
  label?: string;
}
