import type { RecordingRow } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { client } from "../service";
import { hasEnded } from "../status/status";
import type { WholeRun } from "./wholeRun";

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

/** How often the rows are read while the run goes on. */
const POLL_MS = 5_000;
/** And after its end, until the last of them is final. */
const POLL_ENDED_MS = 1_000;
const SEVERITY = ["complete", "live", "incomplete"];

/** The recordings of a run by node; read again while they grow. */
export function useRecordings(run: WholeRun): RecordingsByNode {
  const isOver = hasEnded(run.status);
  // Rows come with the first segment: those of short outputs after the end.
  const expected = run.nodes.reduce((sum, node) => sum + node.streams.length, 0);
  const rows = useQuery({
    queryKey: ["recordings", run.runId, isOver],
    queryFn: async ({ signal }) => (await client.recordings(run.runId, { signal })).recordings,
    refetchInterval: (query) => {
      if (!isOver) return POLL_MS;
      const known = query.state.data ?? [];
      const isFinal = known.length >= expected && known.every((row) => row.state !== "live");
      return isFinal ? false : POLL_ENDED_MS;
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
