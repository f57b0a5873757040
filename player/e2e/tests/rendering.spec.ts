// What the console draws is what xterm draws of the same bytes.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { drawDirectly, drawnIn, type Size } from "../support/direct.ts";
import { Feed } from "../support/feed.ts";
import { expect, test } from "../support/test.ts";

const SIZE: Size = { cols: 120, rows: 30 };
const CASTS = resolve(import.meta.dirname, "../../../tests/casts");

const ESC = "\u001b";

/** Every kind of colour and style, wide and combined letters, tabs, regions, and a link. */
const LOOKS = [
  ...Array.from(
    { length: 16 },
    (_, colour) => `${ESC}[38;5;${colour}m${colour}${ESC}[48;5;${15 - colour}m x${ESC}[0m `,
  ),
  "\r\n",
  ...Array.from(
    { length: 216 },
    (_, colour) => `${ESC}[48;5;${16 + colour}m ${colour % 36 === 35 ? `${ESC}[0m\r\n` : ""}`,
  ),
  ...Array.from({ length: 40 }, (_, at) => `${ESC}[38;2;${at * 6};${255 - at * 6};128m#`),
  `${ESC}[0m\r\n`,
  ...[1, 2, 3, 4, 7, 9, 21, 53].map((style) => `${ESC}[${style}mstyle ${style}${ESC}[0m `),
  `${ESC}[1;31mbright${ESC}[22mnormal${ESC}[0m ${ESC}[4:3;58;5;196mcurly${ESC}[0m\r\n`,
  "日本語 こんにちは 😀 e\u0301 a\u0308 ﷽ │┌─┐│\r\n",
  `a\tb\tc\r\n${ESC}]8;;https://example.org/\u0007a link${ESC}]8;;\u0007 and text\r\n`,
  `${ESC}[18;22r${ESC}[22;1H1\r\n2\r\n3\r\n4\r\n5\r\n6${ESC}[r${ESC}[26;1H`,
  `${ESC}7saved${ESC}[5C${ESC}(0lqqk${ESC}(B${ESC}8SAVED\r\nend`,
].join("");

for (const name of ["vim", "less", "top", "gcc"]) {
  test(`${name}, while it runs and after its end`, async ({ page, service }) => {
    const bytes = readFileSync(resolve(CASTS, `${name}.raw`));
    const left = bytes.lastIndexOf(`${ESC}[?1049l`);
    const middle = left > 0 ? left : Math.floor(bytes.length / 2);
    const feed = new Feed(service.directory);
    const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: name, shell: feed.shell }] });
    await page.goto(`${service.url}/runs/${run}/nodes/${name}`);
    const screen = page.locator(".xterm").first();
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

test("colours, styles, wide letters, regions and links, live, late and in a replay", async ({
  page,
  service,
}) => {
  const bytes = Buffer.from(LOOKS);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "looks", shell: feed.shell }] });
  const address = `${service.url}/runs/${run}/nodes/looks`;
  await page.goto(address);
  const screen = page.locator(".xterm").first();
  // In pieces that cut sequences and letters.
  for (let at = 0; at < bytes.length; at += 97) await feed.write(bytes.subarray(at, at + 97));
  const wanted = await drawDirectly(page, bytes, SIZE);
  await expect.poll(() => drawnIn(screen), "live").toEqual(wanted);
  await page.reload();
  await expect.poll(() => drawnIn(screen), "late").toEqual(wanted);
  await feed.end();
  await service.api.ended(run);
  await page.reload();
  await expect.poll(() => drawnIn(screen), "ended").toEqual(wanted);
  await page.goto(`${address}?t=3600`);
  await expect.poll(() => drawnIn(screen), "replay").toEqual(wanted);
});
