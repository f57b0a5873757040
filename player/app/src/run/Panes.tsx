import type { RunStream, TraceEvent } from "@runcast/react";
import { ConsolePane } from "./console/ConsolePane";
import { RunGraph } from "./graph/RunGraph";
import classes from "./run.module.css";
import type { RecordingsByNode } from "./useRecordings";
import type { WorkspaceControl } from "./useWorkspace";
import type { WholeRun } from "./wholeRun";
import { OVERVIEW } from "./workspace";

interface PanesProps {
  run: WholeRun;
  stream: RunStream;
  control: WorkspaceControl;
  recordings: RecordingsByNode;
  trace: readonly TraceEvent[];
}

/** One or two panes: the graph, or the console of a node. */
export function Panes({ run, stream, control, recordings, trace }: PanesProps) {
  const { workspace, dispatch, show } = control;
  return (
    <div className={classes.panes} data-direction={workspace.direction}>
      {workspace.panes.map((pane, index) => {
        const node = run.nodes.find((each) => each.ref === pane.tab);
        const isFocused = workspace.panes.length > 1 && index === workspace.focused;
        return (
          <div
            // A pane keeps its console while its neighbour comes and goes.
            key={
              pane.tab === OVERVIEW
                ? `${index} overview`
                : `${pane.tab} ${samePanesBefore(workspace.panes, index)}`
            }
            id={`pane-${index}`}
            className={classes.pane}
            data-focused={isFocused || undefined}
            data-collapsed={pane.isCollapsed || undefined}
            onPointerDownCapture={() => dispatch({ type: "focus", pane: index })}
            onFocusCapture={() => dispatch({ type: "focus", pane: index })}
          >
            {node ? (
              <ConsolePane
                run={run}
                node={node}
                source={stream.source}
                control={control}
                pane={index}
                isCollapsed={pane.isCollapsed}
                recorded={recordings.get(node.ref)}
                trace={trace}
              />
            ) : (
              <RunGraph run={run} recordings={recordings} onShow={show} />
            )}
          </div>
        );
      })}
    </div>
  );
}

/** Two panes may show the same node. */
function samePanesBefore(panes: readonly { tab: string }[], index: number): number {
  return panes.slice(0, index).filter((pane) => pane.tab === panes[index]?.tab).length;
}
