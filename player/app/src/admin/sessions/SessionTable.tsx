import { ActionIcon, Tooltip } from "@mantine/core";
import type { AdminSession } from "@runcast/react";
import { Eye, Power } from "lucide-react";
import { formatBytes, formatDuration } from "../../format/format";
import { DotBadge } from "../../status/DotBadge";
import { SessionStateBadge } from "../../terminals/SessionStateBadge";
import { type Column, DataTable } from "../table/DataTable";
import { Fact, Facts } from "../table/Fact";
import { isLive } from "./reach";
import classes from "./sessions.module.css";

interface SessionTableProps {
  sessions: readonly AdminSession[];
  isBusy: boolean;
  onWatch: (session: AdminSession) => void;
  onEnd: (session: AdminSession) => void;
}

const idle = ({ idleSecs }: AdminSession) =>
  idleSecs < 60 ? `${idleSecs}s` : formatDuration(idleSecs * 1000);
const owner = ({ tenant, userId }: AdminSession) => (userId == null ? tenant : `${tenant} / ${userId}`);

export function SessionTable({ sessions, isBusy, onWatch, onEnd }: SessionTableProps) {
  const columns: Column<AdminSession>[] = [
    {
      key: "terminal",
      title: "Terminal",
      sortBy: (session) => session.tabName,
      cell: (session) => (
        <span className={classes.name} title={`${session.id}, process ${session.pid ?? "unknown"}`}>
          {session.tabName}
          <span className={`mono ${classes.type}`}>{session.type}</span>
        </span>
      ),
    },
    {
      key: "project",
      title: "Project",
      isWide: true,
      sortBy: (session) => session.projectId,
      cell: (session) => session.projectId,
    },
    { key: "owner", title: "Tenant / user", isWide: true, sortBy: owner, cell: owner },
    {
      key: "state",
      title: "State",
      sortBy: (session) => session.state,
      cell: (session) => <SessionStateBadge state={session.state} isAnnounced={false} />,
    },
    number("attached", "Attached", (session) => session.attached, String),
    number("in", "In", (session) => session.bytesIn, formatBytes),
    number("out", "Out", (session) => session.bytesOut, formatBytes),
    number("buffer", "Buffer", (session) => session.bufferBytes, formatBytes),
    { ...number("idle", "Idle", (session) => session.idleSecs, String), cell: idle },
    { key: "kept", title: "Persisted", isWide: true, cell: (session) => <Kept session={session} /> },
    {
      key: "actions",
      title: "Actions",
      isNumber: true,
      cell: (session) => <Actions session={session} onWatch={onWatch} onEnd={onEnd} />,
    },
  ];
  return (
    <DataTable
      label="Sessions"
      columns={columns}
      rows={sessions}
      keyOf={(session) => session.id}
      detail={(session) => (
        <Facts>
          <Fact name="project">{session.projectId}</Fact>
          <Fact name="tenant">{owner(session)}</Fact>
          <Fact name="attached">{session.attached}</Fact>
          <Fact name="in">{formatBytes(session.bytesIn)}</Fact>
          <Fact name="out">{formatBytes(session.bytesOut)}</Fact>
          <Fact name="buffer">{formatBytes(session.bufferBytes)}</Fact>
          <Fact name="idle">{idle(session)}</Fact>
          {!session.persisted && <Kept session={session} />}
        </Facts>
      )}
      empty="No interactive terminal is in memory."
      isBusy={isBusy}
    />
  );
}

function number(
  key: string,
  title: string,
  pick: (session: AdminSession) => number,
  format: (value: number) => string,
): Column<AdminSession> {
  return {
    key,
    title,
    isNumber: true,
    isWide: true,
    sortBy: pick,
    cell: (session) => format(pick(session)),
  };
}

/** Whether the database knows it. */
function Kept({ session: { persisted } }: { session: AdminSession }) {
  if (persisted) return <span className={classes.kept}>yes</span>;
  return (
    <span title="The database was away; its row is written later.">
      <DotBadge tone="warning" label="in memory only" />
    </span>
  );
}

interface ActionsProps {
  session: AdminSession;
  onWatch: (session: AdminSession) => void;
  onEnd: (session: AdminSession) => void;
}

function Actions({ session, onWatch, onEnd }: ActionsProps) {
  return (
    <span className={classes.actions}>
      <Tooltip label="Watch it, read-only">
        <ActionIcon
          aria-label={`Watch ${session.tabName} of ${session.projectId}`}
          onClick={() => onWatch(session)}
        >
          <Eye size={15} />
        </ActionIcon>
      </Tooltip>
      {isLive(session) && (
        <Tooltip label="End its program">
          <ActionIcon
            aria-label={`End ${session.tabName} of ${session.projectId}`}
            onClick={() => onEnd(session)}
          >
            <Power size={15} />
          </ActionIcon>
        </Tooltip>
      )}
    </span>
  );
}
