// xterm fed directly with bytes, in the same browser: what the console is compared with.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Locator, Page } from "@playwright/test";

const require = createRequire(import.meta.url);
/** They put their exports among the globals. */
const SOURCES = ["@xterm/xterm", "@xterm/addon-unicode11"].map((name) =>
  readFileSync(require.resolve(name), "utf8"),
);

export interface Size {
  cols: number;
  rows: number;
}

/** Rows of a terminal as its renderer has drawn them: each letter with its classes and colours. */
export type DrawnRows = string[][];

/** What a terminal shows at the moment. */
export function drawnIn(terminal: Locator): Promise<DrawnRows> {
  return terminal.locator(".xterm-rows > div").evaluateAll(told);
}

/** Feeds the bytes into a terminal of its own in this page, and gives back what that has drawn. */
export async function drawDirectly(page: Page, bytes: Uint8Array, size: Size): Promise<DrawnRows> {
  await feedDirectly(page, bytes, size);
  const place = page.locator("#direct");
  const rows = await drawnIn(place);
  await place.evaluate((element) => element.remove());
  return rows;
}

/** Feeds the bytes into a terminal of its own in this page, at once or at a rate, and leaves it there. */
export async function feedDirectly(
  page: Page,
  bytes: Uint8Array,
  size: Size,
  bytesPerSecond = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (const source of SOURCES) await page.evaluate(source);
  await page.evaluate(
    async ({ base64, size, bytesPerMs }) => {
      const direct = globalThis as unknown as typeof import("@xterm/xterm") & {
        Unicode11Addon: typeof import("@xterm/addon-unicode11");
      };
      const place = document.createElement("div");
      place.id = "direct";
      place.style.cssText = "position:fixed;left:0;top:0;opacity:0;pointer-events:none";
      document.body.append(place);
      const terminal = new direct.Terminal({ ...size, allowProposedApi: true, scrollback: 10_000 });
      terminal.loadAddon(new direct.Unicode11Addon.Unicode11Addon());
      terminal.unicode.activeVersion = "11";
      terminal.open(place);
      const content = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const began = performance.now();
      for (let sent = 0; sent < content.length; ) {
        const due = bytesPerMs === null ? content.length : (performance.now() - began) * bytesPerMs;
        const part = content.subarray(sent, due);
        await new Promise<void>((done) => terminal.write(part, done));
        sent += part.length;
        if (bytesPerMs !== null) await new Promise((next) => setTimeout(next, 20));
      }
      const isDrawn = new Promise<void>((done) => terminal.onRender(() => done()));
      terminal.refresh(0, size.rows - 1);
      await isDrawn;
    },
    {
      base64: Buffer.from(bytes).toString("base64"),
      size,
      bytesPerMs: Number.isFinite(bytesPerSecond) ? bytesPerSecond / 1_000 : null,
    },
  );
}

// Runs in the page. Where spans end depends on the cursor and on the width of glyphs, so letters are told
// one by one; blank ends of rows say nothing.
function told(rows: Element[]): DrawnRows {
  const letters = (span: HTMLElement): string[] => {
    const classes = [...span.classList].filter((name) => !name.startsWith("xterm-cursor")).sort();
    const { color, backgroundColor, textDecorationColor } = span.style;
    const look = [...classes, color, backgroundColor, textDecorationColor].filter((part) => part !== "");
    return [...(span.textContent ?? "")].map((letter) => [letter.replace("\u00a0", " "), ...look].join(" "));
  };
  return rows.map((row) => {
    const cells = [...row.querySelectorAll("span")].flatMap((span) => letters(span));
    while (cells.at(-1) === " ") cells.pop();
    return cells;
  });
}
