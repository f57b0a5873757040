import type { RecordingRow, Run } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { client } from "../service";
import { hasEnded } from "../status/status";

/** What is recorded of a node, over all its streams. */
export interface RecordedNode {
  readonly chunks: number;
  readonly bytes: number;
  readonly gaps: number;
  /** The worst of its streams. */
  readonly state: "live" | "complete" | "incomplete";
  readonly streams: readonly RecordingRow[];
}

export type RecordingsByNode = ReadonlyMap<string, RecordedNode>;

/** How often the rows are read while the run, or the archiving of it, goes on. */
const POLL_MS = 5_000;
const SEVERITY = ["complete", "live", "incomplete"];

/** The recordings of a run by node; read again while they grow. */
export function useRecordings(run: Run): RecordingsByNode {
  const isOver = hasEnded(run.status);
  const rows = useQuery({
    queryKey: ["recordings", run.runId, isOver],
    queryFn: async ({ signal }) => (await client.recordings(run.runId, { signal })).recordings,
    refetchInterval: (query) => {
      const isFinal = isOver && query.state.data?.every((row) => row.state !== "live");
      return isFinal ? false : POLL_MS;
    },
    placeholderData: (before) => before,
  });
  return useMemo(() => byNode(rows.data ?? []), [rows.data]);
}

function byNode(rows: readonly RecordingRow[]): RecordingsByNode {
  const nodes = new Map<string, RecordedNode>();
  for (const row of rows) {
    const before = nodes.get(row.nodeRef);
    const state = row.state as RecordedNode["state"];
    nodes.set(row.nodeRef, {
      chunks: (before?.chunks ?? 0) + row.chunkCount,
      bytes: (before?.bytes ?? 0) + row.byteCount,
      gaps: (before?.gaps ?? 0) + row.gapCount,
      state: before && SEVERITY.indexOf(before.state) > SEVERITY.indexOf(state) ? before.state : state,
      streams: [...(before?.streams ?? []), row],
    });
  }
  return nodes;
}
