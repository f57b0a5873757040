import type { TerminalSession } from "../api/types.ts";

/** How a session is connected. `ended`: its program has; `failed`: it cannot be reached and is not tried again. */
export type SessionStatus = "connecting" | "attached" | "reconnecting" | "ended" | "failed";

export interface SessionState {
  status: SessionStatus;
  /** As the service told it last. */
  session: TerminalSession | undefined;
  /** Why it failed, for people. */
  message: string | undefined;
}

export interface SessionOptions {
  /** Never types and sets no size. */
  readonly?: boolean;
  /** Where the WebSocket is, if the service has said so; else on the page's own origin. */
  connectionUrl?: string;
}
