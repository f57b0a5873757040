// Looking back: at what has ended, and at what still goes on.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { consoleOf, momentOf, type NodeConsole } from "../support/console.ts";
import { drawDirectly, drawnIn } from "../support/direct.ts";
import { bytesUntil, chunksOf, positionOf } from "../support/moment.ts";
import type { Service } from "../support/service.ts";
import { expect, test } from "../support/test.ts";

const SIZE = { cols: 80, rows: 24 };

/** Writes for about six seconds, with colours and a line that is rewritten; marks its second and fourth second. */
const TICKING = `i=0; while [ $i -lt 60 ]; do
  i=$((i+1)); printf '\\033[3%dmtick %d\\033[0m\\r\\n working %d%%\\r' $((i % 8)) $i $((i * 100 / 60))
  case $i in 20|40) printf '{"type":"marker","label":"tick %d"}\\n' $i > "$RUNCAST_EVENTS";; esac
  sleep 0.1
done`;

async function recorded(service: Service): Promise<string> {
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell: TICKING }] });
  await service.api.ended(run);
  return run;
}

/** Waits until the console stands still at a moment and shows exactly what was written up to it. */
async function expectMoment(
  page: Page,
  { screen, timeline }: NodeConsole,
  chunks: Awaited<ReturnType<typeof chunksOf>>,
  message: string,
): Promise<number> {
  let position = -1;
  await expect(async () => {
    position = await positionOf(timeline);
    const drawn = await drawnIn(screen);
    // The playhead is told in whole milliseconds, chunks have fractions.
    const wanted = await drawDirectly(page, bytesUntil(chunks, position + 0.5), SIZE);
    expect(drawn, `${message}, at ${position} ms`).toEqual(wanted);
    expect(await positionOf(timeline)).toBe(position);
  }).toPass();
  return position;
}

test("a seek shows exactly the screen of its moment, both ways", async ({ page, service }) => {
  const run = await recorded(service);
  const chunks = await chunksOf(service.api, run, "n");
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const parts = consoleOf(page, "n");
  await expect(parts.rows).toContainText("tick 60");
  await parts.screen.click();
  const duration = Number(await parts.timeline.getAttribute("aria-valuemax"));
  expect(duration).toBeGreaterThan(5_000);
  for (const tenth of [5, 8, 2, 9, 1, 6, 0]) {
    await page.keyboard.press(String(tenth));
    await expect
      .poll(async () => Math.round(((await positionOf(parts.timeline)) / duration) * 10))
      .toBe(tenth);
    await expectMoment(page, parts, chunks, `${tenth}0 %`);
  }
  await page.keyboard.press("ArrowRight");
  const later = await expectMoment(page, parts, chunks, "five seconds on");
  expect(later).toBe(5_000);
  const box = await parts.timeline.boundingBox();
  if (box === null) throw new Error("the timeline is not there");
  await page.mouse.click(box.x + box.width / 4, box.y + box.height / 2);
  await expect.poll(() => positionOf(parts.timeline)).toBeLessThan(later);
  const clicked = await expectMoment(page, parts, chunks, "a click on the timeline");
  expect(Math.abs(clicked - duration / 4)).toBeLessThan(duration / 50);
});

test("one steps from output to output, and from marker to marker", async ({ page, service }) => {
  const run = await recorded(service);
  const chunks = await chunksOf(service.api, run, "n");
  await page.goto(`${service.url}/runs/${run}/nodes/n?t=1`);
  const parts = consoleOf(page, "n");
  const start = await expectMoment(page, parts, chunks, "the moment of the link");
  await parts.screen.click();
  const outputs = chunks.filter((chunk) => chunk.kind === "output").map((chunk) => chunk.atMs);
  await page.keyboard.press(".");
  await expect.poll(() => positionOf(parts.timeline)).toBeGreaterThan(start);
  const next = await expectMoment(page, parts, chunks, "the next output");
  expect(Math.abs(next - (outputs.find((atMs) => atMs > start) ?? 0))).toBeLessThan(1);
  await page.keyboard.press(",");
  await expect.poll(() => positionOf(parts.timeline)).toBeLessThan(next);
  await expectMoment(page, parts, chunks, "the output before");
  const markers = chunks.filter((chunk) => chunk.kind === "marker").map((chunk) => chunk.atMs);
  expect(markers).toHaveLength(2);
  for (const [key, marker] of [
    ["]", markers[0]],
    ["]", markers[1]],
    ["[", markers[0]],
  ] as const) {
    await page.keyboard.press(key);
    await expect
      .poll(async () => Math.abs((await positionOf(parts.timeline)) - (marker ?? 0)), `marker by ${key}`)
      .toBeLessThan(2);
  }
});

test("it plays at its own speed, and faster", async ({ page, service }) => {
  const run = await recorded(service);
  await page.goto(`${service.url}/runs/${run}/nodes/n?t=0`);
  const { screen, rows, timeline } = consoleOf(page, "n");
  await expect(rows).not.toContainText("tick 60");
  await screen.click();
  const durationMs = Number(await timeline.getAttribute("aria-valuemax"));
  const playedIn = async (what: () => Promise<void>) => {
    const began = Date.now();
    await what();
    return Date.now() - began;
  };
  const slow = await playedIn(async () => {
    await page.keyboard.press("Space");
    await expect.poll(() => positionOf(timeline), { intervals: [20] }).toBeGreaterThan(1_500);
    await page.keyboard.press("Space");
  });
  expect(slow).toBeGreaterThan(1_200);
  expect(slow).toBeLessThan(6_000);
  const paused = await positionOf(timeline);
  await expect(rows).toContainText(`tick ${Math.floor(paused / 200)}`);
  await expect(rows).not.toContainText("tick 60");
  for (let step = 0; step < 4; step += 1) await page.keyboard.press(">");
  const fast = await playedIn(async () => {
    await page.keyboard.press("Space");
    await expect(rows).toContainText("tick 60");
  });
  expect(fast, `${durationMs - paused} ms of recording`).toBeLessThan((durationMs - paused) / 2);
});

test("the moment stands in the address, and a link leads to it", async ({ page, context, service }) => {
  const run = await recorded(service);
  const chunks = await chunksOf(service.api, run, "n");
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const parts = consoleOf(page, "n");
  await expect(parts.rows).toContainText("tick 60");
  expect(momentOf(page)).toBeUndefined();
  await parts.screen.click();
  await page.keyboard.press("4");
  await expect.poll(() => momentOf(page)).toBeGreaterThan(1_000);
  const moment = await expectMoment(page, parts, chunks, "40 %");
  await expect.poll(() => momentOf(page)).toBeCloseTo(moment, -1);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Copy link to this view" }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const other = await context.newPage();
  await other.goto(link);
  const there = consoleOf(other, "n");
  expect(Math.abs((await expectMoment(other, there, chunks, "by the link")) - moment)).toBeLessThan(2);
  await other.goto(`${service.url}/runs/${run}/nodes/n?t=99999`);
  await expect(there.rows, "beyond the end is the end").toContainText("tick 60");
});

test("what still runs is rewound, and one jumps back to live", async ({ page, service }) => {
  const stop = join(service.directory, `stop-${test.info().parallelIndex}-${Date.now()}`);
  const shell = `i=0; while [ ! -e '${stop}' ]; do i=$((i+1)); echo "tick $i;"; sleep 0.1; done; echo over`;
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", shell }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const parts = consoleOf(page, "n");
  await expect(parts.rows).toContainText("tick 40;");
  await parts.screen.click();
  await page.keyboard.press("1");
  await expect(parts.rows, "a tenth of it").not.toContainText("tick 30;");
  await page.keyboard.press("Space");
  await expect.poll(() => momentOf(page)).toBeDefined();
  const chunks = await chunksOf(service.api, run, "n");
  await expectMoment(page, parts, chunks, "rewound");
  const newest = chunks.length;
  await expect
    .poll(async () => (await chunksOf(service.api, run, "n")).length, "it goes on meanwhile")
    .toBeGreaterThan(newest + 5);
  await expectMoment(page, parts, chunks, "still rewound");
  await page.keyboard.press("e");
  await expect(parts.rows).toContainText(`tick ${newest + 5};`);
  await expect.poll(() => momentOf(page)).toBeUndefined();
  writeFileSync(stop, "");
  await expect(parts.rows).toContainText("over");
  await service.api.ended(run);
  const bytes = await service.api.raw(run, "n");
  await expect.poll(() => drawnIn(parts.screen)).toEqual(await drawDirectly(page, bytes, SIZE));
});
