//! What makes a recording complete: every index once, and counts and hash as the node told them at its end.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};

use super::json::{base64_of, read_base64};
use crate::entry::{Chunk, ChunkKind, Exit};
use crate::flow::sequencer::hex;
use crate::ids::ChunkIndex;

/// Counts of a stream, chunk by chunk. As JSON it goes on where it was.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    next_chunk: ChunkIndex,
    chunks: u64,
    bytes: u64,
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    hash: Sha256,
    holes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_hole: Option<(ChunkIndex, ChunkIndex)>,
    gap_chunks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
}

/// Why a stream is not complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The stream has no end.
    #[error("there is no end after {chunks} chunks with {bytes} bytes of output")]
    NoEnd {
        /// Chunks that are there.
        chunks: u64,
        /// Bytes of their output.
        bytes: u64,
    },
    /// Chunks are missing.
    #[error("chunks {first} to {last} are missing{}", and_other_holes(*.others))]
    Missing {
        /// The first chunk of the first hole.
        first: ChunkIndex,
        /// The last chunk of the first hole.
        last: ChunkIndex,
        /// How many other holes there are.
        others: u64,
    },
    /// The instance that ran the node died, so nobody knows what else the program wrote.
    #[error(
        "the instance that ran it died, and what was written after chunk {last_chunk} is unknown"
    )]
    Lost {
        /// The last chunk, which tells of it.
        last_chunk: ChunkIndex,
    },
    /// The number of chunks is not what the end says.
    #[error("there are {found} chunks instead of {expected}")]
    Chunks {
        /// What the end says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The number of bytes is not what the end says.
    #[error("there are {found} bytes of output instead of {expected}")]
    Bytes {
        /// What the end says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The bytes are not those that the end tells of.
    #[error("the SHA-256 of the output is {found} instead of {expected}")]
    Sha256 {
        /// What the end says.
        expected: String,
        /// Of what is there.
        found: String,
    },
}

fn and_other_holes(others: u64) -> String {
    if others == 0 { String::new() } else { format!(", and there are {others} other holes") }
}

impl Tally {
    /// Counts the next chunk of the stream.
    pub fn absorb(&mut self, chunk: &Chunk) {
        if chunk.index > self.next_chunk {
            self.holes += 1;
            let hole = (self.next_chunk, ChunkIndex(chunk.index.0 - 1));
            self.first_hole.get_or_insert(hole);
        }
        self.next_chunk = chunk.index.next();
        self.chunks += 1;
        match &chunk.kind {
            ChunkKind::Output(bytes) => {
                self.bytes += bytes.len() as u64;
                self.hash.update(bytes);
            }
            ChunkKind::Gap(_) => self.gap_chunks += 1,
            ChunkKind::Exit(exit) => self.exit = Some(exit.clone()),
            ChunkKind::Input(_) | ChunkKind::Resize(_) | ChunkKind::Marker(_) => {}
        }
    }

    /// The index of the next chunk, if none is missing.
    pub fn next_chunk(&self) -> ChunkIndex {
        self.next_chunk
    }

    /// Chunks counted.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Bytes of their output payloads.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of these bytes, which can go on.
    pub fn hasher(&self) -> Sha256 {
        self.hash.clone()
    }

    /// SHA-256 of these bytes, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        hex(&self.hasher().finalize())
    }

    /// Losses: holes in the indices, and chunks that tell of something lost before it had a number.
    pub fn gaps(&self) -> u64 {
        self.holes + self.gap_chunks
    }

    /// Holes in the indices.
    pub fn holes(&self) -> u64 {
        self.holes
    }

    /// The end of the stream, if it has come.
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// The first reason for which the stream is not complete; none if it is.
    pub fn defect(&self) -> Option<Defect> {
        if let Some((first, last)) = self.first_hole {
            return Some(Defect::Missing { first, last, others: self.holes - 1 });
        }
        let Some(Exit { totals, .. }) = &self.exit else {
            return Some(Defect::NoEnd { chunks: self.chunks, bytes: self.bytes });
        };
        if !totals.complete {
            let last_chunk = ChunkIndex(self.next_chunk.0.saturating_sub(1));
            return Some(Defect::Lost { last_chunk });
        }
        if totals.chunks != self.chunks {
            return Some(Defect::Chunks { expected: totals.chunks, found: self.chunks });
        }
        if totals.bytes != self.bytes {
            return Some(Defect::Bytes { expected: totals.bytes, found: self.bytes });
        }
        let found = self.sha256();
        (totals.sha256 != found).then(|| Defect::Sha256 { expected: totals.sha256.clone(), found })
    }
}

fn write_hash<S: Serializer>(hash: &Sha256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base64_of(&hash.serialize()))
}

fn read_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_base64(&text)
        .and_then(|bytes| SerializedState::<Sha256>::try_from(bytes.as_slice()).ok())
        .and_then(|state| Sha256::deserialize(&state).ok())
        .ok_or_else(|| serde::de::Error::custom("no state of a SHA-256"))
}
