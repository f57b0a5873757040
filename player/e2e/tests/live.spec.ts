// Runs that go on while one looks.
import { connectionOf, consoleOf, heldRows, openNode } from "../support/console.ts";
import { drawDirectly, drawnIn } from "../support/direct.ts";
import { Feed } from "../support/feed.ts";
import { lines } from "../support/programs.ts";
import { expect, test } from "../support/test.ts";

const SIZE = { cols: 100, rows: 30 };

test("the demo is watched live from its start to its end", async ({ page, service }) => {
  const run = service.submitExample("demo.yaml", `demo-${test.info().workerIndex}`);
  await page.goto(`${service.url}/runs/${run}`);
  await expect(connectionOf(page)).toHaveText(/live/);
  const nodes = page.getByRole("complementary", { name: "Nodes" });
  await expect(nodes.locator("[data-node]")).toHaveCount(7);
  const build = await openNode(page, "build");
  await expect(build.rows, "a bar that moves").toContainText(/\d+ ?%/, { timeout: 15_000 });
  const screen = await openNode(page, "screen");
  await expect(screen.rows, "a full-screen program").not.toHaveText(/^\s*$/, { timeout: 15_000 });
  await expect(connectionOf(page)).toHaveText(/ended/, { timeout: 30_000 });
  await expect(nodes.locator('[data-status="COMPLETED"]')).toHaveCount(7);
  await expect(page.getByRole("region", { name: "Run", exact: true })).toContainText("7/7");
  const bytes = await service.api.raw(run, "screen");
  await expect.poll(() => drawnIn(screen.screen)).toEqual(await drawDirectly(page, bytes, SIZE));
});

test("who comes late sees what was written before, and the rest as it comes", async ({ page, service }) => {
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  const before = `${Array.from({ length: 200 }, (_, at) => `\u001b[3${at % 8}mline ${at}\u001b[0m\r\n`).join("")}\u001b[7mha`;
  await feed.write(before);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { screen, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("line 199");
  await expect.poll(() => drawnIn(screen)).toEqual(await drawDirectly(page, Buffer.from(before), SIZE));
  const after = "lf\u001b[0m\r\nand the rest\r\n";
  await feed.write(after);
  await expect
    .poll(() => drawnIn(screen))
    .toEqual(await drawDirectly(page, Buffer.from(before + after), SIZE));
  await feed.end();
  await expect(connectionOf(page)).toHaveText(/ended/);
});

test("of a long output one sees the screen at once, and is told that one joined late", async ({
  page,
  service,
}) => {
  const feed = new Feed(service.directory);
  const text = "a line of a long output, so that it is over the four mebibytes that are fetched at once";
  const shell = `${lines(80_000, text)}; ${feed.shell}`;
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell }] });
  await feed.write("all written\r\n");
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, screen, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("all written");
  await expect(pane).toContainText("joined late");
  await feed.write("and more\r\n");
  await expect(rows).toContainText("and more");
  await feed.end();
  await service.api.ended(run);
  const end = (await service.api.raw(run, "n")).subarray(-8_192);
  await expect
    .poll(() => drawnIn(screen))
    .toEqual(await drawDirectly(page, end.subarray(end.indexOf("\n") + 1), SIZE));
});

test("tabs are switched while four nodes write as fast as they can", async ({ page, service }) => {
  const refs = ["a", "b", "c", "d"];
  const run = await service.api.submit({
    terminal: SIZE,
    nodes: refs.map((ref) => ({
      ref,
      shell: lines(30_000, `this is ${ref}, with some text to fill the line,`),
    })),
  });
  await page.goto(`${service.url}/runs/${run}`);
  for (const ref of refs) {
    const { rows } = await openNode(page, ref);
    await expect(rows).toContainText(`this is ${ref}`);
  }
  for (let round = 0; round < 2; round += 1) {
    for (const ref of refs) {
      await page.locator(`[role=tab][data-tab="${ref}"]`).click();
      const { rows } = consoleOf(page, ref);
      await expect(rows).toContainText(`this is ${ref}`);
      await expect(rows).not.toContainText(`this is ${ref === "a" ? "b" : "a"}`);
    }
  }
  await service.api.ended(run);
  await expect(connectionOf(page)).toHaveText(/ended/, { timeout: 30_000 });
  for (const ref of refs) {
    await page.locator(`[role=tab][data-tab="${ref}"]`).click();
    const end = (await service.api.raw(run, ref)).subarray(-8_192);
    const wanted = await drawDirectly(page, end.subarray(end.indexOf("\n") + 1), SIZE);
    await expect
      .poll(() => drawnIn(consoleOf(page, ref).screen), { message: ref, timeout: 20_000 })
      .toEqual(wanted);
  }
});

test("two consoles side by side share one stream", async ({ page, service }) => {
  const [left, right] = [new Feed(service.directory), new Feed(service.directory)];
  const run = await service.api.submit({
    nodes: [
      { ref: "left", shell: left.shell },
      { ref: "right", shell: right.shell },
    ],
  });
  await page.goto(`${service.url}/runs/${run}/nodes/left`);
  await page.getByRole("button", { name: "Open right beside" }).click();
  await left.write("to the left\r\n");
  await right.write("to the right\r\n");
  await expect(consoleOf(page, "left").rows).toContainText("to the left");
  await expect(consoleOf(page, "right").rows).toContainText("to the right");
  expect(await service.api.metric("runcast_stream_subscribers_active")).toBeLessThanOrEqual(1);
  await page.getByRole("button", { name: "Collapse left" }).click();
  await expect(consoleOf(page, "left").rows).toBeHidden();
  await left.write("meanwhile\r\n");
  await page.getByRole("button", { name: "Expand left" }).click();
  await expect(consoleOf(page, "left").rows).toContainText("meanwhile");
  await left.end();
  await right.end();
});

test("scrolling up pauses, output comes on, and one goes on at the end", async ({ page, service }) => {
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, screen, rows } = consoleOf(page, "n");
  const write = (from: number, to: number) =>
    feed.write(Array.from({ length: to - from }, (_, at) => `line ${from + at};\r\n`).join(""));
  await write(0, 200);
  await expect(rows).toContainText("line 199;");
  await screen.hover({ position: { x: 40, y: 40 } });
  await page.mouse.wheel(0, -1_500);
  const resume = pane.getByRole("button", { name: "Autoscroll paused" });
  await expect(resume).toBeVisible();
  const seen = await rows.textContent();
  expect(seen).not.toContain("line 199;");
  const before = await heldRows(screen);
  await write(200, 260);
  await expect.poll(() => heldRows(screen), "the console has the new lines").toBe(before + 60);
  expect(await rows.textContent(), "what one reads stays where it is").toBe(seen);
  await resume.click();
  await expect(rows).toContainText("line 259;");
  await write(260, 300);
  await expect(rows, "it follows again").toContainText("line 299;");
  await screen.hover({ position: { x: 40, y: 40 } });
  await page.mouse.wheel(0, -600);
  await expect(resume).toBeVisible();
  await page.mouse.wheel(0, 100_000);
  await expect(resume, "the bottom resumes, too").toBeHidden();
  await write(300, 340);
  await expect(rows).toContainText("line 339;");
  await feed.end();
});

test("stderr is marked, and streams can be looked at alone", async ({ page, service }) => {
  const run = await service.api.submit({
    terminal: { mode: "pipe" },
    nodes: [{ ref: "n", shell: "echo to stdout; echo to stderr >&2" }],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("to stdout");
  await expect(rows).toContainText("to stderr");
  const look = (text: string) =>
    rows
      .getByText(text, { exact: true })
      .first()
      .evaluate((element) => `${element.className} ${element.getAttribute("style")}`);
  expect(await look("to stderr")).not.toBe(await look("to stdout"));
  const outputs = pane.getByRole("radiogroup", { name: "Output" });
  await outputs.getByText("stderr").click();
  await expect(rows).toContainText("to stderr");
  await expect(rows).not.toContainText("to stdout");
  await expect(page).toHaveURL(/stream=stderr/);
  await outputs.getByText("stdout").click();
  await expect(rows).toContainText("to stdout");
  await expect(rows).not.toContainText("to stderr");
});
