import type { AdminStream } from "@runcast/react";
import { formatAgo, formatBytes, formatCount, formatMoment, shortId } from "../../format/format";
import { DotBadge } from "../../status/DotBadge";
import { useNow } from "../../useNow";
import { RunLink } from "../RunLink";
import { type Column, DataTable } from "../table/DataTable";
import { Fact, Facts } from "../table/Fact";
import { formatSeq } from "./seq";
import classes from "./streams.module.css";

interface StreamTableProps {
  streams: readonly AdminStream[];
  /** Bytes a second, by id. */
  rates: ReadonlyMap<string, number>;
  isBusy: boolean;
}

export function StreamTable({ streams, rates, isBusy }: StreamTableProps) {
  const now = useNow();
  const rateOf = ({ id }: AdminStream) => rates.get(String(id));
  const rate = (stream: AdminStream) => {
    const perSecond = rateOf(stream);
    return perSecond === undefined ? "–" : `${formatBytes(perSecond)}/s`;
  };
  const columns: Column<AdminStream>[] = [
    { key: "run", title: "Run", sortBy: ({ runId }) => runId, cell: (stream) => <Run stream={stream} /> },
    {
      key: "cursor",
      title: "Cursor",
      isNumber: true,
      isWide: true,
      sortBy: ({ cursor }) => cursor,
      cell: ({ cursor, lastSeq }) => (
        <>
          {formatSeq(cursor)} <span className={classes.of}>of {formatSeq(lastSeq)}</span>
        </>
      ),
    },
    {
      key: "lag",
      title: "Lag, events",
      isNumber: true,
      sortBy: ({ lagSeq }) => lagSeq,
      cell: ({ lagSeq }) => formatCount(lagSeq),
    },
    {
      key: "lagBytes",
      title: "Lag, bytes",
      isNumber: true,
      isWide: true,
      sortBy: ({ lagBytes }) => lagBytes,
      cell: ({ lagBytes }) => formatBytes(lagBytes),
    },
    {
      key: "reads",
      title: "Reads",
      sortBy: ({ readsHistory }) => (readsHistory ? 1 : 0),
      cell: ({ readsHistory }) => <Reads history={readsHistory} />,
    },
    {
      key: "sent",
      title: "Sent",
      isNumber: true,
      isWide: true,
      sortBy: ({ bytesSent }) => bytesSent,
      cell: ({ bytesSent }) => formatBytes(bytesSent),
    },
    {
      key: "rate",
      title: "Rate",
      isNumber: true,
      isWide: true,
      sortBy: (stream) => rateOf(stream) ?? -1,
      cell: rate,
    },
    {
      key: "since",
      title: "Since",
      isNumber: true,
      isWide: true,
      sortBy: ({ since }) => since,
      cell: ({ since }) => <span title={formatMoment(since)}>{formatAgo(since, now)}</span>,
    },
  ];
  return (
    <DataTable
      label="Viewers"
      columns={columns}
      rows={streams}
      keyOf={({ id }) => String(id)}
      detail={(stream) => (
        <Facts>
          <Fact name="cursor">{formatSeq(stream.cursor)}</Fact>
          <Fact name="lag">{formatBytes(stream.lagBytes)}</Fact>
          <Fact name="sent">{formatBytes(stream.bytesSent)}</Fact>
          <Fact name="rate">{rate(stream)}</Fact>
          <Fact name="since">{formatAgo(stream.since, now)}</Fact>
        </Facts>
      )}
      empty="Nobody watches a run at the moment."
      isBusy={isBusy}
    />
  );
}

function Run({ stream: { id, tenant, runId } }: { stream: AdminStream }) {
  return (
    <span className={classes.run}>
      <RunLink tenant={tenant} runId={runId}>
        {shortId(runId)}
      </RunLink>
      <span
        className={`mono ${classes.id}`}
        title="The number of the viewer, in the order in which they came"
      >
        #{id}
      </span>
    </span>
  );
}

/** Where its events come from. */
function Reads({ history }: { history: boolean }) {
  return history ? (
    <span title="Some of what it has not seen is not in memory any more">
      <DotBadge tone="warning" label="History" />
    </span>
  ) : (
    <DotBadge tone="completed" label="Memory" />
  );
}
