// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { createRef } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
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
