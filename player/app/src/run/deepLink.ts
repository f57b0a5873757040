/** The address of what one looks at: a run, a node of it, a stream, a moment. */

export interface DeepLink {
  readonly runId: string;
  readonly nodeRef?: string;
  /** One stream of a node with pipes. */
  readonly stream?: StreamName;
  /** Milliseconds from the start of the node; without it the end, or live. */
  readonly atMs?: number;
}

export type StreamName = "pty" | "stdout" | "stderr";

const STREAMS: readonly string[] = ["pty", "stdout", "stderr"];

/** Reads an address below the base of the page; undefined if it is no run's. */
export function parseDeepLink(path: string, search: string): DeepLink | undefined {
  const match = /^\/runs\/([^/]+)(?:\/nodes\/([^/]+))?\/?$/.exec(path);
  const runId = decode(match?.[1]);
  if (runId === undefined) return undefined;
  const nodeRef = decode(match?.[2]);
  if (nodeRef === undefined) return { runId };
  const query = new URLSearchParams(search);
  const stream = query.get("stream");
  const seconds = query.get("t");
  const atMs =
    seconds !== null && /^\d+(\.\d+)?$/.test(seconds) ? Math.round(Number(seconds) * 1000) : undefined;
  return {
    runId,
    nodeRef,
    ...(stream !== null && STREAMS.includes(stream) && { stream: stream as StreamName }),
    ...(atMs !== undefined && Number.isSafeInteger(atMs) && { atMs }),
  };
}

/** Writes it; times are seconds with at most three decimals. */
export function formatDeepLink(link: DeepLink): string {
  const run = `/runs/${encodeURIComponent(link.runId)}`;
  if (link.nodeRef === undefined) return run;
  const query = new URLSearchParams();
  if (link.atMs !== undefined) query.set("t", String(Math.round(link.atMs) / 1000));
  if (link.stream !== undefined) query.set("stream", link.stream);
  const search = query.toString();
  return `${run}/nodes/${encodeURIComponent(link.nodeRef)}${search === "" ? "" : `?${search}`}`;
}

function decode(part: string | undefined): string | undefined {
  if (part === undefined) return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
