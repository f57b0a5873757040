// Interactive terminals: real programs, typed into a real browser.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import type { Terminal } from "@xterm/xterm";
import { eventually } from "../support/deadline.ts";
import { expect, test } from "../support/test.ts";

/** The terminal that is shown. */
function shown(page: Page): Locator {
  return page.locator(".rc-session:visible");
}

function rows(page: Page): Locator {
  return shown(page).locator(".xterm-rows");
}

/** What the terminal shows, row by row. */
function textOf(page: Page): Promise<string[]> {
  return shown(page).evaluate((element) => {
    const buffer = (element as HTMLElement & { xterm?: Terminal }).xterm?.buffer.active;
    if (buffer === undefined) return [];
    const all = Array.from(
      { length: buffer.length },
      (_, row) => buffer.getLine(row)?.translateToString(true) ?? "",
    );
    return all.slice(buffer.baseY).map((row) => row.trimEnd());
  });
}

function sizeOf(page: Page): Promise<{ cols: number; rows: number }> {
  return shown(page).evaluate((element) => {
    const xterm = (element as HTMLElement & { xterm?: Terminal }).xterm;
    return { cols: xterm?.cols ?? 0, rows: xterm?.rows ?? 0 };
  });
}

let projects = 0;

/** A terminal of a project of its own, at its prompt. */
async function openTerminal(page: Page, url: string): Promise<string> {
  projects += 1;
  const project = `p${process.pid}-${projects}`;
  await page.goto(`${url}/terminals/${project}`);
  await page.getByRole("button", { name: "New terminal" }).click();
  await expect(page.getByRole("status")).toHaveText("Active");
  await run(page, "PS1='ready> '; clear; echo at''prompt");
  await expect(rows(page)).toContainText("atprompt");
  return project;
}

/** Types a line. */
async function run(page: Page, line: string): Promise<void> {
  await shown(page).locator("textarea").focus();
  await page.keyboard.insertText(line);
  await page.keyboard.press("Enter");
}

test("a shell takes lines that are edited, keys that interrupt, and colours that are exact", async ({
  page,
  service,
}) => {
  await openTerminal(page, service.url);
  await page.keyboard.type("echo wrnog");
  for (let count = 0; count < 3; count += 1) await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Delete");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.type("n");
  await page.keyboard.press("End");
  await page.keyboard.type(" | rev");
  await page.keyboard.press("Enter");
  await expect(rows(page)).toContainText(/gno?rw/);
  await run(page, "sh -c 'echo wai''ting; exec sleep 1000'");
  await expect(rows(page)).toContainText("waiting");
  await page.keyboard.press("Control+c");
  await run(page, "echo inter''rupted");
  await expect(rows(page)).toContainText("interrupted");
  await run(page, "sh -c 'echo slee''ping; exec sleep 1000'");
  await expect(rows(page)).toContainText("sleeping");
  await page.keyboard.press("Control+z");
  await expect(rows(page)).toContainText("Stopped");
  await run(page, "kill %1; printf '\\033[38;2;255;100;0mcol''our\\033[0m 日本語 e\\u0301 done\\n'");
  await expect(rows(page)).toContainText("日本語");
  const colour = await rows(page)
    .locator("span", { hasText: /^colour$/ })
    .evaluate((element) => getComputedStyle(element).color);
  expect(colour).toBe("rgb(255, 100, 0)");
});

test("full-screen programs work: vim writes a file, less pages, top follows the window", async ({
  page,
  service,
}) => {
  await openTerminal(page, service.url);
  const file = join(service.directory, `vim-${projects}.txt`);
  await run(page, `vim -u NONE ${file}`);
  await expect.poll(async () => (await textOf(page))[3]).toBe("~");
  await page.keyboard.type("ihello from the browser");
  await page.keyboard.press("Escape");
  await page.keyboard.type(":wq");
  await page.keyboard.press("Enter");
  await eventually("the file", () => (existsSync(file) ? true : undefined));
  expect(readFileSync(file, "utf8")).toBe("hello from the browser\n");

  await run(page, "seq 1000 | less");
  await expect.poll(async () => (await textOf(page))[0]).toBe("1");
  await page.keyboard.press("Space");
  await expect.poll(async () => Number((await textOf(page))[0])).toBeGreaterThan(10);
  await page.keyboard.press("G");
  await expect(rows(page)).toContainText("1000");
  await page.keyboard.press("q");

  await run(page, "top -d 0.5");
  await expect(rows(page)).toContainText("load average");
  const before = await sizeOf(page);
  await page.setViewportSize({ width: 900, height: 500 });
  await expect.poll(async () => (await sizeOf(page)).cols).toBeLessThan(before.cols);
  const after = await sizeOf(page);
  await expect(rows(page)).toContainText("load average");
  await page.keyboard.press("q");
  await run(page, "clear; stty size");
  await expect(rows(page)).toContainText(`${after.rows} ${after.cols}`);
});

test("a paste of a megabyte comes through whole, and what is selected is copied", async ({
  page,
  service,
}) => {
  await openTerminal(page, service.url);
  const text = Array.from(
    { length: 10_000 },
    (_, at) => `${String(at).padStart(8, "0")} ${"x".repeat(90)}`,
  ).join("\n");
  const file = join(service.directory, `paste-${projects}.txt`);
  await run(page, `clear; head -c ${text.length + 1} > ${file}; echo who''le`);
  await shown(page)
    .locator("textarea")
    .evaluate((element, pasted) => {
      const data = new DataTransfer();
      data.setData("text/plain", pasted);
      element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
    }, `${text}\n`);
  await expect(rows(page)).toContainText("whole", { timeout: 30_000 });
  expect(readFileSync(file, "utf8")).toBe(`${text}\n`);

  await run(page, "clear; echo copy''this");
  await expect(rows(page)).toContainText("copythis");
  const word = rows(page).locator("div", { hasText: /^copythis\s*$/ });
  const box = await word.boundingBox();
  if (box === null) throw new Error("the word is shown");
  await page.mouse.dblclick(box.x + 20, box.y + box.height / 2);
  await page.keyboard.press("Control+Shift+C");
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe("copythis");
});

test("two browsers see the same, and a question of a program is answered once", async ({
  page,
  context,
  service,
}) => {
  const project = await openTerminal(page, service.url);
  const other = await context.newPage();
  await other.goto(`${service.url}/terminals/${project}`);
  await expect(rows(other)).toContainText("atprompt");
  await run(other, "clear; echo from the ot''her");
  await expect(rows(page)).toContainText("from the other");
  await expect.poll(() => textOf(page)).toEqual(await textOf(other));
  const ask =
    "clear; stty raw -echo; printf '\\033[6n\\033[c'; timeout --foreground 2 cat -v > answers; stty sane; cat answers; echo an''swered";
  await run(other, ask);
  await expect(rows(other)).toContainText("answered");
  const answers = (await textOf(other)).join("\n");
  expect(answers.match(/\^\[\[\d+;\d+R/g), answers).toHaveLength(1);
  expect(answers.match(/\^\[\[\?[\d;]+c/g), answers).toHaveLength(1);
  await expect(page.getByTitle("2 clients attached")).toBeVisible();
});

test("a reload goes on where it was, and nothing that was asked long ago is answered again", async ({
  page,
  service,
}) => {
  await openTerminal(page, service.url);
  await run(
    page,
    "stty raw -echo; printf '\\033[6n'; timeout --foreground 1 cat > /dev/null; stty sane; clear; for i in 1 2 3 4 5 6; do echo line $i; sleep 1; done; echo do''ne",
  );
  await expect(rows(page)).toContainText("line 2");
  await page.reload();
  await expect(rows(page)).toContainText("line 1");
  await expect(rows(page)).toContainText("done", { timeout: 15_000 });
  await run(page, "echo qui''et");
  await expect(rows(page)).toContainText("quiet");
  const text = (await textOf(page)).join("\n");
  expect(text.match(/line \d/g)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `line ${number}`));
  expect(text).not.toMatch(/\d+;\d+R/);
});

test("tabs are opened, ring, are named by their program, end and are opened again", async ({
  page,
  service,
}) => {
  await openTerminal(page, service.url);
  await page.getByRole("button", { name: "New terminal" }).click();
  const tabs = page.getByRole("tab");
  await expect(tabs).toHaveCount(2);
  await expect(tabs.nth(1)).toHaveText("system 2");
  await expect(page.getByRole("status")).toHaveText("Active");
  await run(page, "(sleep 1; printf '\\a') & printf '\\033]2;my title\\007'; echo sta''rted");
  await expect(rows(page)).toContainText("started");
  await expect(tabs.nth(1)).toHaveAttribute("title", "my title");
  await tabs.nth(0).click();
  await expect(rows(page)).toContainText("atprompt");
  await expect(tabs.nth(1).getByLabel("rang")).toBeVisible();
  await tabs.nth(1).click();
  await expect(tabs.nth(1).getByLabel("rang")).toHaveCount(0);
  await run(page, "cd /tmp; exit 7");
  await expect(page.getByText("Its program has ended with code 7.")).toBeVisible();
  await page.getByRole("button", { name: "Open again" }).click();
  await expect(page.getByRole("status")).toHaveText("Active");
  await run(page, "pwd");
  await expect(rows(page)).toContainText("/tmp");
  await page.getByRole("button", { name: "End system 2" }).click();
  await expect(page.getByText("It was ended.")).toBeVisible();
});

test("who only reads sees everything and types nothing", async ({ page, context, service }) => {
  const project = await openTerminal(page, service.url);
  const reader = await context.newPage();
  await reader.goto(`${service.url}/terminals/${project}?readonly`);
  await expect(rows(reader)).toContainText("atprompt");
  await shown(reader).click();
  await reader.keyboard.type("echo from the reader");
  await run(page, "echo from the wri''ter");
  await expect(rows(reader)).toContainText("from the writer");
  expect((await textOf(page)).join("\n")).not.toContain("from the reader");
});

test.describe("a service that is gone", () => {
  // It is told so by the browser itself.
  test.use({ expectedComplaint: /^WebSocket connection to/ });

  test("is waited for", async ({ page, ownService }) => {
    await openTerminal(page, ownService.url);
    await ownService.kill();
    await expect(page.getByRole("status")).toHaveText("Connecting …");
    await ownService.startAgain();
    await expect(page.getByText("The service was started again.")).toBeVisible({ timeout: 20_000 });
    await page.getByRole("button", { name: "Open again" }).click();
    await run(page, "echo back ag''ain");
    await expect(rows(page)).toContainText("back again");
    writeFileSync(join(ownService.directory, "done"), "");
  });
});
