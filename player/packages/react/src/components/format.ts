import type { RunNode } from "../api/types.ts";

/** `1:02:03` or `2:03`; with tenths below an hour if they are wanted. */
export function formatTime(atMs: number, precision: "seconds" | "tenths" = "seconds"): string {
  const tenths = Math.floor(Math.max(atMs, 0) / 100);
  const seconds = Math.floor(tenths / 10);
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const padded = String(seconds % 60).padStart(2, "0");
  const text = hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
  return precision === "tenths" && hours === 0 ? `${text}.${tenths % 10}` : text;
}

/** For screen readers: `2 minutes 3 seconds`. */
export function speakTime(atMs: number): string {
  const seconds = Math.floor(Math.max(atMs, 0) / 1_000);
  const parts = [
    [Math.floor(seconds / 3_600), "hour"],
    [Math.floor(seconds / 60) % 60, "minute"],
    [seconds % 60, "second"],
  ] as const;
  const told = parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
  return told.length === 0 ? "0 seconds" : told.join(" ");
}

/** `512 B`, `1.4 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1_024;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** The node most worth a look: the first that failed, else the newest that runs, else the last that ran. */
export function nodeOfInterest(nodes: readonly RunNode[]): RunNode | undefined {
  const started = nodes.filter((node) => node.startedAt != null);
  const byStart = [...started].sort(
    (one, other) => Date.parse(one.startedAt ?? "") - Date.parse(other.startedAt ?? ""),
  );
  const failed = byStart.find((node) => node.status === "FAILED" || node.status === "TIMED_OUT");
  return failed ?? byStart.findLast((node) => node.status === "RUNNING") ?? byStart.at(-1) ?? nodes[0];
}
