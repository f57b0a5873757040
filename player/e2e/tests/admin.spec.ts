// The administration: figures, plots and tables of a real service, and what can be done from them.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { violations } from "../support/axe.ts";
import { lines } from "../support/programs.ts";
import { Service } from "../support/service.ts";
import { expect, test } from "../support/test.ts";

interface Stats {
  sessions: { active: number; inactive: number; total: number };
  streams: { viewers: number };
}

/** A key figure. */
function figure(page: Page, name: string): Locator {
  return page.locator(`[data-figure="${name}"]`);
}

function rowOf(page: Page, table: string, text: string): Locator {
  return page.getByRole("table", { name: table, exact: true }).getByRole("row").filter({ hasText: text });
}

function memoryPlot(page: Page): Locator {
  return page.getByRole("img", { name: /^Memory by component over/ });
}

/** How much of a plot is painted from its foot to its top, at its newest values: 0 to 1. */
function paintedAtEnd(plot: Locator): Promise<number> {
  return plot.locator("canvas").evaluate((canvas, padding) => {
    if (!(canvas instanceof HTMLCanvasElement)) return 0;
    const context = canvas.getContext("2d");
    const paintedIn = (column: number) => {
      const pixels = context?.getImageData(column, 0, 1, canvas.height).data ?? [];
      let painted = 0;
      for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== 0) painted += 1;
      return painted / canvas.height;
    };
    const end = canvas.width - Math.round(padding * devicePixelRatio);
    // One of them may be a line of the grid.
    return Math.min(paintedIn(end - 2), paintedIn(end - 3), paintedIn(end - 4));
  }, PLOT_PADDING);
}

/** Follows a run as often as wanted, until it is told to stop. */
function follow(service: Service, runId: string, count: number): () => void {
  const stop = new AbortController();
  for (let viewer = 0; viewer < count; viewer += 1) {
    fetch(`${service.api.base}/runs/${runId}/stream`, { signal: stop.signal })
      .then((answer) => answer.body?.pipeTo(new WritableStream(), { signal: stop.signal }))
      .catch(() => undefined);
  }
  return () => stop.abort();
}

/** Pixels between the newest values and the right end of a plot. */
const PLOT_PADDING = 20;
const WAITING = { nodes: [{ ref: "n", shell: "echo here; exec sleep 600" }] };

test("figures are those of the service, and the plot of the memory is drawn", async ({
  page,
  ownService,
}) => {
  const service = ownService;
  await service.api.openTerminal("figures", "one");
  await service.api.openTerminal("figures", "two");
  const run = await service.api.submit({
    nodes: [{ ref: "n", shell: "while sleep 0.1; do seq -s ' ' 1000; done" }],
  });
  const leave = follow(service, run, 3);
  await page.goto(service.url);
  await page.getByRole("link", { name: "Admin" }).click();
  await expect(page).toHaveURL(`${service.url}/admin`);
  await expect(page.getByRole("heading", { name: "Administration" })).toBeVisible();
  await expect(figure(page, "viewers")).toContainText("Viewers3");
  await expect(figure(page, "sessions")).toContainText("2 sessions in all");
  const stats = await service.api.json<Stats>("/admin/stats");
  await expect(figure(page, "sessions").getByRole("definition").first()).toHaveText(
    `${stats.sessions.active}`,
  );
  await expect(figure(page, "memory")).toContainText(/\d+(\.\d)? MiB.*of 400 MiB soft, 500 MiB hard limit/);
  await expect(figure(page, "errors")).toContainText("0%");
  await expect(page.locator("[data-refresh]")).toHaveAttribute("data-refresh", "live");

  await expect(memoryPlot(page)).toHaveAccessibleName(/RSS is .* MiB, at most it was .* Unaccounted .* MiB/);
  await page.getByText("15m", { exact: true }).click();
  await page.getByRole("switch", { name: "Scale to the limits" }).click();
  const legend = page.getByRole("table", { name: "Memory by component" });
  await expect.poll(() => paintedAtEnd(memoryPlot(page))).toBeGreaterThan(0.7);
  for (const name of ["RSS", "Unaccounted", "Log tail", "Sessions", "Clients", "Broker windows"]) {
    await legend.getByRole("button", { name }).click();
  }
  // The lines of the grid are left.
  await expect.poll(() => paintedAtEnd(memoryPlot(page))).toBeLessThan(0.2);
  await legend.getByRole("button", { name: "Unaccounted" }).click();
  await expect.poll(() => paintedAtEnd(memoryPlot(page))).toBeGreaterThan(0.7);
  const box = await memoryPlot(page).boundingBox();
  if (box === null) throw new Error("the plot is shown");
  // The newest looks are at its right end.
  await page.mouse.move(box.x + box.width - PLOT_PADDING - 1, box.y + 120);
  await expect(page.getByText(/^\d\d:\d\d:\d\d$/)).toBeVisible();
  await page.getByText("6h", { exact: true }).click();
  await expect(page).toHaveURL(/range=6h/);
  await expect(memoryPlot(page)).toHaveAccessibleName(/^Memory by component over 6h/);
  for (const name of [/^Throughput: \d.*B\/s now/, /^Viewers: 3 now/]) {
    await expect.poll(() => paintedAtEnd(page.getByRole("img", { name }))).toBeGreaterThan(0.3);
  }
  await expect(page.getByRole("img", { name: /^Archive backlog: / })).toBeVisible();
  leave();
  await expect(figure(page, "viewers")).toContainText("Viewers0");
  await service.api.cancel(run);
});

test("a session is watched without typing, and ended", async ({ page, service }) => {
  await page.goto(`${service.url}/terminals/watched`);
  await page.getByRole("button", { name: "New terminal" }).click();
  await expect(page.getByRole("status")).toHaveText("Active");
  await page.locator(".rc-session:visible textarea").focus();
  await page.keyboard.insertText("echo to be see''n");
  await page.keyboard.press("Enter");
  await expect(page.locator(".rc-session .xterm-rows")).toContainText("to be seen");

  await page.goto(`${service.url}/admin/sessions`);
  const row = rowOf(page, "Sessions", "watched");
  await expect(row).toContainText("Active");
  await row.getByRole("button", { name: "Watch system of watched" }).click();
  const dialog = page.getByRole("dialog", { name: "system of watched" });
  const screen = dialog.locator(".xterm-rows");
  await expect(screen).toContainText("to be seen");
  await expect(dialog.getByText("read-only")).toBeVisible();
  await dialog.locator(".rc-session").click();
  await page.keyboard.type("typed by the watcher");
  await expect(screen).not.toContainText("typed by the watcher");
  await page.getByRole("button", { name: "Close" }).click();
  await expect(dialog).toHaveCount(0);

  await row.getByRole("button", { name: "End system of watched" }).click();
  const question = page.getByRole("dialog", { name: "End system?" });
  await expect(question).toContainText("A terminal of the project watched");
  await question.getByRole("button", { name: "Keep it" }).click();
  await expect(question).toHaveCount(0);
  await expect(row).toContainText("Active");
  await row.getByRole("button", { name: "End system of watched" }).click();
  await question.getByRole("button", { name: "End it" }).click();
  await expect(question).toHaveCount(0);
  await expect(row).toContainText("Ended");
  await expect(row.getByRole("button", { name: /^End/ })).toHaveCount(0);
  const { sessions } = await service.api.json<{ sessions: { projectId: string }[] }>("/terminals");
  expect(sessions.filter(({ projectId }) => projectId === "watched")).toEqual([]);
});

test("rows are sorted by a column", async ({ page, service }) => {
  for (const tab of ["b", "c", "a"]) await service.api.openTerminal("sorted", tab);
  await page.goto(`${service.url}/admin/sessions`);
  const table = page.getByRole("table", { name: "Sessions" });
  const names = async () => {
    const rows = await table.getByRole("rowheader").allTextContents();
    return rows.map((name) => name.replace("system", "")).filter((name) => /^[abc]$/.test(name));
  };
  await expect.poll(names).toEqual(["b", "c", "a"]);
  const head = table.getByRole("columnheader", { name: "Terminal" });
  await head.getByRole("button").click();
  await expect(head).toHaveAttribute("aria-sort", "descending");
  expect(await names()).toEqual(["c", "b", "a"]);
  await head.getByRole("button").press("Enter");
  await expect(head).toHaveAttribute("aria-sort", "ascending");
  expect(await names()).toEqual(["a", "b", "c"]);
});

test("a clean-up says what it will do, and what it did", async ({ page }) => {
  const service = await Service.start({ RUNCAST__SESSIONS__INACTIVE_AFTER_SECS: "1" });
  try {
    const ids: string[] = [];
    for (let tab = 1; tab <= 7; tab += 1) ids.push(await service.api.openTerminal("idle", `tab ${tab}`));
    await page.goto(`${service.url}/admin`);
    await expect(figure(page, "sessions")).toContainText("7 inactive", { timeout: 20_000 });
    await page.getByRole("button", { name: "Clean up" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText(
      "ends the oldest inactive sessions but five: 2 of 7 inactive sessions",
    );
    await dialog.getByRole("button", { name: "Keep all" }).click();
    await expect(dialog).toHaveCount(0);
    expect((await service.api.json<Stats>("/admin/stats")).sessions.inactive).toBe(7);
    await page.getByRole("button", { name: "Clean up" }).click();
    await dialog.getByRole("button", { name: "Clean up" }).click();
    await expect(dialog.getByRole("status")).toContainText(
      /\d+(\.\d)? [KM]?i?B of physical memory went back/,
    );
    await expect(dialog.getByRole("status")).toContainText("2 sessions were ended:");
    // The oldest are those that have not moved for longest, and each moved when its shell came up.
    const ended = await dialog.getByRole("listitem").allTextContents();
    const named = ids.map((id, at) => `tab ${at + 1} of idle ${id}`);
    expect(named.filter((name) => ended.includes(name))).toHaveLength(2);
    const { sessions } = await service.api.json<{ sessions: { id: string }[] }>("/terminals");
    const left = sessions.map(({ id }) => id);
    expect(
      named
        .filter((_, at) => left.includes(ids[at] ?? ""))
        .concat(ended)
        .sort(),
    ).toEqual(named);
    await dialog.locator("button", { hasText: "Close" }).click();
    await expect(page.getByText(/^Last clean-up just now: .* freed, 2 sessions ended\.$/)).toBeVisible();
    await expect(figure(page, "sessions")).toContainText("5 inactive");
  } finally {
    await service.stop();
  }
});

test("actors are counted by kind and shown for each run", async ({ page, service }) => {
  const run = await service.api.submit({
    nodes: [{ ref: "chatty", shell: `${lines(20)}; while sleep 0.1; do echo more; done` }],
  });
  await page.goto(`${service.url}/admin/actors`);
  await expect(rowOf(page, "Actors by kind", "RunManager")).toContainText("1");
  // Messages a second are known from the second poll on.
  const rate = rowOf(page, "Actors by kind", "LogWriter").getByRole("cell").nth(3);
  await expect.poll(async () => Number(await rate.textContent())).toBeGreaterThan(1);
  await expect(rowOf(page, "Actors of the service", "MemoryGovernor")).toContainText("is full no");
  const fold = page.getByRole("button", { name: `Actors of ${run}` });
  await expect(fold).toHaveAttribute("aria-expanded", "false");
  await fold.press("Enter");
  await expect(rowOf(page, `Actors of ${run}`, "Owner")).toContainText("Running");
  await expect(rowOf(page, `Actors of ${run}`, "Node")).toContainText("node ref chatty");
  await page.locator(`[data-run="${run}"]`).getByRole("link", { name: "Open the run" }).click();
  await expect(page).toHaveURL(`${service.url}/runs/${run}`);
  await service.api.cancel(run);
});

test("viewers are listed page by page, and lead to their run", async ({ page, ownService }) => {
  const run = await ownService.api.submit(WAITING);
  const leave = follow(ownService, run, 60);
  await page.goto(`${ownService.url}/admin/streams`);
  await expect(page.getByText("60 streams")).toBeVisible();
  const rows = page.getByRole("table", { name: "Viewers" }).getByRole("rowheader");
  await expect(rows).toHaveCount(50);
  await expect(page.getByRole("button", { name: "Previous page" })).toBeDisabled();
  await page.getByRole("button", { name: "Next page" }).click();
  await expect(rows).toHaveCount(10);
  await expect(page.getByText("Page 2")).toBeVisible();
  await expect(page.getByRole("button", { name: "Next page" })).toBeDisabled();
  await expect(rows.first()).toContainText(run);
  await page.getByRole("button", { name: "Previous page" }).click();
  await expect(rows).toHaveCount(50);
  leave();
  await expect(page.getByText("Nobody watches a run at the moment.")).toBeVisible();
  follow(ownService, run, 1);
  await page.getByRole("link", { name: run }).click();
  await expect(page).toHaveURL(`${ownService.url}/runs/${run}`);
});

test("a service that is away is told, and what was known stays", async ({ page, ownService }) => {
  await ownService.api.openTerminal("away", "one");
  await page.goto(`${ownService.url}/admin`);
  await expect(figure(page, "sessions")).toContainText("1 session in all");
  await ownService.kill();
  const banner = page.getByRole("alert");
  await expect(banner).toContainText("The service does not answer. What is shown is of");
  await expect(page.locator("[data-refresh]")).toHaveAttribute("data-refresh", "away");
  await expect(figure(page, "sessions")).toContainText("1 session in all");
  await ownService.startAgain();
  await expect(banner).toHaveCount(0);
  await expect(figure(page, "sessions")).toContainText("0 sessions in all");
});

/** As if somebody had gone to another tab, or come back. */
async function setVisible(page: Page, isVisible: boolean): Promise<void> {
  await page.evaluate(
    (state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      window.dispatchEvent(new Event("visibilitychange"));
    },
    isVisible ? "visible" : "hidden",
  );
}

test("a page that is paused, or that nobody sees, asks for nothing", async ({ page, service }) => {
  await page.goto(`${service.url}/admin`);
  await expect(figure(page, "memory")).toContainText("MiB");
  let asked = 0;
  page.on("request", (request) => {
    if (request.url().includes("/admin/")) asked += 1;
  });
  // Longer than from poll to poll.
  const isQuiet = async () => {
    await page.waitForLoadState("networkidle");
    asked = 0;
    await page.waitForTimeout(4_000);
    expect(asked).toBe(0);
  };
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.locator("[data-refresh]")).toHaveAttribute("data-refresh", "paused");
  await isQuiet();
  await page.getByRole("button", { name: "Go on" }).click();
  await expect.poll(() => asked).toBeGreaterThan(0);
  await setVisible(page, false);
  await isQuiet();
  await setVisible(page, true);
  await expect.poll(() => asked).toBeGreaterThan(0);
});

test("only a token of the service may look, and it does not reach terminals of other tenants", async ({
  page,
  service,
}) => {
  const hash = (token: string) => createHash("sha256").update(token).digest("hex");
  const token = (name: string, tenant: string, scopes: string) =>
    `[[auth.tokens]]\nsha256 = "${hash(name)}"\ntenant = "${tenant}"\nscopes = [${scopes}]\nuser = "${name}"\n`;
  const config = join(service.directory, "tokens.toml");
  const all = '"runs:read", "terminals:read", "terminals:write"';
  const tokens = [token("ann", "acme", all), token("root", "*", `${all}, "admin"`)];
  writeFileSync(config, `[auth]\nmode = "token"\n${tokens.join("")}`);
  const guarded = await Service.start({ RUNCAST_CONFIG: config });
  const signIn = async (name: string) => {
    await page.getByLabel("Token", { exact: true }).fill(name);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  try {
    const opened = await fetch(`${guarded.api.base}/terminals`, {
      method: "POST",
      headers: { Authorization: "Bearer ann", "Content-Type": "application/json" },
      body: JSON.stringify({ projectId: "secret", type: "system", tabName: "hers" }),
    });
    expect(opened.status).toBe(201);
    await page.goto(`${guarded.url}/admin/sessions`);
    await signIn("ann");
    await expect(page.getByRole("heading", { name: "No administration for this login" })).toBeVisible();
    await expect(page.getByRole("link", { name: "Admin" })).toHaveCount(0);
    await page.getByRole("button", { name: "Signed in as ann" }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await signIn("root");
    const row = rowOf(page, "Sessions", "hers");
    await expect(row).toContainText("acme / ann");
    await row.getByRole("button", { name: "Watch hers of secret" }).click();
    await expect(page.getByRole("alert")).toContainText("It belongs to the tenant acme");
    await page.getByRole("button", { name: "Close" }).click();
    await row.getByRole("button", { name: "End hers of secret" }).click();
    await expect(page.getByRole("alert")).toContainText("It belongs to the tenant acme");
    await expect(page.getByRole("button", { name: "End it" })).toHaveCount(0);
  } finally {
    await guarded.stop();
  }
});

for (const colorScheme of ["dark", "light"] as const) {
  test(`axe finds nothing in the administration, ${colorScheme}`, async ({ page, service }) => {
    await page.emulateMedia({ colorScheme });
    await service.api.openTerminal("axe", "one");
    const run = await service.api.submit(WAITING);
    const leave = follow(service, run, 1);
    for (const [path, text] of [
      ["/admin", "Unaccounted"],
      ["/admin/sessions", "Inactive"],
      ["/admin/actors", "MemoryGovernor"],
      ["/admin/streams", run],
    ] as const) {
      await page.goto(service.url + path);
      if (text !== "Inactive") await expect(page.getByText(text).first()).toBeVisible();
      else await expect(page.getByRole("table", { name: "Sessions" })).toBeVisible();
      expect(await violations(page), path).toEqual([]);
    }
    leave();
    await service.api.cancel(run);
  });
}

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test("every section has room", async ({ page, service }) => {
    await service.api.openTerminal("a-project-with-a-long-name", "a tab with a long name");
    const run = await service.api.submit(WAITING);
    const leave = follow(service, run, 1);
    for (const [path, text] of [
      ["/admin", "Unaccounted"],
      ["/admin/sessions", "a-project-with-a-long-name"],
      ["/admin/actors", "MemoryGovernor"],
      ["/admin/streams", run],
    ] as const) {
      await page.goto(service.url + path);
      await expect(page.getByText(text).locator("visible=true").first()).toBeVisible();
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width, `${path} scrolls sideways`).toBeLessThanOrEqual(390);
    }
    expect(await violations(page)).toEqual([]);
    leave();
    await service.api.cancel(run);
  });
});
