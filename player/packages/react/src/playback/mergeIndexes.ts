import type { RecordingIndex } from "../api/types.ts";

/** One index for several streams of a node; the activity of each is stretched to the longest. */
export function mergeIndexes(indexes: readonly RecordingIndex[]): RecordingIndex | undefined {
  const [first, ...others] = indexes;
  if (first === undefined || others.length === 0) return first;
  const durationMs = Math.max(...indexes.map((index) => index.durationMs));
  const slices = Math.max(...indexes.map((index) => index.activity.length));
  const activity = new Array<number>(slices).fill(0);
  for (const index of indexes) {
    for (const [slice, bytes] of index.activity.entries()) {
      const atMs = ((slice + 0.5) / index.activity.length) * index.durationMs;
      const target = Math.min(Math.floor((atMs / durationMs) * slices), slices - 1);
      activity[target] = (activity[target] ?? 0) + bytes;
    }
  }
  const sum = (value: (index: RecordingIndex) => number) =>
    indexes.reduce((total, index) => total + value(index), 0);
  return {
    durationMs,
    chunks: sum((index) => index.chunks),
    bytes: sum((index) => index.bytes),
    state: stateOf(indexes.map((index) => index.state)),
    keyframes: inOrder(indexes.flatMap((index) => index.keyframes)),
    markers: inOrder(indexes.flatMap((index) => index.markers)),
    markerCount: sum((index) => index.markerCount),
    resizes: inOrder(indexes.flatMap((index) => index.resizes)),
    resizeCount: sum((index) => index.resizeCount),
    activity,
  };
}

function stateOf(states: readonly string[]): string {
  if (states.includes("live")) return "live";
  return states.includes("incomplete") ? "incomplete" : "complete";
}

function inOrder<T extends { atMs: number }>(places: T[]): T[] {
  return places.sort((one, other) => one.atMs - other.atMs);
}
