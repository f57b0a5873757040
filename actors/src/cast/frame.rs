//! A frame: a stretch of a recording that can be read alone, at most 1 MiB of text in one zstd frame.

use serde::{Deserialize, Serialize};

use crate::ids::{ChunkIndex, Seq};

/// Where a frame is and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameInfo {
    /// The first entry in it.
    pub first_seq: Seq,
    /// The last entry in it.
    pub last_seq: Seq,
    /// The first chunk in it.
    pub first_chunk: ChunkIndex,
    /// The last chunk in it.
    pub last_chunk: ChunkIndex,
    /// The place of its first chunk on the time axis, in milliseconds, rounded down.
    pub start_ms: u64,
    /// The place of its last chunk on the time axis, in milliseconds, rounded up.
    pub end_ms: u64,
    /// Where it begins in its object.
    pub offset: u64,
    /// Its compressed size.
    pub length: u64,
    /// Output bytes of the stream before it.
    pub first_byte: u64,
    /// The size of its text.
    pub text_length: u64,
    /// How much the log of the whole run held, in bytes, when its last chunk was written: tells how far
    /// apart in the run the beginnings of two frames are.
    pub log_bytes: u64,
}
