import type { AdminRunActors } from "@runcast/react";
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { formatCount, plural, shortId } from "../../format/format";
import { formatDeepLink } from "../../run/deepLink";
import { useSession } from "../../session/SessionGate";
import admin from "../admin.module.css";
import table from "../table/table.module.css";
import { ActorTable } from "./ActorTable";
import classes from "./actors.module.css";
import { Restarts } from "./Restarts";

/** The actors of each run, folded. */
export function RunTrees({ runs }: { runs: readonly AdminRunActors[] }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  if (runs.length === 0) {
    return <p className={table.empty}>No run is owned or watched here.</p>;
  }
  const toggle = (key: string) =>
    setOpen((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  return (
    <ul className={classes.trees} aria-label="Actors of runs">
      {runs.map((run) => {
        const key = `${run.tenant}/${run.runId}`;
        return <RunTree key={key} run={run} isOpen={open.has(key)} onToggle={() => toggle(key)} />;
      })}
    </ul>
  );
}

interface RunTreeProps {
  run: AdminRunActors;
  isOpen: boolean;
  onToggle: () => void;
}

function RunTree({ run, isOpen, onToggle }: RunTreeProps) {
  const sum = (pick: (actor: AdminRunActors["actors"][number]) => number) =>
    run.actors.reduce((total, actor) => total + pick(actor), 0);
  const isOwn = useSession()?.tenant === run.tenant;
  const isOwned = run.actors.some((actor) => actor.kind === "Owner");
  const restarts = sum((actor) => actor.restarts);
  return (
    <li className={classes.tree} data-run={run.runId}>
      <div className={classes.treeHead}>
        <button
          type="button"
          className={classes.toggle}
          aria-expanded={isOpen}
          aria-label={`Actors of ${run.runId}`}
          onClick={onToggle}
        >
          <ChevronRight size={15} aria-hidden />
          <span className="mono">{shortId(run.runId)}</span>
        </button>
        <span className={`numbers ${classes.treeFacts}`}>
          <span>{isOwned ? "owned here" : "watched here"}</span>
          <span>{plural(run.actors.length, "actor")}</span>
          <span>{formatCount(sum((actor) => actor.queueDepth ?? 0))} queued</span>
          <span>
            {plural(
              sum((actor) => actor.messages),
              "message",
            )}
          </span>
          {restarts > 0 && (
            <span>
              <Restarts count={restarts} /> {restarts === 1 ? "restart" : "restarts"}
            </span>
          )}
          {isOwn ? (
            <Link className={admin.link} href={formatDeepLink({ runId: run.runId })}>
              Open the run
            </Link>
          ) : (
            <span>tenant {run.tenant}</span>
          )}
        </span>
      </div>
      {isOpen && <ActorTable label={`Actors of ${run.runId}`} actors={run.actors} />}
    </li>
  );
}
