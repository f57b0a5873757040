import type { Run } from "@runcast/react";
import { plural } from "../format/format";
import classes from "./status.module.css";

type Progress = Run["progress"];

const PARTS = [
  ["completed", "completed"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["skipped", "skipped"],
  ["running", "running"],
  ["pending", "waiting"],
] as const;

/** The nodes of a run by status, in one bar. */
export function ProgressBar({ progress }: { progress: Progress }) {
  const parts = PARTS.filter(([name]) => progress[name] > 0);
  const told = parts.map(([name]) => `${progress[name]} ${name}`).join(", ");
  return (
    <div
      className={classes.progress}
      role="img"
      aria-label={`${plural(progress.total, "node")}: ${told}`}
      title={told}
    >
      {parts.map(([name, tone]) => (
        <div key={name} className={classes.part} data-tone={tone} style={{ flexGrow: progress[name] }} />
      ))}
    </div>
  );
}

/** How many nodes have come to an end, whichever. */
export function endedNodes(progress: Progress): number {
  return progress.total - progress.pending - progress.running;
}
