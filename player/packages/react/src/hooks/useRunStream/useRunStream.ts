import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { type ClientOptions, RuncastClient } from "../../api/client.ts";
import type { Gap, Run, RunStatus } from "../../api/types.ts";
import { RunSource } from "../../stream/source.ts";
import type { Connection, RunState, StreamError, StreamOptions, Transport } from "../../stream/types.ts";

export interface RunStream {
  run: Run | undefined;
  status: RunStatus | undefined;
  connection: Connection;
  transport: Transport;
  isConnected: boolean;
  /** True once everything of the run has been sent. */
  isDone: boolean;
  error: StreamError | undefined;
  /** While reconnecting: when the next attempt is made, in milliseconds since 1970. */
  retryAtMs: number | undefined;
  gaps: readonly Gap[];
  metadata: Record<string, unknown>;
  reconnect: () => void;
  disconnect: () => void;
  source: RunSource;
}

/** Follows a run. Give `source` to the consoles of the page: they share its one stream. */
export function useRunStream(runId: string, options: StreamOptions = {}): RunStream {
  const source = useRunSource(runId, options);
  const state = useRunState(source);
  const reconnect = useCallback(() => source.reconnect(), [source]);
  const disconnect = useCallback(() => source.disconnect(), [source]);
  const { run, status, connection, transport, error, retryAtMs, gaps } = state;
  return {
    run,
    status,
    connection,
    transport,
    isConnected: connection === "live",
    isDone: connection === "ended",
    error,
    retryAtMs,
    gaps,
    metadata: (run?.metadata ?? EMPTY) as Record<string, unknown>,
    reconnect,
    disconnect,
    source,
  };
}

const EMPTY = {};

/** The given source, or one of its own that lives as long as the component shows this run. */
export function useRunSource(runId: string, options: StreamOptions & { source?: RunSource }): RunSource {
  const latest = useLatest(options);
  const { source: given, client, baseUrl } = options;
  const hasToken = options.getToken !== undefined;
  const { initialRun, reconnectDelayMs } = options;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what a run begins with makes no new source later
  const source = useMemo(() => {
    if (given !== undefined) return given;
    return new RunSource(runId, {
      client: client ?? new RuncastClient(latestClientOptions(latest, baseUrl, hasToken)),
      ...(initialRun === undefined ? {} : { initialRun }),
      ...(reconnectDelayMs === undefined ? {} : { reconnectDelayMs }),
    });
  }, [given, runId, client, baseUrl, hasToken, latest]);
  useEffect(() => {
    source.retain();
    return () => source.release();
  }, [source]);
  return source;
}

export function useRunState(source: RunSource): RunState {
  const subscribe = useCallback((listener: () => void) => source.subscribe(listener), [source]);
  const getState = useCallback(() => source.getState(), [source]);
  return useSyncExternalStore(subscribe, getState, getState);
}

/** Functions that a component makes anew with each render do not make a new client. */
function latestClientOptions(
  latest: { readonly current: ClientOptions },
  baseUrl: string | undefined,
  hasToken: boolean,
): ClientOptions {
  return {
    ...(baseUrl === undefined ? {} : { baseUrl }),
    ...(hasToken ? { getToken: () => latest.current.getToken?.() ?? null } : {}),
    fetch: (input, init) => (latest.current.fetch ?? globalThis.fetch)(input, init),
  };
}

/** A box with what the component was given last, for what happens after it was rendered. */
export function useLatest<T>(value: T): { readonly current: T } {
  const box = useRef(value);
  // Before anything that a terminal starts when it is there can look into it.
  useLayoutEffect(() => {
    box.current = value;
  });
  return box;
}
