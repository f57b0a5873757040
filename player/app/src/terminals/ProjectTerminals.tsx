import type { ListedTerminal, TerminalList } from "@runcast/react";
import type { UseQueryResult } from "@tanstack/react-query";
import { useState } from "react";
import { messageOf } from "../service";
import { useScope } from "../session/SessionGate";
import { Banner } from "../shell/Banner";
import { NewTerminal } from "./NewTerminal";
import { nextTabName } from "./names";
import { SessionPane } from "./SessionPane";
import { SessionTabs } from "./SessionTabs";
import classes from "./terminals.module.css";
import { useOpenTerminal } from "./useTerminals";

interface ProjectTerminalsProps {
  project: string;
  terminals: UseQueryResult<TerminalList>;
  selected: string | undefined;
  readonly: boolean;
  onSelect: (session: string | undefined) => void;
}

/** What programs of a terminal tell of themselves beside their output. */
export interface TabSigns {
  title?: string;
  hasRung?: boolean;
}

/** The terminals of one project as tabs. Those that were shown stay attached while the page is open. */
export function ProjectTerminals({
  project,
  terminals,
  selected,
  readonly,
  onSelect,
}: ProjectTerminalsProps) {
  const mayWrite = useScope("terminals:write");
  const open = useOpenTerminal(project);
  // What has ended stays until its tab is closed.
  const [kept, setKept] = useState<ReadonlyMap<string, ListedTerminal>>(new Map());
  const [signs, setSigns] = useState<ReadonlyMap<string, TabSigns>>(new Map());
  const listed = (terminals.data?.sessions ?? []).filter((session) => session.projectId === project);
  const known = new Map([...kept, ...listed.map((session) => [session.id, session] as const)]);
  const sessions = [...known.values()].sort((one, other) => one.createdAt.localeCompare(other.createdAt));
  const current = known.get(selected ?? "") ?? sessions[0];
  const types = terminals.data?.types ?? [];

  const keep = (session: ListedTerminal) =>
    setKept((before) =>
      before.get(session.id) === session ? before : new Map(before).set(session.id, session),
    );
  const forget = (id: string) => {
    setKept((before) => {
      const after = new Map(before);
      after.delete(id);
      return after;
    });
    if (id === current?.id) onSelect(sessions.find((session) => session.id !== id)?.id);
  };
  const sign = (id: string, change: TabSigns) =>
    setSigns((before) => new Map(before).set(id, { ...before.get(id), ...change }));
  const select = (id: string) => {
    sign(id, { hasRung: false });
    onSelect(id);
  };
  const openNew = async (type: string, tabName?: string) => {
    const taken = listed.map((session) => session.tabName);
    const opened = await open.mutateAsync({ type, tabName: tabName ?? nextTabName(type, taken) });
    keep({ ...opened.session, connectionUrl: opened.connectionUrl });
    onSelect(opened.session.id);
  };
  const openSafely = (type: string, tabName?: string) => {
    // The refusal is shown below the tabs.
    openNew(type, tabName).catch(() => undefined);
  };
  const newTerminal = mayWrite && (
    <NewTerminal types={types} isOpening={open.isPending} onOpen={(type) => openSafely(type)} />
  );

  if (terminals.isPending) return null;
  return (
    <>
      {sessions.length > 0 && (
        <SessionTabs
          sessions={sessions}
          current={current?.id}
          signs={signs}
          onSelect={select}
          onClose={forget}
        >
          {newTerminal}
        </SessionTabs>
      )}
      {(open.error ?? terminals.error) && (
        <div className={classes.error}>
          <Banner
            action={open.error ? "Dismiss" : "Try again"}
            onAction={() => (open.error ? open.reset() : terminals.refetch())}
          >
            {messageOf(open.error ?? terminals.error)}
          </Banner>
        </div>
      )}
      {sessions.map((session) => (
        <SessionPane
          key={session.id}
          session={session}
          isCurrent={session.id === current?.id}
          readonly={readonly || !mayWrite}
          onKeep={keep}
          onReopen={() => {
            forget(session.id);
            openSafely(session.type, session.tabName);
          }}
          onBell={() => session.id !== current?.id && sign(session.id, { hasRung: true })}
          onTitle={(title) => sign(session.id, { title })}
        />
      ))}
      {sessions.length === 0 && (
        <div className={classes.empty}>
          <h1>No terminals in {project}</h1>
          <p>
            {mayWrite
              ? "A terminal stays when you leave: come back to it, also from another browser."
              : "Somebody who may write can open one."}
          </p>
          {newTerminal}
        </div>
      )}
    </>
  );
}
