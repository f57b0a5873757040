import type { Terminal as Xterm } from "@xterm/xterm";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { RunNode } from "../api/types.ts";
import type { TerminalSink } from "../console/types.ts";
import { useRecording } from "../hooks/useRecording/useRecording.ts";
import { useLatest } from "../hooks/useRunStream/useRunStream.ts";
import { useTerminalStream } from "../hooks/useTerminalStream/useTerminalStream.ts";
import type { RecordingPlayer } from "../playback/player.ts";
import type { RunSource } from "../stream/source.ts";
import type { RunState } from "../stream/types.ts";
import { ConsoleController } from "./controller.ts";
import { Help } from "./Help.tsx";
import { Overlay } from "./Overlay.tsx";
import { PlaybackBar } from "./PlaybackBar.tsx";
import { InitialText } from "./placeholders.tsx";
import { carryOutShortcut } from "./shortcuts.ts";
import { Terminal } from "./Terminal.tsx";
import { Toolbar } from "./Toolbar.tsx";
import { ticksOf } from "./ticks.ts";
import type { RunConsoleHandle, RunConsoleProps } from "./types.ts";
import { useTelemetry } from "./useTelemetry.ts";

interface NodeConsoleProps extends Omit<RunConsoleProps, "ref" | "source"> {
  source: RunSource;
  ownsSource: boolean;
  state: RunState;
  node: RunNode | undefined;
  nodeRef: string;
  choices: readonly RunNode[] | undefined;
  onChoose: (nodeRef: string) => void;
  /** Lets the page reach this console, until what is given back is called. */
  takeHandle: (handle: RunConsoleHandle) => () => void;
}

/** One node's console from its first byte to its last; another node is another console. */
export function NodeConsole(props: NodeConsoleProps) {
  const { source, state, node, nodeRef, mode = "auto", toolbar = true, controls = true } = props;
  const { initialOutput, stream, startAtMs, follow } = props;
  const root = useRef<HTMLDivElement>(null);
  const latest = useLatest(props);
  const terminal = useTerminalStream(source, nodeRef, optional({ stream, initialOutput }));
  const { attach, verify } = terminal;
  const recording = useRecording(
    source,
    nodeRef,
    optional({
      stream,
      lastAtMs: terminal.lastAtMs,
      isEnabled: mode !== "live",
      live: mode === "recording" ? undefined : attach,
      startAtMs: mode === "live" ? undefined : startAtMs,
    }),
  );
  const player = recording.player as RecordingPlayer;
  const playback = useSyncExternalStore(
    useCallback((listener: () => void) => player.subscribe(listener), [player]),
    useCallback(() => player.getState(), [player]),
    useCallback(() => player.getState(), [player]),
  );
  const [isFollowing, setIsFollowing] = useState(true);
  const [isReady, setIsReady] = useState(false);
  const [isHelpShown, setIsHelpShown] = useState(false);

  const controller = useMemo(
    () => new ConsoleController(nodeRef, mode === "live" ? undefined : player, verify),
    [nodeRef, mode, player, verify],
  );
  controller.report({ terminal, playback: mode === "live" ? undefined : playback, isFollowing });
  useEffect(() => controller.notify());
  const { takeHandle } = props;
  useEffect(() => takeHandle(controller), [controller, takeHandle]);

  const onReady = useCallback(
    (sink: TerminalSink, xterm: Xterm) => {
      const release = controller.open(xterm);
      const detach = player.attach(sink);
      setIsReady(true);
      return () => {
        detach();
        release();
      };
    },
    [controller, player],
  );
  const onFollowChange = useCallback(
    (isNowFollowing: boolean) => {
      setIsFollowing(isNowFollowing);
      latest.current.onFollowChange?.(isNowFollowing);
    },
    [latest],
  );
  useEffect(() => {
    if (follow === true) controller.scrollToBottom();
    else if (follow === false) controller.holdStill();
  }, [follow, controller]);
  useTelemetry(props, terminal, playback);
  usePositionReports(props, playback.positionMs, playback.phase);

  const toggleFullscreen = useCallback(() => {
    const element = root.current?.closest(".rc-console");
    if (document.fullscreenElement === null) void element?.requestFullscreen?.();
    else void document.exitFullscreen();
  }, []);
  const toggleHelp = useCallback(() => setIsHelpShown((isShown) => !isShown), []);
  useEffect(() => {
    const element = root.current;
    const onKeyDown = (event: KeyboardEvent) => {
      const targets = { player: controller.getPlayer(), toggleFullscreen, toggleHelp };
      if (!carryOutShortcut(event, targets)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    element?.addEventListener("keydown", onKeyDown);
    return () => element?.removeEventListener("keydown", onKeyDown);
  }, [controller, toggleFullscreen, toggleHelp]);

  const size = sizeOf(node, terminal);
  const ticks = useMemo(
    () => ticksOf(node, recording.index, props.ticks ?? []),
    [node, recording.index, props.ticks],
  );
  const { theme, fontSize, maxLines } = props;
  return (
    <div ref={root} className="rc-node-console" data-phase={playback.phase}>
      {toolbar && (
        <Toolbar
          source={source}
          state={state}
          node={node}
          nodeRef={nodeRef}
          choices={props.choices}
          onChoose={props.onChoose}
          terminal={terminal}
          handle={controller}
          onFullscreen={toggleFullscreen}
          onDownload={() => props.onTelemetry?.({ name: "cast_downloaded", count: 1 })}
          onDownloadFailure={() => props.onTelemetry?.({ name: "player_error", count: 1 })}
        >
          {props.toolbarExtra}
        </Toolbar>
      )}
      <div className="rc-stage">
        {!isReady && initialOutput !== undefined && <InitialText output={initialOutput} />}
        <Terminal
          onReady={onReady}
          onFollowChange={onFollowChange}
          label={`Console of ${nodeRef}`}
          {...optional({ size, theme, fontSize, maxLines })}
        />
        <Overlay
          state={state}
          node={node}
          terminal={terminal}
          playback={playback}
          isFollowing={isFollowing}
          onFollow={() => controller.scrollToBottom()}
          onRetry={() => source.reconnect()}
        />
        {isHelpShown && <Help onClose={toggleHelp} />}
      </div>
      {controls && mode !== "live" && (
        <PlaybackBar player={player} playback={playback} index={recording.index} ticks={ticks} />
      )}
    </div>
  );
}

/** A node without a terminal has no size of its own. */
function sizeOf(node: RunNode | undefined, seen: { cols: number | undefined; rows: number | undefined }) {
  if (seen.cols !== undefined && seen.rows !== undefined) return { cols: seen.cols, rows: seen.rows };
  return node?.terminal.mode === "pty" ? { cols: node.terminal.cols, rows: node.terminal.rows } : undefined;
}

const REPORT_INTERVAL_MS = 250;

function usePositionReports(
  props: { onPosition?: (atMs: number) => void },
  positionMs: number,
  phase: string,
): void {
  const latest = useLatest(props);
  const told = useRef({ phase: "", atMs: 0, time: 0 });
  useEffect(() => {
    const now = performance.now();
    if (phase === "idle" || phase === "seeking" || phase === "loading") return;
    const isSame = told.current.phase === phase;
    const isMoving = phase === "playing" || phase === "live";
    const isTooSoon = isMoving && now - told.current.time < REPORT_INTERVAL_MS;
    if (isSame && (told.current.atMs === positionMs || isTooSoon)) return;
    told.current = { phase, atMs: positionMs, time: now };
    latest.current.onPosition?.(positionMs);
  }, [positionMs, phase, latest]);
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the members that are undefined: what is left out is another thing than undefined. */
function optional<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;
}
