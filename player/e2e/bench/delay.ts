// How long a page lets its user wait, and how much memory it takes.
import type { Page } from "@playwright/test";

/** Milliseconds. */
export interface Delays {
  p50: number;
  p95: number;
}

interface Watched {
  delays: number[];
}

/**
 * Presses a key every 100 ms until `work` is done, and tells how long the page took to notice each: from the
 * moment at which the browser got the key until a listener ran.
 */
export async function inputDelays(page: Page, work: Promise<unknown>): Promise<Delays> {
  await page.evaluate(() => {
    const holder = globalThis as unknown as { watched: Watched };
    holder.watched = { delays: [] };
    const note = (event: Event) => holder.watched.delays.push(performance.now() - event.timeStamp);
    addEventListener("keydown", note, { capture: true });
  });
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    await page.keyboard.press("Shift");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await done;
  const sorted = await page.evaluate(() =>
    (globalThis as unknown as { watched: Watched }).watched.delays.sort((a, b) => a - b),
  );
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}

/** Bytes of the page's heap after a collection. */
export async function heapBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}
