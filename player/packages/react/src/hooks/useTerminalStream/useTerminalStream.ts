import { useCallback, useMemo, useSyncExternalStore } from "react";
import { TerminalLink } from "../../console/link.ts";
import type { InitialOutput, StreamChoice, TerminalSink, TerminalState } from "../../console/types.ts";
import type { RunSource } from "../../stream/source.ts";

export interface TerminalStreamOptions {
  /** Which output of a node without a terminal; `all` by default. */
  stream?: StreamChoice;
  /** Painted at once; only what comes after its `seq` is asked for. */
  initialOutput?: InitialOutput;
}

export interface TerminalStream extends TerminalState {
  /** Starts to write the node's output; gives back how to stop. */
  attach: (sink: TerminalSink) => () => void;
  /** Compares every byte of the recording with the hash of its end. */
  verify: (signal?: AbortSignal) => Promise<boolean>;
}

/** Carries the output of a node into a terminal; bytes never pass through React. */
export function useTerminalStream(
  source: RunSource,
  nodeRef: string,
  options: TerminalStreamOptions = {},
): TerminalStream {
  const { stream = "all", initialOutput } = options;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what a console begins with makes no new one later
  const link = useMemo(
    () => new TerminalLink(source, nodeRef, stream, initialOutput),
    [source, nodeRef, stream],
  );
  const subscribe = useCallback((listener: () => void) => link.subscribe(listener), [link]);
  const getState = useCallback(() => link.getState(), [link]);
  const state = useSyncExternalStore(subscribe, getState, getState);
  const attach = useCallback((sink: TerminalSink) => link.attach(sink), [link]);
  const verify = useCallback((signal?: AbortSignal) => link.verify(signal), [link]);
  return { ...state, attach, verify };
}
