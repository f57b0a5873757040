//! An entry as the fields of an entry of a stream, and back, member for member.
//!
//! A chunk: `i` index, `k` kind, `t` µs of the wall clock, `d` µs since the chunk before, `p` payload as it is,
//! `m` the other members as JSON. A `status` or `trace`: one field of that name, JSON.

use std::sync::Arc;

use bytes::Bytes;
use runcast_actors::entry::{
    Body, Chunk, ChunkKind, Entry, Exit, RunnerKind, StatusChange, TerminalSize, TraceEvent,
};
use runcast_actors::ids::{ChunkIndex, Seq, StreamKey};
use runcast_actors::moment::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A field of a stream: its name and its value.
pub(super) type Field = (Bytes, Bytes);

const STATUS: &str = "status";
const TRACE: &str = "trace";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    at_us: u64,
    origin: Arc<str>,
    runner_kind: RunnerKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<TerminalSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    gap: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
}

/// Bytes that are no entry of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum FieldsError {
    #[error("the field `{0}` is missing or no number")]
    Field(&'static str),
    #[error("the kind of chunk `{0}` is not known here")]
    Kind(String),
    #[error("it does not parse: {0}")]
    Json(#[from] serde_json::Error),
}

/// The words that follow the id of an entry: names and values by turns.
pub(super) fn encode(entry: &Entry) -> Vec<Bytes> {
    let json = "entries hold only strings as keys and finite numbers";
    let text = |name: &'static str| Bytes::from_static(name.as_bytes());
    match &entry.body {
        Body::Status(status) => {
            vec![text(STATUS), serde_json::to_vec(status).expect(json).into()]
        }
        Body::Trace(trace) => vec![text(TRACE), serde_json::to_vec(trace).expect(json).into()],
        Body::Terminal(chunk) => {
            let number = |value: String| Bytes::from(value);
            let mut words = vec![text("i"), number(chunk.index.to_string())];
            words.extend([text("k"), text(chunk.kind.name())]);
            words.extend([text("t"), number(chunk.recorded_at.0.to_string())]);
            words.extend([text("d"), number(chunk.delta_us.to_string())]);
            if let Some(payload) = chunk.kind.payload() {
                words.extend([text("p"), payload.clone()]);
            }
            let members = serde_json::to_vec(&members(chunk)).expect(json);
            words.extend([text("m"), members.into()]);
            words
        }
    }
}

fn members(chunk: &Chunk) -> Members {
    let mut members = Members {
        at_us: chunk.at_us,
        origin: chunk.origin.clone(),
        runner_kind: chunk.runner_kind,
        size: None,
        label: None,
        gap: Value::Null,
        exit: None,
    };
    match &chunk.kind {
        ChunkKind::Output(_) | ChunkKind::Input(_) => {}
        ChunkKind::Resize(size) => members.size = Some(*size),
        ChunkKind::Marker(label) => members.label = Some(label.clone()),
        ChunkKind::Gap(data) => members.gap = data.clone(),
        ChunkKind::Exit(exit) => members.exit = Some(exit.clone()),
    }
    members
}

/// An entry of `events:…`.
pub(super) fn decode_event(seq: Seq, fields: &[Field]) -> Result<Entry, FieldsError> {
    let body = if let Some(status) = value_of(fields, STATUS) {
        Body::Status(serde_json::from_slice::<Box<StatusChange>>(status)?)
    } else {
        let trace = value_of(fields, TRACE).ok_or(FieldsError::Field(TRACE))?;
        Body::Trace(serde_json::from_slice::<Box<TraceEvent>>(trace)?)
    };
    Ok(Entry { seq, body })
}

/// An entry of the stream of a terminal.
pub(super) fn decode_chunk(
    seq: Seq,
    stream: &StreamKey,
    fields: &[Field],
) -> Result<Entry, FieldsError> {
    let field = |name: &'static str| value_of(fields, name).ok_or(FieldsError::Field(name));
    let members: Members = serde_json::from_slice(field("m")?)?;
    let payload = || field("p").cloned();
    let kind = match field("k")?.as_ref() {
        b"output" => ChunkKind::Output(payload()?),
        b"input" => ChunkKind::Input(payload()?),
        b"resize" => ChunkKind::Resize(members.size.ok_or(FieldsError::Field("m.size"))?),
        b"marker" => ChunkKind::Marker(members.label.ok_or(FieldsError::Field("m.label"))?),
        b"gap" => ChunkKind::Gap(members.gap),
        b"exit" => ChunkKind::Exit(members.exit.ok_or(FieldsError::Field("m.exit"))?),
        other => return Err(FieldsError::Kind(String::from_utf8_lossy(other).into_owned())),
    };
    let chunk = Chunk {
        node_ref: stream.node_ref.clone(),
        stream: stream.stream,
        index: ChunkIndex(number(fields, "i")?),
        kind,
        recorded_at: Timestamp(number(fields, "t")?),
        delta_us: number(fields, "d")?,
        at_us: members.at_us,
        origin: members.origin,
        runner_kind: members.runner_kind,
    };
    Ok(Entry { seq, body: Body::Terminal(chunk) })
}

fn value_of<'a>(fields: &'a [Field], name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| value)
}

fn number<T: std::str::FromStr>(fields: &[Field], name: &'static str) -> Result<T, FieldsError> {
    let text = value_of(fields, name).and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).ok_or(FieldsError::Field(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runcast_actors::testing::arbitrary::any_entry;

    use super::*;

    proptest! {
        #[test]
        fn decode_gives_back_what_was_encoded(entry in any_entry()) {
            let words = encode(&entry);
            let fields: Vec<Field> =
                words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            let decoded = match &entry.body {
                Body::Terminal(chunk) => decode_chunk(entry.seq, &chunk.stream_key(), &fields),
                Body::Status(_) | Body::Trace(_) => decode_event(entry.seq, &fields),
            };
            prop_assert_eq!(decoded.expect("own fields decode"), entry);
        }

        #[test]
        fn what_is_missing_is_an_error(entry in any_entry(), missing in 0_usize..6) {
            let Body::Terminal(chunk) = &entry.body else { return Ok(()) };
            let words = encode(&entry);
            let mut fields: Vec<Field> =
                words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            fields.remove(missing % fields.len());
            prop_assert!(decode_chunk(entry.seq, &chunk.stream_key(), &fields).is_err());
        }
    }
}
