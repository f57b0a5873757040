import { ActionIcon, SegmentedControl, Tooltip } from "@mantine/core";
import type { RunConsoleHandle, RunConsoleState, RunNode } from "@runcast/react";
import { ChevronDown, ChevronRight, Search, X } from "lucide-react";
import { StatusBadge } from "../../status/StatusIcon";
import type { StreamName } from "../deepLink";
import { NodeDuration } from "../graph/NodeRow";
import { exitOf } from "../nodeFacts";
import type { RecordedNode } from "../useRecordings";
import type { WorkspaceControl } from "../useWorkspace";
import type { WholeRun } from "../wholeRun";
import { CopyMenu } from "./CopyMenu";
import classes from "./console.module.css";
import { DownloadMenu } from "./DownloadMenu";
import { Facts } from "./Facts";

interface PaneHeadProps {
  run: WholeRun;
  node: RunNode;
  control: WorkspaceControl;
  pane: number;
  isCollapsed: boolean;
  recorded: RecordedNode | undefined;
  handle: RunConsoleHandle | null;
  state: RunConsoleState | undefined;
  stream: StreamName | undefined;
  onStream: (stream: StreamName | undefined) => void;
  isSearching: boolean;
  onSearch: () => void;
}

/** Name, state and tools of a console. */
export function PaneHead(props: PaneHeadProps) {
  const { run, node, control, pane, isCollapsed, recorded, handle, state, stream } = props;
  const { workspace, dispatch } = control;
  const hasOutput = node.streams.length > 0;
  const exit = exitOf(node);
  const isNarrow = isCollapsed && workspace.panes.length > 1 && workspace.direction === "columns";
  const Chevron = isCollapsed ? ChevronRight : ChevronDown;
  return (
    <header className={classes.head} data-narrow={isNarrow || undefined}>
      <Tooltip label={isCollapsed ? "Expand (c)" : "Collapse (c)"}>
        <ActionIcon
          size={24}
          aria-label={isCollapsed ? `Expand ${node.ref}` : `Collapse ${node.ref}`}
          aria-expanded={!isCollapsed}
          onClick={() => dispatch({ type: "toggleCollapsed", pane })}
        >
          <Chevron size={15} />
        </ActionIcon>
      </Tooltip>
      <h2 className={classes.title} title={node.ref}>
        {node.name ?? node.ref}
      </h2>
      {!isNarrow && (
        <>
          <StatusBadge status={node.status} />
          {exit && <span className={classes.exit}>{exit}</span>}
          <span className={classes.when}>
            <NodeDuration node={node} />
            {node.attempt > 1 && ` · attempt ${node.attempt}`}
          </span>
          <Facts node={node} recorded={recorded} state={state} />
        </>
      )}
      {hasOutput && !isCollapsed && (
        <div className={classes.tools}>
          {node.terminal.mode === "pipe" && (
            <SegmentedControl
              size="xs"
              aria-label="Output"
              value={stream ?? "all"}
              onChange={(value) => props.onStream(value === "all" ? undefined : (value as StreamName))}
              data={["all", "stdout", "stderr"]}
            />
          )}
          <Tooltip label="Search the output (/)">
            <ActionIcon
              aria-label="Search the output"
              aria-pressed={props.isSearching}
              onClick={props.onSearch}
            >
              <Search size={15} />
            </ActionIcon>
          </Tooltip>
          <CopyMenu handle={handle} />
          <DownloadMenu runId={run.runId} node={node} stream={stream} />
          {workspace.panes.length > 1 && (
            <Tooltip label="Close the pane">
              <ActionIcon aria-label="Close the pane" onClick={() => dispatch({ type: "closePane", pane })}>
                <X size={15} />
              </ActionIcon>
            </Tooltip>
          )}
        </div>
      )}
    </header>
  );
}
