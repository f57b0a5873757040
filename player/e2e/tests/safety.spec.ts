// Output is of programs that nobody may trust: a viewer only looks at it.
import { Feed } from "../support/feed.ts";
import { expect, test } from "../support/test.ts";

const ESC = "\u001b";
const BEL = "\u0007";

test("queries are not answered, and neither clipboard nor title is the program's", async ({
  page,
  service,
}) => {
  const changes: string[] = [];
  page.on("request", (request) => {
    if (request.method() !== "GET" && !request.url().endsWith("/telemetry")) changes.push(request.url());
  });
  page.on("websocket", (socket) => changes.push(socket.url()));
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ name: "Harmless", nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  await page.evaluate(() => navigator.clipboard.writeText("mine"));
  const base64 = Buffer.from("stolen").toString("base64");
  const queries = [
    ...["c", ">c", "=c", "5n", "6n", "?6n", "18t", "21t", "?1$p", ">q", "?u"].map(
      (query) => `${ESC}[${query}`,
    ),
    ...["10;?", "11;?", "12;?", "4;1;?", `52;c;${base64}`, "52;c;?", "0;Evil", "2;Evil"].map(
      (text) => `${ESC}]${text}${BEL}`,
    ),
    `${ESC}P$qm${ESC}\\`,
    `${ESC}P+q544e${ESC}\\`,
    `${ESC}Z`,
    "\u0005",
  ];
  await feed.write(`begin\r\n${queries.join("")}\r\nall asked\r\n`);
  await expect(page.locator(".xterm-rows").first()).toContainText("all asked");
  await page.locator(".xterm").first().click();
  await page.keyboard.type("hello");
  await feed.write("after typing\r\n");
  await expect(page.locator(".xterm-rows").first()).toContainText("after typing");
  await expect(page.locator(".xterm-rows").first()).not.toContainText("hello");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("mine");
  expect(await page.title()).not.toContain("Evil");
  expect(changes).toEqual([]);
  await feed.end();
});

test("links lead to http and https alone", async ({ page, context, service }) => {
  await context.route("https://example.org/**", (route) => route.fulfill({ body: "reached" }));
  const link = (address: string, text: string) => `${ESC}]8;;${address}${BEL}${text}${ESC}]8;;${BEL}\r\n`;
  const run = await service.api.submit({
    nodes: [
      {
        ref: "n",
        command: [
          "printf",
          "%b",
          link("javascript:document.title='run'", "script-link") +
            link("data:text/html,<script>1</script>", "data-link") +
            link("file:///etc/passwd", "file-link") +
            link("https://example.org/there", "good-link"),
        ],
      },
    ],
  });
  await service.api.ended(run);
  await page.goto(`${service.url}/runs/${run}/nodes/n`);
  const rows = page.locator(".xterm-rows").first();
  await expect(rows).toContainText("good-link");
  const opened: string[] = [];
  context.on("page", (popup) => opened.push(popup.url()));
  const clickOn = async (text: string) => {
    const box = await rows.getByText(text).boundingBox();
    if (box === null) throw new Error(`${text} is not on the screen`);
    // xterm finds links by the place of the mouse, which has to come first.
    await page.mouse.move(box.x + 3, box.y + 3);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 5 });
    await page.mouse.down();
    await page.mouse.up();
  };
  for (const text of ["script-link", "data-link", "file-link"]) await clickOn(text);
  const popup = context.waitForEvent("page", { timeout: 10_000 });
  await clickOn("good-link");
  const there = await popup;
  await there.waitForURL("https://example.org/there");
  expect(await there.evaluate(() => globalThis.opener), "it knows nothing of us").toBeNull();
  expect(context.pages()).toHaveLength(2);
  expect(await page.title()).not.toBe("run");
});
