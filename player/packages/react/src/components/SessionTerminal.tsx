import { Unicode11Addon } from "@xterm/addon-unicode11";
import { Terminal as Xterm } from "@xterm/xterm";
import { useEffect, useLayoutEffect, useRef } from "react";
import type { RuncastClient } from "../api/client.ts";
import { useLatest } from "../hooks/useRunStream/useRunStream.ts";
import { useTerminalSession } from "../hooks/useTerminalSession/useTerminalSession.ts";
import type { SessionState } from "../session/types.ts";
import { copyText } from "./clipboard.ts";
import { cellsToFit } from "./fit.ts";
import { DEFAULT_FONT_PX, FONT_FAMILY, type TerminalElement, terminalColours } from "./Terminal.tsx";
import { type Theme, useColorScheme } from "./useColorScheme.ts";
import { openLink } from "./viewer.ts";
import { XtermSink } from "./xtermSink.ts";

const DEFAULT_SCROLLBACK = 5_000;
/** Room that xterm's scrollbar takes beside the cells. */
const SCROLLBAR_PX = 14;

export interface SessionTerminalProps {
  client: RuncastClient;
  sessionId: string;
  /** Where its WebSocket is, as the service told; else on the page's own origin. */
  connectionUrl?: string;
  /** Only watches. */
  readonly?: boolean;
  theme?: Theme;
  /** Pixels. 13 by default. */
  fontSize?: number;
  /** Takes the keys as soon as it is there; true by default. */
  autoFocus?: boolean;
  /** After every change of how it is connected. */
  onState?: (state: SessionState) => void;
  /** The program rang the bell. */
  onBell?: () => void;
  /** The program named the window. */
  onTitle?: (title: string) => void;
}

/** An interactive terminal: people type into it, and it comes back by itself where it was. */
export function SessionTerminal(props: SessionTerminalProps) {
  const {
    client,
    sessionId,
    connectionUrl,
    readonly = false,
    theme = "auto",
    fontSize = DEFAULT_FONT_PX,
  } = props;
  const scheme = useColorScheme(theme);
  const host = useRef<TerminalElement>(null);
  const xterm = useRef<Xterm | undefined>(undefined);
  const session = useTerminalSession(client, sessionId, {
    readonly,
    ...(connectionUrl === undefined ? {} : { connectionUrl }),
  });
  const latest = useLatest({ ...props, scheme, fontSize });
  const { attach, type, resize } = session;

  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const terminal = createTerminal(latest.current.scheme, latest.current.fontSize, readonly);
    terminal.open(element);
    terminal.textarea?.setAttribute("aria-label", "Terminal");
    element.xterm = terminal;
    xterm.current = terminal;
    const sink = new XtermSink(terminal, (cols, rows) => terminal.resize(cols, rows));
    const detach = attach(sink);
    const tellSize = () => {
      const cells = roomFor(element, terminal);
      if (cells !== undefined) resize(cells.cols, cells.rows);
    };
    const observer = new ResizeObserver(tellSize);
    observer.observe(element);
    const listeners = [
      terminal.onData(type),
      // Old mouse reports are bytes, not text.
      terminal.onBinary((data) => type(Uint8Array.from(data, (character) => character.charCodeAt(0)))),
      terminal.onBell(() => latest.current.onBell?.()),
      terminal.onTitleChange((title) => latest.current.onTitle?.(title)),
    ];
    tellSize();
    if (latest.current.autoFocus ?? true) terminal.focus();
    return () => {
      detach();
      observer.disconnect();
      for (const listener of listeners) listener.dispose();
      sink.dispose();
      terminal.dispose();
      xterm.current = undefined;
      delete element.xterm;
    };
  }, [attach, type, resize, readonly, latest]);

  useEffect(() => {
    if (xterm.current !== undefined) Object.assign(xterm.current.options, terminalColours(scheme));
  }, [scheme]);
  useEffect(() => {
    const element = host.current;
    const terminal = xterm.current;
    if (terminal === undefined || element === null) return;
    terminal.options.fontSize = fontSize;
    const cells = roomFor(element, terminal);
    if (cells !== undefined) resize(cells.cols, cells.rows);
  }, [fontSize, resize]);
  const { status, session: view, message } = session;
  useEffect(
    () => latest.current.onState?.({ status, session: view, message }),
    [status, view, message, latest],
  );

  return <div ref={host} className="rc-terminal rc-session" data-scheme={scheme} data-status={status} />;
}

function createTerminal(scheme: "dark" | "light", fontSize: number, readonly: boolean): Xterm {
  const terminal = new Xterm({
    ...terminalColours(scheme),
    allowProposedApi: true,
    fontFamily: FONT_FAMILY,
    fontSize,
    scrollback: DEFAULT_SCROLLBACK,
    cursorBlink: !readonly,
    cursorInactiveStyle: "outline",
    disableStdin: readonly,
    macOptionIsMeta: true,
    linkHandler: { activate: (_event, uri) => openLink(uri), allowNonHttpProtocols: false },
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  // Programs may not read the clipboard, and set it only as far as people let them: not at all.
  terminal.parser.registerOscHandler(52, () => true);
  terminal.attachCustomKeyEventHandler((event) => !takesForCopy(terminal, event));
  return terminal;
}

/** Ctrl-Shift-C and Ctrl-Insert copy; what is pasted comes as the browser's own event. */
function takesForCopy(terminal: Xterm, event: KeyboardEvent): boolean {
  const isCopy =
    event.ctrlKey &&
    ((event.shiftKey && event.code === "KeyC") || (!event.shiftKey && event.key === "Insert"));
  const isPaste =
    (event.ctrlKey && event.shiftKey && event.code === "KeyV") || (event.shiftKey && event.key === "Insert");
  if (isCopy && event.type === "keydown") {
    event.preventDefault();
    void copyText(terminal.getSelection()).then(() => terminal.focus());
  }
  return isCopy || isPaste;
}

/** How many cells the element has room for. */
function roomFor(element: HTMLElement, terminal: Xterm): { cols: number; rows: number } | undefined {
  const screen = element.querySelector<HTMLElement>(".xterm-screen");
  if (screen === null || screen.clientWidth === 0 || screen.clientHeight === 0) return undefined;
  const style = getComputedStyle(element);
  const across = Number.parseFloat(style.paddingLeft) + Number.parseFloat(style.paddingRight);
  const down = Number.parseFloat(style.paddingTop) + Number.parseFloat(style.paddingBottom);
  const width = element.clientWidth - across - SCROLLBAR_PX;
  const height = element.clientHeight - down;
  if (width <= 0 || height <= 0) return undefined;
  const cell = {
    width: screen.clientWidth / terminal.cols,
    height: screen.clientHeight / terminal.rows,
    fontPx: terminal.options.fontSize ?? DEFAULT_FONT_PX,
  };
  return cellsToFit(cell, { width, height });
}
