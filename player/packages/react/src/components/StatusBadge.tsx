import type { NodeStatus } from "../api/types.ts";
import type { RunState } from "../stream/types.ts";
import { CheckIcon, ClockIcon, CrossIcon, DotIcon, SkipIcon, WarningIcon } from "./icons.tsx";
import { useCountdown } from "./useCountdown.ts";

const STATUS_TEXT: Record<NodeStatus, string> = {
  PENDING: "Pending",
  RUNNING: "Running",
  COMPLETED: "Completed",
  FAILED: "Failed",
  SKIPPED: "Skipped",
  CANCELLED: "Cancelled",
  TIMED_OUT: "Timed out",
};

const STATUS_ICON = {
  PENDING: ClockIcon,
  RUNNING: DotIcon,
  COMPLETED: CheckIcon,
  FAILED: CrossIcon,
  SKIPPED: SkipIcon,
  CANCELLED: SkipIcon,
  TIMED_OUT: ClockIcon,
} as const;

/** How a node is: colour, sign and word. */
export function StatusBadge({ status, detail }: { status: NodeStatus; detail?: string | undefined }) {
  const StatusIcon = STATUS_ICON[status];
  return (
    <span className="rc-badge" data-status={status}>
      <StatusIcon />
      <span className="rc-badge-text">{STATUS_TEXT[status]}</span>
      {detail !== undefined && <span className="rc-badge-detail">{detail}</span>}
    </span>
  );
}

/** How the page is connected; always visible, and told to screen readers when it changes. */
export function ConnectionBadge({ state, isEnded, onRetry }: ConnectionBadgeProps) {
  const seconds = useCountdown(state.retryAtMs);
  const [kind, text] = connectionText(state, isEnded, seconds);
  return (
    <span className="rc-connection" data-kind={kind}>
      {kind === "failed" ? <WarningIcon /> : <DotIcon />}
      <span>{text}</span>
      {(state.connection === "reconnecting" || state.connection === "failed") && (
        <button type="button" className="rc-link" onClick={onRetry}>
          Retry now
        </button>
      )}
      <span className="rc-unseen" role="status">
        Connection: {kind}
      </span>
    </span>
  );
}

interface ConnectionBadgeProps {
  state: RunState;
  /** True if this console needs nothing more. */
  isEnded: boolean;
  onRetry: () => void;
}

function connectionText(state: RunState, isEnded: boolean, seconds: number | undefined): [string, string] {
  switch (state.connection) {
    case "connecting":
      return ["connecting", "Connecting"];
    case "reconnecting":
      return [
        "reconnecting",
        seconds === undefined || seconds === 0 ? "Reconnecting" : `Reconnecting in ${seconds} s`,
      ];
    case "failed":
      return ["failed", "Not connected"];
    case "ended":
      return ["ended", "Ended"];
    case "live":
      if (isEnded) return ["ended", "Ended"];
      return state.transport === "poll" ? ["live", "Live (polling)"] : ["live", "Live"];
  }
}
