// A flood of output and a long recording, in the page.
import { resolve } from "node:path";
import { connectionOf, consoleOf } from "../support/console.ts";
import { drawDirectly, drawnIn, feedDirectly } from "../support/direct.ts";
import { positionOf } from "../support/moment.ts";
import { expect, test } from "../support/test.ts";
import { type Delays, heapBytes, inputDelays } from "./delay.ts";

const SIZE = { cols: 120, rows: 30 };
const FLOW = resolve(import.meta.dirname, "flow.pl");
const RATE = 5_000_000;
const SECONDS = 60;
const MIB = 1024 * 1024;
const MINUTES = Number(process.env.RUNCAST_BENCH_MINUTES ?? 2);

const tell = (line: string) => process.stdout.write(`${line}\n`);
const told = ({ p50, p95 }: Delays) => `p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)} ms`;

test("five megabytes a second for a minute", async ({ page, service }) => {
  const command = ["perl", FLOW, String(RATE), String(SECONDS)];
  const run = await service.api.submit({ terminal: SIZE, nodes: [{ ref: "n", command }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { screen, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("service-");
  const heaps: number[] = [];
  const sample = async () => {
    for (let at = 0; at < 5; at += 1) {
      await new Promise((resolve) => setTimeout(resolve, (SECONDS * 1_000) / 6));
      heaps.push(await heapBytes(page));
    }
  };
  const ended = service.api.nodeIs(run, "n", "COMPLETED", SECONDS * 3_000);
  const delays = await inputDelays(page, Promise.all([ended, sample()]));
  const endedAt = Date.now();
  await expect(rows).toContainText("flood over", { timeout: 60_000 });
  const behindMs = Date.now() - endedAt;
  await expect(connectionOf(page)).toHaveText(/ended/, { timeout: 60_000 });
  const bytes = await service.api.raw(run, "n");
  const end = bytes.subarray(-16_384);
  const wanted = await drawDirectly(page, end.subarray(end.indexOf("\n") + 1), SIZE);
  expect(await drawnIn(screen), "the last screen").toEqual(wanted);
  const direct = await inputDelays(page, feedDirectly(page, bytes.subarray(0, RATE * 15), SIZE, RATE));
  tell(`wrote ${(bytes.length / 1e6).toFixed(0)} MB in ${SECONDS} s`);
  tell(`input delay: ${told(delays)}; xterm fed directly: ${told(direct)}`);
  tell(`heap every ${SECONDS / 6} s: ${heaps.map((heap) => (heap / MIB).toFixed(1)).join(", ")} MiB`);
  tell(`the last byte on the screen ${behindMs} ms after the node's end was told`);
  expect(Math.max(...heaps.slice(1)) / (heaps[0] ?? 1), "memory is flat").toBeLessThan(1.5);
});

test("seeking in a long recording", async ({ page, service }) => {
  const command = ["perl", FLOW, "20000", String(MINUTES * 60)];
  const run = await service.api.submit({
    terminal: SIZE,
    timeoutSecs: 7_200,
    nodes: [{ ref: "n", command }],
  });
  await service.api.ended(run, MINUTES * 60_000 + 60_000);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { screen, rows, timeline } = consoleOf(page, "n");
  await expect(rows).toContainText("flood over");
  await screen.click();
  const took: number[] = [];
  // Backwards all the way, then here and there.
  for (const key of ["9", "8", "7", "6", "5", "4", "3", "2", "1", "7", "2", "8", "3"]) {
    const before = await rows.textContent();
    const duration = Number(await timeline.getAttribute("aria-valuemax"));
    await page.evaluate(
      ([text]) => {
        const holder = globalThis as unknown as { drawn: Promise<number> };
        holder.drawn = new Promise((resolve) => {
          const rows = document.querySelector(".xterm-rows");
          let began = 0;
          addEventListener("keydown", (event) => (began = event.timeStamp), { capture: true, once: true });
          const look = () => {
            if (began > 0 && rows?.textContent !== text) resolve(performance.now() - began);
            else requestAnimationFrame(look);
          };
          look();
        });
      },
      [before],
    );
    await page.keyboard.press(key);
    took.push(await page.evaluate(() => (globalThis as unknown as { drawn: Promise<number> }).drawn));
    await expect
      .poll(async () => Math.abs((await positionOf(timeline)) / duration - Number(key) / 10))
      .toBeLessThan(0.01);
  }
  took.sort((a, b) => a - b);
  const median = took[Math.floor(took.length / 2)] ?? 0;
  const most = took.at(-1) ?? 0;
  tell(`seek in ${MINUTES} min: median ${median.toFixed(0)} ms, longest ${most.toFixed(0)} ms`);
  expect(most).toBeLessThan(300);
});
