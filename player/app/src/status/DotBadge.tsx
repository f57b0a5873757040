import classes from "./status.module.css";

export type DotTone = "waiting" | "running" | "completed" | "failed" | "skipped" | "warning";

interface DotBadgeProps {
  tone: DotTone;
  label: string;
  /** Tells screen readers when it changes: for the one badge of what is shown, not for those of a list. */
  isAnnounced?: boolean;
}

/** A dot and a word: how something is that is no run and no node. */
export function DotBadge({ tone, label, isAnnounced = false }: DotBadgeProps) {
  return (
    <span className={classes.dotBadge} data-tone={tone} role={isAnnounced ? "status" : undefined}>
      <span className={classes.dot} aria-hidden />
      {label}
    </span>
  );
}
