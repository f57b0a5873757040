import type { AdminSession } from "@runcast/react";
import { useQueryClient } from "@tanstack/react-query";
import { plural } from "../../format/format";
import { useSession } from "../../session/SessionGate";
import { ConfirmDialog } from "../../shell/ConfirmDialog";
import { useEndTerminal } from "../../terminals/useTerminals";
import { useAdmin } from "../data/AdminContext";
import { ADMIN_KEY } from "../data/usePolling";
import { Elsewhere } from "./Elsewhere";
import { barrierTo, tellRefusal } from "./reach";

/** Asks before a session is ended. */
export function EndSession({ session, onClose }: { session: AdminSession | undefined; onClose: () => void }) {
  const caller = useSession();
  const { elsewhere } = useAdmin();
  const cache = useQueryClient();
  const end = useEndTerminal();
  const barrier = session && barrierTo(session, caller, "terminals:write");
  const mayEnd = barrier === undefined && elsewhere === undefined;
  const confirm = async () => {
    if (session === undefined) return;
    await end.mutateAsync(session.id);
    await cache.invalidateQueries({ queryKey: [ADMIN_KEY] });
  };
  return (
    <ConfirmDialog
      isOpen={session !== undefined}
      title={session === undefined ? "End" : `End ${session.tabName}?`}
      action={mayEnd ? "End it" : undefined}
      onConfirm={confirm}
      onClose={onClose}
      explain={tellRefusal}
    >
      {session && (
        <p>
          A terminal of the project {session.projectId}
          {session.attached > 0 && `, with ${plural(session.attached, "client")} attached`}. Its program is
          told to end, and killed if it does not; what it was doing is lost.
        </p>
      )}
      {barrier !== undefined && <p role="alert">{barrier}</p>}
      {barrier === undefined && elsewhere !== undefined && <Elsewhere base={elsewhere} does="end it" />}
    </ConfirmDialog>
  );
}
