// Who may look, and with what: a token, a keyboard, a screen reader, a phone.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { violations } from "../support/axe.ts";
import { consoleOf, openNode } from "../support/console.ts";
import { FAILING, fiftyNodes } from "../support/programs.ts";
import { Service } from "../support/service.ts";
import { expect, test } from "../support/test.ts";

for (const colorScheme of ["dark", "light"] as const) {
  test(`axe finds nothing, ${colorScheme}`, async ({ page, service }) => {
    await page.emulateMedia({ colorScheme });
    const [failed, many, waiting] = [
      await service.api.submit({
        name: "Axe",
        labels: { team: "web" },
        metadata: { branch: "main" },
        nodes: [FAILING, { ref: "after", shell: "true", dependsOn: ["compile"] }],
      }),
      await service.api.submit(fiftyNodes()),
      await service.api.submit({ nodes: [{ ref: "n", shell: "echo here; exec sleep 600" }] }),
    ];
    await service.api.ended(failed);
    await service.api.ended(many);
    await page.goto(service.url);
    await expect(page.getByRole("link", { name: "Axe" }).first()).toBeVisible();
    expect(await violations(page), "list").toEqual([]);
    for (const [path, text] of [
      [`/runs/${failed}/nodes/compile`, "1 error"],
      [`/runs/${many}/nodes/step-4-9`, "this is step 4-9"],
      [`/runs/${waiting}/nodes/n`, "here"],
    ] as const) {
      await page.goto(service.url + path);
      await expect(page.locator(".xterm-rows")).toContainText(text);
      expect(await violations(page), path).toEqual([]);
    }
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog")).toBeVisible();
    expect(await violations(page), "help").toEqual([]);
    await page.goto(`${service.url}/runs/nobody-knows`);
    await expect(page.getByRole("heading")).toBeVisible();
    expect(await violations(page), "no such run").toEqual([]);
    await service.api.cancel(waiting);
  });
}

test("with a token one signs in, sees what it opens, and signs out", async ({ page }) => {
  const hash = (token: string) => createHash("sha256").update(token).digest("hex");
  const token = (name: string, scopes: string) =>
    `[[auth.tokens]]\nsha256 = "${hash(name)}"\ntenant = "default"\nscopes = [${scopes}]\nuser = "${name}"\n`;
  const config = join(tmpdir(), `runcast-e2e-${process.pid}.toml`);
  writeFileSync(
    config,
    `[auth]\nmode = "token"\n${token("ann", '"runs:read", "runs:write"')}${token("guest", '"runs:read"')}`,
  );
  const service = await Service.start({ RUNCAST_CONFIG: config });
  try {
    const submitted = await fetch(`${service.api.base}/runs`, {
      method: "POST",
      headers: { Authorization: "Bearer ann", "Content-Type": "application/json" },
      body: JSON.stringify({
        runId: "secret",
        name: "Behind a token",
        nodes: [{ ref: "n", shell: "echo hi" }],
      }),
    });
    expect(submitted.status).toBe(201);
    await page.goto(`${service.url}/runs/secret/nodes/n`);
    await page.getByLabel("Token", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByText("The service does not know this token.")).toBeVisible();
    expect(await violations(page), "login").toEqual([]);
    await page.getByLabel("Token", { exact: true }).fill("guest");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.locator(".xterm-rows")).toContainText("hi");
    expect(await page.evaluate(() => document.cookie), "scripts do not see the cookie").toBe("");
    await page.getByRole("button", { name: "More actions" }).click();
    await expect(page.getByRole("menuitem", { name: /Copy link/ })).toBeVisible();
    await expect(page.getByRole("menuitem", { name: /Purge/ }), "guests only look").toHaveCount(0);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Signed in as guest" }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await expect(page.getByLabel("Token", { exact: true })).toBeVisible();
    expect((await page.request.get(`${service.api.base}/runs/secret`)).status()).toBe(401);
  } finally {
    await service.stop();
  }
});

test("a keyboard is enough", async ({ page, service }) => {
  const run = await service.api.submit({
    name: "By keyboard",
    nodes: [
      { ref: "first", shell: "echo output of first" },
      { ref: "second", shell: "echo output of second", dependsOn: ["first"] },
    ],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/?label=`);
  const link = page.getByRole("link", { name: "By keyboard" });
  await expect(link).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  // From the beginning of the content a bounded number of stops leads to the run.
  for (let stops = 0; stops < 60; stops += 1) {
    if (await link.evaluate((element) => element === document.activeElement)) break;
    await page.keyboard.press("Tab");
  }
  await expect(link).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/runs/${run}`));
  await expect(page.locator('[data-node="first"]')).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await expect(consoleOf(page, "first").rows).toContainText("output of first");
  await page.keyboard.press("j");
  await expect(consoleOf(page, "second").rows).toContainText("output of second");
  await page.keyboard.press("k");
  await expect(consoleOf(page, "first").rows).toContainText("output of first");
  await page.keyboard.press("/");
  await page.keyboard.type("of first");
  await expect(page.getByRole("search").getByRole("status")).toHaveText("1 hit");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("search")).toHaveCount(0);
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog"), "the keys of what has the focus").toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.keyboard.press("g");
  await expect(page.getByRole("tab", { name: "Graph" })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.keyboard.press("j");
  await expect(consoleOf(page, "first").rows).toContainText("output of first");
  await page.keyboard.press("s");
  await expect(consoleOf(page, "second").rows).toContainText("output of second");
  await expect(consoleOf(page, "first").rows).toContainText("output of first");
  const focused = page.locator(":focus-visible");
  await page.keyboard.press("Tab");
  await expect(focused).toHaveCount(1);
});

test("fifty nodes: all in sight, each one key or word away", async ({ page, service }) => {
  const run = await service.api.submit(fiftyNodes());
  await page.goto(`${service.url}/runs/${run}`);
  const nodes = page.getByRole("complementary", { name: "Nodes" });
  await expect(nodes).toContainText("50 of 50 ended", { timeout: 40_000 });
  await expect(nodes.locator("[data-node]")).toHaveCount(50);
  await expect(nodes.locator('[data-status="COMPLETED"]')).toHaveCount(50);
  await page.getByRole("textbox", { name: "Filter nodes" }).fill("step-3-7");
  await expect(nodes.locator("[data-node]")).toHaveCount(1);
  const { rows } = await openNode(page, "step-3-7");
  await expect(rows).toContainText("this is step 3-7");
  await page.getByRole("textbox", { name: "Filter nodes" }).fill("");
  for (const row of [0, 1, 2, 3, 4]) {
    const { rows } = await openNode(page, `step-${row}-${row}`);
    await expect(rows).toContainText(`this is step ${row}-${row}`);
  }
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });

  test("the list, a run and its consoles have room", async ({ page, service }) => {
    const run = await service.api.submit({
      name: "A name that is longer than the screen of a phone is wide, as names are",
      labels: { team: "web", branch: "feature/long-names" },
      nodes: [FAILING, { ref: "fine", shell: "echo all is well" }],
    });
    await service.api.ended(run);
    const fits = async (where: string) => {
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width, `${where} scrolls sideways`).toBeLessThanOrEqual(360);
    };
    await page.goto(service.url);
    const link = page.getByRole("link", { name: "A name that is longer" }).first();
    await expect(link).toBeVisible();
    await fits("the list");
    await link.tap();
    await page.getByRole("button", { name: "Choose a node" }).tap();
    await page
      .getByRole("dialog", { name: "Nodes" })
      .locator('[data-node="fine"]')
      .getByRole("button")
      .first()
      .tap();
    const { rows, screen, timeline } = consoleOf(page, "fine");
    await expect(rows).toContainText("all is well");
    await fits("the run");
    const box = await page.locator('[data-console="fine"]').boundingBox();
    expect(box?.width, "the console has all the width").toBeGreaterThan(340);
    expect(box?.x).toBeGreaterThanOrEqual(0);
    expect((await screen.boundingBox())?.x, "lines are seen from their beginning").toBeGreaterThanOrEqual(0);
    await expect(timeline).toBeVisible();
    expect(await violations(page)).toEqual([]);
  });
});
