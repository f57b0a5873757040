import { ActionIcon, Tooltip } from "@mantine/core";
import { Pause, Play } from "lucide-react";
import { formatAgo, formatMoment } from "../format/format";
import { DotBadge } from "../status/DotBadge";
import { useNow } from "../useNow";
import classes from "./admin.module.css";

interface RefreshStateProps {
  /** When the last answer came, in milliseconds; 0 before the first. */
  updatedAt: number;
  hasTrouble: boolean;
  isPaused: boolean;
  onPause: (isPaused: boolean) => void;
}

/** How new the figures are, and a button that holds them. */
export function RefreshState({ updatedAt, hasTrouble, isPaused, onPause }: RefreshStateProps) {
  const now = useNow();
  const at = new Date(updatedAt).toISOString();
  // The clock ticks once a second, and an answer may be newer than its last tick.
  const age = updatedAt === 0 ? "" : formatAgo(at, Math.max(now, updatedAt));
  const Icon = isPaused ? Play : Pause;
  const label = isPaused ? "Go on" : "Pause";
  return (
    <div className={classes.refresh}>
      <span data-refresh={isPaused ? "paused" : hasTrouble ? "away" : "live"} title={age && formatMoment(at)}>
        {isPaused ? (
          <DotBadge tone="waiting" label="Paused" />
        ) : hasTrouble ? (
          <DotBadge tone="failed" label="Not live" />
        ) : (
          <DotBadge tone="completed" label="Live" />
        )}
      </span>
      <span className={`numbers ${classes.age}`}>{age}</span>
      <Tooltip label={label}>
        <ActionIcon aria-label={label} size={26} onClick={() => onPause(!isPaused)}>
          <Icon size={14} />
        </ActionIcon>
      </Tooltip>
    </div>
  );
}
