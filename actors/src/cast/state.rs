//! What of an encoder survives segments, restarts and takeovers.

use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::error::CastError;
use super::header::CastHeader;
use super::lines::LineWriter;
use super::summary::StreamSummary;
use super::tally::{Defect, Tally};
use crate::entry::{Chunk, ChunkKind, Exit, RunnerKind, TerminalSize};
use crate::ids::{ChunkIndex, Seq};
use crate::moment::Timestamp;

/// The version of the JSON.
const VERSION: u32 = 1;

/// Where an encoder stands in its stream, with everything it has counted. At most some 500 KiB as JSON,
/// most of it labels of markers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncoderState {
    version: u32,
    /// Until it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<CastHeader>,
    pub(super) lines: LineWriter,
    tally: Tally,
    summary: StreamSummary,
    first_size: TerminalSize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_chunk: Option<FirstChunk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner_kind: Option<RunnerKind>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstChunk {
    index: ChunkIndex,
    recorded_at_us: i64,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl EncoderState {
    /// Before the first chunk.
    pub(super) fn new(header: CastHeader) -> Self {
        Self {
            version: VERSION,
            first_size: header.size,
            header: Some(header),
            lines: LineWriter::default(),
            tally: Tally::default(),
            summary: StreamSummary::default(),
            first_chunk: None,
            runner_kind: None,
        }
    }

    /// Counts a chunk that is about to be written.
    pub(super) fn absorb(&mut self, seq: Seq, chunk: &Chunk) {
        if self.first_chunk.is_none() {
            let recorded_at_us = chunk.recorded_at.0;
            self.first_chunk = Some(FirstChunk { index: chunk.index, recorded_at_us });
            if let (ChunkKind::Resize(size), Some(header)) = (&chunk.kind, &mut self.header) {
                header.size = *size;
                self.first_size = *size;
            }
        }
        self.runner_kind = Some(chunk.runner_kind);
        self.tally.absorb(chunk);
        self.summary.absorb(seq, chunk);
    }

    /// The state as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it holds only strings as keys and numbers")
    }

    /// Reads what [`EncoderState::to_json`] wrote.
    pub fn from_json(json: &str) -> Result<Self, CastError> {
        let refused = |error: serde_json::Error| CastError::State(error.to_string());
        let Version { version } = serde_json::from_str(json).map_err(refused)?;
        if version != VERSION {
            return Err(CastError::StateVersion(version));
        }
        serde_json::from_str(json).map_err(refused)
    }

    /// The index of the next chunk, if none is missing.
    pub fn next_chunk(&self) -> ChunkIndex {
        self.tally.next_chunk()
    }

    /// The first chunk written.
    pub fn first_chunk(&self) -> Option<ChunkIndex> {
        self.first_chunk.map(|first| first.index)
    }

    /// The last chunk written.
    pub fn last_chunk(&self) -> Option<ChunkIndex> {
        self.first_chunk.map(|_| ChunkIndex(self.next_chunk().0 - 1))
    }

    /// The `seq` of the last chunk; 0 before the first.
    pub fn last_seq(&self) -> Seq {
        self.lines.last_seq
    }

    /// When the first chunk was read.
    pub fn first_recorded_at(&self) -> Option<Timestamp> {
        self.first_chunk.map(|first| Timestamp(first.recorded_at_us))
    }

    /// Chunks written.
    pub fn chunks(&self) -> u64 {
        self.tally.chunks()
    }

    /// Bytes of their output payloads.
    pub fn bytes(&self) -> u64 {
        self.tally.bytes()
    }

    /// SHA-256 of these bytes, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        self.tally.sha256()
    }

    /// The hash of these bytes, which can go on.
    pub fn hasher(&self) -> Sha256 {
        self.tally.hasher()
    }

    /// The place of the last chunk on the time axis, in microseconds since the node started.
    pub fn at_us(&self) -> u64 {
        self.lines.at_us
    }

    /// Losses: holes in the indices, and chunks that tell of something lost before it had a number.
    pub fn gaps(&self) -> u64 {
        self.tally.gaps()
    }

    /// Holes in the indices.
    pub fn holes(&self) -> u64 {
        self.tally.holes()
    }

    /// The end of the stream, if it has come.
    pub fn exit(&self) -> Option<&Exit> {
        self.tally.exit()
    }

    /// The first reason for which the stream is not complete; none if it is.
    pub fn defect(&self) -> Option<Defect> {
        self.tally.defect()
    }

    /// The first size of the terminal; for a pipe the size of the replay.
    pub fn first_size(&self) -> TerminalSize {
        self.first_size
    }

    /// What ran the node, as the last chunk says.
    pub fn runner_kind(&self) -> Option<RunnerKind> {
        self.runner_kind
    }

    /// What a seek bar shows.
    pub fn summary(&self) -> &StreamSummary {
        &self.summary
    }
}
