import type { AdminActor } from "@runcast/react";
import { formatCount } from "../../format/format";
import { DotBadge } from "../../status/DotBadge";
import { type Column, DataTable } from "../table/DataTable";
import { Fact, Facts } from "../table/Fact";
import classes from "./actors.module.css";
import { factsOf } from "./facts";
import { LastExit } from "./LastExit";
import { Restarts } from "./Restarts";

interface NumberedActor {
  /** There may be several of a kind. */
  key: string;
  actor: AdminActor;
}

const COLUMNS: Column<NumberedActor>[] = [
  {
    key: "kind",
    title: "Actor",
    cell: ({ actor }) => <span className={classes.kind}>{actor.kind}</span>,
  },
  {
    key: "running",
    title: "State",
    cell: ({ actor }) =>
      actor.isRunning ? (
        <DotBadge tone="completed" label="Running" />
      ) : (
        <DotBadge tone="warning" label="Waits for restart" />
      ),
  },
  {
    key: "queue",
    title: "Queue",
    isNumber: true,
    isWide: true,
    cell: ({ actor }) => (actor.queueDepth == null ? "–" : formatCount(actor.queueDepth)),
  },
  {
    key: "messages",
    title: "Messages",
    isNumber: true,
    isWide: true,
    cell: ({ actor }) => formatCount(actor.messages),
  },
  {
    key: "restarts",
    title: "Restarts",
    isNumber: true,
    cell: ({ actor }) => <Restarts count={actor.restarts} />,
  },
  {
    key: "exit",
    title: "Last exit",
    isWide: true,
    cell: ({ actor }) => <LastExit status={actor.lastExit} />,
  },
  { key: "shown", title: "Shows", isWide: true, cell: ({ actor }) => <ShownState actor={actor} /> },
];

/** Actors one by one, with what they show of themselves. */
export function ActorTable({ label, actors }: { label: string; actors: readonly AdminActor[] }) {
  // They come in the order of their kinds, and nodes in that of their start.
  const counts = new Map<string, number>();
  const rows = actors.map((actor) => {
    const count = (counts.get(actor.kind) ?? 0) + 1;
    counts.set(actor.kind, count);
    return { key: `${actor.kind}-${count}`, actor };
  });
  return (
    <DataTable
      label={label}
      columns={COLUMNS}
      rows={rows}
      keyOf={({ key }) => key}
      detail={({ actor }) => (
        <>
          <Facts>
            {actor.queueDepth != null && <Fact name="queue">{formatCount(actor.queueDepth)}</Fact>}
            <Fact name="messages">{formatCount(actor.messages)}</Fact>
            {actor.lastExit != null && (
              <Fact name="last exit">
                <LastExit status={actor.lastExit} />
              </Fact>
            )}
          </Facts>
          <ShownState actor={actor} />
        </>
      )}
      empty="There are none."
    />
  );
}

function ShownState({ actor }: { actor: AdminActor }) {
  return (
    <Facts>
      {factsOf(actor.state).map(({ name, value }) => (
        <Fact key={name} name={name}>
          {value}
        </Fact>
      ))}
    </Facts>
  );
}
