// Finding output, and taking it along.
import { readFile } from "node:fs/promises";
import { connectionOf, consoleOf } from "../support/console.ts";
import { lines } from "../support/programs.ts";
import { expect, test } from "../support/test.ts";

test("the whole output is searched, also what the terminal does not hold any more", async ({
  page,
  service,
}) => {
  const shell = `${lines(3_000, "needle A, line")}; ${lines(15_000, "hay")}; ${lines(2, "needle B (4.2)")}`;
  const run = await service.api.submit({ nodes: [{ ref: "n", shell }] });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("needle B (4.2) 2");
  await page.keyboard.press("/");
  const search = pane.getByRole("search");
  const field = search.getByRole("searchbox");
  await expect(field).toBeFocused();
  await field.fill("needle B");
  await expect(search.getByRole("status")).toHaveText("2 hits");
  await field.fill("needle A, line 17");
  // 17, 170 to 179, 1700 to 1799.
  await expect(search.getByRole("status")).toHaveText("111 hits");
  await field.press("Enter");
  await expect(search.getByRole("status")).toHaveText("1 of 111 hits");
  await expect(rows, "the console is led to it").toContainText("needle A, line 17");
  await expect(rows).not.toContainText("hay");
  await expect(page).toHaveURL(/[?&]t=/);
  await search.getByRole("button", { name: "Previous hit" }).click();
  await expect(search.getByRole("status")).toHaveText("111 of 111 hits");
  await expect(rows).toContainText("needle A, line 1799");
  await search.getByRole("button", { name: "Next hit" }).click();
  await expect(search.getByRole("status")).toHaveText("1 of 111 hits");
  await field.fill("B \\(4\\.\\d\\) [12]$");
  await expect(search.getByRole("status")).toHaveText("No hits");
  await search.getByRole("button", { name: /regular expression/i }).click();
  await expect(search.getByRole("status")).toHaveText("2 hits");
  await field.fill("(");
  await expect(search.getByRole("status"), "a mistake in the expression is told").not.toHaveText(/hit/);
  await field.press("Escape");
  await expect(search).toBeHidden();
});

test("what is selected and all that is there is copied", async ({ page, service }) => {
  const run = await service.api.submit({
    nodes: [{ ref: "n", shell: "echo 'first word'; echo '日本 second'; printf '\\033[31mthird\\033[0m\\n'" }],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("third");
  const copy = async (item: string) => {
    await pane.getByRole("button", { name: "Copy output" }).click();
    await page.getByRole("menuitem", { name: item }).click();
    await expect(pane.getByRole("status").filter({ hasText: "Copied" })).toBeAttached();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  expect(await copy("Copy everything here")).toBe("first word\n日本 second\nthird");
  // The terminal selects by the place of the mouse.
  const word = await rows.getByText("first word").boundingBox();
  if (word === null) throw new Error("the word is not on the screen");
  await page.mouse.dblclick(word.x + 4, word.y + word.height / 2);
  expect(await copy("Copy selection")).toBe("first");
});

test("each download has the bytes that the API gives, and is counted", async ({ page, service }) => {
  const run = await service.api.submit({
    nodes: [
      { ref: "tty", shell: "printf 'caf\\303\\251 \\033[1mbold\\033[0m \\377 end\\n'" },
      { ref: "pipes", shell: "echo out; echo err >&2", terminal: { mode: "pipe" } },
    ],
  });
  await service.api.ended(run);
  const counted = () => service.api.metric('runcast_ui_events_total{name="cast_downloaded"}');
  const before = await counted();
  const formats = {
    "asciicast v3 (.cast)": "format=cast&version=3",
    "asciicast v2 (.cast)": "format=cast&version=2",
    "Text (.txt)": "format=txt",
    "Exact bytes (raw)": "format=raw",
  };
  const take = async (nodeRef: string, label: string, query: string) => {
    const { pane } = consoleOf(page, nodeRef);
    await pane.getByRole("button", { name: "Download the recording" }).click();
    const started = page.waitForEvent("download");
    await page.getByRole("menuitem", { name: label }).click();
    const download = await started;
    const wanted = await service.api.bytes(`/runs/${run}/terminal/${nodeRef}/cast?${query}`);
    expect((await readFile(await download.path())).equals(wanted), `${nodeRef}: ${label}`).toBe(true);
    expect(wanted.length).toBeGreaterThan(0);
    return download.suggestedFilename();
  };
  await page.goto(`${service.url}/runs/${run}/nodes/tty`);
  const names: string[] = [];
  for (const [label, query] of Object.entries(formats)) names.push(await take("tty", label, query));
  expect(names[0]).toMatch(/tty.*\.cast$/);
  expect(names[2]).toMatch(/\.txt$/);
  await page.goto(`${service.url}/runs/${run}/nodes/pipes?stream=stderr`);
  await take("pipes", "Exact bytes (raw)", "format=raw&stream=stderr");
  await expect.poll(counted, { message: "telemetry", timeout: 20_000 }).toBe(before + 5);
});

test("that a recording is complete is a fact that the page has checked", async ({ page, service }) => {
  const run = await service.api.submit({ nodes: [{ ref: "n", shell: "sleep 1; echo checked" }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { pane, rows } = consoleOf(page, "n");
  await expect(rows).toContainText("checked");
  await expect(connectionOf(page)).toHaveText(/ended/);
  await expect(pane).toContainText("verified");
});

test("the trace is filtered, and leads the console to its moments", async ({ page, service }) => {
  const shell = `echo before; sleep 0.5; printf '{"type":"progress","level":"warn","message":"half way"}\\n' > "$RUNCAST_EVENTS"; sleep 0.5; echo after`;
  const run = await service.api.submit({
    nodes: [
      { ref: "n", shell },
      { ref: "m", shell: "true" },
    ],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const { rows } = consoleOf(page, "n");
  await expect(rows).toContainText("after");
  await page
    .getByRole("region", { name: "Trace" })
    .getByRole("button", { name: /^Trace/ })
    .click();
  const events = page.getByRole("log", { name: "Trace events" });
  await expect(events.getByRole("button")).toHaveCount(8);
  await page.getByRole("combobox", { name: "Level" }).click();
  await page.getByRole("option", { name: "warn and above" }).click();
  await expect(events.getByRole("button")).toHaveCount(1);
  await events.getByRole("button", { name: /half way/ }).click();
  await expect(rows).toContainText("before");
  await expect(rows, "it is the screen of that moment").not.toContainText("after");
  await expect(page).toHaveURL(/[?&]t=/);
});
