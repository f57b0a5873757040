import { Button } from "@mantine/core";
import type { AdminCleanup, AdminStats } from "@runcast/react";
import { useQueryClient } from "@tanstack/react-query";
import { Sparkles } from "lucide-react";
import { useState } from "react";
import { formatBytes, plural } from "../format/format";
import { ConfirmDialog } from "../shell/ConfirmDialog";
import classes from "./admin.module.css";
import { useAdmin } from "./data/AdminContext";
import { type Asked, cleanUp, readSessions } from "./data/requests";
import { ADMIN_KEY } from "./data/usePolling";

/** Inactive sessions that a clean-up leaves. */
const SPARED = 5;
/** The most that the service lists in one page. */
const MOST = 1_000;

interface Outcome {
  cleanup: AdminCleanup;
  /** What its sessions were called, by id. */
  names: ReadonlyMap<string, string>;
}

/** Gives memory back, after a question, and tells what it brought. */
export function CleanUp({ stats }: { stats: AdminStats | undefined }) {
  const [isOpen, setIsOpen] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const { asked } = useAdmin();
  const cache = useQueryClient();
  const open = () => {
    setOutcome(undefined);
    setIsOpen(true);
  };
  const confirm = async () => {
    try {
      // Afterwards nobody knows their names.
      const names = await namesOf({ instance: asked });
      setOutcome({ cleanup: await cleanUp({ instance: asked }), names });
    } finally {
      await cache.invalidateQueries({ queryKey: [ADMIN_KEY] });
    }
  };
  return (
    <>
      <Button leftSection={<Sparkles size={13} aria-hidden />} onClick={open}>
        Clean up
      </Button>
      <ConfirmDialog
        isOpen={isOpen}
        title={outcome ? "Cleaned up" : "Clean up the memory?"}
        action={outcome ? undefined : "Clean up"}
        decline="Keep all"
        staysOpen
        onConfirm={confirm}
        onClose={() => setIsOpen(false)}
      >
        {outcome ? <Result outcome={outcome} /> : <Plan inactive={stats?.sessions.inactive} />}
      </ConfirmDialog>
    </>
  );
}

/** What sessions are called, by id; without an answer they are told by their ids. */
async function namesOf(asked: Asked): Promise<Outcome["names"]> {
  try {
    const { sessions } = await readSessions(asked, { limit: MOST, cursor: undefined });
    return new Map(sessions.map(({ id, tabName, projectId }) => [id, `${tabName} of ${projectId}`]));
  } catch {
    return new Map();
  }
}

function Plan({ inactive }: { inactive: number | undefined }) {
  const ended = Math.max(0, (inactive ?? 0) - SPARED);
  return (
    <>
      <p>At the hard limit of memory the service does this by itself. It</p>
      <ul className={classes.plan}>
        <li>
          ends the oldest inactive sessions but five
          {inactive !== undefined && (
            <>
              {": "}
              <strong>
                {inactive === 0
                  ? "there are none"
                  : `${ended === 0 ? "none" : ended} of ${plural(inactive, "inactive session")}`}
              </strong>
            </>
          )}
        </li>
        <li>lets caches go: what is asked for again is read again</li>
        <li>gives pages that are not used back to the system</li>
      </ul>
      <p>Runs go on, and so do sessions that are used.</p>
    </>
  );
}

function Result({ outcome: { cleanup, names } }: { outcome: Outcome }) {
  const { freedBytes, terminated } = cleanup;
  return (
    <div role="status">
      <p>
        <strong className="numbers">{formatBytes(freedBytes)}</strong> of physical memory went back to the
        system.
      </p>
      {terminated.length === 0 ? (
        <p>No session was ended.</p>
      ) : (
        <>
          <p>{plural(terminated.length, "session was", "sessions were")} ended:</p>
          <ul className={classes.ended}>
            {terminated.map((id) => (
              <li key={id}>
                {names.get(id) ?? ""} <span className="mono">{id}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
