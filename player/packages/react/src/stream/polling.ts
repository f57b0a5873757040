import type { RuncastClient } from "../api/client.ts";
import type { EventFilters } from "../api/types.ts";
import type { EventHandlers } from "./sse.ts";
import { ANSWER_TIMEOUT_MS, within } from "./within.ts";

/** Seconds that the service waits for the first event of a page. */
const WAIT_SECS = 25;
const PAGE_EVENTS = 1_000;

/** Asks for pages of events until the run's end, as a stream would give them; `live` and `done` included. */
export async function pollEvents(
  client: RuncastClient,
  runId: string,
  filters: EventFilters & { after: number },
  handlers: EventHandlers,
  signal: AbortSignal,
): Promise<void> {
  let after = filters.after;
  let isLive = false;
  while (!signal.aborted && !handlers.isSatisfied()) {
    const query = { ...filters, after, limit: PAGE_EVENTS, waitSecs: isLive ? WAIT_SECS : 0 };
    const page = await within(query.waitSecs * 1_000 + ANSWER_TIMEOUT_MS, signal, (inner) =>
      client.events(runId, query, { signal: inner }),
    );
    for (const { event, data } of page.events) {
      handlers.event(event, data);
      const { seq } = data as { seq?: number };
      if (seq !== undefined) handlers.advance(seq);
    }
    after = page.nextAfter;
    handlers.advance(after);
    if (page.live && !isLive) {
      isLive = true;
      handlers.event("live", { seq: after });
    }
    if (page.done != null) {
      handlers.event("done", page.done);
      return;
    }
    await handlers.room();
  }
}
