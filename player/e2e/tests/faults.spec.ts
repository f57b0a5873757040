// Cut connections and a killed service, as a viewer sees them.
import { connectionOf } from "../support/console.ts";
import { CuttableProxy } from "../support/cuttable.ts";
import { drawDirectly, drawnIn } from "../support/direct.ts";
import { Feed } from "../support/feed.ts";
import { expect, test } from "../support/test.ts";

const SIZE = { cols: 100, rows: 30 };

test("the service is killed and started again: no byte on the screen is lost or repeated", async ({
  page,
  ownService: service,
}) => {
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const screen = page.locator(".xterm").first();
  for (let line = 1; line <= 20; line += 1)
    await feed.write(`line ${line} \u001b[3${line % 8}mcoloured\u001b[0m\r\n`);
  await expect(screen).toContainText("line 20");
  await service.kill();
  await expect(page.getByRole("status").filter({ hasText: "reconnecting" })).toBeAttached();
  await service.startAgain();
  const ended = await service.api.ended(run);
  expect(ended.status).toBe("FAILED");
  await expect(page.getByRole("status").filter({ hasText: "ended" })).toBeAttached({ timeout: 40_000 });
  const kept = await service.api.raw(run, "n");
  expect(kept.toString()).toContain("line 20");
  const wanted = await drawDirectly(page, kept, SIZE);
  await expect.poll(() => drawnIn(screen), "the page that stayed").toEqual(wanted);
  await page.reload();
  await expect.poll(() => drawnIn(screen), "a page that comes later").toEqual(wanted);
  await expect(page.getByRole("region", { name: "Failure" })).toBeVisible();
});

test("a connection that is cut again and again", async ({ page, service }) => {
  const proxy = await CuttableProxy.before(service.port);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${proxy.url}/runs/${run}/nodes/n`);
  const screen = page.locator(".xterm").first();
  // What is cut is the stream, not the page on its way.
  await expect(screen).toBeVisible();
  let sent = "";
  const write = async (text: string) => {
    sent += text;
    await feed.write(text);
  };
  for (const round of [1, 2, 3]) {
    for (const line of [1, 2, 3]) {
      await write(`round ${round} ${"ä😀日".repeat(line)} line ${line}\r\n`);
      if (line === 2) proxy.cut();
    }
    await expect(screen).toContainText(`round ${round} ${"ä😀日".repeat(3)} line 3`, { timeout: 20_000 });
  }
  await feed.end();
  await service.api.ended(run);
  await expect(page.getByRole("status").filter({ hasText: "ended" })).toBeAttached({ timeout: 20_000 });
  await expect.poll(() => drawnIn(screen)).toEqual(await drawDirectly(page, Buffer.from(sent), SIZE));
  await proxy.close();
});

test("while the service cannot be reached the page says so, and one may retry at once", async ({
  page,
  service,
}) => {
  const proxy = await CuttableProxy.before(service.port);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${proxy.url}/runs/${run}/nodes/n`);
  const screen = page.locator(".xterm").first();
  await feed.write("before\r\n");
  await expect(screen).toContainText("before");
  await expect(page.getByRole("status").filter({ hasText: "live" })).toBeAttached();
  proxy.part();
  await feed.write("meanwhile\r\n");
  await expect(page.getByText(/Reconnecting/).first()).toBeVisible();
  await expect(screen, "what was there stays").toContainText("before");
  proxy.join();
  await page.getByRole("button", { name: "Retry now" }).click();
  await expect(screen).toContainText("meanwhile");
  await expect(page.getByRole("status").filter({ hasText: "live" })).toBeAttached();
  await feed.end();
  await proxy.close();
});

test("where streams are held back the page asks for what is new instead", async ({ page, service }) => {
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  await page.route(/\/stream\?/, () => new Promise(() => undefined));
  await page.clock.install();
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  await feed.write("before\r\n");
  const connection = connectionOf(page);
  await expect(connection).toBeAttached();
  await expect(async () => {
    await page.clock.fastForward(5_000);
    await expect(connection).toHaveText(/live/, { timeout: 500 });
  }).toPass({ timeout: 40_000 });
  const screen = page.locator(".xterm").first();
  await expect(screen).toContainText("before");
  await feed.write("and after\r\n");
  await expect(screen).toContainText("and after");
  await feed.end();
  await expect(connection).toHaveText(/ended/);
});
