import { useComputedColorScheme } from "@mantine/core";
import {
  type PlaybackState,
  RunConsole,
  type RunConsoleHandle,
  type RunNode,
  type RunSource,
  type TelemetryEvent,
  type TraceEvent,
} from "@runcast/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Prose } from "../../format/Prose";
import { useShortcuts } from "../../keyboard/useShortcuts";
import { client, telemetry } from "../../service";
import { ErrorBoundary } from "../../shell/ErrorBoundary";
import { StatusIcon } from "../../status/StatusIcon";
import type { StreamName } from "../deepLink";
import { silenceOf } from "../nodeFacts";
import { ticksOf } from "../trace/ticks";
import type { RecordedNode } from "../useRecordings";
import type { WorkspaceControl } from "../useWorkspace";
import type { WholeRun } from "../wholeRun";
import classes from "./console.module.css";
import { PaneHead } from "./PaneHead";
import { SearchPanel } from "./SearchPanel";
import { useConsoleState } from "./useConsoleState";

interface ConsolePaneProps {
  run: WholeRun;
  node: RunNode;
  source: RunSource;
  control: WorkspaceControl;
  /** Which pane of the workspace it is. */
  pane: number;
  isCollapsed: boolean;
  recorded: RecordedNode | undefined;
  trace: readonly TraceEvent[];
}

/** The console of a node with its head, its search, and what there is to say instead of output. */
export function ConsolePane(props: ConsolePaneProps) {
  const { run, node, source, control, pane, isCollapsed, recorded, trace } = props;
  const { register, setPlace, takeMoment, placeOf, workspace } = control;
  const [handle, setHandle] = useState<RunConsoleHandle | null>(null);
  const [isSearching, setIsSearching] = useState(false);
  const [stream, setStream] = useState<StreamName | undefined>(() => placeOf(node.ref).stream);
  const [startAtMs, setStartAtMs] = useState(() => takeMoment(node.ref));
  const scheme = useComputedColorScheme("dark");
  const state = useConsoleState(handle);
  const silence = silenceOf(node, run.nodes);
  const isFocused = workspace.focused === pane;
  const ticks = useMemo(() => ticksOf(trace, node), [trace, node]);

  useEffect(() => {
    register(pane, handle);
    return () => register(pane, null);
  }, [register, pane, handle]);
  useEffect(() => telemetry.count("terminal_viewed"), []);
  useShortcuts(isFocused && !isCollapsed ? { "/": () => setIsSearching(true) } : {});

  // The address names a moment only while one looks at the past.
  const isLive = !state?.playback || !isInThePast(state.playback);
  const wasPast = useRef(startAtMs !== undefined);
  useEffect(() => {
    if (!isLive) wasPast.current = true;
    else if (state && wasPast.current) {
      wasPast.current = false;
      setPlace(node.ref, { stream });
    }
  }, [isLive, state, setPlace, node.ref, stream]);
  const onPosition = useCallback(
    (atMs: number) => {
      const playback = handle?.getState().playback;
      if (playback && isInThePast(playback)) setPlace(node.ref, { stream, atMs: Math.round(atMs) });
    },
    [handle, setPlace, node.ref, stream],
  );

  const choose = (next: StreamName | undefined) => {
    const playback = handle?.getState().playback;
    const atMs = playback && isInThePast(playback) ? playback.positionMs : undefined;
    setStartAtMs(atMs);
    setStream(next);
    setPlace(node.ref, { stream: next, atMs });
  };

  return (
    <div className={classes.console}>
      <PaneHead
        run={run}
        node={node}
        control={control}
        pane={pane}
        isCollapsed={isCollapsed}
        recorded={recorded}
        handle={handle}
        state={state}
        stream={stream}
        onStream={choose}
        isSearching={isSearching}
        onSearch={() => setIsSearching((is) => !is)}
      />
      {!isCollapsed && isSearching && (
        <SearchPanel
          key={stream ?? "all"}
          runId={run.runId}
          node={node}
          stream={stream}
          handle={handle}
          isFocused={isFocused}
          onClose={() => {
            setIsSearching(false);
            handle?.clearFind();
            handle?.focus();
          }}
        />
      )}
      {!isCollapsed && silence !== undefined && (
        <div className={classes.silence}>
          <StatusIcon status={node.status} size={26} />
          <p>
            <Prose text={silence} />
          </p>
          <code className="mono">{node.command.join(" ").slice(0, 400)}</code>
        </div>
      )}
      {!isCollapsed && silence === undefined && (
        <ErrorBoundary>
          <div className={classes.box} data-console={node.ref}>
            <RunConsole
              key={stream ?? "all"}
              ref={setHandle}
              className={classes.player ?? ""}
              runId={run.runId}
              nodeRef={node.ref}
              source={source}
              client={client}
              toolbar={false}
              theme={scheme}
              ticks={ticks}
              {...(stream !== undefined && { stream })}
              {...(startAtMs !== undefined && { startAtMs })}
              onPosition={onPosition}
              onTelemetry={count}
            />
          </div>
        </ErrorBoundary>
      )}
    </div>
  );
}

/** What the console counts itself is passed on; that it is looked at the page counts. */
function count(event: TelemetryEvent): void {
  if (event.name === "player_error") telemetry.count(event.name, event.count);
}

/** True if it shows another moment than the newest. */
function isInThePast({ phase }: PlaybackState): boolean {
  return phase === "playing" || phase === "paused" || phase === "rewound" || phase === "seeking";
}
