import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { RuncastClient } from "../../api/client.ts";
import type { TerminalSink } from "../../console/types.ts";
import { SessionConnection } from "../../session/connection.ts";
import type { SessionOptions, SessionState } from "../../session/types.ts";

export interface SessionControl extends SessionState {
  /** Begins to paint the session; gives back how to stop. */
  attach: (sink: TerminalSink) => () => void;
  type: (data: string | Uint8Array) => void;
  resize: (cols: number, rows: number) => void;
}

const CONNECTING: SessionState = { status: "connecting", session: undefined, message: undefined };

/** Carries an interactive terminal into an xterm and back; bytes never pass through React. */
export function useTerminalSession(
  client: RuncastClient,
  id: string,
  options: SessionOptions = {},
): SessionControl {
  const { readonly = false, connectionUrl } = options;
  const connection = useRef<SessionConnection | undefined>(undefined);
  const [state, setState] = useState<SessionState>(CONNECTING);
  const attach = useCallback(
    (sink: TerminalSink) => {
      const made = new SessionConnection(client, id, sink, {
        readonly,
        ...(connectionUrl === undefined ? {} : { connectionUrl }),
      });
      connection.current = made;
      setState(made.getState());
      const unsubscribe = made.subscribe(() => setState(made.getState()));
      return () => {
        unsubscribe();
        made.close();
        if (connection.current === made) connection.current = undefined;
      };
    },
    [client, id, readonly, connectionUrl],
  );
  useEffect(() => () => connection.current?.close(), []);
  const type = useCallback((data: string | Uint8Array) => connection.current?.type(data), []);
  const resize = useCallback((cols: number, rows: number) => connection.current?.resize(cols, rows), []);
  return useMemo(() => ({ ...state, attach, type, resize }), [state, attach, type, resize]);
}
