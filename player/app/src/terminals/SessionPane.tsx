import { ActionIcon, Button, Tooltip, useComputedColorScheme } from "@mantine/core";
import { type ListedTerminal, type SessionState, SessionTerminal } from "@runcast/react";
import { Eye, Power, RotateCcw, Users } from "lucide-react";
import { useCallback, useState } from "react";
import { plural } from "../format/format";
import { client } from "../service";
import { endOf } from "./endOf";
import { SessionStateBadge } from "./SessionStateBadge";
import classes from "./terminals.module.css";
import { useEndTerminal } from "./useTerminals";

interface SessionPaneProps {
  session: ListedTerminal;
  isCurrent: boolean;
  readonly: boolean;
  /** Its newest state, so that it stays when it has left the list. */
  onKeep: (session: ListedTerminal) => void;
  onReopen: () => void;
  onBell: () => void;
  onTitle: (title: string) => void;
}

/** One terminal with the line above it. It is attached when it is looked at for the first time. */
export function SessionPane(props: SessionPaneProps) {
  const { session, isCurrent, readonly, onKeep, onReopen, onBell, onTitle } = props;
  const [wasShown, setWasShown] = useState(isCurrent);
  if (isCurrent && !wasShown) setWasShown(true);
  const [state, setState] = useState<SessionState>();
  const end = useEndTerminal();
  const scheme = useComputedColorScheme("dark");
  const connectionUrl = session.connectionUrl ?? undefined;
  const take = useCallback(
    (next: SessionState) => {
      setState(next);
      if (next.session !== undefined) onKeep({ ...next.session, connectionUrl: connectionUrl ?? null });
    },
    [onKeep, connectionUrl],
  );
  if (!wasShown) return null;
  // The list knows the directory, the connection knows the end.
  const view = state?.session?.active === false ? state.session : session;
  const isEnded = state?.status === "ended" || !view.active;
  return (
    <section
      id={`session-${session.id}`}
      className={classes.pane}
      role="tabpanel"
      aria-label={session.tabName}
      hidden={!isCurrent}
    >
      <header className={classes.head}>
        <SessionStateBadge state={view.state} status={state?.status} />
        <span className={`${classes.path} mono`} title={view.currentPath}>
          {view.currentPath}
        </span>
        <span className={`${classes.fact} numbers`}>
          {view.cols} × {view.rows}
        </span>
        {session.attached > 1 && (
          <span className={classes.fact} title={`${plural(session.attached, "client")} attached`}>
            <Users size={13} aria-hidden /> {session.attached}
          </span>
        )}
        {readonly && (
          <span className={classes.fact}>
            <Eye size={13} aria-hidden /> read-only
          </span>
        )}
        {!view.persisted && (
          <span className={classes.fact} title="The database was away; its row is written later.">
            in memory only
          </span>
        )}
        {!readonly && !isEnded && (
          <Tooltip label="End the program of this terminal">
            <ActionIcon
              className={classes.end ?? ""}
              size={26}
              aria-label={`End ${session.tabName}`}
              loading={end.isPending}
              onClick={() => end.mutate(session.id)}
            >
              <Power size={15} />
            </ActionIcon>
          </Tooltip>
        )}
      </header>
      <div className={classes.screen}>
        <SessionTerminal
          client={client}
          sessionId={session.id}
          readonly={readonly}
          theme={scheme}
          autoFocus={isCurrent}
          onState={take}
          onBell={onBell}
          onTitle={onTitle}
          {...(connectionUrl === undefined ? {} : { connectionUrl })}
        />
        {state?.status === "failed" && (
          <div className={classes.notice} role="alert">
            {state.message}
          </div>
        )}
        {isEnded && (
          <div className={classes.notice} role="status">
            <span>{endOf(view)}</span>
            {!readonly && (
              <Button leftSection={<RotateCcw size={13} />} onClick={onReopen}>
                Open again
              </Button>
            )}
          </div>
        )}
      </div>
    </section>
  );
}
