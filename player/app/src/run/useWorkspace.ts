import { nodeOfInterest, type RunConsoleHandle } from "@runcast/react";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { useLocation } from "wouter";
import { hasEnded } from "../status/status";
import { type DeepLink, formatDeepLink, parseDeepLink, type StreamName } from "./deepLink";
import type { WholeRun } from "./wholeRun";
import {
  focusedTab,
  OVERVIEW,
  openWorkspace,
  reduceWorkspace,
  type Workspace,
  type WorkspaceAction,
} from "./workspace";

/** What the parts of the inspector ask of each other. */
export interface WorkspaceControl {
  readonly workspace: Workspace;
  readonly dispatch: (action: WorkspaceAction) => void;
  /** Opens a node, also at a moment of its recording. */
  readonly show: (nodeRef: string, atMs?: number) => void;
  /** The moment at which a console that opens now begins; taken once. */
  readonly takeMoment: (nodeRef: string) => number | undefined;
  /** Each pane tells its console when it is there. */
  readonly register: (pane: number, handle: RunConsoleHandle | null) => void;
  readonly handleOf: (pane: number) => RunConsoleHandle | undefined;
  /** What is looked at now, for the address of the page. */
  readonly setPlace: (nodeRef: string, place: Place) => void;
  readonly placeOf: (nodeRef: string) => Place;
}

/** A stream and a moment; both undefined: everything, now. */
export interface Place {
  readonly stream?: StreamName | undefined;
  readonly atMs?: number | undefined;
}

/** The workspace of a run, kept in step with the address of the page. */
export function useWorkspace(run: WholeRun, link: DeepLink): WorkspaceControl {
  const [workspace, reduce] = useReducer(reduceWorkspace, undefined, () =>
    openWorkspace(firstTab(run, link)),
  );
  // Until somebody chooses, the page shows the node most worth a look.
  const [hasChosen, setHasChosen] = useState(link.nodeRef !== undefined);
  const moments = useRef(new Map<string, number>());
  const places = useRef(new Map<string, Place>());
  const handles = useRef<(RunConsoleHandle | null)[]>([]);
  const address = useAddress(run.runId);

  const isFirst = useRef(true);
  if (isFirst.current) {
    isFirst.current = false;
    if (link.nodeRef !== undefined) remember(link, moments.current, places.current);
  }

  const dispatch = useCallback((action: WorkspaceAction) => {
    setHasChosen(true);
    reduce(action);
  }, []);

  const show = useCallback(
    (nodeRef: string, atMs?: number) => {
      const pane = workspace.panes.findIndex((each) => each.tab === nodeRef && !each.isCollapsed);
      const handle = handles.current[pane];
      if (pane >= 0) dispatch({ type: "focus", pane });
      if (atMs === undefined) {
        if (pane < 0) dispatch({ type: "open", tab: nodeRef });
        return;
      }
      if (pane >= 0 && handle) handle.seekTo(atMs);
      else {
        moments.current.set(nodeRef, atMs);
        dispatch({ type: "open", tab: nodeRef });
      }
    },
    [workspace.panes, dispatch],
  );

  const tab = focusedTab(workspace);
  const interesting = hasChosen ? undefined : nodeOfInterest(run.nodes)?.ref;
  const isShownEnded = hasEnded(run.nodes.find((node) => node.ref === tab)?.status ?? "");
  useEffect(() => {
    // What is running is not taken away from under the eyes, only what has ended.
    if (interesting !== undefined && interesting !== tab && (isShownEnded || tab === OVERVIEW)) {
      reduce({ type: "close", tab });
      reduce({ type: "open", tab: interesting });
    }
  }, [interesting, tab, isShownEnded]);

  // The address follows what one looks at …
  const place = places.current.get(tab);
  useEffect(() => {
    if (hasChosen) address.write(tab, place ?? {}, "push");
  }, [address, tab, hasChosen, place]);

  // … and what one looks at follows the address, if somebody else changed that.
  useEffect(() => {
    if (!address.adopt(link)) return;
    if (link.nodeRef !== undefined && !run.nodes.some((node) => node.ref === link.nodeRef)) return;
    remember(link, moments.current, places.current);
    if (link.nodeRef === undefined) dispatch({ type: "open", tab: OVERVIEW });
    else show(link.nodeRef, link.atMs);
  }, [address, link, show, dispatch, run.nodes]);

  return {
    workspace,
    dispatch,
    show,
    takeMoment: useCallback((nodeRef: string) => {
      const atMs = moments.current.get(nodeRef);
      moments.current.delete(nodeRef);
      return atMs;
    }, []),
    register: useCallback((pane: number, handle: RunConsoleHandle | null) => {
      handles.current[pane] = handle;
    }, []),
    handleOf: useCallback((pane: number) => handles.current[pane] ?? undefined, []),
    setPlace: useCallback(
      (nodeRef: string, next: Place) => {
        places.current.set(nodeRef, next);
        if (nodeRef === tab && hasChosen) address.write(nodeRef, next, "replace");
      },
      [address, tab, hasChosen],
    ),
    placeOf: useCallback((nodeRef: string) => places.current.get(nodeRef) ?? {}, []),
  };
}

function firstTab(run: WholeRun, link: DeepLink): string {
  const isKnown = run.nodes.some((node) => node.ref === link.nodeRef);
  if (link.nodeRef !== undefined && isKnown) return link.nodeRef;
  return nodeOfInterest(run.nodes)?.ref ?? OVERVIEW;
}

function remember(link: DeepLink, moments: Map<string, number>, places: Map<string, Place>): void {
  if (link.nodeRef === undefined) return;
  if (link.atMs !== undefined) moments.set(link.nodeRef, link.atMs);
  places.set(link.nodeRef, { stream: link.stream, atMs: link.atMs });
}

interface Address {
  write: (tab: string, place: Place, how: "push" | "replace") => void;
  /** True if somebody else wrote this address: the browser's buttons, a link. Tells it once. */
  adopt: (link: DeepLink) => boolean;
}

/** Writes addresses, and knows its own again. */
function useAddress(runId: string): Address {
  const [, navigate] = useLocation();
  const last = useRef<string>(undefined);
  const adopted = useRef<DeepLink>(undefined);
  const [address] = useState<Address>(() => ({
    write: (tab, place, how) => {
      const link: DeepLink = {
        runId,
        ...(tab !== OVERVIEW && { nodeRef: tab }),
        ...(place.stream !== undefined && { stream: place.stream }),
        ...(place.atMs !== undefined && { atMs: place.atMs }),
      };
      const next = formatDeepLink(link);
      if (next === `${location.pathname}${location.search}`) {
        last.current = next;
        return;
      }
      const isSameNode = nodePart(last.current) === nodePart(next);
      last.current = next;
      navigate(next, { replace: how === "replace" || isSameNode });
    },
    adopt: (link) => {
      if (adopted.current === link) return false;
      adopted.current = link;
      const written = formatDeepLink(link);
      // What has been overwritten meanwhile is no longer asked for.
      const isCurrent = written === formatDeepLink(parseDeepLink(location.pathname, location.search) ?? link);
      const isForeign = last.current !== undefined && last.current !== written;
      if (isCurrent) last.current = written;
      return isCurrent && isForeign;
    },
  }));
  return address;
}

function nodePart(address: string | undefined): string | undefined {
  return address?.split("?")[0];
}
