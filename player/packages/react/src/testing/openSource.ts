import { TerminalFeed } from "../console/feed.ts";
import { RunSource } from "../stream/source.ts";
import type { StreamOptions } from "../stream/types.ts";
import * as scripted from "./service.ts";
import { ScriptedService, ScriptedStream } from "./service.ts";
import { RecordingSink } from "./sink.ts";

export const RUN_STREAM = /^\/runs\/run-1\/stream$/;
export const NODE_STREAM = /^\/runs\/run-1\/terminal\/a\/stream$/;
export const INDEX = /\/index$/;

const opened: RunSource[] = [];

export function open(service: ScriptedService, options: StreamOptions = {}): RunSource {
  const source = new RunSource("run-1", { fetch: service.fetch, reconnectDelayMs: 1, ...options });
  opened.push(source);
  source.retain();
  return source;
}

export function firstStatus(stream: ScriptedStream, more = {}): ScriptedStream {
  return stream.retry(1).event("status", { seq: 1, run: scripted.run(more) });
}

/** A console of node `a` that takes part in the run's stream. */
export function attach(
  source: RunSource,
  sink = new RecordingSink(),
): { feed: TerminalFeed; sink: RecordingSink; detach: () => void } {
  const feed = new TerminalFeed("a", sink, "all");
  return { feed, sink, detach: source.attach(feed) };
}

/** A service whose node has written `one`, up to seq 5; each stream of the run is one of `streams`. */
export function serviceWithOutput(
  ...streams: ((request: scripted.SeenRequest) => ReturnType<Parameters<ScriptedService["on"]>[1]>)[]
) {
  return new ScriptedService()
    .on(INDEX, () => scripted.index())
    .on(NODE_STREAM, () =>
      new ScriptedStream()
        .event("status", { seq: 5, run: scripted.run() })
        .event("terminal", scripted.output(4, 0, "one "), 4)
        .event("live", { seq: 5 }),
    )
    .sequence(RUN_STREAM, ...streams);
}

/** Closes what a test opened. */
export function closeAll(): void {
  for (const source of opened.splice(0)) source.disconnect();
}
