import { useEffect, useRef } from "react";
import type { TelemetryEvent, TelemetryName } from "../api/types.ts";
import type { TerminalState } from "../console/types.ts";
import { useLatest } from "../hooks/useRunStream/useRunStream.ts";
import type { PlaybackState } from "../playback/types.ts";
import type { RunState } from "../stream/types.ts";

interface Reporting {
  state: RunState;
  /** False: the page tells of its own stream. */
  ownsSource: boolean;
  onTelemetry?: (event: TelemetryEvent) => void;
}

/** Counts what happens to a console: each thing once. */
export function useTelemetry(props: Reporting, terminal: TerminalState, playback: PlaybackState): void {
  const latest = useLatest(props);
  useCount(latest, "terminal_viewed", terminal.isLoading ? 0 : 1);
  useCount(latest, "gap_seen", terminal.gaps);
  useCount(latest, "reconnected", props.ownsSource ? props.state.reconnects : 0);
  const problem = terminal.error?.message ?? playback.error;
  useEffect(() => {
    if (problem !== undefined) latest.current.onTelemetry?.({ name: "player_error", count: 1 });
  }, [problem, latest]);
}

function useCount(latest: { readonly current: Reporting }, name: TelemetryName, total: number): void {
  const told = useRef(0);
  useEffect(() => {
    const count = total - told.current;
    if (count <= 0) return;
    told.current = total;
    latest.current.onTelemetry?.({ name, count });
  }, [name, total, latest]);
}
