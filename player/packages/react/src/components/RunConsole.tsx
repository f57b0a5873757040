import { useCallback, useImperativeHandle, useRef, useState } from "react";
import { useRunSource, useRunState } from "../hooks/useRunStream/useRunStream.ts";
import { Signal } from "../stream/signal.ts";
import { nodeOfInterest } from "./format.ts";
import { NodeConsole } from "./NodeConsole.tsx";
import { IDLE_HANDLE, InitialText, Waiting } from "./placeholders.tsx";
import type { RunConsoleHandle, RunConsoleProps } from "./types.ts";
import { useColorScheme } from "./useColorScheme.ts";

/** The complete console of a node: terminal, state, timeline. Works alone or on a shared `source`. */
export function RunConsole(props: RunConsoleProps) {
  const { runId, className, theme = "auto", initialOutput, ref } = props;
  const source = useRunSource(runId, props);
  const state = useRunState(source);
  const scheme = useColorScheme(theme);
  const [changed] = useState(() => new Signal());
  const handle = useRef<RunConsoleHandle>(IDLE_HANDLE);
  useImperativeHandle(ref, () => forward(handle, changed), [changed]);
  /** Puts a console behind the handle, until what is given back is called. */
  const takeHandle = useCallback(
    (console: RunConsoleHandle) => {
      const unsubscribe = console.subscribe(() => changed.notifyNow());
      handle.current = console;
      changed.notifyNow();
      return () => {
        unsubscribe();
        handle.current = IDLE_HANDLE;
        changed.notifyNow();
      };
    },
    [changed],
  );
  // Another source is another console.
  const [seen, setSeen] = useState({ source, number: 0 });
  if (seen.source !== source) setSeen({ source, number: seen.number + 1 });

  const nodes = state.run?.nodes?.length ? state.run.nodes : undefined;
  // What was chosen, by the viewer or for them, stays when another node becomes more interesting.
  const [chosen, setChosen] = useState<{ runId: string; nodeRef: string }>();
  const suggested = nodes === undefined ? undefined : nodeOfInterest(nodes)?.ref;
  const isChosen = chosen?.runId === runId;
  if (!isChosen && suggested !== undefined) setChosen({ runId, nodeRef: suggested });
  const nodeRef = props.nodeRef ?? (isChosen ? chosen.nodeRef : undefined);
  const node = nodes?.find((each) => each.ref === nodeRef);
  const isMissing = nodes !== undefined && nodeRef !== undefined && node === undefined;
  const isKnown = node !== undefined || (state.connection === "failed" && !isMissing);

  return (
    <section
      className={className === undefined ? "rc-console" : `rc-console ${className}`}
      data-theme={scheme}
      aria-label={nodeRef === undefined ? "Console" : `Console of ${nodeRef}`}
    >
      {isKnown && nodeRef !== undefined ? (
        <NodeConsole
          key={`${seen.number} ${runId} ${nodeRef} ${props.stream ?? "all"} ${props.mode ?? "auto"}`}
          {...props}
          theme={scheme}
          source={source}
          ownsSource={props.source === undefined}
          state={state}
          node={node}
          nodeRef={nodeRef}
          choices={props.nodeRef === undefined ? nodes : undefined}
          onChoose={(next) => setChosen({ runId, nodeRef: next })}
          takeHandle={takeHandle}
        />
      ) : (
        <>
          {initialOutput !== undefined && !isMissing && <InitialText output={initialOutput} />}
          <Waiting
            state={state}
            missingNode={isMissing ? nodeRef : undefined}
            isQuiet={initialOutput !== undefined}
            onRetry={() => source.reconnect()}
          />
        </>
      )}
    </section>
  );
}

/** Stays the same while consoles behind it come and go; so do those who listen. */
function forward(target: { readonly current: RunConsoleHandle }, changed: Signal): RunConsoleHandle {
  const names = Object.keys(IDLE_HANDLE) as (keyof RunConsoleHandle)[];
  const call =
    (name: keyof RunConsoleHandle) =>
    (...values: unknown[]) =>
      (target.current[name] as (...values: unknown[]) => unknown)(...values);
  const calls = Object.fromEntries(names.map((name) => [name, call(name)])) as unknown as RunConsoleHandle;
  return { ...calls, subscribe: (listener) => changed.subscribe(listener) };
}
