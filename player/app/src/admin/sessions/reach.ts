/** What of a session can be had with this login. Sessions are listed of all tenants, but reached only as one's own. */
import { type AdminSession, ApiError, type SessionAnswer } from "@runcast/react";
import { messageOf } from "../../service";

type TerminalScope = "terminals:read" | "terminals:write";

/** Why it cannot be reached, as far as the page knows; undefined if it may be. */
export function barrierTo(
  session: Pick<AdminSession, "tenant">,
  caller: SessionAnswer | undefined,
  scope: TerminalScope,
): string | undefined {
  if (caller === undefined) return undefined;
  if (!caller.scopes.includes(scope)) return `This login lacks the scope ${scope}.`;
  if (session.tenant !== caller.tenant) {
    return `It belongs to the tenant ${session.tenant}, and this login reaches terminals of ${caller.tenant} alone. Sign in with a token of ${session.tenant}.`;
  }
  return undefined;
}

/** Why it could not be reached. */
export function tellRefusal(error: unknown): string {
  if (error instanceof ApiError && error.status === 404) {
    return "This login does not reach it: it has ended of late, or belongs to another tenant, or to a project that the token does not open.";
  }
  return messageOf(error);
}

export function isLive(session: Pick<AdminSession, "state">): boolean {
  return session.state === "creating" || session.state === "active" || session.state === "inactive";
}

/** Where its WebSocket is, if its instance is not the one that answers. */
export function socketOf(sessionId: string, elsewhere: string | undefined): string | undefined {
  if (elsewhere === undefined) return undefined;
  return `${elsewhere.replace(/\/+$/, "")}/api/v1/terminals/${encodeURIComponent(sessionId)}/ws`;
}

const LARGEST_PX = 13;
const SMALLEST_PX = 5;
/** The width of a letter of the terminal, for each pixel of its size. */
const LETTER_WIDTH = 0.605;

/** The size of letters at which so many columns have room. */
export function fontToFit(cols: number, widthPx: number): number {
  const fitting = Math.floor((widthPx / (cols * LETTER_WIDTH)) * 2) / 2;
  return Math.min(LARGEST_PX, Math.max(SMALLEST_PX, fitting));
}
