import { SearchAddon } from "@xterm/addon-search";
import type { Terminal as Xterm } from "@xterm/xterm";
import { EMPTY_TERMINAL } from "../console/feed.ts";
import type { Player } from "../playback/types.ts";
import { Signal } from "../stream/signal.ts";
import { copyText } from "./clipboard.ts";
import type { FindOptions, RunConsoleHandle, RunConsoleState } from "./types.ts";
import { textOf } from "./viewer.ts";

/** Matches that are marked beside the one that is selected. */
const MAX_MARKED_MATCHES = 1_000;

/** A console for the page around it. */
export class ConsoleController implements RunConsoleHandle {
  readonly #player: Player | undefined;
  readonly #verify: () => Promise<boolean>;
  readonly #changed = new Signal();
  #state: RunConsoleState;
  #told: RunConsoleState | undefined;
  #terminal: Xterm | undefined;
  #search: SearchAddon | undefined;
  /** Waits for what can be held still. */
  #holding: { dispose(): void } | undefined;

  constructor(nodeRef: string, player: Player | undefined, verify: () => Promise<boolean>) {
    this.#player = player;
    this.#verify = verify;
    this.#state = { nodeRef, terminal: EMPTY_TERMINAL, playback: player?.getState(), isFollowing: true };
    // The page takes methods apart from their object.
    for (const name of Object.getOwnPropertyNames(ConsoleController.prototype)) {
      const method = (this as unknown as Record<string, unknown>)[name];
      if (name !== "constructor" && typeof method === "function") {
        Object.defineProperty(this, name, { value: method.bind(this) });
      }
    }
  }

  /** Takes the terminal; gives back how to let it go. */
  open(terminal: Xterm): () => void {
    this.#terminal = terminal;
    this.#search = new SearchAddon({ highlightLimit: MAX_MARKED_MATCHES });
    terminal.loadAddon(this.#search);
    return () => {
      this.#terminal = undefined;
      this.#search = undefined;
    };
  }

  /** Takes what there is to tell; `notify` tells it. */
  report(state: Omit<RunConsoleState, "nodeRef">): void {
    const { terminal, playback, isFollowing } = state;
    const isSame = playback === this.#state.playback && isFollowing === this.#state.isFollowing;
    if (
      isSame &&
      terminal.lastSeq === this.#state.terminal.lastSeq &&
      hasSameEnd(terminal, this.#state.terminal)
    )
      return;
    this.#state = { nodeRef: this.#state.nodeRef, terminal, playback, isFollowing };
  }

  notify(): void {
    if (this.#told === this.#state) return;
    this.#told = this.#state;
    this.#changed.notifyNow();
  }

  /** Stops following without moving; a terminal with nothing above its screen does so once there is. */
  holdStill(): void {
    const terminal = this.#terminal;
    if (terminal === undefined) return;
    const hold = () => {
      const { active } = terminal.buffer;
      if (active.viewportY < active.baseY) this.#holding?.dispose();
      else terminal.scrollLines(-1);
    };
    this.#holding?.dispose();
    this.#holding = terminal.onScroll(hold);
    hold();
  }

  seekTo(atMs: number): void {
    this.#player?.seekTo(atMs);
  }
  jumpToLive(): void {
    this.#player?.jumpToLive();
  }
  play(): void {
    this.#player?.play();
  }
  pause(): void {
    this.#player?.pause();
  }
  toggle(): void {
    this.#player?.toggle();
  }
  setSpeed(speed: number): void {
    this.#player?.setSpeed(speed);
  }
  stepForward(): void {
    this.#player?.stepForward();
  }
  stepBackward(): void {
    this.#player?.stepBackward();
  }

  find(text: string, options: FindOptions = {}, direction: "next" | "previous" = "next"): boolean {
    if (text === "" || this.#search === undefined) return false;
    const wanted = {
      regex: options.regex === true,
      caseSensitive: options.caseSensitive === true,
      decorations: MATCH_COLOURS,
    };
    try {
      return direction === "next"
        ? this.#search.findNext(text, wanted)
        : this.#search.findPrevious(text, wanted);
    } catch (error) {
      // A regular expression that is none finds nothing.
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }
  clearFind(): void {
    this.#search?.clearDecorations();
    this.#terminal?.clearSelection();
  }

  selection(): string {
    return this.#terminal?.getSelection() ?? "";
  }
  copySelection(): Promise<boolean> {
    return copyText(this.selection());
  }
  copyAll(): Promise<boolean> {
    return copyText(this.#terminal === undefined ? "" : textOf(this.#terminal));
  }
  scrollToBottom(): void {
    this.#holding?.dispose();
    this.#terminal?.scrollToBottom();
  }
  focus(): void {
    this.#terminal?.focus();
  }
  verify(): Promise<boolean> {
    return this.#verify();
  }

  getPlayer(): Player | undefined {
    return this.#player;
  }
  getState(): RunConsoleState {
    return this.#state;
  }
  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }
  getTerminal(): Xterm | undefined {
    return this.#terminal;
  }
}

const MATCH_COLOURS = {
  matchBackground: "#5c4a12",
  matchOverviewRuler: "#e8c15a",
  activeMatchBackground: "#c48a00",
  activeMatchColorOverviewRuler: "#ffd76a",
};

function hasSameEnd(one: RunConsoleState["terminal"], other: RunConsoleState["terminal"]): boolean {
  return (
    one.complete === other.complete &&
    one.integrity === other.integrity &&
    one.isLoading === other.isLoading &&
    one.isEnded === other.isEnded &&
    one.error === other.error &&
    one.gaps === other.gaps
  );
}
