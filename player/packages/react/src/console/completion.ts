import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { RuncastClient } from "../api/client.ts";
import type { RunNode } from "../api/types.ts";
import { pause } from "../stream/backoff.ts";
import type { StreamChoice } from "./types.ts";

const FIRST_WAIT_MS = 300;
const MAX_WAIT_MS = 15_000;
const ATTEMPTS = 20;

/**
 * Whether the recording of an ended node has everything, as the archive says; asks until it is final, which takes
 * seconds, and gives up after some minutes with undefined.
 */
export async function recordingVerdict(
  client: RuncastClient,
  runId: string,
  nodeRef: string,
  choice: StreamChoice,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  let waitMs = FIRST_WAIT_MS;
  for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt += 1) {
    const states = await recordingStates(client, runId, nodeRef, choice, signal);
    if (states.includes("incomplete")) return false;
    if (states.length > 0 && states.every((state) => state === "complete")) return true;
    await pause(waitMs, signal);
    waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  }
  return undefined;
}

async function recordingStates(
  client: RuncastClient,
  runId: string,
  nodeRef: string,
  choice: StreamChoice,
  signal: AbortSignal,
): Promise<string[]> {
  try {
    const { recordings } = await client.recordings(runId, { signal });
    return recordings
      .filter((row) => row.nodeRef === nodeRef && (choice === "all" || row.stream === choice))
      .map((row) => row.state);
  } catch {
    // A service that is away tells it later.
    return [];
  }
}

/** Reads every byte of an ended node's recording and compares with the SHA-256 that its end tells. */
export async function verifyRecording(
  client: RuncastClient,
  runId: string,
  node: RunNode,
  choice: StreamChoice,
  signal?: AbortSignal,
): Promise<boolean> {
  const finals = (node.final ?? []).filter((final) => choice === "all" || final.stream === choice);
  if (finals.length === 0) throw new Error(`the node \`${node.ref}\` has not ended`);
  for (const { stream, sha256: expected } of finals) {
    const options = signal === undefined ? {} : { signal };
    const response = await client.cast(runId, node.ref, { format: "raw", stream }, options);
    if ((await hashOf(response)) !== expected) return false;
  }
  return true;
}

async function hashOf(response: Response): Promise<string> {
  const hash = sha256.create();
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.done) return bytesToHex(hash.digest());
    hash.update(part.value);
  }
}
