import { lookOf, type StatusLook } from "./status";
import classes from "./status.module.css";

/** Each tone has a shape of its own, so that no status is told by its colour alone. */
const SHAPES: Record<StatusLook["tone"], React.ReactNode> = {
  waiting: <circle cx="8" cy="8" r="5.6" strokeDasharray="2.2 2.2" />,
  running: (
    <>
      <circle cx="8" cy="8" r="5.6" opacity="0.3" />
      <path d="M8 2.4a5.6 5.6 0 0 1 5.6 5.6" className={classes.spin} />
      <circle cx="8" cy="8" r="1.9" fill="currentColor" stroke="none" />
    </>
  ),
  completed: <path d="m4.9 8.2 2.2 2.2 4.1-4.6M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9Z" />,
  failed: (
    <>
      <circle cx="8" cy="8" r="6.9" fill="currentColor" stroke="none" />
      <path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" className={classes.cut} />
    </>
  ),
  "timed-out": <path d="M8 4.7V8l2.2 1.6M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9Z" />,
  cancelled: <path d="m3.8 12.2 8.4-8.4M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9Z" />,
  skipped: <path d="m3.4 4.6 3.8 3.4-3.8 3.4V4.6Zm5 0L12.2 8l-3.8 3.4V4.6Z" />,
};

/** The sign of a status. Hidden from screen readers: a label stands beside it or in `title`. */
export function StatusIcon({ status, size = 16, title }: { status: string; size?: number; title?: string }) {
  const look = lookOf(status);
  return (
    <svg
      className={classes.icon}
      data-tone={look.tone}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      role={title ? "img" : "presentation"}
      aria-hidden={title ? undefined : true}
      aria-label={title}
    >
      {SHAPES[look.tone]}
    </svg>
  );
}

/** Icon and word. */
export function StatusBadge({ status }: { status: string }) {
  const look = lookOf(status);
  return (
    <span className={classes.badge} data-tone={look.tone} data-status={status}>
      <StatusIcon status={status} size={13} />
      {look.label}
    </span>
  );
}
