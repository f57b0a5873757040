import type { RuncastClient } from "../api/client.ts";
import type { StreamName } from "../api/types.ts";
import { Painter } from "../console/painter.ts";
import type { TerminalSink } from "../console/types.ts";
import { nextFrame, Signal } from "../stream/signal.ts";
import { INITIAL_PLAYBACK, type PlaybackEffect, type PlaybackEvent, transition } from "./machine.ts";
import { RecordingDriver } from "./recordingDriver.ts";
import type { PlaybackState, Player } from "./types.ts";

/** Shows what a node writes now, or the end of what it wrote; gives back how to stop. */
export type LiveDriver = (sink: TerminalSink) => () => void;

export interface PlayerOptions {
  client: RuncastClient;
  runId: string;
  nodeRef: string;
  /** Without it there is only the recording. */
  live?: LiveDriver;
  /** Opens the recording at this place. */
  startAtMs?: number;
}

/** A marker this close behind the playhead is the one at the playhead. */
const MARKER_SLACK_MS = 1_000;

/** Carries out what the machine decides: the clock, the recording, and the way back to what is live. */
export class RecordingPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #changed = new Signal();
  #state: PlaybackState = INITIAL_PLAYBACK;
  #driver: RecordingDriver | undefined;
  #markersMs: readonly number[] = [];
  #sink: TerminalSink | undefined;
  #painter: Painter | undefined;
  #stopLive: (() => void) | undefined;
  #seeking = new AbortController();
  #pageLoads = new AbortController();
  #cancelFrame: (() => void) | undefined;
  #frameAtMs = 0;
  /** Place of the newest output shown, for the idle limit. */
  #shownAtMs = 0;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  getState(): PlaybackState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }

  attach(sink: TerminalSink): () => void {
    this.#sink = sink;
    this.#openIfReady();
    return () => {
      if (this.#sink !== sink) return;
      this.#stop();
      this.#sink = undefined;
      this.#state = {
        ...INITIAL_PLAYBACK,
        durationMs: this.#state.durationMs,
        isGrowing: this.#state.isGrowing,
      };
    };
  }

  /** Which streams the recording has; playing waits for it. */
  setStreams(streams: readonly StreamName[]): void {
    const { client, runId, nodeRef } = this.#options;
    this.#driver ??= streams.length === 0 ? undefined : new RecordingDriver(client, runId, nodeRef, streams);
    this.#openIfReady();
  }

  /** How long the recording is now, and whether it grows. */
  measure(durationMs: number, isGrowing: boolean): void {
    if (durationMs === this.#state.durationMs && isGrowing === this.#state.isGrowing) return;
    this.#dispatch({ type: "measured", durationMs, isGrowing });
  }

  setMarkers(markersMs: readonly number[]): void {
    this.#markersMs = [...markersMs].sort((one, other) => one - other);
  }

  play(): void {
    this.#dispatch({ type: "play" });
  }
  pause(): void {
    this.#dispatch({ type: "pause" });
  }
  toggle(): void {
    this.#dispatch({ type: "toggle" });
  }
  seekTo(atMs: number): void {
    this.#dispatch({ type: "seek", atMs });
  }
  seekBy(deltaMs: number): void {
    this.seekTo(this.#state.positionMs + deltaMs);
  }
  setSpeed(speed: number): void {
    this.#dispatch({ type: "setSpeed", speed });
  }
  setIdleLimit(idleLimitMs: number | null): void {
    this.#dispatch({ type: "setIdleLimit", idleLimitMs });
  }
  stepForward(): void {
    this.#dispatch({ type: "step", direction: 1 });
  }
  stepBackward(): void {
    this.#dispatch({ type: "step", direction: -1 });
  }
  nextMarker(): void {
    const next = this.#markersMs.find((atMs) => atMs > this.#state.positionMs);
    if (next !== undefined) this.seekTo(next);
  }
  previousMarker(): void {
    const before = this.#markersMs.filter((atMs) => atMs < this.#state.positionMs - MARKER_SLACK_MS);
    this.seekTo(before.at(-1) ?? 0);
  }
  jumpToLive(): void {
    this.#dispatch({ type: "jumpToLive" });
  }

  #openIfReady(): void {
    const { live, startAtMs } = this.#options;
    if (this.#sink === undefined || this.#state.phase !== "idle") return;
    const atMs = startAtMs ?? (live === undefined ? 0 : undefined);
    if (atMs !== undefined && this.#driver === undefined) return;
    this.#dispatch(atMs === undefined ? { type: "open" } : { type: "open", atMs });
  }

  #dispatch(event: PlaybackEvent): void {
    // Before the node has started there is nothing to go back to.
    const needsRecording = event.type === "seek" || event.type === "step" || event.type === "pause";
    if (needsRecording && this.#driver === undefined) return;
    const [state, effects] = transition(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
    if (event.type === "tick") this.#changed.notify();
    else this.#changed.notifyNow();
  }

  #carryOut(effect: PlaybackEffect): void {
    switch (effect.type) {
      case "showLive":
        this.#showLive();
        break;
      case "hideLive":
        this.#hideLive();
        break;
      case "seek":
        this.#go(async (driver, painter, signal) => {
          await driver.seek(effect.atMs, painter, signal);
          return effect.atMs;
        });
        break;
      case "step":
        this.#go(async (driver, painter, signal) => {
          if (effect.fromMs !== undefined) await driver.seek(effect.fromMs, painter, signal);
          return driver.step(effect.direction, painter, signal);
        });
        break;
      case "startClock":
        this.#frameAtMs = performance.now();
        this.#cancelFrame ??= nextFrame(() => this.#frame());
        break;
      case "stopClock":
        this.#cancelFrame?.();
        this.#cancelFrame = undefined;
        break;
    }
  }

  #showLive(): void {
    this.#seeking.abort();
    this.#pageLoads.abort();
    this.#driver?.leave();
    this.#hideLive();
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#painter?.backlog.close();
    this.#painter = undefined;
    const { live } = this.#options;
    if (live === undefined) {
      const { durationMs } = this.#state;
      this.#go(async (driver, painter, signal) => {
        await driver.seek(durationMs, painter, signal);
        return durationMs;
      });
      return;
    }
    sink.reset();
    this.#stopLive = live(sink);
  }

  #hideLive(): void {
    this.#stopLive?.();
    this.#stopLive = undefined;
  }

  /** Brings the terminal to another place; a newer wish ends an older one. */
  #go(
    move: (driver: RecordingDriver, painter: Painter, signal: AbortSignal) => Promise<number | undefined>,
  ): void {
    this.#seeking.abort();
    this.#pageLoads.abort();
    this.#seeking = new AbortController();
    this.#pageLoads = new AbortController();
    const { signal } = this.#seeking;
    const driver = this.#driver;
    const sink = this.#sink;
    if (driver === undefined || sink === undefined) return;
    this.#painter ??= new Painter(sink);
    move(driver, this.#painter, signal).then(
      (atMs) => {
        if (signal.aborted) return;
        const at = atMs ?? this.#state.positionMs;
        this.#shownAtMs = at;
        this.#dispatch({ type: "arrived", atMs: at });
        this.#prefetch();
      },
      (error: unknown) => {
        if (!signal.aborted) this.#dispatch({ type: "failed", message: messageOf(error) });
      },
    );
  }

  #frame(): void {
    this.#cancelFrame = undefined;
    const now = performance.now();
    const elapsedMs = now - this.#frameAtMs;
    this.#frameAtMs = now;
    const driver = this.#driver;
    const painter = this.#painter;
    if (this.#state.phase !== "playing" || driver === undefined || painter === undefined) return;
    // The clock stands while the terminal has not taken what it was given.
    if (painter.backlog.room() === undefined) this.#playUpTo(driver, painter, elapsedMs * this.#state.speed);
    if (this.#state.phase === "playing") this.#cancelFrame ??= nextFrame(() => this.#frame());
  }

  #playUpTo(driver: RecordingDriver, painter: Painter, elapsedMs: number): void {
    let atMs = this.#state.positionMs + elapsedMs;
    for (let chunk = driver.peek(); chunk !== undefined; chunk = driver.peek()) {
      if (chunk.atMs > atMs) {
        if (this.#isIdleOver(chunk.atMs, atMs)) atMs = chunk.atMs;
        else break;
      }
      driver.play(painter);
      this.#shownAtMs = chunk.atMs;
      if (painter.backlog.room() !== undefined) {
        atMs = chunk.atMs;
        break;
      }
    }
    if (driver.hasEnded) {
      this.#dispatch({ type: "reachedEnd" });
      return;
    }
    if (driver.peek() === undefined) {
      this.#dispatch({ type: "starved" });
      this.#feed(driver);
      return;
    }
    this.#dispatch({ type: "tick", atMs });
    this.#prefetch();
  }

  #isIdleOver(nextAtMs: number, atMs: number): boolean {
    const { idleLimitMs } = this.#state;
    return idleLimitMs !== null && nextAtMs - atMs > 0 && atMs - this.#shownAtMs >= idleLimitMs;
  }

  #prefetch(): void {
    // What fails here is asked for again when it is needed.
    if (this.#driver?.isRunningLow === true)
      this.#driver.loadMore(this.#pageLoads.signal).catch(() => undefined);
  }

  #feed(driver: RecordingDriver): void {
    const { signal } = this.#pageLoads;
    driver.loadMore(signal).then(
      () => {
        if (!signal.aborted) this.#dispatch({ type: driver.isAtEnd ? "reachedEnd" : "fed" });
      },
      (error: unknown) => {
        if (!signal.aborted) this.#dispatch({ type: "failed", message: messageOf(error) });
      },
    );
  }

  #stop(): void {
    this.#hideLive();
    this.#cancelFrame?.();
    this.#cancelFrame = undefined;
    this.#seeking.abort();
    this.#pageLoads.abort();
    this.#painter?.backlog.close();
    this.#painter = undefined;
    this.#driver?.leave();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
