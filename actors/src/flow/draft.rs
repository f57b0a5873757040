//! Entries before they have a number.

use bytes::Bytes;
use serde_json::Value;

use crate::entry::{ProcessEnd, RunnerKind, StatusChange, TerminalSize, TraceEvent};
use crate::flow::permits::BytePermit;
use crate::ids::StreamKey;
use crate::moment::Moment;

/// An entry on its way to the log.
#[derive(Debug)]
pub struct Draft {
    /// What it will say.
    pub body: DraftBody,
    /// The room its bytes take until the log has acknowledged them.
    pub permit: Option<BytePermit>,
}

/// What an entry will say.
#[derive(Debug)]
pub enum DraftBody {
    /// The run or a node changed; `run.last_seq` is set when it gets its number.
    Status(Box<StatusChange>),
    /// Something happened.
    Trace(Box<TraceEvent>),
    /// A piece of a stream.
    Chunk(DraftChunk),
}

/// A chunk without its place in the stream.
#[derive(Debug)]
pub struct DraftChunk {
    /// Which stream.
    pub stream: StreamKey,
    /// What it holds.
    pub kind: DraftChunkKind,
    /// When it was read.
    pub at: Moment,
    /// When the node was started first: where the time axis of its streams begins.
    pub node_started: Moment,
    /// What runs the node.
    pub runner_kind: RunnerKind,
}

/// What a chunk without its place holds.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in ChunkKind")]
pub enum DraftChunkKind {
    Output(Bytes),
    Input(Bytes),
    Resize(TerminalSize),
    Marker(String),
    Gap(Value),
    /// The end; counts and hash are added when it gets its number.
    Exit {
        end: ProcessEnd,
        complete: bool,
        truncated: bool,
    },
}

impl Draft {
    /// A change of status.
    pub fn status(change: StatusChange) -> Self {
        Self { body: DraftBody::Status(Box::new(change)), permit: None }
    }

    /// A trace event.
    pub fn trace(event: TraceEvent) -> Self {
        Self { body: DraftBody::Trace(Box::new(event)), permit: None }
    }

    /// A chunk, with the permit of its bytes.
    pub fn chunk(chunk: DraftChunk, permit: Option<BytePermit>) -> Self {
        Self { body: DraftBody::Chunk(chunk), permit }
    }
}
