//! The domain's types as the API document tells them.
//!
//! The domain does not know the document, so these only mirror it; a test holds their members against the JSON
//! of the real ones.
#![expect(dead_code, reason = "they are read by the derive alone")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// A run.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Run {
    run_id: String,
    tenant: String,
    workflow_id: Option<String>,
    name: Option<String>,
    labels: BTreeMap<String, String>,
    #[schema(value_type = Object)]
    metadata: (),
    links: Vec<Link>,
    status: RunStatus,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    failure: Option<Failure>,
    progress: Progress,
    /// Everything up to this entry is in this view.
    last_seq: u64,
    epoch: u32,
    recordings: RecordingCounts,
    /// In the order of the submission; left out where only the run is told of.
    nodes: Option<Vec<Node>>,
}

/// A node of a run.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Node {
    #[schema(rename = "ref")]
    node_ref: String,
    name: Option<String>,
    /// The command line as it is executed.
    command: Vec<String>,
    status: NodeStatus,
    /// From 1; 0 before the first.
    attempt: u32,
    depends_on: Vec<String>,
    runner_kind: RunnerKind,
    terminal: Terminal,
    /// None before it started.
    streams: Vec<StreamName>,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    failure: Option<Failure>,
    /// What its streams hold, once they have ended.
    r#final: Option<Vec<StreamFinal>>,
}

/// What one stream of a node holds.
#[derive(ToSchema)]
pub(crate) struct StreamFinal {
    stream: StreamName,
    /// The `exit` included.
    chunks: u64,
    /// Of all output payloads.
    bytes: u64,
    /// Of all output payloads, in lower-case hexadecimal.
    sha256: String,
    /// True if the node's own owner wrote the end.
    complete: bool,
    /// True if output was left unread.
    truncated: Option<bool>,
}

/// A place on the web that belongs to a run.
#[derive(ToSchema)]
pub(crate) struct Link {
    rel: String,
    label: String,
    /// http or https.
    url: String,
}

/// Why a run or node did not complete.
#[derive(ToSchema)]
pub(crate) struct Failure {
    kind: FailureKind,
    message: String,
}

/// How many nodes stand where; `failed` counts timed-out ones too.
#[derive(ToSchema)]
pub(crate) struct Progress {
    total: u32,
    pending: u32,
    running: u32,
    completed: u32,
    failed: u32,
    skipped: u32,
    cancelled: u32,
}

/// How many recordings stand where.
#[derive(ToSchema)]
pub(crate) struct RecordingCounts {
    live: u32,
    complete: u32,
    incomplete: u32,
}

/// The terminal of a node.
#[derive(ToSchema)]
pub(crate) struct Terminal {
    mode: TerminalMode,
    cols: u16,
    rows: u16,
}

/// A run to be submitted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct RunSpec {
    /// `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`; one is made if it is left out.
    run_id: Option<String>,
    workflow_id: Option<String>,
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    #[schema(minimum = 1, maximum = 2_592_000)]
    timeout_secs: Option<u64>,
    /// Reaches every node as the file named by `RUNCAST_INPUTS`; at most 64 KiB.
    #[schema(value_type = Option<Object>)]
    inputs: Option<()>,
    /// Shown with the run; at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    links: Option<Vec<Link>>,
    terminal: Option<TerminalSpec>,
    /// 1 to 1,000.
    nodes: Vec<NodeSpec>,
}

/// A step of a run: exactly one of `command` and `shell`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NodeSpec {
    /// `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`.
    #[schema(rename = "ref")]
    node_ref: String,
    name: Option<String>,
    /// Program and arguments, run without a shell.
    command: Option<Vec<String>>,
    /// A line for `/bin/sh -c`.
    shell: Option<String>,
    env: Option<BTreeMap<String, String>>,
    /// Absolute, or below the run's own directory.
    cwd: Option<String>,
    depends_on: Option<Vec<String>>,
    #[schema(minimum = 0, maximum = 10)]
    retries: Option<u32>,
    #[schema(minimum = 1, maximum = 2_592_000)]
    timeout_secs: Option<u64>,
    terminal: Option<TerminalSpec>,
    runner: Option<RunnerSpec>,
}

/// What a submission says of terminals; what it leaves out comes from the level above.
#[derive(ToSchema)]
pub(crate) struct TerminalSpec {
    mode: Option<TerminalMode>,
    #[schema(minimum = 1, maximum = 1000)]
    cols: Option<u16>,
    #[schema(minimum = 1, maximum = 500)]
    rows: Option<u16>,
}

/// What runs a node.
#[derive(ToSchema)]
pub(crate) struct RunnerSpec {
    kind: RunnerKind,
}

/// A page of the trace.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TracePage {
    events: Vec<TraceEvent>,
    /// `after` of the next page.
    next_after: u64,
}

/// A page of events.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct EventPage {
    events: Vec<Event>,
    /// `after` of the next page.
    next_after: u64,
    /// True if nothing stood behind this page when it was made.
    live: bool,
    /// The end of the run, with the last page.
    #[schema(value_type = Option<Object>)]
    done: Option<()>,
}

/// One event, as the stream sends it.
#[derive(ToSchema)]
pub(crate) struct Event {
    /// status, trace, terminal or gap.
    event: String,
    #[schema(value_type = Object)]
    data: (),
}

/// One event of the execution trace.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TraceEvent {
    seq: u64,
    /// The decimal `seq`.
    id: String,
    run_id: String,
    node_ref: Option<String>,
    #[schema(rename = "type")]
    kind: TraceType,
    level: Level,
    message: String,
    error: Option<Failure>,
    /// The last lines of the node's output.
    output_summary: Option<String>,
    #[schema(value_type = Option<Object>)]
    data: Option<()>,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// A page of the chunks of a stream.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ChunkPage {
    run_id: String,
    node_ref: String,
    stream: StreamName,
    chunks: Vec<TerminalChunk>,
    /// `afterChunk` of the next page.
    next_after_chunk: i64,
    /// The first chunk of this page; null if it is empty.
    first_chunk_index: Option<u64>,
    /// The last chunk of this page; null if it is empty.
    last_chunk_index: Option<u64>,
    /// True if the stream has ended at or before the end of this page, with everything kept.
    complete: bool,
    source: Source,
    /// Entries of the run that exist nowhere any more.
    gaps: Vec<Gap>,
}

/// Entries of a run that exist nowhere any more.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Gap {
    from_seq: u64,
    to_seq: u64,
    /// `lost` or `purged`.
    reason: String,
}

/// A piece of one stream of a node.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TerminalChunk {
    seq: u64,
    run_id: String,
    node_ref: String,
    stream: StreamName,
    /// Dense from 0.
    chunk_index: u64,
    kind: ChunkKind,
    /// The bytes of `output` and `input`.
    #[schema(format = Byte)]
    payload: Option<String>,
    cols: Option<u16>,
    rows: Option<u16>,
    /// A text; what was lost for `gap`.
    #[schema(value_type = Option<serde_json::Value>)]
    label: Option<()>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[schema(rename = "final")]
    totals: Option<StreamTotals>,
    #[schema(format = DateTime)]
    recorded_at: String,
    /// Since the previous chunk of the stream, up to three decimals.
    delta_ms: f64,
    /// The place on the time axis: the sum of all `deltaMs`.
    at_ms: f64,
    origin: String,
    runner_kind: RunnerKind,
}

/// What a client checks to know that it has a whole stream.
#[derive(ToSchema)]
pub(crate) struct StreamTotals {
    /// The `exit` included.
    chunks: u64,
    /// Of all output payloads.
    bytes: u64,
    /// Of all output payloads, in hexadecimal.
    sha256: String,
    complete: bool,
    truncated: Option<bool>,
}

/// An interactive terminal.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct TerminalSession {
    id: String,
    project_id: String,
    user_id: Option<String>,
    /// The profile it runs.
    r#type: String,
    tab_name: String,
    state: SessionState,
    /// True until it has ended.
    active: bool,
    /// Where its program is; after the end, where it was.
    current_path: String,
    /// The directory it was opened for.
    #[schema(required)]
    project_path: Option<String>,
    /// Its first process while it lives.
    #[schema(required)]
    pid: Option<i32>,
    cols: u16,
    rows: u16,
    #[schema(format = DateTime)]
    created_at: String,
    /// When something was typed or written last.
    #[schema(format = DateTime)]
    last_activity: String,
    /// False while its row could not be written.
    persisted: bool,
    /// Clients that are attached, those who only read among them.
    attached: usize,
    /// The session in whose directory it went on.
    restored_from: Option<String>,
    /// The instance it lives on.
    instance: String,
    /// Why it ended.
    reason: Option<SessionEndReason>,
    /// What went wrong.
    message: Option<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $case:literal, [$($word:ident),+]) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[schema(rename_all = $case)]
        pub(crate) enum $name { $($word),+ }
    };
}

words!(
    /// Where a run stands.
    RunStatus, "SCREAMING_SNAKE_CASE", [Queued, Running, Completed, Failed, Cancelled, TimedOut]
);
words!(
    /// Where a node stands.
    NodeStatus, "SCREAMING_SNAKE_CASE",
    [Pending, Running, Completed, Failed, Skipped, Cancelled, TimedOut]
);
words!(
    /// The kinds of failure.
    FailureKind, "SCREAMING_SNAKE_CASE",
    [ExitCode, Signal, Spawn, Timeout, Cancelled, Dependency, Lost, Capture, Internal]
);
words!(
    /// What a trace event tells of.
    TraceType, "SCREAMING_SNAKE_CASE",
    [
        RunQueued, RunStarted, RunCompleted, RunFailed, RunCancelled, RunTimedOut, RunTakenOver,
        NodeStarted, NodeProgress, NodeCompleted, NodeFailed, NodeSkipped, NodeRetrying,
        NodeCancelled, NodeTimedOut, CapturePaused, CaptureResumed
    ]
);
words!(
    /// How much an event matters.
    Level, "lowercase", [Debug, Info, Warn, Error]
);
words!(
    /// What runs a node.
    RunnerKind, "lowercase", [Local, Docker, External]
);
words!(
    /// With or without a terminal.
    TerminalMode, "lowercase", [Pty, Pipe]
);
words!(
    /// One output of a node.
    StreamName, "lowercase", [Pty, Stdout, Stderr]
);
words!(
    /// What a chunk holds.
    ChunkKind, "lowercase", [Output, Input, Resize, Marker, Gap, Exit]
);
words!(
    /// What becomes of a session.
    SessionState, "lowercase", [Creating, Active, Inactive, Terminating, Terminated, Error]
);
words!(
    /// Why a session ended.
    SessionEndReason, "lowercase", [Exited, Closed, Idle, Memory, Stopped, Restarted, Failed]
);
words!(
    /// Where a page was read.
    Source, "lowercase", [Hot, Archive, Mixed]
);
words!(
    /// What kind of refusal it is.
    ErrorCode, "SCREAMING_SNAKE_CASE",
    [
        ValidationFailed, Unauthenticated, Forbidden, NotFound, Gone, MethodNotAllowed,
        UnsupportedMediaType, Conflict, PayloadTooLarge, LimitExceeded, Unavailable, Internal
    ]
);

/// Every refusal.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ErrorBody {
    /// Always false.
    success: bool,
    error: ErrorDetail,
    /// Also in `X-Request-Id`, and in the log.
    request_id: String,
}

/// What was refused, and why.
#[derive(ToSchema)]
pub(crate) struct ErrorDetail {
    code: ErrorCode,
    message: String,
    /// `field` names what is malformed.
    #[schema(value_type = Object)]
    details: (),
    #[schema(format = DateTime)]
    timestamp: String,
}
