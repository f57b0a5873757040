import { decodeBase64 } from "../console/base64.ts";
import { EMPTY_TERMINAL } from "../console/feed.ts";
import type { InitialOutput } from "../console/types.ts";
import type { RunState } from "../stream/types.ts";
import { WarningIcon } from "./icons.tsx";
import type { RunConsoleHandle } from "./types.ts";

/** What a page can do before there is a console. */
export const IDLE_HANDLE: RunConsoleHandle = {
  seekTo: () => undefined,
  jumpToLive: () => undefined,
  play: () => undefined,
  pause: () => undefined,
  toggle: () => undefined,
  setSpeed: () => undefined,
  stepForward: () => undefined,
  stepBackward: () => undefined,
  find: () => false,
  clearFind: () => undefined,
  selection: () => "",
  copySelection: () => Promise.resolve(false),
  copyAll: () => Promise.resolve(false),
  scrollToBottom: () => undefined,
  focus: () => undefined,
  verify: () => Promise.reject(new Error("there is no output yet")),
  getPlayer: () => undefined,
  getState: () => ({ nodeRef: undefined, terminal: EMPTY_TERMINAL, playback: undefined, isFollowing: true }),
  subscribe: () => () => undefined,
  getTerminal: () => undefined,
};

/** The screen as text, where there is no terminal yet. */
export function InitialText({ output }: { output: InitialOutput }) {
  return <pre className="rc-initial">{output.text ?? plainText(output.payload)}</pre>;
}

/** Without the sequences that a terminal would understand; good enough for the moment before there is one. */
function plainText(payload: string): string {
  const text = new TextDecoder().decode(decodeBase64(payload));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is removed
  return text.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\r/g, "");
}

/** What is shown before anything of the run is known, or where it has no such node. */
export function Waiting({
  state,
  missingNode,
  isQuiet,
  onRetry,
}: {
  state: RunState;
  /** A node that was asked for and that the run does not have. */
  missingNode: string | undefined;
  isQuiet: boolean;
  onRetry: () => void;
}) {
  if (missingNode !== undefined) {
    return (
      <div className="rc-message" role="alert">
        <WarningIcon />
        <p>The run has no node {missingNode}.</p>
      </div>
    );
  }
  if (state.connection === "failed") {
    return (
      <div className="rc-message" role="alert">
        <WarningIcon />
        <p>{state.error?.message ?? "The run cannot be shown."}</p>
        <button type="button" className="rc-button rc-text" onClick={onRetry}>
          Try again
        </button>
      </div>
    );
  }
  if (isQuiet) return null;
  return (
    <div className="rc-message" role="status">
      <span className="rc-spinner" />
      <p>
        {state.connection === "reconnecting" ? "The service cannot be reached; trying again" : "Connecting"}
      </p>
    </div>
  );
}
