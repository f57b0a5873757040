import type { SessionStatus } from "@runcast/react";
import { DotBadge, type DotTone } from "../status/DotBadge";

interface Look {
  label: string;
  tone: DotTone;
}

const LOOKS: Record<string, Look> = {
  creating: { label: "Starting", tone: "waiting" },
  active: { label: "Active", tone: "completed" },
  inactive: { label: "Inactive", tone: "waiting" },
  terminating: { label: "Ending", tone: "waiting" },
  terminated: { label: "Ended", tone: "skipped" },
  error: { label: "Failed", tone: "failed" },
};

interface SessionStateBadgeProps {
  state: string;
  /** How it is connected, where somebody looks at it. */
  status?: SessionStatus | undefined;
  /** See `DotBadge`. */
  isAnnounced?: boolean;
}

/** What becomes of a terminal, or how it is connected where that matters more. */
export function SessionStateBadge({ state, status, isAnnounced = true }: SessionStateBadgeProps) {
  const isAway = status === "connecting" || status === "reconnecting" || status === "failed";
  const isLost = isAway && state !== "terminated" && state !== "error";
  const look = isLost ? lookAway(status) : (LOOKS[state] ?? { label: state, tone: "waiting" as const });
  return <DotBadge {...look} isAnnounced={isAnnounced} />;
}

function lookAway(status: SessionStatus): Look {
  return status === "failed"
    ? { label: "Not reachable", tone: "failed" }
    : { label: "Connecting …", tone: "running" };
}
