import type { AdminActorKind } from "@runcast/react";
import { formatCount, formatRate } from "../../format/format";
import { type Column, DataTable } from "../table/DataTable";
import { Fact, Facts } from "../table/Fact";
import classes from "./actors.module.css";
import { LastExit } from "./LastExit";
import { Restarts } from "./Restarts";

interface KindTableProps {
  kinds: readonly AdminActorKind[];
  /** Messages a second, by kind. */
  rates: ReadonlyMap<string, number>;
}

/** One row a kind. */
export function KindTable({ kinds, rates }: KindTableProps) {
  const rateOf = ({ kind }: AdminActorKind) => {
    const rate = rates.get(kind);
    return rate === undefined ? "–" : formatRate(rate);
  };
  const queueOf = ({ queueDepth }: AdminActorKind) => (queueDepth == null ? "–" : formatCount(queueDepth));
  const columns: Column<AdminActorKind>[] = [
    {
      key: "kind",
      title: "Kind",
      sortBy: ({ kind }) => kind,
      cell: ({ kind, instances }) => (
        <span className={classes.kind} data-gone={instances === 0 || undefined}>
          {kind}
        </span>
      ),
    },
    {
      key: "instances",
      title: "Now",
      isNumber: true,
      sortBy: ({ instances }) => instances,
      cell: ({ instances }) => formatCount(instances),
    },
    {
      key: "queue",
      title: "Queue",
      isNumber: true,
      isWide: true,
      sortBy: ({ queueDepth }) => queueDepth ?? -1,
      cell: queueOf,
    },
    {
      key: "messages",
      title: "Messages",
      isNumber: true,
      isWide: true,
      sortBy: ({ messages }) => messages,
      cell: ({ messages }) => formatCount(messages),
    },
    {
      key: "rate",
      title: "Messages/s",
      isNumber: true,
      sortBy: ({ kind }) => rates.get(kind) ?? -1,
      cell: rateOf,
    },
    {
      key: "restarts",
      title: "Restarts",
      isNumber: true,
      sortBy: ({ restarts }) => restarts,
      cell: ({ restarts }) => <Restarts count={restarts} />,
    },
    {
      key: "exit",
      title: "Last exit",
      isWide: true,
      sortBy: ({ lastExit }) => lastExit ?? "",
      cell: ({ lastExit }) => <LastExit status={lastExit} />,
    },
  ];
  return (
    <DataTable
      label="Actors by kind"
      columns={columns}
      rows={kinds}
      keyOf={({ kind }) => kind}
      detail={(kind) => (
        <Facts>
          {kind.queueDepth != null && <Fact name="queue">{queueOf(kind)}</Fact>}
          <Fact name="messages">{formatCount(kind.messages)}</Fact>
          {kind.lastExit != null && (
            <Fact name="last exit">
              <LastExit status={kind.lastExit} />
            </Fact>
          )}
        </Facts>
      )}
      empty="There are no actors."
    />
  );
}
