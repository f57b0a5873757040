import { Button, CloseButton } from "@mantine/core";
import type { RunStream, TraceEvent } from "@runcast/react";
import { useMemo, useState } from "react";
import { Prose } from "../format/Prose";
import { StatusIcon } from "../status/StatusIcon";
import { isTrouble, lookOf } from "../status/status";
import classes from "./failure.module.css";
import type { WholeRun } from "./wholeRun";

interface FailurePanelProps {
  run: WholeRun;
  stream: RunStream;
  trace: readonly TraceEvent[];
  onShow: (nodeRef: string) => void;
}

/** Why the run did not complete, or why the page cannot follow it. */
export function FailurePanel({ run, stream, trace, onShow }: FailurePanelProps) {
  const [hidden, setHidden] = useState<string>();
  const culprit = run.nodes.find((node) => isTrouble(node.status));
  const summary = useMemo(() => lastWords(trace, culprit?.ref), [trace, culprit?.ref]);
  if (stream.connection === "failed") {
    return (
      <div className={classes.panel} role="alert">
        <div className={classes.line}>
          <strong>The connection to this run is closed.</strong>
          <span className={classes.reason}>{stream.error?.message}</span>
          <Button onClick={stream.reconnect}>Connect again</Button>
        </div>
      </div>
    );
  }
  const failure = run.failure ?? culprit?.failure;
  if (!failure || hidden === run.runId) return null;
  const others = run.nodes.filter((node) => isTrouble(node.status) && node !== culprit);
  return (
    <section className={classes.panel} aria-label="Failure">
      <div className={classes.line}>
        <StatusIcon status={culprit?.status ?? run.status} size={15} />
        <strong>{culprit ? lookOf(culprit.status).label : lookOf(run.status).label}</strong>
        <span className={classes.reason}>
          <Prose text={failure.message} />
        </span>
        {others.length > 0 && (
          <span className={classes.others}>
            also{" "}
            {others.slice(0, 3).map((node) => (
              <button type="button" key={node.ref} className={classes.other} onClick={() => onShow(node.ref)}>
                {node.ref}
              </button>
            ))}
            {others.length > 3 && ` and ${others.length - 3} more`}
          </span>
        )}
        <span className={classes.tools}>
          {culprit && culprit.streams.length > 0 && (
            <Button size="compact-xs" onClick={() => onShow(culprit.ref)}>
              Show {culprit.ref}
            </Button>
          )}
          <CloseButton size={22} aria-label="Hide the failure" onClick={() => setHidden(run.runId)} />
        </span>
      </div>
      {summary?.outputSummary && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section className={classes.words} tabIndex={0} aria-label="Last lines">
          <pre className="mono">{summary.outputSummary.trimEnd()}</pre>
        </section>
      )}
    </section>
  );
}

function lastWords(trace: readonly TraceEvent[], nodeRef: string | undefined): TraceEvent | undefined {
  if (nodeRef === undefined) return undefined;
  return trace.findLast(
    (event) => event.nodeRef === nodeRef && (event.type === "NODE_FAILED" || event.type === "NODE_TIMED_OUT"),
  );
}
