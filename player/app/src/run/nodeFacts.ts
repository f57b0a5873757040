/** What a badge says of a node. */
import type { RunNode } from "@runcast/react";
import type { RecordedNode } from "./useRecordings";

/** `exit 2`, `signal 9`; undefined for a good end and for none. */
export function exitOf(node: RunNode): string | undefined {
  if (node.signal != null) return `signal ${node.signal}`;
  if (node.exitCode != null && node.exitCode !== 0) return `exit ${node.exitCode}`;
  return undefined;
}

/** Chunks and bytes of all streams: counted by the node itself if it has ended, else as far as recorded. */
export function volumeOf(
  node: RunNode,
  recorded: RecordedNode | undefined,
): { chunks: number; bytes: number } | undefined {
  if (node.final) {
    return {
      chunks: node.final.reduce((sum, stream) => sum + stream.chunks, 0),
      bytes: node.final.reduce((sum, stream) => sum + stream.bytes, 0),
    };
  }
  return recorded && { chunks: recorded.chunks, bytes: recorded.bytes };
}

/** What a node without output says instead of a console. */
export function silenceOf(node: RunNode, nodes: readonly RunNode[]): string | undefined {
  if (node.streams.length > 0) return undefined;
  if (node.status === "PENDING") {
    const open = node.dependsOn.filter(
      (ref) => nodes.find((other) => other.ref === ref)?.status !== "COMPLETED",
    );
    return open.length > 0
      ? `Waits for ${open.slice(0, 5).join(", ")}${open.length > 5 ? " …" : ""}`
      : "Waits for a place";
  }
  if (node.status === "RUNNING") return "Starting";
  return node.failure?.message ?? "This node never started";
}
