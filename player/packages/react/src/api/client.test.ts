import { expect, it, vi } from "vitest";
import { refusal, ScriptedService } from "../testing/service.ts";
import { RuncastClient } from "./client.ts";
import { ApiError } from "./error.ts";

const client = (service: ScriptedService, more = {}) => new RuncastClient({ fetch: service.fetch, ...more });

it("a refusal is an error with everything that the service said", async () => {
  const service = new ScriptedService().on(/./, () =>
    refusal(429, "LIMIT_EXCEEDED", "too many", { "Retry-After": "7", "X-Request-Id": "r-1" }),
  );
  const error = await client(service)
    .runs()
    .catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 429,
    code: "LIMIT_EXCEEDED",
    message: "too many",
    retryAfter: 7,
    requestId: "r-1",
    isRetryable: true,
  });
});

it("a service that is not reached, and a body that is cut off, can be tried again", async () => {
  const service = new ScriptedService().sequence(
    /./,
    () => new TypeError("failed"),
    () => new Response('{"runs":['),
  );
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await expect(client(service).runs()).rejects.toMatchObject({
      status: 0,
      code: "NETWORK",
      isRetryable: true,
    });
  }
});

it("a token is asked once, and again after a 401", async () => {
  const getToken = vi.fn().mockResolvedValueOnce("one").mockResolvedValueOnce("two");
  const service = new ScriptedService().on(/./, ({ headers }) =>
    headers.get("Authorization") === "Bearer two"
      ? Response.json({ runs: [] })
      : refusal(401, "UNAUTHENTICATED"),
  );
  const asked = client(service, { getToken });
  await asked.runs();
  await asked.runs({ status: "RUNNING" });
  expect(getToken).toHaveBeenCalledTimes(2);
  expect(service.requests).toHaveLength(3);
  expect(service.requests[2]?.query.toString()).toBe("status=RUNNING");
});

it("a token that cannot be had can be asked for again", async () => {
  const service = new ScriptedService().on(/./, () => Response.json({ runId: "run-1" }));
  const getToken = vi
    .fn<() => string>()
    .mockImplementationOnce(() => {
      throw new Error("502");
    })
    .mockReturnValue("t");
  const asking = new RuncastClient({ fetch: service.fetch, getToken });
  await expect(asking.run("run-1")).rejects.toMatchObject({ code: "NETWORK", isRetryable: true });
  expect(await asking.run("run-1")).toEqual({ runId: "run-1" });
});

it("addresses are encoded and empty parameters left out", () => {
  const address = new RuncastClient({ baseUrl: "https://runs.example/" }).castUrl("a/b", "n", {
    format: "raw",
  });
  expect(address).toBe("https://runs.example/api/v1/runs/a%2Fb/terminal/n/cast?format=raw");
});

it.each([1, 3, 7, 1_000])("hits of a search come one by one, in pieces of %i bytes", async (size) => {
  const lines = [
    { line: 1, text: 'a "quoted" {brace} [x], \\ é', seq: 2, atMs: 1.5 },
    { line: 9, text: "", seq: 3, atMs: 2 },
  ];
  const bytes = new TextEncoder().encode(
    `{"lines":[${lines.map((line) => JSON.stringify(line)).join(" , ")}],"nextFrom":12,"totalLines":null}`,
  );
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  const hits = client(new ScriptedService().on(/lines$/, () => new Response(body))).searchLines(
    "run-1",
    "a",
    { q: "x" },
  );
  const found: unknown[] = [];
  for (;;) {
    const { done, value } = await hits.next();
    if (done) {
      expect(value).toEqual({ nextFrom: 12, totalLines: null });
      break;
    }
    found.push(value);
  }
  expect(found).toEqual(lines);
});

it("a search that breaks off is an error", async () => {
  const service = new ScriptedService().on(
    /lines$/,
    () => new Response('{"lines":[{"line":1,"text":"a","seq":1,"atMs":1}'),
  );
  const hits = client(service).searchLines("run-1", "a", { q: "x" });
  expect((await hits.next()).value).toMatchObject({ line: 1 });
  await expect(hits.next()).rejects.toMatchObject({ code: "NETWORK" });
});
