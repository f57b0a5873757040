// What a recording shows at a moment, worked out from its chunks.
import type { Locator } from "@playwright/test";
import type { Api } from "./api.ts";

interface Chunk {
  kind: string;
  payload?: string;
  atMs: number;
  chunkIndex: number;
}

/** All chunks of the terminal of a node. */
export async function chunksOf(api: Api, runId: string, nodeRef: string): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for (;;) {
    const after = chunks.at(-1)?.chunkIndex ?? -1;
    const path = `/runs/${runId}/terminal/${nodeRef}?stream=pty&limit=5000&afterChunk=${after}`;
    const page = await api.json<{ chunks: Chunk[] }>(path);
    if (page.chunks.length === 0) return chunks;
    chunks.push(...page.chunks);
  }
}

/** Everything that was written up to a moment. */
export function bytesUntil(chunks: readonly Chunk[], atMs: number): Buffer {
  const output = chunks.filter((chunk) => chunk.kind === "output" && chunk.atMs <= atMs);
  return Buffer.concat(output.map((chunk) => Buffer.from(chunk.payload ?? "", "base64")));
}

/** Where the playhead of a timeline is, in milliseconds. */
export async function positionOf(timeline: Locator): Promise<number> {
  return Number(await timeline.getAttribute("aria-valuenow"));
}
