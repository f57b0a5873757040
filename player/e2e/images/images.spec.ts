// Makes docs/images from real runs.
import { resolve } from "node:path";
import { connectionOf, consoleOf, openNode } from "../support/console.ts";
import type { Service } from "../support/service.ts";
import { expect, test } from "../support/test.ts";

const FOLDER = resolve(import.meta.dirname, "../../../docs/images");
const path = (name: string) => resolve(FOLDER, `${name}.png`);

test.describe.configure({ mode: "serial" });

let demo: Promise<string> | undefined;

/** The demo, once it has ended. */
function endedDemo(service: Service): Promise<string> {
  demo ??= (async () => {
    const run = service.submitExample("demo.yaml", "demo-1");
    await service.api.ended(run, 60_000);
    return run;
  })();
  return demo;
}

test("live", async ({ page, service }) => {
  const run = service.submitExample("demo.yaml", "demo-live");
  await page.goto(`${service.url}/runs/${run}`);
  await expect(connectionOf(page)).toHaveText(/live/);
  const { rows } = await openNode(page, "build");
  await page.locator('[data-node="screen"]').hover();
  await page.getByRole("button", { name: "Open screen beside" }).click();
  await expect(rows).toContainText(/[4-6]\d ?%/, { timeout: 30_000 });
  await expect(consoleOf(page, "screen").rows).toContainText("frame");
  await page.mouse.move(700, 5);
  await page.screenshot({ path: path("live") });
  await service.api.ended(run, 60_000);
});

test("replay", async ({ page, service }) => {
  const run = await endedDemo(service);
  await page.goto(`${service.url}/runs/${run}/nodes/screen?t=7.4`);
  const { rows, timeline } = consoleOf(page, "screen");
  await expect(rows).not.toHaveText(/^\s*$/);
  await expect(timeline).toHaveAttribute("aria-valuenow", /^7\d\d\d$/);
  await page.screenshot({ path: path("replay") });
});

test("dark", async ({ page, service }) => {
  const run = await endedDemo(service);
  await page.goto(`${service.url}/runs/${run}/nodes/colours`);
  await page.locator('[data-node="unicode"]').hover();
  await page.getByRole("button", { name: "Open unicode beside" }).click();
  await expect(consoleOf(page, "unicode").rows).toContainText("日本語");
  await page
    .getByRole("region", { name: "Trace" })
    .getByRole("button", { name: /^Trace/ })
    .click();
  await page.mouse.move(700, 5);
  await page.screenshot({ path: path("dark") });
});

test("console", async ({ page, service }) => {
  const run = await endedDemo(service);
  await page.goto(`${service.url}/runs/${run}/nodes/colours`);
  const { pane, rows } = consoleOf(page, "colours");
  await expect(rows).not.toHaveText(/^\s*$/);
  await pane.screenshot({ path: path("console") });
});

test.describe("in light", () => {
  test.use({ colorScheme: "light" });

  test("failure", async ({ page, service }) => {
    const run = service.submitExample("failing.yaml", "failing-7");
    await service.api.ended(run, 60_000);
    await page.goto(`${service.url}/runs/${run}/nodes/broken`);
    await expect(consoleOf(page, "broken").rows).toContainText("expected");
    await expect(page.getByRole("region", { name: "Last lines" })).toBeVisible();
    await page.screenshot({ path: path("failure") });
  });

  test("runs", async ({ page, service }) => {
    await endedDemo(service);
    service.submitExample("hello.yaml", "hello-1");
    service.submitExample("matrix.yaml", "matrix-1");
    service.submitExample("demo.yaml", "demo-2");
    await page.goto(service.url);
    await expect(page.getByRole("link", { name: "Demo" }).nth(1)).toBeVisible();
    await expect(page.locator('[data-status="RUNNING"]').first()).toBeVisible();
    await page.screenshot({ path: path("runs") });
  });
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true });

  test("phone", async ({ page, service }) => {
    const run = await endedDemo(service);
    await page.goto(`${service.url}/runs/${run}/nodes/unicode`);
    await expect(consoleOf(page, "unicode").rows).toContainText("Καλημέρα");
    await page.screenshot({ path: path("phone") });
  });
});
