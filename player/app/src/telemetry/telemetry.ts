/** Counts what people do with the page and tells the service in batches: names and numbers, nothing else. */

import type { TelemetryEvent, TelemetryName } from "@runcast/react";

/** Sends a batch; a failure is not told to anybody, as nobody could do anything about it. */
export type SendTelemetry = (events: TelemetryEvent[]) => Promise<unknown>;

/** How long counts gather before they are sent. */
export const FLUSH_AFTER_MS = 10_000;

/** The counters of the page. Bounded: one number a name. */
export class Telemetry {
  private readonly counts = new Map<TelemetryName, number>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly send: SendTelemetry,
    private readonly flushAfterMs = FLUSH_AFTER_MS,
  ) {}

  count(name: TelemetryName, count = 1): void {
    if (count <= 0) return;
    this.counts.set(name, Math.min(1_000_000, (this.counts.get(name) ?? 0) + count));
    this.timer ??= setTimeout(() => this.flush(), this.flushAfterMs);
  }

  /** Sends what has gathered, now. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.counts.size === 0) return;
    const events = [...this.counts].map(([name, count]) => ({ name, count }));
    this.counts.clear();
    this.send(events).catch(() => undefined);
  }
}
