/**
 * `@runcast/react`: the console of a Runcast run, live and as a recording.
 *
 * Workspaces resolve this file through the condition "runcast-source" (TypeScript: tsconfig.base.json; Vite and
 * Vitest: `resolve.conditions: ["runcast-source", ...defaultClientConditions]`). Styles: `@runcast/react/styles.css`.
 */
export { type ClientOptions, type RequestOptions, RuncastClient } from "./api/client.ts";
export { ApiError } from "./api/error.ts";
export type * from "./api/types.ts";
export { formatBytes, formatTime, nodeOfInterest } from "./components/format.ts";
export { RunConsole } from "./components/RunConsole.tsx";
export { SessionTerminal, type SessionTerminalProps } from "./components/SessionTerminal.tsx";
export { Terminal } from "./components/Terminal.tsx";
export { Timeline } from "./components/Timeline.tsx";
export type * from "./components/types.ts";
export type { Theme } from "./components/useColorScheme.ts";
export type * from "./console/types.ts";
export { type Recording, type RecordingOptions, useRecording } from "./hooks/useRecording/useRecording.ts";
export { type RunStream, useRunStream } from "./hooks/useRunStream/useRunStream.ts";
export { type SessionControl, useTerminalSession } from "./hooks/useTerminalSession/useTerminalSession.ts";
export {
  type TerminalStream,
  type TerminalStreamOptions,
  useTerminalStream,
} from "./hooks/useTerminalStream/useTerminalStream.ts";
export type * from "./playback/types.ts";
export { SessionConnection } from "./session/connection.ts";
export type * from "./session/types.ts";
export { RunSource } from "./stream/source.ts";
export type * from "./stream/types.ts";
