// Who may look, and with what: a token, a keyboard, a screen reader, a phone.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { FAILING, fiftyNodes } from "../support/programs.ts";
import { Service } from "../support/service.ts";
import { expect, test } from "../support/test.ts";

async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    .analyze();
  return found.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`));
}

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
