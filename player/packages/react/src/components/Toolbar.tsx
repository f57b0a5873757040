import { type ReactNode, useState } from "react";
import type { RunNode } from "../api/types.ts";
import type { TerminalState } from "../console/types.ts";
import type { RunSource } from "../stream/source.ts";
import type { RunState } from "../stream/types.ts";
import { DownloadMenu } from "./DownloadMenu.tsx";
import { formatBytes } from "./format.ts";
import { CheckIcon, CopyIcon, FullscreenIcon, WarningIcon } from "./icons.tsx";
import { ConnectionBadge, StatusBadge } from "./StatusBadge.tsx";
import type { RunConsoleHandle } from "./types.ts";

interface ToolbarProps {
  source: RunSource;
  state: RunState;
  node: RunNode | undefined;
  nodeRef: string;
  /** Nodes to choose from; undefined: the page chooses. */
  choices: readonly RunNode[] | undefined;
  onChoose: (nodeRef: string) => void;
  terminal: TerminalState;
  handle: RunConsoleHandle;
  onFullscreen: () => void;
  onDownload: () => void;
  onDownloadFailure: () => void;
  children?: ReactNode;
}

/** The line above a console: which node, how it is, how the page is connected. */
export function Toolbar(props: ToolbarProps) {
  const { source, state, node, nodeRef, choices, terminal, handle } = props;
  return (
    <div className="rc-toolbar">
      {choices !== undefined && choices.length > 1 ? (
        <select
          className="rc-select rc-nodes"
          aria-label="Node"
          value={nodeRef}
          onChange={(event) => props.onChoose(event.target.value)}
        >
          {choices.map((choice) => (
            <option key={choice.ref} value={choice.ref}>
              {choice.ref}
            </option>
          ))}
        </select>
      ) : (
        <span className="rc-node" title={node?.name ?? nodeRef}>
          {nodeRef}
        </span>
      )}
      {node !== undefined && <StatusBadge status={node.status} detail={endOf(node)} />}
      <RecordingNote terminal={terminal} />
      <span className="rc-space" />
      <ConnectionBadge state={state} isEnded={terminal.isEnded} onRetry={() => source.reconnect()} />
      <CopyButton handle={handle} />
      <DownloadMenu
        source={source}
        node={node}
        onDownload={props.onDownload}
        onFailure={props.onDownloadFailure}
      />
      <button
        type="button"
        className="rc-button"
        aria-label="Full screen"
        title="Full screen (f)"
        onClick={props.onFullscreen}
      >
        <FullscreenIcon />
      </button>
      {props.children}
    </div>
  );
}

function endOf(node: RunNode): string | undefined {
  if (node.signal != null) return `signal ${node.signal}`;
  return node.exitCode == null || node.exitCode === 0 ? undefined : `exit ${node.exitCode}`;
}

/** Whether the recording has everything. */
function RecordingNote({ terminal }: { terminal: TerminalState }) {
  const { complete, integrity, gaps, truncated, bytes } = terminal;
  if (integrity === "mismatch" || complete === false || gaps > 0) {
    const what = gaps > 0 ? `${gaps} ${gaps === 1 ? "gap" : "gaps"}` : "Incomplete";
    return (
      <span className="rc-note" data-kind="warning" title="Some output exists nowhere any more">
        <WarningIcon />
        {what}
      </span>
    );
  }
  if (complete === true) {
    const how = integrity === "verified" ? "every byte checked with its SHA-256" : "as the archive says";
    return (
      <span className="rc-note" data-kind="good" title={`The recording has everything: ${how}`}>
        <CheckIcon />
        {integrity === "verified" ? "Verified" : "Complete"}
      </span>
    );
  }
  if (truncated) {
    return (
      <span className="rc-note" title={`${formatBytes(bytes)} came since; the download has everything`}>
        From the last screen
      </span>
    );
  }
  return null;
}

/** For how long a button says that it worked. */
const DONE_MS = 1_500;

function CopyButton({ handle }: { handle: RunConsoleHandle }) {
  const [isDone, setIsDone] = useState(false);
  const copy = async () => {
    const isCopied = (await handle.copySelection()) || (await handle.copyAll());
    setIsDone(isCopied);
    if (isCopied) setTimeout(() => setIsDone(false), DONE_MS);
  };
  return (
    <button
      type="button"
      className="rc-button"
      aria-label={isDone ? "Copied" : "Copy"}
      title="Copy the selection, else everything"
      onClick={() => void copy()}
    >
      {isDone ? <CheckIcon /> : <CopyIcon />}
    </button>
  );
}
