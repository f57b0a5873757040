//! The bytes of an entry in a log: one format for every store.
//!
//! `version (1) · kind (1) · length of the head (4, little endian) · head (JSON) · payload (the rest)`.
//! The head is JSON so that members can be added; the payload stands as it is, whatever it is.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{
    Body, Chunk, ChunkKind, Entry, Exit, RunnerKind, StatusChange, TerminalSize, TraceEvent,
};
use crate::ids::{ChunkIndex, NodeRef, Seq, StreamName};
use crate::moment::Timestamp;

const VERSION: u8 = 1;
const FIXED_LEN: usize = 6;
const KIND_STATUS: u8 = 1;
const KIND_TRACE: u8 = 2;
const KIND_TERMINAL: u8 = 3;

/// Bytes that are no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryDecodeError {
    /// Fewer bytes than the format needs.
    #[error("the entry ends after {0} bytes")]
    TooShort(usize),
    /// Written by a newer version.
    #[error("entry version {0} is not known here")]
    UnknownVersion(u8),
    /// An entry of a kind that does not exist.
    #[error("entry kind {0} is not known here")]
    UnknownKind(u8),
    /// A head that does not parse.
    #[error("the head of the entry does not parse: {0}")]
    Head(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct ChunkHead {
    n: NodeRef,
    s: StreamName,
    i: ChunkIndex,
    t: i64,
    d: u64,
    a: u64,
    o: Arc<str>,
    r: RunnerKind,
    k: ChunkHeadKind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChunkHeadKind {
    Output,
    Input,
    Resize(TerminalSize),
    Marker(String),
    Gap(Value),
    Exit(Exit),
}

/// Writes the entry without its `seq`, which is the key it is stored under.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let (kind, head, payload) = match &entry.body {
        Body::Status(status) => (KIND_STATUS, serde_json::to_vec(status), None),
        Body::Trace(trace) => (KIND_TRACE, serde_json::to_vec(trace), None),
        Body::Terminal(chunk) => {
            (KIND_TERMINAL, serde_json::to_vec(&chunk_head(chunk)), chunk.kind.payload())
        }
    };
    let head = head.expect("entries hold only strings as keys and finite numbers");
    let head_len = u32::try_from(head.len()).expect("heads are bounded well below 4 GiB");
    let mut encoded = Vec::with_capacity(FIXED_LEN + head.len() + payload.map_or(0, Bytes::len));
    encoded.extend_from_slice(&[VERSION, kind]);
    encoded.extend_from_slice(&head_len.to_le_bytes());
    encoded.extend_from_slice(&head);
    if let Some(payload) = payload {
        encoded.extend_from_slice(payload);
    }
    encoded
}

/// Reads what [`encode`] wrote.
pub fn decode(seq: Seq, encoded: &Bytes) -> Result<Entry, EntryDecodeError> {
    if encoded.len() < FIXED_LEN {
        return Err(EntryDecodeError::TooShort(encoded.len()));
    }
    if encoded[0] != VERSION {
        return Err(EntryDecodeError::UnknownVersion(encoded[0]));
    }
    let head_len = u32::from_le_bytes([encoded[2], encoded[3], encoded[4], encoded[5]]) as usize;
    let Some(head) = encoded.get(FIXED_LEN..FIXED_LEN + head_len) else {
        return Err(EntryDecodeError::TooShort(encoded.len()));
    };
    let body = match encoded[1] {
        KIND_STATUS => Body::Status(serde_json::from_slice::<Box<StatusChange>>(head)?),
        KIND_TRACE => Body::Trace(serde_json::from_slice::<Box<TraceEvent>>(head)?),
        KIND_TERMINAL => {
            let head = serde_json::from_slice::<ChunkHead>(head)?;
            Body::Terminal(chunk(head, encoded.slice(FIXED_LEN + head_len..)))
        }
        other => return Err(EntryDecodeError::UnknownKind(other)),
    };
    Ok(Entry { seq, body })
}

fn chunk_head(chunk: &Chunk) -> ChunkHead {
    ChunkHead {
        n: chunk.node_ref.clone(),
        s: chunk.stream,
        i: chunk.index,
        t: chunk.recorded_at.0,
        d: chunk.delta_us,
        a: chunk.at_us,
        o: chunk.origin.clone(),
        r: chunk.runner_kind,
        k: match &chunk.kind {
            ChunkKind::Output(_) => ChunkHeadKind::Output,
            ChunkKind::Input(_) => ChunkHeadKind::Input,
            ChunkKind::Resize(size) => ChunkHeadKind::Resize(*size),
            ChunkKind::Marker(label) => ChunkHeadKind::Marker(label.clone()),
            ChunkKind::Gap(data) => ChunkHeadKind::Gap(data.clone()),
            ChunkKind::Exit(exit) => ChunkHeadKind::Exit(exit.clone()),
        },
    }
}

fn chunk(head: ChunkHead, payload: Bytes) -> Chunk {
    Chunk {
        node_ref: head.n,
        stream: head.s,
        index: head.i,
        kind: match head.k {
            ChunkHeadKind::Output => ChunkKind::Output(payload),
            ChunkHeadKind::Input => ChunkKind::Input(payload),
            ChunkHeadKind::Resize(size) => ChunkKind::Resize(size),
            ChunkHeadKind::Marker(label) => ChunkKind::Marker(label),
            ChunkHeadKind::Gap(data) => ChunkKind::Gap(data),
            ChunkHeadKind::Exit(exit) => ChunkKind::Exit(exit),
        },
        recorded_at: Timestamp(head.t),
        delta_us: head.d,
        at_us: head.a,
        origin: head.o,
        runner_kind: head.r,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arbitrary::any_entry;

    proptest! {
        #[test]
        fn decode_gives_back_what_was_encoded(entry in any_entry()) {
            let decoded = decode(entry.seq, &Bytes::from(encode(&entry))).expect("own bytes decode");
            prop_assert_eq!(decoded, entry);
        }

        #[test]
        fn any_bytes_are_an_entry_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(Seq(1), &Bytes::from(bytes));
        }

        #[test]
        fn a_cut_head_is_an_error(entry in any_entry(), cut in 0_usize..40) {
            let encoded = encode(&entry);
            let cut = cut.min(encoded.len() - 1);
            let head_end = FIXED_LEN + u32::from_le_bytes([encoded[2], encoded[3], encoded[4], encoded[5]]) as usize;
            if cut < head_end {
                prop_assert!(decode(entry.seq, &Bytes::copy_from_slice(&encoded[..cut])).is_err());
            }
        }
    }
}
