import type { AdminSession, AdminSessions } from "@runcast/react";
import { lazy, Suspense, useState } from "react";
import { plural } from "../../format/format";
import { readSessions } from "../data/requests";
import { PAGE_ROWS, usePages } from "../data/usePages";
import { usePoll } from "../data/usePoll";
import { Panel } from "../Panel";
import { TroubleBanner } from "../TroubleBanner";
import { Pager } from "../table/Pager";
import { EndSession } from "./EndSession";
import { SessionTable } from "./SessionTable";

// The terminal is large, and a table does not need it.
const WatchSession = lazy(() => import("./WatchSession"));

/** The interactive terminals of the instance, of all tenants. */
export function SessionsSection() {
  const pages = usePages();
  const { cursor } = pages;
  const sessions = usePoll({
    key: ["sessions", cursor],
    read: (asked) => readSessions(asked, { limit: PAGE_ROWS, cursor }),
  });
  const [watched, setWatched] = useState<AdminSession>();
  const [ending, setEnding] = useState<AdminSession>();
  const { data } = sessions;
  return (
    <>
      <TroubleBanner trouble={sessions.trouble} />
      {data && (
        <Panel title="Sessions" fact={totalsOf(data)}>
          <SessionTable
            sessions={data.sessions}
            isBusy={sessions.isLoading}
            onWatch={setWatched}
            onEnd={setEnding}
          />
          <Pager pages={pages} nextCursor={data.nextCursor} isLoading={sessions.isLoading} />
        </Panel>
      )}
      {watched && (
        <Suspense fallback={null}>
          <WatchSession session={watched} onClose={() => setWatched(undefined)} />
        </Suspense>
      )}
      <EndSession session={ending} onClose={() => setEnding(undefined)} />
    </>
  );
}

function totalsOf({ total, active, inactive, errors }: AdminSessions): string {
  const failed = errors > 0 ? ` · ${errors} failed` : "";
  return `${plural(total, "session")} · ${active} active · ${inactive} inactive${failed}`;
}
