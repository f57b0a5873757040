import { Button } from "@mantine/core";
import { type RunStream, useRunStream } from "@runcast/react";
import { useEffect, useRef } from "react";
import { useLocation } from "wouter";
import { client, signedOut, telemetry } from "../service";
import { Notice } from "../shell/Notice";
import { TopBar } from "../shell/TopBar";
import { ConnectionBadge } from "./ConnectionBadge";
import type { DeepLink } from "./deepLink";
import { RunInspector } from "./RunInspector";
import classes from "./run.module.css";
import { isWhole } from "./wholeRun";

const REFUSALS: Record<string, { title: string; text: string }> = {
  NOT_FOUND: { title: "No such run", text: "The service has no run with this id." },
  GONE: { title: "This run was purged", text: "Its log and its recordings are gone. The id stays taken." },
  FORBIDDEN: { title: "Not for you", text: "Your token does not open this run." },
};

/** One run: the connection to it, and what there is instead of it. */
export function RunPage({ link }: { link: DeepLink }) {
  const stream = useRunStream(link.runId, { client });
  const { run, connection, error } = stream;
  const [, navigate] = useLocation();

  useEffect(() => {
    document.title = `${run?.name ?? link.runId} · Runcast`;
  }, [run?.name, link.runId]);
  useEffect(() => {
    if (error?.code === "UNAUTHENTICATED") signedOut.dispatchEvent(new Event("signedout"));
  }, [error?.code]);
  useCounted(stream);

  const refusal = connection === "failed" && error ? REFUSALS[error.code] : undefined;
  if (refusal) {
    return (
      <>
        <TopBar title={link.runId} />
        <Notice title={refusal.title} action="All runs" onAction={() => navigate("/")}>
          {refusal.text} <code className="mono">{link.runId}</code>
        </Notice>
      </>
    );
  }
  if (!isWhole(run)) {
    return (
      <>
        <TopBar title={link.runId}>
          <ConnectionBadge stream={stream} />
        </TopBar>
        <main id="main" className={classes.loading} aria-busy={connection !== "failed"}>
          {connection === "failed" ? (
            <>
              <p>{error?.message ?? "The service does not answer."}</p>
              <Button onClick={stream.reconnect}>Try again</Button>
            </>
          ) : (
            <span className="visually-hidden">Loading the run</span>
          )}
        </main>
      </>
    );
  }
  return <RunInspector run={run} stream={stream} link={link} />;
}

/** Tells telemetry what has been added to the gaps and reconnects of a stream. */
function useCounted({ source, gaps }: RunStream): void {
  const told = useRef({ toSeq: -1, reconnects: 0 });
  const { reconnects } = source.getState();
  useEffect(() => {
    const before = told.current;
    told.current = { toSeq: gaps.at(-1)?.toSeq ?? before.toSeq, reconnects };
    // Where there are too many, the oldest have gone: their number says nothing.
    telemetry.count("gap_seen", gaps.filter((gap) => gap.toSeq > before.toSeq).length);
    telemetry.count("reconnected", reconnects - before.reconnects);
  }, [gaps, reconnects]);
}
