// The console of a node in the page, as people find it.
import type { Locator, Page } from "@playwright/test";
import type { Terminal } from "@xterm/xterm";

/** The parts of a console. */
export interface NodeConsole {
  /** All of it, with its head and its search. */
  pane: Locator;
  /** The terminal. */
  screen: Locator;
  /** What the terminal shows now, as text. */
  rows: Locator;
  /** The time axis. */
  timeline: Locator;
}

export function consoleOf(page: Page, nodeRef: string): NodeConsole {
  const console = page.locator(`[data-console="${nodeRef}"]`);
  return {
    pane: page.locator('[id^="pane-"]').filter({ has: console }),
    screen: console.locator(".xterm"),
    rows: console.locator(".xterm-rows"),
    timeline: console.getByRole("slider"),
  };
}

/** Opens the console of a node as a tab, from the list of nodes. */
export async function openNode(page: Page, nodeRef: string): Promise<NodeConsole> {
  await page.locator(`[data-node="${nodeRef}"]`).getByRole("button").first().click();
  return consoleOf(page, nodeRef);
}

/** How many rows the terminal holds, above its screen and on it. */
export function heldRows(screen: Locator): Promise<number> {
  return screen.evaluate((element) => {
    const host = element.closest<HTMLElement & { xterm?: Terminal }>(".rc-terminal");
    return host?.xterm?.buffer.active.length ?? 0;
  });
}

/** How the page says that it is connected: `connecting live reconnecting ended failed`. */
export function connectionOf(page: Page): Locator {
  return page.getByRole("status").filter({ hasText: "Connection:" });
}

/** The moment in the address of the page, in milliseconds; undefined while one looks at the newest. */
export function momentOf(page: Page): number | undefined {
  const seconds = new URL(page.url()).searchParams.get("t");
  return seconds === null ? undefined : Number(seconds) * 1000;
}
