//! The entries of a run's log: what every follower sees, in one order.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ChunkIndex, NodeRef, Seq, StreamKey, StreamName};
use crate::moment::Timestamp;
use crate::run_view::{NodeView, RunView};

/// One numbered entry of a run's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the run.
    pub seq: Seq,
    /// What happened.
    pub body: Body,
}

impl Entry {
    /// The bytes of payload it carries; what it costs beyond that is small and bounded.
    pub fn payload_len(&self) -> usize {
        match &self.body {
            Body::Terminal(chunk) => chunk.kind.payload().map_or(0, Bytes::len),
            _ => 0,
        }
    }

    /// What it is charged in memory: payload and an allowance for the rest.
    pub fn memory_cost(&self) -> usize {
        const STRUCT_COST: usize = 256;
        // Behind an `Arc`, with the allocation of its payload.
        const _: () = assert!(size_of::<Entry>() <= STRUCT_COST - 64);
        const VIEW_COST: usize = 1024;
        match &self.body {
            Body::Status(change) => {
                VIEW_COST
                    + change.run.memory_cost()
                    + change.node.as_ref().map_or(0, NodeView::memory_cost)
            }
            Body::Trace(trace) => {
                STRUCT_COST
                    + trace.message.len()
                    + trace.output_summary.as_ref().map_or(0, String::len)
                    + trace.data.as_ref().map_or(0, json_cost)
            }
            Body::Terminal(_) => STRUCT_COST + self.payload_len(),
        }
    }

    /// The node it belongs to, if it belongs to one.
    pub fn node_ref(&self) -> Option<&NodeRef> {
        match &self.body {
            Body::Status(status) => status.node.as_ref().map(|node| &node.node_ref),
            Body::Trace(trace) => trace.node_ref.as_ref(),
            Body::Terminal(chunk) => Some(&chunk.node_ref),
        }
    }
}

/// What a JSON value takes in memory, about.
pub(crate) fn json_cost(value: &Value) -> usize {
    const VALUE_COST: usize = 32;
    let content = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(json_cost).sum(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| key.len() + VALUE_COST + json_cost(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    VALUE_COST + content
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// The run or one of its nodes changed its status or progress. Boxed, as it is several times as large as
    /// a chunk, of which there are many more.
    Status(Box<StatusChange>),
    /// Something worth telling happened.
    Trace(Box<TraceEvent>),
    /// A piece of a node's console.
    Terminal(Chunk),
}

/// The run after a change, with the node that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// The run without its nodes, as of this entry.
    pub run: RunView,
    /// The node that changed; none when the run itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeView>,
    /// The process of that node while it runs. Kept in the log for takeovers, never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIdentity>,
}

/// A process group that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// Process id of the leader; its session and process group have the same number.
    pub pid: i32,
    /// Start time of the leader in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// The boot in which these numbers mean something.
    pub boot_id: uuid::Uuid,
}

/// One event of the execution trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceEvent {
    /// The node it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_ref: Option<NodeRef>,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: TraceKind,
    /// How much it matters.
    pub level: Level,
    /// A sentence for people.
    pub message: String,
    /// The failure, if it tells of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::run_view::Failure>,
    /// The last lines of the node's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_summary: Option<String>,
    /// More, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// When it happened.
    pub timestamp: Timestamp,
}

impl TraceEvent {
    /// An event of the run itself that says nothing more.
    pub fn new(kind: TraceKind, level: Level, message: &str, timestamp: Timestamp) -> Self {
        Self {
            node_ref: None,
            kind,
            level,
            message: message.to_owned(),
            error: None,
            output_summary: None,
            data: None,
            timestamp,
        }
    }
}

/// What a trace event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it; docs/execution-contract.md has a line for each")]
pub enum TraceKind {
    RunQueued,
    RunStarted,
    RunCompleted,
    RunFailed,
    RunCancelled,
    RunTimedOut,
    RunTakenOver,
    NodeStarted,
    NodeProgress,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeRetrying,
    NodeCancelled,
    NodeTimedOut,
    CapturePaused,
    CaptureResumed,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the customary levels")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The name as it stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A piece of one stream of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The node.
    pub node_ref: NodeRef,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream, dense from 0.
    pub index: ChunkIndex,
    /// What it holds.
    pub kind: ChunkKind,
    /// When it was read.
    pub recorded_at: Timestamp,
    /// Microseconds since the previous chunk of the stream; for the first, since the node started.
    pub delta_us: u64,
    /// Microseconds since the node started: the sum of all deltas.
    pub at_us: u64,
    /// The instance or worker that captured it.
    pub origin: Arc<str>,
    /// What ran the node.
    pub runner_kind: RunnerKind,
}

impl Chunk {
    /// The stream it belongs to.
    pub fn stream_key(&self) -> StreamKey {
        StreamKey { node_ref: self.node_ref.clone(), stream: self.stream }
    }
}

/// What a chunk holds.
#[derive(Debug, Clone, PartialEq)]
pub enum ChunkKind {
    /// Bytes the program wrote, as the terminal passed them on.
    Output(Bytes),
    /// Bytes typed into the terminal.
    Input(Bytes),
    /// The size of the terminal from here on; also the first chunk of every `pty` stream.
    Resize(TerminalSize),
    /// A mark with a name.
    Marker(String),
    /// Something was lost before it got a `seq`; the data tells what.
    Gap(Value),
    /// The end of the stream; its last chunk.
    Exit(Exit),
}

impl ChunkKind {
    /// The name as it stands in events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Output(_) => "output",
            Self::Input(_) => "input",
            Self::Resize(_) => "resize",
            Self::Marker(_) => "marker",
            Self::Gap(_) => "gap",
            Self::Exit(_) => "exit",
        }
    }

    /// The bytes it carries.
    pub fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::Output(bytes) | Self::Input(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns, 1 to 1,000.
    pub cols: u16,
    /// Rows, 1 to 500.
    pub rows: u16,
}

impl TerminalSize {
    /// The widest terminal.
    pub const MAX_COLS: u16 = 1000;
    /// The tallest terminal.
    pub const MAX_ROWS: u16 = 500;

    /// True if both sides are in range.
    pub fn is_valid(self) -> bool {
        (1..=Self::MAX_COLS).contains(&self.cols) && (1..=Self::MAX_ROWS).contains(&self.rows)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProcessEnd {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody knows: the instance that ran it died.
    Unknown,
}

impl ProcessEnd {
    /// The exit code, if it returned one.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            _ => None,
        }
    }

    /// The signal's number, if one ended it.
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            _ => None,
        }
    }
}

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// How the process ended.
    pub end: ProcessEnd,
    /// What the stream holds.
    pub totals: StreamTotals,
}

/// What a client checks to know that it has a whole stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamTotals {
    /// Chunks of the stream, the `exit` included.
    pub chunks: u64,
    /// Bytes of all output payloads.
    pub bytes: u64,
    /// SHA-256 of all output payloads, in lower-case hexadecimal.
    pub sha256: String,
    /// True if the process' owner wrote the end itself.
    pub complete: bool,
    /// True if output was left unread after a cancel, a timeout or the drain limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What runs a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// A process of this machine.
    #[default]
    Local,
    /// A container.
    Docker,
    /// A worker that sends its own chunks.
    External,
}

impl RunnerKind {
    /// The name as it stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Docker => "docker",
            Self::External => "external",
        }
    }
}
