// Runs that did not go well, and runs that are gone.
import { EVERY_END, FAILING } from "../support/programs.ts";
import { expect, test } from "../support/test.ts";

test("a failed run says why, shows its last lines, and leads to the node", async ({ page, service }) => {
  const run = await service.api.submit({
    name: "Build",
    nodes: [FAILING, { ref: "publish", shell: "true", dependsOn: ["compile"] }],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}`);
  const failure = page.getByRole("region", { name: "Failure" });
  await expect(failure).toContainText("Failed");
  await expect(failure).toContainText("3");
  await expect(failure.getByRole("region", { name: "Last lines" })).toContainText("error: semicolon missing");
  await failure.getByRole("button", { name: "Show compile" }).click();
  await expect(page).toHaveURL(new RegExp(`/runs/${run}/nodes/compile`));
  await expect(page.locator(".xterm-rows")).toContainText("1 error");
});

test("a purged run says so", async ({ page, service }) => {
  const run = await service.api.submit({ nodes: [{ ref: "n", shell: "true" }] });
  await service.api.ended(run);
  await service.api.purge(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  await expect(page.getByRole("heading", { name: "This run was purged" })).toBeVisible();
  await page.getByRole("button", { name: "All runs" }).click();
  await expect(page).toHaveURL(`${service.url}/`);
});

test("a run is purged from the page, after a question", async ({ page, service }) => {
  const run = await service.api.submit({ name: "To be purged", nodes: [{ ref: "n", shell: "true" }] });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}`);
  const ask = async () => {
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Purge the run" }).click();
  };
  const dialog = page.getByRole("dialog", { name: "Purge this run?" });
  await ask();
  await dialog.getByRole("button", { name: "Keep it" }).click();
  await expect(dialog).toBeHidden();
  expect((await service.api.run(run)).status).toBe("COMPLETED");
  await ask();
  await dialog.getByRole("button", { name: "Purge" }).click();
  await expect(page).toHaveURL(`${service.url}/`);
  await expect(page.getByRole("link", { name: "To be purged" })).toHaveCount(0);
  expect((await page.request.get(`${service.api.base}/runs/${run}`)).status()).toBe(410);
});

test("a run that nobody has submitted is told from a purged one", async ({ page, service }) => {
  await page.goto(`${service.url}/runs/nobody-knows`);
  await expect(page.getByRole("heading", { name: "No such run" })).toBeVisible();
});

test("a run is cancelled from the page", async ({ page, service }) => {
  const run = await service.api.submit({ nodes: [{ ref: "n", shell: "exec sleep 600" }] });
  await service.api.nodeIs(run, "n", "RUNNING");
  await page.goto(`${service.url}/runs/${run}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await expect(page.getByRole("region", { name: "Run" })).toContainText("Cancelled");
  expect((await service.api.ended(run)).status).toBe("CANCELLED");
});

test("each state of a node looks as it did", async ({ page, service }) => {
  const ends = await service.api.submit(EVERY_END);
  const waits = await service.api.submit({
    nodes: [
      { ref: "runs", shell: "exec sleep 600" },
      { ref: "waits", shell: "true", dependsOn: ["runs"] },
    ],
  });
  await service.api.ended(ends);
  await service.api.nodeIs(waits, "runs", "RUNNING");
  const shoot = async (run: string, states: Record<string, string>) => {
    await page.goto(`${service.url}/runs/${run}`);
    for (const [nodeRef, state] of Object.entries(states)) {
      const row = page.getByRole("complementary", { name: "Nodes" }).locator(`[data-node="${nodeRef}"]`);
      // Times and sizes differ.
      const mask = [row.locator(".numbers")];
      await expect(row).toHaveScreenshot(`node-${state}.png`, { mask, maskColor: "#808080" });
    }
  };
  await shoot(ends, {
    completes: "completed",
    fails: "failed",
    "is-skipped": "skipped",
    "times-out": "timed-out",
  });
  await shoot(waits, { runs: "running", waits: "pending" });
  await service.api.cancel(waits);
  await service.api.ended(waits);
  await shoot(waits, { runs: "cancelled" });
});
