import { Modal, useComputedColorScheme } from "@mantine/core";
import { useElementSize, useMediaQuery } from "@mantine/hooks";
import { type AdminSession, type SessionState, SessionTerminal } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { Eye, SquareArrowOutUpRight } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";
import { client } from "../../service";
import { useSession } from "../../session/SessionGate";
import { endOf } from "../../terminals/endOf";
import { terminalsLink } from "../../terminals/link";
import { SessionStateBadge } from "../../terminals/SessionStateBadge";
import { useAdmin } from "../data/AdminContext";
import { ADMIN_KEY } from "../data/usePolling";
import { barrierTo, fontToFit, socketOf, tellRefusal } from "./reach";
import classes from "./sessions.module.css";

interface WatchSessionProps {
  session: AdminSession;
  onClose: () => void;
}

/** A terminal as its users see it, without typing. */
export default function WatchSession({ session, onClose }: WatchSessionProps) {
  const isNarrow = useMediaQuery("(max-width: 700px)", false, { getInitialValueInEffect: false });
  return (
    <Modal
      opened
      onClose={onClose}
      title={`${session.tabName} of ${session.projectId}`}
      size="min(1160px, 94vw)"
      fullScreen={isNarrow}
      classNames={{ body: classes.watchBody ?? "" }}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Watched session={session} />
    </Modal>
  );
}

function Watched({ session }: { session: AdminSession }) {
  const caller = useSession();
  const { elsewhere } = useAdmin();
  const barrier = barrierTo(session, caller, "terminals:read");
  // The service says what is wrong; a WebSocket that is refused says nothing.
  const view = useQuery({
    queryKey: [ADMIN_KEY, "watched", session.id],
    queryFn: ({ signal }) => client.terminal(session.id, { signal }),
    enabled: barrier === undefined && elsewhere === undefined,
    retry: false,
    gcTime: 0,
  });
  const [state, setState] = useState<SessionState>();
  const shown = state?.session ?? view.data?.session;
  const refusal = barrier ?? (view.error === null ? undefined : tellRefusal(view.error));
  if (refusal !== undefined) {
    return (
      <p className={classes.refusal} role="alert">
        {refusal}
      </p>
    );
  }
  return (
    <>
      <div className={classes.watchHead}>
        <SessionStateBadge state={shown?.state ?? session.state} status={state?.status} />
        <span className={classes.watchFact}>
          <Eye size={13} aria-hidden /> read-only
        </span>
        {shown && (
          <span className={`numbers ${classes.watchFact}`}>
            {shown.cols} × {shown.rows}
          </span>
        )}
        <Link
          className={classes.watchLink}
          href={terminalsLink({ project: session.projectId, session: session.id, readonly: true })}
        >
          Open in Terminals <SquareArrowOutUpRight size={12} aria-hidden />
        </Link>
      </div>
      {(view.isSuccess || elsewhere !== undefined) && (
        <Screen session={session} cols={shown?.cols ?? 80} elsewhere={elsewhere} onState={setState} />
      )}
      {state?.status === "failed" && <p role="alert">{state.message}</p>}
      {state?.status === "ended" && state.session && <p role="status">{endOf(state.session)}</p>}
    </>
  );
}

interface ScreenProps {
  session: AdminSession;
  cols: number;
  elsewhere: string | undefined;
  onState: (state: SessionState) => void;
}

function Screen({ session, cols, elsewhere, onState }: ScreenProps) {
  const { ref, width } = useElementSize();
  const scheme = useComputedColorScheme("dark");
  const connectionUrl = socketOf(session.id, elsewhere);
  return (
    <div ref={ref} className={classes.screen}>
      {width > 0 && (
        <SessionTerminal
          client={client}
          sessionId={session.id}
          readonly
          theme={scheme}
          fontSize={fontToFit(cols, width - 32)}
          onState={onState}
          {...(connectionUrl === undefined ? {} : { connectionUrl })}
        />
      )}
    </div>
  );
}
