// The real binary on a free port, over a directory of its own.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Api } from "./api.ts";
import { eventually } from "./deadline.ts";

const BINARY = resolve(import.meta.dirname, process.env.RUNCAST_BIN ?? "../../../target/debug/runcast");

/** Tests leave nodes behind; nobody waits for their end. */
const IN_HASTE = { RUNCAST__SERVER__DRAIN_SECS: "1", RUNCAST__RUNNERS__LOCAL__KILL_GRACE_SECS: "1" };

export class Service {
  /** Holds everything of this service; also a place for files of a test. */
  readonly directory = mkdtempSync(join(tmpdir(), "runcast-e2e-"));
  readonly environment: Record<string, string>;
  #process: ChildProcess | undefined;
  #port = 0;
  #starts = 0;

  private constructor(environment: Record<string, string>) {
    this.environment = environment;
  }

  /** Starts it; `environment` holds keys of the configuration as `RUNCAST__SECTION__KEY`. */
  static async start(environment: Record<string, string> = {}): Promise<Service> {
    if (!existsSync(BINARY)) throw new Error(`there is no ${BINARY}: cargo build`);
    const service = new Service(environment);
    await service.startAgain();
    return service;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get api(): Api {
    return new Api(this.url);
  }

  /** After `kill`: on the same port, over the same directory. */
  async startAgain(): Promise<void> {
    this.#starts += 1;
    const logFile = join(this.directory, `serve-${this.#starts}.log`);
    const log = openSync(logFile, "w");
    const listen = `127.0.0.1:${this.#port}`;
    const data = join(this.directory, "data");
    const child = spawn(BINARY, ["serve", "--listen", listen, "--data-dir", data], {
      env: {
        PATH: process.env.PATH,
        HOME: this.directory,
        LANG: "C.UTF-8",
        ...IN_HASTE,
        ...this.environment,
      },
      stdio: ["ignore", log, log],
    });
    this.#process = child;
    const address = await eventually("the address of the service", () => {
      const text = readFileSync(logFile, "utf8");
      if (child.exitCode !== null) throw new Error(`the service has ended:\n${text}`);
      return /address=127\.0\.0\.1:(\d+)/.exec(text)?.[1];
    });
    this.#port = Number(address);
    await eventually("readiness", async () => ((await fetch(`${this.url}/readyz`)).ok ? true : undefined));
  }

  /** Submits a file of the folder `examples` with the command line, as `runId`. */
  submitExample(name: string, runId: string): string {
    const example = readFileSync(resolve(import.meta.dirname, "../../../examples", name), "utf8");
    execFileSync(BINARY, ["run", "-", "--server", this.url], { input: `runId: ${runId}\n${example}` });
    return runId;
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Ends it in order and removes its directory. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }
}
