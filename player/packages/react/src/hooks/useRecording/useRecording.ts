import { useEffect, useMemo, useState } from "react";
import type { RecordingIndex, RunNode, StreamName } from "../../api/types.ts";
import type { StreamChoice } from "../../console/types.ts";
import { mergeIndexes } from "../../playback/mergeIndexes.ts";
import { type LiveDriver, RecordingPlayer } from "../../playback/player.ts";
import type { Player } from "../../playback/types.ts";
import type { RunSource } from "../../stream/source.ts";
import { useLatest, useRunState } from "../useRunStream/useRunStream.ts";

/** How often the index of a node that still writes is asked for. */
const INDEX_INTERVAL_MS = 5_000;

export interface RecordingOptions {
  /** Which output of a node without a terminal; `all` by default. */
  stream?: StreamChoice;
  /** Opens at this place; else at what is live, or without `live` at the beginning. */
  startAtMs?: number;
  /** Shows what the node writes now: `attach` of `useTerminalStream`. */
  live?: LiveDriver;
  /** The end as the live console sees it, in milliseconds. */
  lastAtMs?: number;
  /** False: nothing is asked for. */
  isEnabled?: boolean;
}

export interface Recording {
  /** What the seek bar shows; undefined until it has come. */
  index: RecordingIndex | undefined;
  player: Player;
}

/** The recording of a node, paged around the playhead: the whole is never loaded. */
export function useRecording(source: RunSource, nodeRef: string, options: RecordingOptions = {}): Recording {
  const { stream: choice = "all", live, lastAtMs = 0, isEnabled = true } = options;
  const latest = useLatest(options);
  const player = useMemo(() => {
    const { startAtMs } = latest.current;
    return new RecordingPlayer({
      client: source.client,
      runId: source.runId,
      nodeRef,
      ...(live === undefined ? {} : { live }),
      ...(startAtMs === undefined ? {} : { startAtMs }),
    });
  }, [source, nodeRef, live, latest]);
  const node = useRunState(source).run?.nodes?.find((each) => each.ref === nodeRef);
  const streams = streamsOf(node, choice);
  const isGrowing = node === undefined || node.status === "RUNNING" || node.status === "PENDING";
  const index = useIndex(source, nodeRef, isEnabled ? streams : "", isGrowing);

  useEffect(() => {
    if (streams !== "" && isEnabled) player.setStreams(streams.split(",") as StreamName[]);
  }, [player, streams, isEnabled]);
  useEffect(() => {
    player.setMarkers(index?.markers.map((marker) => marker.atMs) ?? []);
  }, [player, index]);
  const durationMs = Math.max(index?.durationMs ?? 0, lastAtMs);
  useEffect(() => player.measure(durationMs, isGrowing), [player, durationMs, isGrowing]);
  return { index, player };
}

/** A text, so that the same streams stay the same value. */
function streamsOf(node: RunNode | undefined, choice: StreamChoice): string {
  if (node === undefined) return "";
  return node.streams.filter((stream) => choice === "all" || stream === choice).join(",");
}

function useIndex(
  source: RunSource,
  nodeRef: string,
  streams: string,
  isGrowing: boolean,
): RecordingIndex | undefined {
  const [index, setIndex] = useState<RecordingIndex>();
  useEffect(() => {
    if (streams === "") return undefined;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const isShown = typeof document === "undefined" || document.visibilityState !== "hidden";
      if (isShown) await load();
      if (isGrowing && !ended.signal.aborted) timer = setTimeout(ask, INDEX_INTERVAL_MS);
    };
    const load = async () => {
      try {
        const indexes = await Promise.all(
          (streams.split(",") as StreamName[]).map((stream) =>
            source.client.index(source.runId, nodeRef, { stream }, { signal: ended.signal }),
          ),
        );
        if (!ended.signal.aborted) setIndex(mergeIndexes(indexes));
      } catch {
        // The seek bar stays as it was; the stream tells what is wrong.
      }
    };
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [source, nodeRef, streams, isGrowing]);
  return index;
}
