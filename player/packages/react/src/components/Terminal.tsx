import type { Terminal as Xterm } from "@xterm/xterm";
import { useEffect, useLayoutEffect, useRef } from "react";
import { useLatest } from "../hooks/useRunStream/useRunStream.ts";
import { TerminalSizer } from "./sizer.ts";
import { DARK_TERMINAL, LIGHT_CONTRAST, LIGHT_TERMINAL } from "./themes.ts";
import type { TerminalProps } from "./types.ts";
import { useColorScheme } from "./useColorScheme.ts";
import { createViewer } from "./viewer.ts";
import { XtermSink } from "./xtermSink.ts";

export const DEFAULT_FONT_PX = 13;
export const DEFAULT_MAX_LINES = 10_000;
export const FONT_FAMILY =
  'ui-monospace, "JetBrains Mono", "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';

/** The element of a terminal carries it, for tests and developer tools. */
export interface TerminalElement extends HTMLDivElement {
  xterm?: Xterm;
}

/** A terminal that only shows. */
export function Terminal(props: TerminalProps) {
  const {
    theme = "auto",
    fontSize = DEFAULT_FONT_PX,
    maxLines = DEFAULT_MAX_LINES,
    label = "Terminal",
    size,
  } = props;
  const scheme = useColorScheme(theme);
  const host = useRef<TerminalElement>(null);
  const parts = useRef<{ terminal: Xterm; sizer: TerminalSizer } | undefined>(undefined);
  const latest = useLatest({ ...props, scheme, fontSize, label });

  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const initial = latest.current;
    const terminal = createViewer({
      ...terminalColours(initial.scheme),
      fontFamily: FONT_FAMILY,
      fontSize: initial.fontSize,
      scrollback: maxLines,
      ...(initial.size ?? {}),
    });
    terminal.open(element);
    terminal.textarea?.setAttribute("aria-label", `${initial.label}, output`);
    element.xterm = terminal;
    const sizer = new TerminalSizer(element, terminal, initial.fontSize, initial.size);
    const sink = new XtermSink(terminal, (cols, rows) => sizer.setSize({ cols, rows }));
    const follow = watchFollow(terminal, (isFollowing) => latest.current.onFollowChange?.(isFollowing));
    parts.current = { terminal, sizer };
    const onGone = latest.current.onReady(sink, terminal);
    return () => {
      onGone?.();
      sink.dispose();
      follow();
      sizer.dispose();
      terminal.dispose();
      parts.current = undefined;
      delete element.xterm;
    };
  }, [maxLines, latest]);

  useEffect(() => {
    const terminal = parts.current?.terminal;
    if (terminal !== undefined) Object.assign(terminal.options, terminalColours(scheme));
  }, [scheme]);
  useEffect(() => parts.current?.sizer.setMaxFont(fontSize), [fontSize]);
  const cols = size?.cols;
  const rows = size?.rows;
  useEffect(() => {
    if (cols !== undefined && rows !== undefined) parts.current?.sizer.expectSize({ cols, rows });
  }, [cols, rows]);

  return <div ref={host} className="rc-terminal" data-scheme={scheme} />;
}

/** The colours of a terminal on this background. */
export function terminalColours(scheme: "dark" | "light") {
  return scheme === "dark"
    ? { theme: DARK_TERMINAL, minimumContrastRatio: 1 }
    : { theme: LIGHT_TERMINAL, minimumContrastRatio: LIGHT_CONTRAST };
}

/** Tells when the newest line goes out of view and when it is back. */
function watchFollow(terminal: Xterm, onChange: (isFollowing: boolean) => void): () => void {
  let wasFollowing = true;
  const look = () => {
    const { viewportY, baseY } = terminal.buffer.active;
    const isFollowing = viewportY >= baseY;
    if (isFollowing === wasFollowing) return;
    wasFollowing = isFollowing;
    onChange(isFollowing);
  };
  const watches = [terminal.onScroll(look), terminal.onRender(look)];
  return () => {
    for (const watch of watches) watch.dispose();
  };
}
