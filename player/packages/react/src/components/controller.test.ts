// @vitest-environment jsdom
import { expect, it, vi } from "vitest";
import { ConsoleController } from "./controller.ts";
import { createViewer } from "./viewer.ts";

const ROWS = 10;
const MORE = 30;

function opened() {
  // Without a place on a page it scrolls by its own: jsdom has no heights.
  const terminal = createViewer({});
  terminal.resize(80, ROWS);
  const controller = new ConsoleController("a", undefined, vi.fn());
  const release = controller.open(terminal);
  const write = async (count: number) => {
    const lines = Array.from({ length: count }, (_, at) => `line ${at}\r\n`).join("");
    await new Promise<void>((resolve) => terminal.write(lines, resolve));
  };
  return { terminal, controller, release, write };
}

it("holds still from the first line above the screen, until it shall follow", async () => {
  const { terminal, controller, write } = opened();
  controller.holdStill();
  await write(ROWS + MORE);
  const { active } = terminal.buffer;
  expect([active.viewportY, active.baseY]).toEqual([0, MORE + 1]);
  controller.scrollToBottom();
  await write(MORE);
  expect(active.viewportY).toBe(active.baseY);
});

it("that shall follow before anything was written does not hold still any more", async () => {
  const { terminal, controller, write } = opened();
  controller.holdStill();
  controller.scrollToBottom();
  await write(ROWS + MORE);
  expect(terminal.buffer.active.viewportY).toBe(MORE + 1);
});

it("holds still where it is", async () => {
  const { terminal, controller, write } = opened();
  await write(ROWS + MORE);
  controller.holdStill();
  await write(MORE);
  expect(terminal.buffer.active.viewportY).toBe(MORE);
});
