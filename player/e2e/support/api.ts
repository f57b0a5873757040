// What tests ask of the service beside the page.
import { eventually } from "./deadline.ts";

export interface NodeDocument {
  ref: string;
  shell?: string;
  command?: string[];
  dependsOn?: string[];
  retries?: number;
  timeoutSecs?: number;
  env?: Record<string, string>;
  terminal?: { mode?: "pty" | "pipe"; cols?: number; rows?: number };
}

export interface RunDocument {
  runId?: string;
  name?: string;
  workflowId?: string;
  labels?: Record<string, string>;
  metadata?: Record<string, unknown>;
  links?: { rel: string; label: string; url: string }[];
  terminal?: { mode?: "pty" | "pipe"; cols?: number; rows?: number };
  timeoutSecs?: number;
  nodes: NodeDocument[];
}

interface RunAnswer {
  runId: string;
  status: string;
  lastSeq: number;
  recordings: { live: number; complete: number; incomplete: number };
  nodes: { ref: string; status: string; streams: string[] }[];
}

const ENDED = ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];
let runs = 0;

export class Api {
  readonly base: string;

  constructor(url: string) {
    this.base = `${url}/api/v1`;
  }

  /** Submits the run; gives back its id. */
  async submit(document: RunDocument): Promise<string> {
    runs += 1;
    const runId = document.runId ?? `run-${process.pid}-${runs}`;
    await this.#ask("POST", "/runs", { ...document, runId });
    return runId;
  }

  async run(runId: string): Promise<RunAnswer> {
    return (await this.#ask("GET", `/runs/${runId}`)).json() as Promise<RunAnswer>;
  }

  /** The run once it has ended and its recordings are final. */
  async ended(runId: string, withinMs = 30_000): Promise<RunAnswer> {
    return eventually(
      `the end of ${runId}`,
      async () => {
        const run = await this.run(runId);
        return ENDED.includes(run.status) && run.recordings.live === 0 ? run : undefined;
      },
      withinMs,
    );
  }

  /** The run once this node is as wanted. */
  async nodeIs(runId: string, nodeRef: string, status: string, withinMs = 20_000): Promise<void> {
    await eventually(
      `${nodeRef} of ${runId} ${status}`,
      async () => {
        const node = (await this.run(runId)).nodes.find((candidate) => candidate.ref === nodeRef);
        return node?.status === status ? true : undefined;
      },
      withinMs,
    );
  }

  /** Exactly the bytes of a stream. */
  async raw(runId: string, nodeRef: string, query = ""): Promise<Buffer> {
    return this.bytes(`/runs/${runId}/terminal/${nodeRef}/cast?format=raw${query}`);
  }

  /** The bytes at a path below the base path. */
  async bytes(path: string): Promise<Buffer> {
    return Buffer.from(await (await this.#ask("GET", path)).arrayBuffer());
  }

  async json<T>(path: string): Promise<T> {
    return (await this.#ask("GET", path)).json() as Promise<T>;
  }

  /** Opens an interactive terminal; gives back its id. */
  async openTerminal(projectId: string, tabName: string): Promise<string> {
    const opened = await this.#ask("POST", "/terminals", { projectId, type: "system", tabName });
    return ((await opened.json()) as { session: { id: string } }).session.id;
  }

  async cancel(runId: string): Promise<void> {
    await this.#ask("POST", `/runs/${runId}/cancel`);
  }

  /** As soon as the recordings of the run are final. */
  async purge(runId: string): Promise<void> {
    await eventually(`the purge of ${runId}`, async () => {
      await this.#ask("DELETE", `/runs/${runId}`);
      return true;
    });
  }

  async mark(runId: string, nodeRef: string, label: string): Promise<void> {
    await this.#ask("POST", `/runs/${runId}/terminal/${nodeRef}/markers`, { label });
  }

  /** One of the service's metrics. */
  async metric(line: string): Promise<number> {
    const text = await (await fetch(`${this.base.replace("/api/v1", "")}/metrics`)).text();
    const found = text.split("\n").find((candidate) => candidate.startsWith(`${line} `));
    return Number(found?.slice(line.length + 1) ?? Number.NaN);
  }

  async #ask(method: string, path: string, body?: unknown): Promise<Response> {
    const answer = await fetch(`${this.base}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}
