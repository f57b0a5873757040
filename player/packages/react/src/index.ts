/**
 * `@runcast/react`: the console of a Runcast run, live and as a recording.
 *
 * Workspaces resolve this file through the condition "runcast-source" (TypeScript: tsconfig.base.json; Vite and Vitest:
 * `resolve.conditions: ["runcast-source", ...defaultClientConditions]`). Styles: `@runcast/react/styles.css`.
 */
import type { ComponentType, ReactNode, Ref } from "react";
import type { Terminal as Xterm } from "@xterm/xterm";
import type { RuncastClient } from "./api/client.ts";
import type { Gap, RecordingIndex, Run, RunNode, RunStatus, StreamName, TelemetryEvent, TraceEvent } from "./api/types.ts";
import type { InitialOutput, StreamChoice, TerminalSink, TerminalState } from "./console/types.ts";
import type { PlaybackState, Player, Recording, Tick } from "./playback/types.ts";
import type { Connection, RunDone, RunState, StreamError, StreamOptions, TerminalConsumer } from "./stream/types.ts";

export { type ClientOptions, type RequestOptions, RuncastClient } from "./api/client.ts";
export { ApiError } from "./api/error.ts";
export type * from "./api/types.ts";
export type * from "./console/types.ts";
export type * from "./playback/types.ts";
export type * from "./stream/types.ts";

/** One HTTP stream of a run, shared by all that show something of it on a page. */
export declare class RunSource {
  readonly runId: string;
  readonly client: RuncastClient;
  constructor(runId: string, options?: StreamOptions);
  /** Opens the stream, until as many `release` have come. */
  retain(): void;
  release(): void;
  getState(): RunState;
  subscribe(listener: () => void): () => void;
  /** How the run ended, once everything has been sent. */
  readonly done: RunDone | undefined;
  /** Tells each trace event that comes from now on. */
  onTrace(listener: (event: TraceEvent) => void): () => void;
  /** The newest trace events seen on this stream, at most 2,000; older ones are in `client.trace`. */
  trace(): readonly TraceEvent[];
  /** Tries at once, also after `failed` and `disconnect`. */
  reconnect(): void;
  disconnect(): void;
  attach(consumer: TerminalConsumer): () => void;
}

export interface RunStream {
  run: Run | undefined;
  status: RunStatus | undefined;
  connection: Connection;
  transport: "stream" | "poll";
  isConnected: boolean;
  isDone: boolean;
  error: StreamError | undefined;
  /** While reconnecting: when the next attempt is made, in milliseconds since 1970. */
  retryAtMs: number | undefined;
  gaps: readonly Gap[];
  metadata: Record<string, unknown>;
  reconnect: () => void;
  disconnect: () => void;
  source: RunSource;
}

/** Follows a run. Give `source` to the consoles of the page: they share its one stream. */
export declare function useRunStream(runId: string, options?: StreamOptions): RunStream;

export interface TerminalStreamOptions {
  stream?: StreamChoice;
  initialOutput?: InitialOutput;
  /** Lines of scrollback; 10,000 by default. */
  maxLines?: number;
}

export interface TerminalStream extends TerminalState {
  /** Starts to write the node's output; gives back how to stop. */
  attach: (sink: TerminalSink) => () => void;
  /** Compares every byte of the recording with the hash of its end. */
  verify: (signal?: AbortSignal) => Promise<boolean>;
}

export declare function useTerminalStream(
  source: RunSource,
  nodeRef: string,
  options?: TerminalStreamOptions,
): TerminalStream;

export declare function useRecording(
  source: RunSource,
  nodeRef: string,
  options?: { stream?: StreamChoice; startAtMs?: number },
): Recording;

export type Theme = "dark" | "light" | "auto";

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
  initialOutput?: InitialOutput;
  theme?: Theme;
  /** Pixels, the largest size; it shrinks to fit the terminal into its place. 13 by default. */
  fontSize?: number;
  /** Controlled following of new output; else scrolling up pauses it. */
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

/** The complete console of a node: terminal, state, timeline. Works alone or on a shared `source`. */
export declare const RunConsole: ComponentType<RunConsoleProps>;

export interface TerminalProps {
  /** Gets the terminal when it is there; what is given back runs when it goes. */
  onReady: (sink: TerminalSink, terminal: Xterm) => (() => void) | undefined;
  /** Exact size of a recorded terminal; undefined: as wide as its place. */
  cols?: number;
  rows?: number;
  theme?: Theme;
  fontSize?: number;
  maxLines?: number;
  label?: string;
  onFollowChange?: (isFollowing: boolean) => void;
}

/** A terminal that only shows. */
export declare const Terminal: ComponentType<TerminalProps>;

export interface TimelineProps {
  playback: PlaybackState;
  index?: RecordingIndex;
  ticks?: readonly Tick[];
  onSeek: (atMs: number) => void;
  label?: string;
}

/** Activity, ticks and playhead of a recording; a slider for mouse, touch, keyboard and screen readers. */
export declare const Timeline: ComponentType<TimelineProps>;

/** The node most worth a look: the first that failed, else the newest that runs, else the last that ran. */
export declare function nodeOfInterest(nodes: readonly RunNode[]): RunNode | undefined;

/** `1:02:03`, `2:03.4`. */
export declare function formatTime(atMs: number): string;

export type { StreamName };
