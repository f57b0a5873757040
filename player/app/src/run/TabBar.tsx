import { ActionIcon, Button, Tooltip } from "@mantine/core";
import { Columns2, ListTree, Rows2, Square, Waypoints, X } from "lucide-react";
import { type KeyboardEvent, useRef } from "react";
import shared from "../shell/tab.module.css";
import { StatusIcon } from "../status/StatusIcon";
import classes from "./tabs.module.css";
import type { WorkspaceControl } from "./useWorkspace";
import type { WholeRun } from "./wholeRun";
import { focusedTab, OVERVIEW } from "./workspace";

interface TabBarProps {
  run: WholeRun;
  control: WorkspaceControl;
  /** Opens the list of nodes where it has no room of its own. */
  onNodes: () => void;
}

/** A tab for the graph and for every node that was opened, and how the room is shared. */
export function TabBar({ run, control, onNodes }: TabBarProps) {
  const { workspace, dispatch } = control;
  const list = useRef<HTMLDivElement>(null);
  const current = focusedTab(workspace);
  const tabs = [OVERVIEW, ...workspace.tabs];
  const currentNode = run.nodes.find((node) => node.ref === current);

  const press = (event: KeyboardEvent) => {
    const at = tabs.indexOf(current);
    const target = { ArrowRight: tabs[at + 1], ArrowLeft: tabs[at - 1], Home: tabs[0], End: tabs.at(-1) }[
      event.key
    ];
    if (event.key === "Delete") dispatch({ type: "close", tab: current });
    else if (target !== undefined) dispatch({ type: "open", tab: target });
    else return;
    event.preventDefault();
    const next = target ?? OVERVIEW;
    list.current?.querySelector<HTMLElement>(`[data-tab="${CSS.escape(next)}"]`)?.focus();
  };

  return (
    <div className={classes.bar}>
      <Button
        className={classes.nodes ?? ""}
        variant="default"
        size="sm"
        leftSection={currentNode ? <StatusIcon status={currentNode.status} /> : <Waypoints size={15} />}
        rightSection={<ListTree size={15} />}
        justify="space-between"
        onClick={onNodes}
        aria-label={`Choose a node, now ${currentNode?.ref ?? "the graph"}`}
      >
        {currentNode?.name ?? currentNode?.ref ?? "Graph"}
      </Button>
      <div className={classes.tabs} role="tablist" aria-label="Open consoles" ref={list} onKeyDown={press}>
        {tabs.map((tab) => {
          const node = run.nodes.find((each) => each.ref === tab);
          const pane = workspace.panes.findIndex((each) => each.tab === tab);
          return (
            <button
              type="button"
              key={tab}
              role="tab"
              data-tab={tab}
              className={`${shared.tab} ${classes.tab}`}
              aria-selected={tab === current}
              aria-controls={pane >= 0 ? `pane-${pane}` : undefined}
              data-visible={pane >= 0 || undefined}
              tabIndex={tab === current ? 0 : -1}
              onClick={() => dispatch({ type: "open", tab })}
              onAuxClick={(event) => {
                if (event.button === 1) dispatch({ type: "close", tab });
              }}
            >
              {tab === OVERVIEW ? (
                <Waypoints size={14} aria-hidden />
              ) : (
                <StatusIcon status={node?.status ?? ""} size={14} />
              )}
              <span>{tab === OVERVIEW ? "Graph" : (node?.name ?? tab)}</span>
              {tab !== OVERVIEW && (
                // Keyboards close a tab with Delete or x: a button inside a tab would be none to them.
                <span
                  className={shared.close}
                  aria-hidden
                  onClick={(event) => {
                    event.stopPropagation();
                    dispatch({ type: "close", tab });
                  }}
                >
                  <X size={12} />
                </span>
              )}
            </button>
          );
        })}
      </div>
      <SplitButtons control={control} run={run} />
    </div>
  );
}

function SplitButtons({ run, control }: { run: WholeRun; control: WorkspaceControl }) {
  const { workspace, dispatch } = control;
  const isSplit = workspace.panes.length > 1;
  const split = (direction: "columns" | "rows") => {
    if (isSplit) {
      dispatch({ type: "turn", direction });
      return;
    }
    const current = focusedTab(workspace);
    const other =
      workspace.tabs.find((tab) => tab !== current) ??
      run.nodes.find((node) => node.ref !== current)?.ref ??
      OVERVIEW;
    dispatch({ type: "openBeside", tab: other, direction });
  };
  return (
    <fieldset className={classes.split} aria-label="Layout">
      <LayoutButton
        label="One pane"
        isOn={!isSplit}
        onClick={() => dispatch({ type: "closePane", pane: 1 - workspace.focused })}
      >
        <Square size={14} />
      </LayoutButton>
      <LayoutButton
        label="Two panes side by side"
        isOn={isSplit && workspace.direction === "columns"}
        onClick={() => split("columns")}
      >
        <Columns2 size={14} />
      </LayoutButton>
      <LayoutButton
        label="Two panes stacked"
        isOn={isSplit && workspace.direction === "rows"}
        onClick={() => split("rows")}
      >
        <Rows2 size={14} />
      </LayoutButton>
    </fieldset>
  );
}

interface LayoutButtonProps {
  label: string;
  isOn: boolean;
  onClick: () => void;
  children: React.ReactNode;
}

function LayoutButton({ label, isOn, onClick, children }: LayoutButtonProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} aria-pressed={isOn} data-on={isOn || undefined} onClick={onClick}>
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
