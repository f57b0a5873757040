// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { createRef } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RunSource } from "../stream/source.ts";
import * as scripted from "../testing/service.ts";
import { ScriptedService, ScriptedStream } from "../testing/service.ts";
import { RunConsole } from "./RunConsole.tsx";
import type { RunConsoleHandle } from "./types.ts";
import { textOf } from "./viewer.ts";

beforeEach(() => {
  // jsdom has no layout and asks for none of these.
  vi.stubGlobal("matchMedia", () => ({
    matches: false,
    addEventListener: () => {},
    removeEventListener: () => {},
    addListener: () => {},
    removeListener: () => {},
  }));
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function service(stream: ScriptedStream, nodes = [scripted.node("a")]): ScriptedService {
  return new ScriptedService()
    .on(/index$/, () => scripted.index())
    .on(/terminal\/a\/stream$/, () =>
      new ScriptedStream().event("terminal", scripted.output(4, 0, "hello "), 4).event("live", { seq: 5 }),
    )
    .on(/run-1\/stream$/, ({ query }) =>
      query.has("nodes")
        ? stream
        : new ScriptedStream().event("status", { seq: 5, run: scripted.run({ nodes }) }).id(5),
    );
}

async function shown(handle: RunConsoleHandle | null): Promise<string> {
  const terminal = handle?.getTerminal();
  if (terminal === undefined) throw new Error("there is no terminal");
  await new Promise<void>((resolve) => terminal.write("", resolve));
  return textOf(terminal);
}

it("shows what was there and what comes, alone on a page", async () => {
  const stream = new ScriptedStream().event("terminal", scripted.output(6, 1, "world"), 6);
  const ref = createRef<RunConsoleHandle>();
  const onTelemetry = vi.fn();
  render(<RunConsole ref={ref} runId="run-1" fetch={service(stream).fetch} onTelemetry={onTelemetry} />);
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(6));
  expect(await shown(ref.current)).toBe("hello world");
  expect(screen.getByText("Live", { selector: ".rc-connection span" })).toBeTruthy();
  expect(screen.getByRole("slider").getAttribute("aria-valuetext")).toBe("live");
  expect(onTelemetry).toHaveBeenCalledWith({ name: "terminal_viewed", count: 1 });
});

it("closes its stream and its terminal when it goes", async () => {
  const stream = new ScriptedStream();
  const ref = createRef<RunConsoleHandle>();
  const { unmount } = render(<RunConsole ref={ref} runId="run-1" fetch={service(stream).fetch} />);
  await waitFor(() => expect(ref.current?.getState().terminal.isLoading).toBe(false));
  await new Promise((resolve) => setTimeout(resolve, 80));
  unmount();
  await waitFor(() => expect(stream.isCancelled).toBe(true));
  expect(document.querySelector(".xterm")).toBeNull();
});

it("says why there is nothing to see, and tries again", async () => {
  const from = new ScriptedService().on(/stream$/, () => scripted.refusal(410, "GONE", "the run was purged"));
  render(<RunConsole runId="run-1" fetch={from.fetch} />);
  expect((await screen.findByRole("alert")).textContent).toContain("the run was purged");
  fireEvent.click(screen.getByText("Try again"));
  await waitFor(() => expect(from.requests).toHaveLength(2));
});

it("lets the viewer choose a node, and tells what a node waits for", async () => {
  const nodes = [
    scripted.node("a"),
    scripted.node("b", { status: "PENDING", streams: [], dependsOn: ["a"] }),
  ];
  render(<RunConsole runId="run-1" fetch={service(new ScriptedStream(), nodes).fetch} />);
  const choice = await screen.findByLabelText("Node");
  fireEvent.change(choice, { target: { value: "b" } });
  expect(await screen.findByText("Waiting for a")).toBeTruthy();
});

it("never answers a query, never touches the clipboard, keeps the mouse", async () => {
  const queries =
    "\x1b[c\x1b[>c\x1b[6n\x1b[?6n\x1b]11;?\x07\x1bP$qm\x1b\\\x1b[?2026$p\x1b]52;c;aGk=\x07\x1b[?1000h\x1b[?1002;1006h\x1b]0;title\x07";
  const stream = new ScriptedStream().event("terminal", scripted.output(6, 1, `${queries}end`), 6);
  const ref = createRef<RunConsoleHandle>();
  const writeText = vi.fn();
  vi.stubGlobal("navigator", Object.assign(Object.create(navigator), { clipboard: { writeText } }));
  render(<RunConsole ref={ref} runId="run-1" fetch={service(stream).fetch} />);
  await waitFor(() => expect(ref.current?.getTerminal()).toBeDefined());
  const answered = vi.fn();
  ref.current?.getTerminal()?.onData(answered);
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(6));
  expect(await shown(ref.current)).toBe("hello end");
  expect(answered).not.toHaveBeenCalled();
  expect(writeText).not.toHaveBeenCalled();
  expect(ref.current?.getTerminal()?.modes.mouseTrackingMode).toBe("none");
  expect(document.title).not.toBe("title");
});

it("keys work on the console, and not while somebody types", async () => {
  const stream = new ScriptedStream();
  const ref = createRef<RunConsoleHandle>();
  render(
    <RunConsole
      ref={ref}
      runId="run-1"
      fetch={service(stream).fetch}
      toolbarExtra={<input aria-label="name" />}
    />,
  );
  await waitFor(() => expect(ref.current?.getState().terminal.isLoading).toBe(false));
  const terminal = document.querySelector(".rc-terminal");
  if (terminal === null) throw new Error("there is no terminal");
  act(() => void fireEvent.keyDown(terminal, { key: ">" }));
  expect(ref.current?.getPlayer()?.getState().speed).toBe(1.5);
  act(() => void fireEvent.keyDown(screen.getByLabelText("name"), { key: ">" }));
  expect(ref.current?.getPlayer()?.getState().speed).toBe(1.5);
  act(() => void fireEvent.keyDown(terminal, { key: "?" }));
  expect(screen.getByRole("dialog")).toBeTruthy();
});

/** Two runs: node `a` of the first wrote "hello", node `b` of the second "other". */
function twoRuns(): ScriptedService {
  const second = { runId: "run-2", lastSeq: 3, nodes: [scripted.node("b")] };
  const other = scripted.output(2, 0, "other", { runId: "run-2", nodeRef: "b" });
  return service(new ScriptedStream())
    .on(/run-2\/stream$/, () =>
      new ScriptedStream().event("status", { seq: 3, run: scripted.run(second) }).id(3),
    )
    .on(/terminal\/b\/stream$/, () =>
      new ScriptedStream().event("terminal", other, 2).event("live", { seq: 3 }),
    );
}

it("shows the node of interest of another run, and the run that was chosen from is left", async () => {
  const ref = createRef<RunConsoleHandle>();
  const { fetch } = twoRuns();
  const { rerender } = render(<RunConsole ref={ref} runId="run-1" fetch={fetch} />);
  await waitFor(() => expect(ref.current?.getState().nodeRef).toBe("a"));
  rerender(<RunConsole ref={ref} runId="run-2" fetch={fetch} />);
  await waitFor(() => expect(ref.current?.getState().nodeRef).toBe("b"));
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(2));
  expect(await shown(ref.current)).toBe("other");
});

it("says that the run has no such node", async () => {
  render(<RunConsole runId="run-1" nodeRef="nobody" fetch={service(new ScriptedStream()).fetch} />);
  expect((await screen.findByRole("alert")).textContent).toContain("no node nobody");
});

it("tells changes to who subscribed before there was a console, also of the next one", async () => {
  const ref = createRef<RunConsoleHandle>();
  const { fetch } = twoRuns();
  const seen: (string | undefined)[] = [];
  const { rerender } = render(<RunConsole ref={ref} runId="run-1" fetch={fetch} />);
  const stop = ref.current?.subscribe(() => seen.push(ref.current?.getState().nodeRef));
  await waitFor(() => expect(seen.at(-1)).toBe("a"));
  rerender(<RunConsole ref={ref} runId="run-2" fetch={fetch} />);
  expect(ref.current?.getState().nodeRef).toBeUndefined();
  await waitFor(() => expect(seen.at(-1)).toBe("b"));
  await waitFor(() => expect(ref.current?.getState().terminal.isLoading).toBe(false));
  stop?.();
  const count = seen.length;
  rerender(<RunConsole ref={ref} runId="run-1" fetch={fetch} />);
  await waitFor(() => expect(ref.current?.getState().nodeRef).toBe("a"));
  expect(seen).toHaveLength(count);
});

it("goes on with another source of the same run", async () => {
  const ref = createRef<RunConsoleHandle>();
  const first = new RunSource("run-1", { fetch: service(new ScriptedStream()).fetch });
  const more = new ScriptedStream().event("terminal", scripted.output(6, 1, "again"), 6);
  const second = new RunSource("run-1", { fetch: service(more).fetch, initialRun: scripted.run() });
  const { rerender } = render(<RunConsole ref={ref} runId="run-1" nodeRef="a" source={first} />);
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(4));
  rerender(<RunConsole ref={ref} runId="run-1" nodeRef="a" source={second} />);
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(6));
  expect(await shown(ref.current)).toBe("hello again");
});

it("tells the last of several places that are sought one after the other", async () => {
  const nodes = [scripted.node("a", { status: "COMPLETED" })];
  const payload = Buffer.from("screen").toString("base64");
  const { fetch } = service(new ScriptedStream(), nodes)
    .on(/index$/, () => scripted.index({ durationMs: 90_000 }))
    .on(/screen$/, () => scripted.json({ payload, cols: 80, rows: 24, seq: 9, chunkIndex: 7, atMs: 1 }))
    .on(/terminal\/a$/, () => scripted.json({ chunks: [] }));
  const ref = createRef<RunConsoleHandle>();
  const onPosition = vi.fn();
  const props = { runId: "run-1", mode: "recording" as const, startAtMs: 10_000, fetch, onPosition };
  render(<RunConsole {...props} ref={ref} />);
  await waitFor(() => expect(onPosition).toHaveBeenLastCalledWith(10_000));
  const standing = () => expect(ref.current?.getPlayer()?.getState().phase).toBe("paused");
  for (const atMs of [20_000, 30_000]) {
    act(() => ref.current?.seekTo(atMs));
    await waitFor(standing, { interval: 1 });
  }
  await waitFor(() => expect(onPosition).toHaveBeenLastCalledWith(30_000));
});

it("a console that could not join says so, and comes back when one tries again", async () => {
  const from = service(new ScriptedStream()).sequence(
    /terminal\/a\/stream$/,
    () => scripted.refusal(403, "FORBIDDEN", "not for you"),
    () => new ScriptedStream().event("terminal", scripted.output(4, 0, "hello"), 4).event("live", { seq: 5 }),
  );
  const ref = createRef<RunConsoleHandle>();
  render(<RunConsole ref={ref} runId="run-1" fetch={from.fetch} />);
  expect((await screen.findByRole("alert")).textContent).toContain("not for you");
  fireEvent.click(screen.getByText("Try again"));
  await waitFor(() => expect(ref.current?.getState().terminal.lastSeq).toBe(4));
  expect(await shown(ref.current)).toBe("hello");
  expect(screen.queryByRole("alert")).toBeNull();
});

it("tells screen readers how it is connected, without counting down", async () => {
  const from = new ScriptedService().on(/stream$/, () =>
    scripted.refusal(503, "UNAVAILABLE", "away", { "Retry-After": "30" }),
  );
  render(<RunConsole runId="run-1" nodeRef="a" initialRun={scripted.run()} fetch={from.fetch} />);
  expect(await screen.findByText(/Reconnecting in \d+ s/)).toBeTruthy();
  const told = screen.getAllByRole("status").map((status) => status.textContent);
  expect(told).toContain("Connection: reconnecting");
  expect(told.join()).not.toMatch(/\d/);
});
