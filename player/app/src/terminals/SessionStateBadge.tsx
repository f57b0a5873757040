import type { SessionStatus } from "@runcast/react";
import classes from "./terminals.module.css";

const WORDS: Record<string, { label: string; tone: string }> = {
  creating: { label: "Starting", tone: "waiting" },
  active: { label: "Active", tone: "completed" },
  inactive: { label: "Inactive", tone: "waiting" },
  terminating: { label: "Ending", tone: "waiting" },
  terminated: { label: "Ended", tone: "skipped" },
  error: { label: "Failed", tone: "failed" },
};

/** What becomes of a terminal, or how it is connected where that matters more. */
export function SessionStateBadge({ state, status }: { state: string; status?: SessionStatus | undefined }) {
  const word = WORDS[state] ?? { label: state, tone: "waiting" };
  const isAway = status === "connecting" || status === "reconnecting" || status === "failed";
  const isLost = isAway && state !== "terminated" && state !== "error";
  const label = isLost ? (status === "failed" ? "Not reachable" : "Connecting …") : word.label;
  const tone = isLost ? (status === "failed" ? "failed" : "running") : word.tone;
  return (
    <span className={classes.badge} data-tone={tone} role="status">
      <span className={classes.dot} aria-hidden />
      {label}
    </span>
  );
}
