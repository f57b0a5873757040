// What the service promises to any page, without our player.

import { CuttableProxy } from "../support/cuttable.ts";
import { eventually } from "../support/deadline.ts";
import { Feed } from "../support/feed.ts";
import { expect, test } from "../support/test.ts";

test("the browser's own EventSource follows a run over cuts, and stops at its end", async ({
  page,
  service,
}) => {
  const proxy = await CuttableProxy.before(service.port);
  const feed = new Feed(service.directory);
  const run = await service.api.submit({ nodes: [{ ref: "n", shell: feed.shell }] });
  await page.goto(`${proxy.url}/healthz`);
  await page.evaluate((path) => {
    const seen = { ids: [] as number[], text: "", done: 0, opened: 0, state: 0 };
    (globalThis as unknown as { seen: typeof seen }).seen = seen;
    const source = new EventSource(path);
    let isNew = true;
    source.onopen = () => {
      isNew = true;
      seen.opened += 1;
    };
    source.onerror = () => {
      seen.state = source.readyState;
    };
    for (const name of ["terminal", "status", "trace"]) {
      source.addEventListener(name, (event) => {
        const isGreeting = isNew && name === "status";
        isNew = false;
        // The first status of a connection is no event of the run, and has no id of its own.
        if (!isGreeting) seen.ids.push(Number(event.lastEventId));
        const { kind, payload } = JSON.parse(event.data) as { kind?: string; payload?: string };
        if (kind === "output" && payload !== undefined) seen.text += atob(payload);
      });
    }
    source.addEventListener("done", () => {
      seen.done += 1;
    });
  }, `/api/v1/runs/${run}/stream`);
  type Seen = { ids: number[]; text: string; done: number; opened: number; state: number };
  const seen = () => page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);

  let sent = "";
  for (const round of [1, 2]) {
    for (const line of [1, 2, 3]) {
      const text = `round ${round}, line ${line}\n`;
      await feed.write(text);
      sent += text;
      // A cut right after a write falls before, into or behind its event.
      if (line === 2) proxy.cut();
    }
    await eventually(`round ${round}`, async () => ((await seen()).text === sent ? true : undefined));
  }
  await feed.end();
  await eventually("the end", async () => ((await seen()).state === 2 ? true : undefined));
  const { ids, text, opened, done } = await seen();
  expect(text).toBe(sent);
  expect(done).toBeGreaterThan(0);
  expect(opened).toBeGreaterThan(1);
  const events = new Set(ids);
  expect(
    [...events].sort((a, b) => a - b),
    "each event once",
  ).toEqual(ids);
  await proxy.close();
});

test("the page's files are kept, and its policy holds", async ({ page, service }) => {
  const index = await page.request.get(`${service.url}/runs/any/nodes/n?t=1`, {
    headers: { Accept: "text/html" },
  });
  expect(index.status()).toBe(200);
  expect(index.headers()["cache-control"]).toBe("no-cache");
  const html = await index.text();
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
  const assets = [...html.matchAll(/"(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? "");
  expect(assets.length).toBeGreaterThan(0);
  for (const asset of assets) {
    const answer = await page.request.get(service.url + asset);
    expect(answer.headers()["cache-control"], asset).toBe("public, max-age=31536000, immutable");
    if (/\.(js|css)$/.test(asset)) expect(["br", "gzip"]).toContain(answer.headers()["content-encoding"]);
    const again = await page.request.get(service.url + asset, {
      headers: { "If-None-Match": answer.headers().etag ?? "" },
    });
    expect(again.status(), asset).toBe(304);
  }
});

test.describe("a script that is none of the page's files", () => {
  test.use({ expectedComplaint: /Content Security Policy/ });

  test("does not run", async ({ page, service }) => {
    await page.goto(service.url);
    const isRefused = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "globalThis.injected = true";
          document.head.append(script);
        }),
    );
    expect(isRefused).toBe("script-src-elem");
    expect(await page.evaluate(() => "injected" in globalThis)).toBe(false);
  });
});
