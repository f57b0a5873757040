import type { TerminalSession } from "@runcast/react";

const REASONS: Record<string, string> = {
  closed: "It was ended.",
  idle: "It was ended because nobody used it.",
  memory: "It was ended because the service needed its memory.",
  stopped: "The service was stopped.",
  restarted: "The service was started again.",
};

/** What is said of a terminal that has ended. */
export function endOf(session: TerminalSession): string {
  const reason = session.reason == null ? undefined : REASONS[session.reason];
  if (reason !== undefined) return reason;
  if (session.message != null) return session.message;
  if (session.signal != null) return `Its program was ended by signal ${session.signal}.`;
  return `Its program has ended with code ${session.exitCode ?? "unknown"}.`;
}
