// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { RunSource } from "../stream/source.ts";
import * as scripted from "../testing/service.ts";
import { ScriptedService } from "../testing/service.ts";
import { DownloadMenu } from "./DownloadMenu.tsx";

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

/** The menu of node `a`, with the addresses that were followed from it. */
function menu(service: ScriptedService, getToken?: () => string) {
  const followed: string[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
    followed.push(`${this.pathname}${this.search}`);
  });
  const source = new RunSource("run-1", { fetch: service.fetch, ...(getToken && { getToken }) });
  const [onDownload, onFailure] = [vi.fn(), vi.fn()];
  render(
    <DownloadMenu source={source} node={scripted.node("a")} onDownload={onDownload} onFailure={onFailure} />,
  );
  return { followed, onDownload, onFailure };
}

it("without a token it is a link", () => {
  const service = new ScriptedService();
  const { onDownload } = menu(service);
  const link = screen.getByText<HTMLAnchorElement>("Exact bytes");
  expect(link.pathname + link.search).toBe("/api/v1/runs/run-1/terminal/a/cast?format=raw");
  fireEvent.click(link);
  expect(onDownload).toHaveBeenCalledTimes(1);
  expect(service.requests).toHaveLength(0);
});

it("with a token the browser itself fetches the file, with a short token for this run alone", async () => {
  const service = new ScriptedService().on(/tokens$/, () => scripted.json({ token: "short" }));
  const { followed, onDownload } = menu(service, () => "long");
  fireEvent.click(screen.getByText("Exact bytes"));
  await waitFor(() => expect(onDownload).toHaveBeenCalledTimes(1));
  expect(followed).toEqual(["/api/v1/runs/run-1/terminal/a/cast?format=raw&access_token=short"]);
  expect(service.requests).toHaveLength(1);
  expect(JSON.parse(service.requests[0]?.body ?? "")).toEqual({
    runId: "run-1",
    scopes: ["runs:read"],
    ttlSecs: 60,
  });
});

it("what fails is said and counted, until it works", async () => {
  const service = new ScriptedService().sequence(
    /tokens$/,
    () => scripted.refusal(503, "UNAVAILABLE", "away"),
    () => scripted.json({ token: "short" }),
  );
  const { followed, onDownload, onFailure } = menu(service, () => "long");
  fireEvent.click(screen.getByText("Exact bytes"));
  expect((await screen.findByRole("alert")).textContent).toContain("away");
  expect(onFailure).toHaveBeenCalledTimes(1);
  expect(onDownload).not.toHaveBeenCalled();
  fireEvent.click(screen.getByText("Exact bytes"));
  await waitFor(() => expect(followed).toHaveLength(1));
  await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
});
