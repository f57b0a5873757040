import { useEffect, useMemo, useState } from "react";
import type { RecordingIndex, RunNode, StreamName } from "../../api/types.ts";
import type { StreamChoice } from "../../console/types.ts";
import { mergeIndexes } from "../../playback/mergeIndexes.ts";
import { type LiveDriver, RecordingPlayer } from "../../playback/player.ts";
import type { Player } from "../../playback/types.ts";
import type { RunSource } from "../../stream/source.ts";
import { isPassing } from "../../stream/streamErrors.ts";
import { useRunState } from "../useRunStream/useRunStream.ts";

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
  const { stream: choice = "all", startAtMs, live, lastAtMs = 0, isEnabled = true } = options;
  // biome-ignore lint/correctness/useExhaustiveDependencies: where a recording begins makes no new player later
  const player = useMemo(() => {
    return new RecordingPlayer({
      client: source.client,
      runId: source.runId,
      nodeRef,
      ...(live === undefined ? {} : { live }),
      ...(startAtMs === undefined ? {} : { startAtMs }),
    });
  }, [source, nodeRef, live]);
  const node = useRunState(source).run?.nodes?.find((each) => each.ref === nodeRef);
  const streams = streamsOf(node, choice);
  const isGrowing = node === undefined || node.status === "RUNNING" || node.status === "PENDING";
  const index = useIndex(source, nodeRef, choice, isEnabled ? streams : "", isGrowing);

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

/** The index of a node: again and again while it grows, and then until it has come once more. */
function useIndex(
  source: RunSource,
  nodeRef: string,
  choice: StreamChoice,
  streams: string,
  isGrowing: boolean,
): RecordingIndex | undefined {
  const [known, setKnown] = useState<KnownIndex>();
  useEffect(() => {
    if (streams === "") return undefined;
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      clearTimeout(timer);
      timer = undefined;
      const isSettled = isShown() && (await load());
      if ((isGrowing || !isSettled) && !ended.signal.aborted) timer = setTimeout(ask, INDEX_INTERVAL_MS);
    };
    const look = () => {
      if (timer !== undefined && isShown()) void ask();
    };
    /** True if asking again would bring nothing else. */
    const load = async (): Promise<boolean> => {
      try {
        const indexes = await Promise.all(
          (streams.split(",") as StreamName[]).map((stream) =>
            source.client.index(source.runId, nodeRef, { stream }, { signal: ended.signal }),
          ),
        );
        if (!ended.signal.aborted) setKnown({ source, nodeRef, choice, index: mergeIndexes(indexes) });
        return true;
      } catch (error) {
        // The seek bar stays as it was; the stream tells what is wrong.
        return !isPassing(error);
      }
    };
    void ask();
    if (typeof document !== "undefined") document.addEventListener("visibilitychange", look);
    return () => {
      ended.abort();
      clearTimeout(timer);
      if (typeof document !== "undefined") document.removeEventListener("visibilitychange", look);
    };
  }, [source, nodeRef, choice, streams, isGrowing]);
  const isOfThis = known?.source === source && known.nodeRef === nodeRef && known.choice === choice;
  return isOfThis ? known.index : undefined;
}

/** An index with what it was asked for. */
interface KnownIndex {
  source: RunSource;
  nodeRef: string;
  choice: StreamChoice;
  index: RecordingIndex | undefined;
}

function isShown(): boolean {
  return typeof document === "undefined" || document.visibilityState !== "hidden";
}
