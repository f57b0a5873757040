import type { Run, RunNode, TerminalChunk } from "../api/types.ts";

export const RUN_ID = "run-1";

/** A body that a test writes as the service would. */
export class ScriptedStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  isCancelled = false;

  constructor() {
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => {
          this.isCancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** What is written and not read yet. */
  get isStalled(): boolean {
    return (this.#controller?.desiredSize ?? 0) < 0;
  }

  raw(bytes: Uint8Array | string): this {
    this.#controller?.enqueue(typeof bytes === "string" ? this.#encoder.encode(bytes) : bytes);
    return this;
  }

  event(name: string, data: unknown, id?: number): this {
    return this.raw(
      `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`,
    );
  }

  id(seq: number): this {
    return this.raw(`id: ${seq}\n\n`);
  }

  retry(delayMs: number): this {
    return this.raw(`retry: ${delayMs}\n\n`);
  }

  close(): void {
    this.#controller?.close();
  }

  /** The connection breaks. */
  cut(): void {
    this.#controller?.error(new TypeError("network error"));
  }
}

export interface SeenRequest {
  path: string;
  query: URLSearchParams;
  headers: Headers;
  method: string;
  body: string;
  signal: AbortSignal | undefined;
}

type Answer = Response | ScriptedStream | Error | Promise<Response> | undefined;
type Route = (request: SeenRequest) => Answer;

/** A `fetch` that answers as a test says, and remembers what it was asked. */
export class ScriptedService {
  readonly requests: SeenRequest[] = [];
  readonly #routes: [matches: RegExp, route: Route][] = [];
  /** Bodies stay alive as those of a network do: nobody else holds one that says nothing. */
  readonly #bodies: ReadableStream[] = [];

  /** Paths are below `/api/v1`. Later routes win; one that gives undefined leaves it to those before. */
  on(matches: RegExp, route: Route): this {
    this.#routes.unshift([matches, route]);
    return this;
  }

  /** The answers to one path, one after the other; the last is repeated. */
  sequence(matches: RegExp, ...answers: Route[]): this {
    let at = 0;
    return this.on(matches, (request) => {
      const answer = answers[Math.min(at, answers.length - 1)];
      at += 1;
      return answer?.(request);
    });
  }

  asked(matches: RegExp): SeenRequest[] {
    return this.requests.filter((request) => matches.test(request.path));
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input), "http://service");
    const request: SeenRequest = {
      path: url.pathname.replace("/api/v1", ""),
      query: url.searchParams,
      headers: new Headers(init?.headers),
      method: init?.method ?? "GET",
      body: String(init?.body ?? ""),
      signal: init?.signal ?? undefined,
    };
    this.requests.push(request);
    for (const [matches, route] of this.#routes) {
      if (!matches.test(request.path)) continue;
      const answer = await Promise.race([route(request), rejectedByAbort(request.signal)]);
      if (answer === undefined) continue;
      if (answer instanceof Error) throw answer;
      if (!(answer instanceof ScriptedStream)) return answer;
      this.#bodies.push(answer.body);
      return new Response(answer.body);
    }
    return refusal(404, "NOT_FOUND", `nothing is scripted for ${request.path}`);
  };
}

function rejectedByAbort(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  });
}

export function json(value: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(value), { headers: { "Content-Type": "application/json" }, ...init });
}

export function refusal(status: number, code: string, message = code, headers: HeadersInit = {}): Response {
  const error = { code, message, details: {}, timestamp: "2026-01-01T00:00:00.000Z" };
  return new Response(JSON.stringify({ success: false, error, requestId: "r" }), { status, headers });
}

export function node(ref: string, more: Partial<RunNode> = {}): RunNode {
  return {
    ref,
    command: ["true"],
    status: "RUNNING",
    attempt: 1,
    dependsOn: [],
    runnerKind: "local",
    terminal: { mode: "pty", cols: 80, rows: 24 },
    streams: ["pty"],
    startedAt: "2026-01-01T00:00:00.000Z",
    ...more,
  };
}

export function run(more: Partial<Run> = {}): Run {
  return {
    runId: RUN_ID,
    tenant: "default",
    labels: {},
    metadata: { branch: "main" },
    links: [],
    status: "RUNNING",
    createdAt: "2026-01-01T00:00:00.000Z",
    progress: { total: 1, pending: 0, running: 1, completed: 0, failed: 0, skipped: 0, cancelled: 0 },
    lastSeq: 1,
    epoch: 0,
    recordings: { live: 1, complete: 0, incomplete: 0 },
    nodes: [node("a")],
    ...more,
  } as Run;
}

/** A run as later status events have it. */
export function runWithoutNodes(more: Partial<Run> = {}): Run {
  const { nodes: _nodes, ...rest } = run(more);
  return rest as Run;
}

export function output(
  seq: number,
  chunkIndex: number,
  text: string,
  more: Partial<TerminalChunk> = {},
): TerminalChunk {
  return {
    seq,
    runId: RUN_ID,
    nodeRef: "a",
    stream: "pty",
    chunkIndex,
    kind: "output",
    payload: Buffer.from(text).toString("base64"),
    recordedAt: "2026-01-01T00:00:00.000Z",
    deltaMs: 10,
    atMs: chunkIndex * 10,
    origin: "i",
    runnerKind: "local",
    ...more,
  };
}

export function index(more: object = {}): Response {
  return json({
    durationMs: 1_000,
    chunks: 10,
    bytes: 100,
    state: "live",
    keyframes: [],
    markers: [],
    markerCount: 0,
    resizes: [],
    resizeCount: 0,
    activity: new Array(500).fill(1),
    ...more,
  });
}
