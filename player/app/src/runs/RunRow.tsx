import type { Run } from "@runcast/react";
import { Workflow } from "lucide-react";
import { Link, useLocation } from "wouter";
import { elapsedMs, formatAgo, formatDuration, formatMoment, shortId } from "../format/format";
import { Prose } from "../format/Prose";
import { formatDeepLink } from "../run/deepLink";
import { endedNodes, ProgressBar } from "../status/ProgressBar";
import { StatusBadge } from "../status/StatusIcon";
import { useNow } from "../useNow";
import type { RunFilters } from "./filters";
import classes from "./runs.module.css";

interface RunRowProps {
  run: Run;
  filters: RunFilters;
  onFilter: (filters: RunFilters) => void;
}

/** One run of the list; all of the row leads to it. */
export function RunRow({ run, filters, onFilter }: RunRowProps) {
  const [, navigate] = useLocation();
  const address = formatDeepLink({ runId: run.runId });
  const labels = Object.entries(run.labels);
  const addLabel = (label: string) => {
    if (!filters.labels.includes(label)) onFilter({ ...filters, labels: [...filters.labels, label] });
  };
  return (
    // The link in the row is what keyboards and screen readers use; the row itself only makes it larger.
    // biome-ignore lint/a11y/useKeyWithClickEvents: the link inside has the same target
    <li
      className={classes.row}
      data-run={run.runId}
      onClick={(event) => {
        if (!(event.target instanceof Element) || event.target.closest("a, button")) return;
        navigate(address);
      }}
    >
      <span className={classes.status}>
        <StatusBadge status={run.status} />
      </span>
      <span className={classes.run}>
        <Link href={address} className={classes.name}>
          {run.name ?? run.runId}
        </Link>
        <span className={`mono ${classes.id}`} title={run.runId}>
          {shortId(run.runId)}
        </span>
        {run.failure && (
          <span className={classes.failure}>
            <Prose text={run.failure.message} />
          </span>
        )}
      </span>
      <span className={classes.labels}>
        {run.workflowId && (
          <button
            type="button"
            className={classes.chip}
            title="Only runs of this workflow"
            onClick={() => onFilter({ ...filters, workflowId: run.workflowId ?? "" })}
          >
            <Workflow size={12} aria-hidden /> {run.workflowId}
          </button>
        )}
        {labels.slice(0, 4).map(([name, value]) => (
          <button
            type="button"
            key={name}
            className={classes.chip}
            title="Only runs with this label"
            onClick={() => addLabel(`${name}:${value}`)}
          >
            <span className={classes.chipName}>{name}</span> {value}
          </button>
        ))}
        {labels.length > 4 && <span className={classes.more}>+{labels.length - 4}</span>}
      </span>
      <span className={classes.progress}>
        <ProgressBar progress={run.progress} />
        <span className={`numbers ${classes.counts}`}>
          {endedNodes(run.progress)}/{run.progress.total}
        </span>
      </span>
      <RunTimes run={run} />
    </li>
  );
}

function RunTimes({ run }: { run: Run }) {
  const now = useNow();
  const elapsed = elapsedMs(run.startedAt, run.finishedAt, now);
  return (
    <>
      <span className={`numbers ${classes.ago}`} title={formatMoment(run.createdAt)}>
        {formatAgo(run.createdAt, now)}
      </span>
      <span className={`numbers ${classes.duration}`}>
        {elapsed === undefined ? "–" : formatDuration(elapsed)}
      </span>
    </>
  );
}
