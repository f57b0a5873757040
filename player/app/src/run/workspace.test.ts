import { describe, expect, it } from "vitest";
import { focusedTab, OVERVIEW, openWorkspace, reduceWorkspace, type WorkspaceAction } from "./workspace";

const workspaceAfter = (...actions: WorkspaceAction[]) =>
  actions.reduce(reduceWorkspace, openWorkspace("build"));
const tabsOf = (...actions: WorkspaceAction[]) => workspaceAfter(...actions).panes.map((pane) => pane.tab);

describe("the workspace", () => {
  it("opens a node once, in the focused pane", () => {
    const state = workspaceAfter(
      { type: "open", tab: "tests" },
      { type: "open", tab: "build" },
      { type: "open", tab: "tests" },
    );
    expect(state.tabs).toEqual(["build", "tests"]);
    expect(focusedTab(state)).toBe("tests");
  });

  it("does not change for what is shown already", () => {
    const state = openWorkspace("build");
    expect(reduceWorkspace(state, { type: "open", tab: "build" })).toBe(state);
  });

  it("splits into two panes at most", () => {
    expect(tabsOf({ type: "openBeside", tab: "tests" })).toEqual(["build", "tests"]);
    expect(tabsOf({ type: "openBeside", tab: "tests" }, { type: "openBeside", tab: "deploy" })).toEqual([
      "deploy",
      "tests",
    ]);
  });

  it("shows the next tab when the only one shown is closed", () => {
    const state = workspaceAfter({ type: "open", tab: "tests" }, { type: "close", tab: "tests" });
    expect([state.tabs, focusedTab(state)]).toEqual([["build"], "build"]);
    expect(focusedTab(reduceWorkspace(state, { type: "close", tab: "build" }))).toBe(OVERVIEW);
  });

  it("gives the room to the other pane when one is closed", () => {
    const split = workspaceAfter({ type: "openBeside", tab: "tests" });
    expect(reduceWorkspace(split, { type: "close", tab: "tests" })).toMatchObject({
      panes: [{ tab: "build" }],
      focused: 0,
    });
    expect(reduceWorkspace(split, { type: "closePane", pane: 0 }).panes).toEqual([
      { tab: "tests", isCollapsed: false },
    ]);
  });

  it("collapses a pane and expands it for what is opened in it", () => {
    const state = workspaceAfter({ type: "toggleCollapsed", pane: 0 });
    expect(state.panes[0]?.isCollapsed).toBe(true);
    expect(reduceWorkspace(state, { type: "open", tab: "build" }).panes[0]?.isCollapsed).toBe(false);
  });
});
