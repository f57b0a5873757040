import type { RuncastClient } from "../api/client.ts";
import { ApiError } from "../api/error.ts";
import type { TerminalSession } from "../api/types.ts";
import { decodeBase64 } from "../console/base64.ts";
import type { TerminalSink } from "../console/types.ts";
import { aborted, Backoff, pause } from "../stream/backoff.ts";
import { Signal } from "../stream/signal.ts";
import type { SessionOptions, SessionState, SessionStatus } from "./types.ts";

/** Output that the terminal has not painted yet at which the connection is left: a socket cannot be paused. */
export const MAX_UNPAINTED_BYTES = 8 * 1024 * 1024;
/** Output at which it is attached again. */
const LOW_UNPAINTED_BYTES = 256 * 1024;
/** Typed bytes that are kept while it is away. */
const MAX_KEPT_BYTES = 4096;
/** Typed bytes of one message: below what the service takes. */
const MAX_TYPED_BYTES = 32 * 1024;
const FIRST_WAIT_MS = 500;
const OFFSET_BYTES = 8;

type Message =
  | { type: "ready"; session: TerminalSession; offset: number }
  | { type: "resize"; offset: number; cols: number; rows: number }
  | { type: "snapshot"; offset: number; cols: number; rows: number; payload: string }
  | { type: "truncated"; fromOffset: number }
  | { type: "state"; session: TerminalSession }
  | { type: "exit"; session: TerminalSession }
  | { type: "error"; code: string; message: string }
  | { type: "pong" };

/**
 * A client of an interactive terminal: paints what the service sends, in order and each byte once, and types. It
 * comes back by itself, where it was, until the session has ended.
 */
export class SessionConnection {
  readonly #client: RuncastClient;
  readonly #id: string;
  readonly #options: SessionOptions;
  readonly #sink: TerminalSink;
  readonly #changed = new Signal();
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff(FIRST_WAIT_MS);
  readonly #encoder = new TextEncoder();
  #state: SessionState = { status: "connecting", session: undefined, message: undefined };
  #socket: WebSocket | undefined;
  #size: { cols: number; rows: number } | undefined;
  /** The next byte; undefined before the first screen. */
  #offset: number | undefined;
  #kept: Uint8Array[] = [];
  #unpainted = 0;
  #onPainted: (() => void) | undefined;

  constructor(client: RuncastClient, id: string, sink: TerminalSink, options: SessionOptions = {}) {
    this.#client = client;
    this.#id = id;
    this.#sink = sink;
    this.#options = options;
    void this.#run();
  }

  getState(): SessionState {
    return this.#state;
  }

  /** Calls after every change of `getState()`. */
  subscribe(listener: () => void): () => void {
    return this.#changed.subscribe(listener);
  }

  /** Types. While it is away a little is kept: the key that stops a flood must not get lost. */
  type(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? this.#encoder.encode(data) : data;
    if (this.#state.status === "reconnecting") {
      const room = MAX_KEPT_BYTES - this.#kept.reduce((sum, piece) => sum + piece.length, 0);
      if (bytes.length <= room) this.#kept.push(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; at += MAX_TYPED_BYTES) {
      this.#send(bytes.slice(at, at + MAX_TYPED_BYTES));
    }
  }

  /** The window has room for this; it counts once one types here. */
  resize(cols: number, rows: number): void {
    if (this.#size?.cols === cols && this.#size.rows === rows) return;
    this.#size = { cols, rows };
    this.#sendSize();
  }

  close(): void {
    this.#stop.abort();
    this.#socket?.close();
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      await this.#painted();
      const reason = await this.#attach();
      if (signal.aborted || this.#state.status === "ended") return;
      this.#set({ status: "reconnecting" });
      if (reason === "overrun") continue;
      if (!(await this.#mayComeBack())) return;
      await pause(this.#backoff.next(), signal);
    }
  }

  /** One connection, from its beginning to its end. */
  async #attach(): Promise<"closed" | "overrun"> {
    let url: string;
    try {
      url = await this.#url();
    } catch {
      return "closed";
    }
    if (this.#stop.signal.aborted) return "closed";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    return new Promise((resolve) => {
      let isOverrun = false;
      socket.addEventListener("message", ({ data }) => {
        if (this.#socket !== socket || this.#stop.signal.aborted) return;
        const isExpected = typeof data === "string" ? this.#hear(data) : this.#paint(data);
        isOverrun = this.#unpainted > MAX_UNPAINTED_BYTES;
        if (isExpected && !isOverrun) return;
        // What is still on its way is left; the offset says where to go on.
        this.#socket = undefined;
        socket.close();
      });
      socket.addEventListener("close", () => {
        if (this.#socket === socket) this.#socket = undefined;
        resolve(isOverrun ? "overrun" : "closed");
      });
    });
  }

  async #url(): Promise<string> {
    const query: Record<string, string> = {};
    if (this.#offset !== undefined) query.offset = String(this.#offset);
    if (this.#options.readonly) query.readonly = "true";
    return this.#client.terminalSocketUrl(this.#id, query, this.#options.connectionUrl);
  }

  /** After a connection that broke: false if there is nothing to come back to. */
  async #mayComeBack(): Promise<boolean> {
    try {
      const { session } = await this.#client.terminal(this.#id, { signal: this.#stop.signal });
      if (session.active) return true;
      this.#set({ status: "ended", session });
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      if (!(error instanceof ApiError) || error.isRetryable || error.status === 0) return true;
      this.#set({ status: "failed", message: error.message });
    }
    return false;
  }

  /** False if the message is none. */
  #hear(text: string): boolean {
    const message = parse(text);
    if (message === undefined) return false;
    switch (message.type) {
      case "ready":
        this.#backoff.reset();
        if (this.#offset === undefined || message.offset !== this.#offset) this.#sink.reset();
        this.#offset = message.offset;
        this.#set({ status: "attached", session: message.session, message: undefined });
        this.#sendSize();
        for (const bytes of this.#kept.splice(0)) this.type(bytes);
        break;
      case "resize":
        this.#sink.resize(message.cols, message.rows);
        break;
      case "snapshot":
        this.#sink.reset();
        this.#sink.resize(message.cols, message.rows);
        this.#offset = message.offset;
        this.#write(decodeBase64(message.payload));
        break;
      case "state":
        this.#set({ session: message.session });
        break;
      case "exit":
        this.#set({ status: "ended", session: message.session });
        break;
      case "error":
        this.#set({ message: message.message });
        break;
      default:
        break;
    }
    return true;
  }

  /** False if bytes are missing before it. */
  #paint(data: ArrayBuffer): boolean {
    const offset = Number(new DataView(data).getBigUint64(0));
    const bytes = new Uint8Array(data, OFFSET_BYTES);
    const expected = this.#offset ?? offset;
    if (offset > expected) return false;
    const fresh = bytes.subarray(Math.min(expected - offset, bytes.length));
    this.#offset = expected + fresh.length;
    this.#write(fresh);
    return true;
  }

  #write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#unpainted += bytes.length;
    this.#sink.write(bytes, () => {
      this.#unpainted -= bytes.length;
      if (this.#unpainted <= LOW_UNPAINTED_BYTES) this.#onPainted?.();
    });
  }

  async #painted(): Promise<void> {
    if (this.#unpainted <= LOW_UNPAINTED_BYTES) return;
    const painted = new Promise<void>((resolve) => {
      this.#onPainted = resolve;
    });
    await Promise.race([painted, aborted(this.#stop.signal)]);
    this.#onPainted = undefined;
  }

  #sendSize(): void {
    if (this.#size === undefined || this.#options.readonly) return;
    this.#send(JSON.stringify({ type: "resize", ...this.#size }));
  }

  #send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  #set(change: { status?: SessionStatus; session?: TerminalSession; message?: string | undefined }): void {
    this.#state = { ...this.#state, ...change };
    this.#changed.notifyNow();
  }
}

function parse(text: string): Message | undefined {
  try {
    return JSON.parse(text) as Message;
  } catch {
    return undefined;
  }
}
