import { useImperativeHandle, useRef, useState } from "react";
import { useRunSource, useRunState } from "../hooks/useRunStream/useRunStream.ts";
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
  const [chosen, setChosen] = useState<string>();
  const handle = useRef<RunConsoleHandle>(IDLE_HANDLE);
  useImperativeHandle(ref, () => forward(handle), []);

  const nodes = state.run?.nodes ?? undefined;
  // What was chosen for the viewer stays when another node becomes more interesting.
  const suggested = nodes === undefined ? undefined : nodeOfInterest(nodes)?.ref;
  const [kept, setKept] = useState<string>();
  if (kept === undefined && suggested !== undefined) setKept(suggested);
  const nodeRef = props.nodeRef ?? chosen ?? kept;
  const node = nodes?.find((each) => each.ref === nodeRef);
  const isKnown = nodeRef !== undefined && (node !== undefined || state.connection === "failed");

  return (
    <section
      className={className === undefined ? "rc-console" : `rc-console ${className}`}
      data-theme={scheme}
      aria-label={nodeRef === undefined ? "Console" : `Console of ${nodeRef}`}
    >
      {isKnown ? (
        <NodeConsole
          key={`${runId} ${nodeRef} ${props.stream ?? "all"} ${props.mode ?? "auto"}`}
          {...props}
          theme={scheme}
          source={source}
          ownsSource={props.source === undefined}
          state={state}
          node={node}
          nodeRef={nodeRef}
          choices={props.nodeRef === undefined ? nodes : undefined}
          onChoose={setChosen}
          handleRef={handle}
        />
      ) : (
        <>
          {initialOutput !== undefined && <InitialText output={initialOutput} />}
          <Waiting state={state} isQuiet={initialOutput !== undefined} onRetry={() => source.reconnect()} />
        </>
      )}
    </section>
  );
}

/** Stays the same while consoles behind it come and go. */
function forward(target: { readonly current: RunConsoleHandle }): RunConsoleHandle {
  const names = Object.keys(IDLE_HANDLE) as (keyof RunConsoleHandle)[];
  const call =
    (name: keyof RunConsoleHandle) =>
    (...values: unknown[]) =>
      (target.current[name] as (...values: unknown[]) => unknown)(...values);
  return Object.fromEntries(names.map((name) => [name, call(name)])) as unknown as RunConsoleHandle;
}
