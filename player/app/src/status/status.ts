import type { NodeStatus, RunStatus } from "@runcast/react";

export type AnyStatus = RunStatus | NodeStatus;

/** One word and one CSS name for each status; the icon is `StatusIcon`. */
export interface StatusLook {
  readonly label: string;
  /** `--status-<tone>` in tokens.css. */
  readonly tone: "waiting" | "running" | "completed" | "failed" | "timed-out" | "cancelled" | "skipped";
}

const LOOKS: Record<AnyStatus, StatusLook> = {
  QUEUED: { label: "Queued", tone: "waiting" },
  PENDING: { label: "Pending", tone: "waiting" },
  RUNNING: { label: "Running", tone: "running" },
  COMPLETED: { label: "Completed", tone: "completed" },
  FAILED: { label: "Failed", tone: "failed" },
  TIMED_OUT: { label: "Timed out", tone: "timed-out" },
  CANCELLED: { label: "Cancelled", tone: "cancelled" },
  SKIPPED: { label: "Skipped", tone: "skipped" },
};

/** How a status looks; one that is not known yet looks like waiting and shows its own name. */
export function lookOf(status: string): StatusLook {
  return LOOKS[status as AnyStatus] ?? { label: status, tone: "waiting" };
}

export function hasEnded(status: string): boolean {
  return status !== "QUEUED" && status !== "PENDING" && status !== "RUNNING";
}

/** Failed or timed out: what an engineer looks for first. */
export function isTrouble(status: string): boolean {
  return status === "FAILED" || status === "TIMED_OUT";
}
