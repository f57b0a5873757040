// Against the real service, where RUNCAST_BIN names its program.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { RuncastClient } from "./api/client.ts";
import { TerminalFeed } from "./console/feed.ts";
import { Painter } from "./console/painter.ts";
import { RecordingDriver } from "./playback/recordingDriver.ts";
import { RunSource } from "./stream/source.ts";
import { eventually } from "./testing/eventually.ts";
import { RecordingSink } from "./testing/sink.ts";

const PROGRAM = process.env.RUNCAST_BIN;

interface Service {
  baseUrl: string;
  child: ChildProcess;
}

const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function dataDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "runcast-react-"));
  cleanUps.push(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** Starts the service and waits until it says its address. */
async function start(directory: string, listen = "127.0.0.1:0"): Promise<Service> {
  const child = spawn(PROGRAM ?? "", ["serve", "--listen", listen, "--data-dir", directory], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  cleanUps.push(() => end(child, "SIGTERM"));
  for await (const line of createInterface({ input: child.stderr })) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the log may be coloured
    const address = /address=([\d.:]+)/.exec(line.replace(/\x1b\[\d*m/g, ""))?.[1];
    if (address === undefined) continue;
    child.stderr.resume();
    return { baseUrl: `http://${address}`, child };
  }
  throw new Error("the service ended at once");
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

async function watch(baseUrl: string, shell: string) {
  const client = new RuncastClient({ baseUrl });
  const { runId } = await client.submit({ nodes: [{ ref: "a", shell }] });
  const source = new RunSource(runId, { client, reconnectDelayMs: 50 });
  source.retain();
  cleanUps.push(() => source.disconnect());
  const sink = new RecordingSink();
  const feed = new TerminalFeed("a", sink, "all");
  source.attach(feed);
  return { client, runId, source, sink, feed };
}

describe.skipIf(PROGRAM === undefined)("with the real service", () => {
  it("a console has every byte of a run that it watched, and of one that it came to late", async () => {
    const { baseUrl } = await start(await dataDir());
    const { client, runId, source, sink, feed } = await watch(
      baseUrl,
      'i=0; while [ $i -lt 300 ]; do echo "line $i é"; i=$((i + 1)); done',
    );
    await eventually(() => expect(source.getState().connection).toBe("ended"));
    await eventually(() => expect(feed.getState().integrity).toBe("verified"));
    expect(source.getState().status).toBe("COMPLETED");
    const raw = await (await client.cast(runId, "a", { format: "raw" })).text();
    expect(sink.text).toBe(raw);

    const lateSink = new RecordingSink();
    const late = new TerminalFeed("a", lateSink, "all");
    source.attach(late);
    await eventually(() => expect(late.getState().integrity).toBe("verified"));
    expect(lateSink.text).toBe(raw);
  });

  it("a killed service that comes back costs no byte and repeats none", async () => {
    const directory = await dataDir();
    const first = await start(directory);
    const { client, runId, source, sink } = await watch(
      first.baseUrl,
      'i=0; while :; do echo "line $i"; i=$((i + 1)); sleep 0.01; done',
    );
    await eventually(() => expect(sink.text).toContain("line 50"));
    await end(first.child, "SIGKILL");
    await eventually(() => expect(source.getState().connection).toBe("reconnecting"));
    await start(directory, new URL(first.baseUrl).host);
    await eventually(() => expect(source.getState().connection).toBe("ended"));
    const raw = await (await client.cast(runId, "a", { format: "raw" })).text();
    await eventually(() => expect(sink.text).toBe(raw));
    expect(source.getState().status).toBe("FAILED");
  });

  it("a recording is shown at any place, and steps are single outputs", async () => {
    const { baseUrl } = await start(await dataDir());
    const { client, runId, source } = await watch(
      baseUrl,
      'for i in 1 2 3 4 5; do printf "<$i>"; sleep 0.1; done',
    );
    await eventually(() => expect(source.getState().connection).toBe("ended"));
    const { durationMs } = await client.index(runId, "a");
    const driver = new RecordingDriver(client, runId, "a", ["pty"]);
    const sink = new RecordingSink();
    const painter = new Painter(sink);
    const { signal } = new AbortController();
    await driver.seek(durationMs, painter, signal);
    expect(sink.text).toContain("<1><2><3><4><5>");
    await driver.step(-1, painter, signal);
    expect(sink.text).toContain("<1><2><3><4>");
    expect(sink.text).not.toContain("<5>");
    await driver.step(1, painter, signal);
    expect(sink.text).toContain("<5>");
  });
});
