// What the console draws is what xterm draws of the same bytes.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { consoleOf } from "../support/console.ts";
import { drawDirectly, drawnIn, type Size } from "../support/direct.ts";
import { Feed } from "../support/feed.ts";
import { expect, test } from "../support/test.ts";

const SIZE: Size = { cols: 120, rows: 30 };
const CASTS = resolve(import.meta.dirname, "../../../tests/casts");

const ESC = "\u001b";

const PALETTE = (colour: number) => `${ESC}[38;5;${colour}m${colour}${ESC}[48;5;${15 - colour}m x${ESC}[0m `;
const CUBE = (colour: number) => `${ESC}[48;5;${16 + colour}m ${colour % 36 === 35 ? `${ESC}[0m\r\n` : ""}`;
const BLEND = (at: number) => `${ESC}[38;2;${at * 6};${255 - at * 6};128m#`;
const STYLE = (style: number) => `${ESC}[${style}mstyle ${style}${ESC}[0m `;
const each = (count: number, text: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => text(at));

/** Every kind of colour and style, wide and combined letters, tabs, regions. */
const LOOKS = [
  ...each(16, PALETTE),
  "\r\n",
  ...each(216, CUBE),
  ...each(40, BLEND),
  `${ESC}[0m\r\n`,
  ...[1, 2, 3, 4, 7, 9].map(STYLE),
  `${ESC}[1;31mbright${ESC}[22mnormal${ESC}[0m\r\n`,
  "日本語 こんにちは 😀 e\u0301 a\u0308 │┌─┐│\r\n",
  "a\tb\tc\r\n",
  `${ESC}[18;22r${ESC}[22;1H1\r\n2\r\n3\r\n4\r\n5\r\n6${ESC}[r${ESC}[26;1H`,
  `${ESC}7saved${ESC}[5C${ESC}(0lqqk${ESC}(B${ESC}8SAVED\r\nend`,
].join("");

/** What the service's own terminal does not know, so that a repaint leaves it out. */
const FINE_LOOKS = [
  ...[21, 53].map(STYLE),
  `${ESC}[4:3;58;5;196mcurly${ESC}[0m ${ESC}]8;;https://example.org/\u0007a link${ESC}]8;;\u0007\r\n`,
].join("");

for (const name of ["vim", "less", "top", "gcc"]) {
  test(`${name}, while it runs and after its end`, async ({ page, service }) => {
    const bytes = readFileSync(resolve(CASTS, `${name}.raw`));
    const left = bytes.lastIndexOf(`${ESC}[?1049l`);
    const middle = left > 0 ? left : Math.floor(bytes.length / 2);
    const feed = new Feed(service.directory);
    const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: name, shell: feed.shell }] });
    await page.goto(`${service.url}/runs/${run}/nodes/${name}`);
    const { screen } = consoleOf(page, name);
    await feed.write(bytes.subarray(0, middle));
    const atWork = await drawDirectly(page, bytes.subarray(0, middle), SIZE);
    expect(atWork.flat().length, "something is on the screen").toBeGreaterThan(20);
    await expect.poll(() => drawnIn(screen)).toEqual(atWork);
    await feed.write(bytes.subarray(middle));
    await feed.end();
    await service.api.ended(run);
    await expect.poll(() => drawnIn(screen)).toEqual(await drawDirectly(page, bytes, SIZE));
  });
}

test("colours, styles, wide letters, regions and links: live, late and after the end", async ({
  page,
  service,
}) => {
  const bytes = Buffer.from(FINE_LOOKS + LOOKS);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "looks", shell: feed.shell }] });
  const address = `${service.url}/runs/${run}/nodes/looks`;
  await page.goto(address);
  const { screen } = consoleOf(page, "looks");
  // In pieces that cut sequences and letters.
  for (let at = 0; at < bytes.length; at += 97) await feed.write(bytes.subarray(at, at + 97));
  const wanted = await drawDirectly(page, bytes, SIZE);
  await expect.poll(() => drawnIn(screen), "live").toEqual(wanted);
  await expect(page, "what is live has no moment in its address").toHaveURL(address);
  await page.reload();
  await expect.poll(() => drawnIn(screen), "late").toEqual(wanted);
  await feed.end();
  await service.api.ended(run);
  await page.reload();
  await expect.poll(() => drawnIn(screen), "after the end").toEqual(wanted);
});

test("colours, styles, wide letters and regions in a replay", async ({ page, service }) => {
  const bytes = Buffer.from(LOOKS);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "looks", shell: feed.shell }] });
  await feed.write(bytes);
  await feed.end();
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/looks?t=3600`);
  const { screen } = consoleOf(page, "looks");
  await expect.poll(() => drawnIn(screen)).toEqual(await drawDirectly(page, bytes, SIZE));
});
