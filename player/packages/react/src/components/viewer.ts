import { Unicode11Addon } from "@xterm/addon-unicode11";
import { type ITerminalOptions, Terminal } from "@xterm/xterm";

/** Private modes by which a program asks for the mouse or for focus: a viewer keeps both for selecting. */
const INPUT_MODES = new Set([9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016]);
const OSC_CLIPBOARD = 52;

/**
 * A terminal that only shows: it sends nothing, so it answers no query (`disableStdin` covers replies too), never
 * touches the clipboard, and opens links of programs only for http and https.
 */
export function createViewer(options: ITerminalOptions): Terminal {
  const terminal = new Terminal({
    allowProposedApi: true,
    disableStdin: true,
    cursorBlink: false,
    cursorInactiveStyle: "outline",
    linkHandler: { activate: (_event, uri) => openLink(uri), allowNonHttpProtocols: false },
    ...options,
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  terminal.parser.registerOscHandler(OSC_CLIPBOARD, () => true);
  terminal.parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) =>
    params.every((mode) => typeof mode === "number" && INPUT_MODES.has(mode)),
  );
  terminal.attachCustomKeyEventHandler((event) => {
    scrollByKey(terminal, event);
    return false;
  });
  return terminal;
}

/** Opens an address that output names; anything but http and https is ignored. */
export function openLink(uri: string): void {
  if (!URL.canParse(uri)) return;
  const { protocol, href } = new URL(uri);
  if (protocol === "http:" || protocol === "https:") window.open(href, "_blank", "noopener,noreferrer");
}

function scrollByKey(terminal: Terminal, event: KeyboardEvent): void {
  if (event.type !== "keydown" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "PageUp") terminal.scrollPages(-1);
  else if (event.key === "PageDown") terminal.scrollPages(1);
  else if (event.key === "Home") terminal.scrollToTop();
  else if (event.key === "End") terminal.scrollToBottom();
  else if (event.key === "ArrowUp") terminal.scrollLines(-1);
  else if (event.key === "ArrowDown") terminal.scrollLines(1);
  else return;
  event.preventDefault();
}

/** All that the terminal holds, with wrapped rows joined. */
export function textOf(terminal: Terminal): string {
  const buffer = terminal.buffer.active;
  const lines: string[] = [];
  for (let row = 0; row < buffer.length; row += 1) {
    const line = buffer.getLine(row);
    if (line === undefined) continue;
    const isContinued = buffer.getLine(row + 1)?.isWrapped === true;
    // A repainted screen has blanks up to the edge.
    const text = isContinued ? line.translateToString(false) : line.translateToString(true).trimEnd();
    if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  return lines.join("\n").trimEnd();
}
