import { Drawer } from "@mantine/core";
import type { RunStream } from "@runcast/react";
import { useMemo, useState } from "react";
import { useShortcuts } from "../keyboard/useShortcuts";
import { TopBar } from "../shell/TopBar";
import { ConnectionBadge } from "./ConnectionBadge";
import type { DeepLink } from "./deepLink";
import { FailurePanel } from "./FailurePanel";
import { NodePanel } from "./graph/NodePanel";
import { inLayers } from "./graph/rails";
import { Panes } from "./Panes";
import { RunDetails } from "./RunDetails";
import { RunHeader } from "./RunHeader";
import classes from "./run.module.css";
import { TabBar } from "./TabBar";
import { TracePanel } from "./trace/TracePanel";
import { useTrace } from "./trace/useTrace";
import { useRecordings } from "./useRecordings";
import { useWorkspace } from "./useWorkspace";
import type { WholeRun } from "./wholeRun";
import { focusedTab, OVERVIEW } from "./workspace";

interface RunInspectorProps {
  run: WholeRun;
  stream: RunStream;
  link: DeepLink;
}

/** Everything about one run: its nodes, their consoles, its trace. */
export function RunInspector({ run, stream, link }: RunInspectorProps) {
  const control = useWorkspace(run, link);
  const { workspace, dispatch, show } = control;
  const [isTraceOpen, setIsTraceOpen] = useState(false);
  const [areNodesOpen, setAreNodesOpen] = useState(false);
  const [areDetailsOpen, setAreDetailsOpen] = useState(false);
  const trace = useTrace(stream.source);
  const { events } = trace;
  const recordings = useRecordings(run);
  const ordered = useMemo(() => inLayers(run.nodes), [run.nodes]);
  const tab = focusedTab(workspace);

  const step = (by: number) => {
    const at = ordered.findIndex((node) => node.ref === tab);
    const next = at < 0 ? (by > 0 ? ordered[0] : ordered.at(-1)) : ordered[at + by];
    if (next) show(next.ref);
  };
  useShortcuts({
    j: () => step(1),
    k: () => step(-1),
    g: () => dispatch({ type: "open", tab: OVERVIEW }),
    s: () =>
      workspace.panes.length > 1
        ? dispatch({ type: "closePane", pane: 1 - workspace.focused })
        : dispatch({ type: "openBeside", tab: nextTab(ordered, tab) }),
    x: () => dispatch({ type: "close", tab }),
    c: () => dispatch({ type: "toggleCollapsed", pane: workspace.focused }),
    e: () => control.handleOf(workspace.focused)?.jumpToLive(),
    t: () => setIsTraceOpen((isOpen) => !isOpen),
    d: () => setAreDetailsOpen(true),
  });

  const nodes = (
    <NodePanel
      run={run}
      nodes={ordered}
      recordings={recordings}
      shown={workspace.panes.map((pane) => pane.tab)}
      onShow={(nodeRef) => {
        show(nodeRef);
        setAreNodesOpen(false);
      }}
      onShowBeside={(nodeRef) => dispatch({ type: "openBeside", tab: nodeRef })}
    />
  );
  return (
    <div className={classes.inspector}>
      <TopBar title={run.name ?? run.runId}>
        <ConnectionBadge stream={stream} />
      </TopBar>
      <RunHeader run={run} onDetails={() => setAreDetailsOpen(true)} />
      <FailurePanel run={run} stream={stream} trace={events} onShow={show} />
      <div className={classes.body}>
        <aside className={classes.side} aria-label="Nodes">
          {nodes}
        </aside>
        <main id="main" className={classes.main} tabIndex={-1}>
          <TabBar run={run} control={control} onNodes={() => setAreNodesOpen(true)} />
          <Panes run={run} stream={stream} control={control} recordings={recordings} trace={events} />
          <TracePanel
            run={run}
            trace={trace}
            isOpen={isTraceOpen}
            onToggle={() => setIsTraceOpen((isOpen) => !isOpen)}
            onShow={show}
          />
        </main>
      </div>
      <Drawer
        opened={areNodesOpen}
        onClose={() => setAreNodesOpen(false)}
        title="Nodes"
        size={340}
        padding={0}
        closeButtonProps={{ "aria-label": "Close", mr: 12 }}
        styles={{ header: { padding: "8px 14px", minHeight: 0 }, body: { height: "calc(100% - 46px)" } }}
      >
        {nodes}
      </Drawer>
      <RunDetails
        run={run}
        recordings={recordings}
        isOpen={areDetailsOpen}
        onClose={() => setAreDetailsOpen(false)}
      />
    </div>
  );
}

/** What stands beside a node unless somebody says otherwise: the next one. */
function nextTab(ordered: WholeRun["nodes"], tab: string): string {
  const at = ordered.findIndex((node) => node.ref === tab);
  return (ordered[at + 1] ?? ordered[Math.max(0, at - 1)])?.ref ?? OVERVIEW;
}
