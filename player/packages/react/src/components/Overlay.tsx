import type { RunNode } from "../api/types.ts";
import type { TerminalState } from "../console/types.ts";
import type { PlaybackState } from "../playback/types.ts";
import type { RunState } from "../stream/types.ts";
import { DownIcon, WarningIcon } from "./icons.tsx";

interface OverlayProps {
  state: RunState;
  node: RunNode | undefined;
  terminal: TerminalState;
  playback: PlaybackState;
  isFollowing: boolean;
  onFollow: () => void;
  onRetry: () => void;
}

/** What is said over the terminal: why it is empty, what went wrong, and the way back to the newest line. */
export function Overlay({ state, node, terminal, playback, isFollowing, onFollow, onRetry }: OverlayProps) {
  const problem = problemOf(state, terminal, playback);
  const isEmpty = terminal.bytes === 0 && terminal.lastSeq === 0 && playback.durationMs === 0;
  return (
    <>
      {problem !== undefined && (
        <div className="rc-problem" role="alert">
          <WarningIcon />
          <span>{problem}</span>
          {(state.connection === "failed" || terminal.error !== undefined) && (
            <button type="button" className="rc-link" onClick={onRetry}>
              Try again
            </button>
          )}
        </div>
      )}
      {problem === undefined && isEmpty && <p className="rc-empty">{emptyText(node, terminal)}</p>}
      {!isFollowing && (
        <button type="button" className="rc-follow" onClick={onFollow}>
          <DownIcon />
          {playback.phase === "live" ? "Autoscroll paused: go on" : "To the last line"}
        </button>
      )}
    </>
  );
}

function problemOf(state: RunState, terminal: TerminalState, playback: PlaybackState): string | undefined {
  if (state.connection === "failed") return state.error?.message ?? "The connection has failed.";
  return terminal.error?.message ?? playback.error;
}

function emptyText(node: RunNode | undefined, terminal: TerminalState): string {
  if (node?.status === "PENDING") {
    return node.dependsOn.length === 0 ? "Waiting for a place" : `Waiting for ${node.dependsOn.join(", ")}`;
  }
  if (node?.status === "SKIPPED") return node.failure?.message ?? "Skipped";
  if (node !== undefined && node.streams.length === 0) return "This node never started";
  if (terminal.isLoading) return "Loading";
  return node?.status === "RUNNING" ? "No output yet" : "No output";
}
