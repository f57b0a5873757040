/** Which consoles are open and where: tabs, and one or two panes. A pure reducer. */

/** The tab that shows the run as a whole. No node can be called so. */
export const OVERVIEW = "*overview";

export type Direction = "columns" | "rows";

export interface Pane {
  /** `OVERVIEW` or the `ref` of a node. */
  readonly tab: string;
  readonly isCollapsed: boolean;
}

export interface Workspace {
  /** The nodes with a tab, in the order in which they were opened. */
  readonly tabs: readonly string[];
  /** One or two. */
  readonly panes: readonly Pane[];
  /** The pane that `open` changes. */
  readonly focused: number;
  readonly direction: Direction;
}

export type WorkspaceAction =
  | { readonly type: "open"; readonly tab: string }
  | { readonly type: "openBeside"; readonly tab: string; readonly direction?: Direction }
  | { readonly type: "close"; readonly tab: string }
  | { readonly type: "closePane"; readonly pane: number }
  | { readonly type: "focus"; readonly pane: number }
  | { readonly type: "turn"; readonly direction: Direction }
  | { readonly type: "toggleCollapsed"; readonly pane: number };

/** A workspace with one pane. */
export function openWorkspace(tab: string): Workspace {
  const tabs = tab === OVERVIEW ? [] : [tab];
  return { tabs, panes: [{ tab, isCollapsed: false }], focused: 0, direction: "columns" };
}

export function reduceWorkspace(state: Workspace, action: WorkspaceAction): Workspace {
  switch (action.type) {
    case "open":
      return show(withTab(state, action.tab), state.focused, action.tab);
    case "openBeside":
      return beside(withTab(state, action.tab), action.tab, action.direction ?? state.direction);
    case "close":
      return close(state, action.tab);
    case "closePane":
      return closePane(state, action.pane);
    case "focus":
      return state.panes[action.pane] && action.pane !== state.focused
        ? { ...state, focused: action.pane }
        : state;
    case "turn":
      return { ...state, direction: action.direction };
    case "toggleCollapsed":
      return {
        ...state,
        panes: state.panes.map((pane, index) =>
          index === action.pane ? { ...pane, isCollapsed: !pane.isCollapsed } : pane,
        ),
      };
  }
}

/** The tab of the focused pane. */
export function focusedTab(state: Workspace): string {
  return state.panes[state.focused]?.tab ?? OVERVIEW;
}

function withTab(state: Workspace, tab: string): Workspace {
  if (tab === OVERVIEW || state.tabs.includes(tab)) return state;
  return { ...state, tabs: [...state.tabs, tab] };
}

function show(state: Workspace, index: number, tab: string): Workspace {
  const pane = state.panes[index];
  if (pane?.tab === tab && !pane.isCollapsed) return state;
  const panes = state.panes.map((other, at) => (at === index ? { tab, isCollapsed: false } : other));
  return { ...state, panes };
}

function beside(state: Workspace, tab: string, direction: Direction): Workspace {
  const other = state.panes.length > 1 ? 1 - state.focused : 1;
  const first = state.panes.length > 1 ? state.panes : [...state.panes, { tab, isCollapsed: false }];
  return { ...show({ ...state, panes: first, direction }, other, tab), focused: other };
}

function close(state: Workspace, tab: string): Workspace {
  const at = state.tabs.indexOf(tab);
  if (at < 0) return state;
  const tabs = state.tabs.filter((other) => other !== tab);
  const next = tabs[Math.min(at, tabs.length - 1)] ?? OVERVIEW;
  const kept = state.panes.filter((pane) => pane.tab !== tab);
  const panes = kept.length > 0 ? kept : [{ tab: next, isCollapsed: false }];
  return { ...state, tabs, panes, focused: Math.min(state.focused, panes.length - 1) };
}

function closePane(state: Workspace, index: number): Workspace {
  if (state.panes.length < 2) return state;
  const panes = state.panes.filter((_, at) => at !== index);
  return { ...state, panes: panes.map((pane) => ({ ...pane, isCollapsed: false })), focused: 0 };
}
