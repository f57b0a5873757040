/** Short names of what the service's OpenAPI document describes. */
import type { components, operations } from "./schema.ts";

type Schemas = components["schemas"];

export type Run = Schemas["Run"];
export type RunNode = Schemas["Node"];
export type RunStatus = Schemas["RunStatus"];
export type NodeStatus = Schemas["NodeStatus"];
export type RunPage = Schemas["RunPage"];
export type RunSpec = Schemas["RunSpec"];
export type RunChange = Schemas["RunChange"];
export type RunLink = Schemas["Link"];
export type Failure = Schemas["Failure"];
export type Progress = Schemas["Progress"];
export type StreamName = Schemas["StreamName"];
export type StreamFinal = Schemas["StreamFinal"];
export type TerminalChunk = Schemas["TerminalChunk"];
export type ChunkPage = Schemas["ChunkPage"];
export type TraceEvent = Schemas["TraceEvent"];
export type TracePage = Schemas["TracePage"];
export type TraceLevel = Schemas["Level"];
export type TraceType = Schemas["TraceType"];
export type EventPage = Schemas["EventPage"];
export type Screen = Schemas["Screen"];
export type Line = Schemas["Line"];
export type Lines = Schemas["Lines"];
export type RecordingIndex = Schemas["Index"];
export type RecordingRow = Schemas["RecordingRow"];
export type Recordings = Schemas["Recordings"];
export type TerminalSession = Schemas["TerminalSession"];
export type TerminalList = Schemas["TerminalList"];
export type ListedTerminal = Schemas["ListedTerminal"];
export type OpenTerminal = Schemas["OpenTerminal"];
export type OpenedTerminal = Schemas["OpenedTerminal"];
export type OneTerminal = Schemas["OneTerminal"];
export type SessionAnswer = Schemas["SessionAnswer"];
export type TokenRequest = Schemas["TokenRequest"];
export type TokenAnswer = Schemas["TokenAnswer"];
export type AdminMemory = Schemas["MemoryReport"];
export type AdminMemoryFigures = Schemas["MemoryFigures"];
export type AdminCleanup = Schemas["CleanupReport"];
export type AdminStats = Schemas["Stats"];
export type AdminSessions = Schemas["SessionRows"];
export type AdminSession = Schemas["SessionRow"];
export type AdminActors = Schemas["ActorReport"];
export type AdminActorKind = Schemas["ActorKind"];
export type AdminActor = Schemas["Actor"];
export type AdminRunActors = Schemas["RunActors"];
export type AdminStreams = Schemas["StreamRows"];
export type AdminStream = Schemas["StreamRow"];
export type AdminInstances = Schemas["InstanceList"];
export type AdminInstance = Schemas["InstanceRow"];
export type ErrorBody = Schemas["ErrorBody"];
/** `code` of an error of the service, or one of this package's own. */
export type ErrorCode = Schemas["ErrorCode"] | "NETWORK" | "PROTOCOL" | "DISCONNECTED";

export type RunFilters = NonNullable<operations["list_runs"]["parameters"]["query"]>;
export type TerminalFilters = NonNullable<operations["list_terminals"]["parameters"]["query"]>;
export type TraceFilters = NonNullable<operations["get_trace"]["parameters"]["query"]>;
export type EventFilters = NonNullable<operations["get_events"]["parameters"]["query"]>;
export type ChunkFilters = NonNullable<operations["get_chunks"]["parameters"]["query"]>;
export type LineFilters = NonNullable<operations["get_lines"]["parameters"]["query"]>;
export type ScreenPlace = Pick<
  NonNullable<operations["get_screen"]["parameters"]["query"]>,
  "chunkIndex" | "atMs"
>;
/** What to download of a node; `stream: "all"` interleaves both streams of a node without a terminal. */
export interface CastFilters {
  format?: "cast" | "txt" | "raw";
  version?: 2 | 3;
  stream?: StreamName | "all";
}

/** Entries of a run that exist nowhere any more, as the stream tells it. */
export interface Gap {
  fromSeq: number;
  toSeq: number;
  reason: string;
  nodeRef?: string;
  stream?: StreamName;
}

/** The screen of a terminal at one `seq`, as the stream tells it with `from=live`. */
export interface Snapshot {
  nodeRef: string;
  stream: StreamName;
  cols: number;
  rows: number;
  seq: number;
  chunkIndex: number | null;
  atMs: number;
  /** Base64 of the bytes that repaint the screen, below `linesAbove` lines of scrollback. */
  payload: string;
  linesAbove: number;
}

/** What can be counted in the service's metrics. */
export type TelemetryName =
  | "terminal_viewed"
  | "cast_downloaded"
  | "gap_seen"
  | "reconnected"
  | "player_error";

export interface TelemetryEvent {
  name: TelemetryName;
  /** From 1. */
  count: number;
}
