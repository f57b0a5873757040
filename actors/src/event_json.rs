//! Entries as the JSON of events: the same text live, by REST and from a recording.

use std::sync::LazyLock;

use base64::Engine as _;
use serde::Serialize;
use serde_json::Value;

use crate::entry::{Body, Chunk, ChunkKind, Entry, StreamTotals, TraceEvent};
use crate::ids::{RunId, Seq};
use crate::moment::Timestamp;
use crate::run_view::{NodeView, RunView};

// The scalar encoder is a quarter of the time that a busy run's events take.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::standard(base64::engine::general_purpose::PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::general_purpose::STANDARD);

/// The data of the event that tells of an entry, appended to `out`.
pub fn write_event_data(out: &mut Vec<u8>, run_id: &RunId, entry: &Entry) {
    let written = match &entry.body {
        Body::Status(status) => {
            let event =
                StatusEvent { seq: entry.seq, run: &status.run, node: status.node.as_ref() };
            serde_json::to_writer(&mut *out, &event)
        }
        Body::Trace(trace) => {
            serde_json::to_writer(&mut *out, &trace_event(run_id, entry.seq, trace))
        }
        Body::Terminal(chunk) => {
            write_terminal(out, run_id, entry.seq, chunk);
            Ok(())
        }
    };
    written.expect("events hold only strings as keys and write to memory");
}

/// The data of an entry's event as one text.
pub fn event_data(run_id: &RunId, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.payload_len() / 3 * 4 + 512);
    write_event_data(&mut out, run_id, entry);
    out
}

#[derive(Serialize)]
struct StatusEvent<'a> {
    seq: Seq,
    run: &'a RunView,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a NodeView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceData<'a> {
    seq: Seq,
    id: String,
    run_id: &'a RunId,
    #[serde(flatten)]
    trace: &'a TraceEvent,
}

fn trace_event<'a>(run_id: &'a RunId, seq: Seq, trace: &'a TraceEvent) -> TraceData<'a> {
    TraceData { seq, id: seq.to_string(), run_id, trace }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChunkTail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cols: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<LabelOrData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "final")]
    totals: Option<&'a StreamTotals>,
    recorded_at: Timestamp,
    delta_ms: Millis,
    at_ms: Millis,
    origin: &'a str,
    runner_kind: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LabelOrData<'a> {
    Label(&'a str),
    Data(&'a Value),
}

/// Microseconds shown as milliseconds with up to three decimals.
#[derive(Debug, Clone, Copy)]
pub struct Millis(pub u64);

impl Serialize for Millis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            return serializer.serialize_u64(self.0 / 1000);
        }
        serializer.serialize_f64(self.as_f64())
    }
}

impl Millis {
    /// As milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 µs, which is 285 years")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The nearest microsecond to these milliseconds; 0 if they are negative or no number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    pub fn from_f64(millis: f64) -> Self {
        Self((millis * 1000.0).round() as u64)
    }
}

// The payload is most of the bytes of a busy run, so it is encoded straight into the event.
fn write_terminal(out: &mut Vec<u8>, run_id: &RunId, seq: Seq, chunk: &Chunk) {
    use std::io::Write as _;

    write!(
        out,
        r#"{{"seq":{seq},"runId":"{run_id}","nodeRef":"{}","stream":"{}","chunkIndex":{},"kind":"{}","#,
        chunk.node_ref,
        chunk.stream,
        chunk.index,
        chunk.kind.name(),
    )
    .expect("writing to memory");
    if let Some(payload) = chunk.kind.payload() {
        out.extend_from_slice(br#""payload":""#);
        let start = out.len();
        out.resize(start + base64::encoded_len(payload.len(), true).expect("chunks are small"), 0);
        BASE64
            .encode_slice(payload, &mut out[start..])
            .expect("the slice has the length that base64 asked for");
        out.extend_from_slice(br#"","#);
    }
    let (size, label, exit) = match &chunk.kind {
        ChunkKind::Resize(size) => (Some(size), None, None),
        ChunkKind::Marker(label) => (None, Some(LabelOrData::Label(label)), None),
        ChunkKind::Gap(data) => (None, Some(LabelOrData::Data(data)), None),
        ChunkKind::Exit(exit) => (None, None, Some(exit)),
        ChunkKind::Output(_) | ChunkKind::Input(_) => (None, None, None),
    };
    let tail = ChunkTail {
        cols: size.map(|size| size.cols),
        rows: size.map(|size| size.rows),
        label,
        exit_code: exit.and_then(|exit| exit.end.code()),
        signal: exit.and_then(|exit| exit.end.signal()),
        totals: exit.map(|exit| &exit.totals),
        recorded_at: chunk.recorded_at,
        delta_ms: Millis(chunk.delta_us),
        at_ms: Millis(chunk.at_us),
        origin: &chunk.origin,
        runner_kind: chunk.runner_kind.as_str(),
    };
    let brace = out.len();
    serde_json::to_writer(&mut *out, &tail).expect("writing to memory");
    out.remove(brace);
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arbitrary::any_entry;

    proptest! {
        #[test]
        fn every_event_is_one_line_of_json_with_its_seq(entry in any_entry()) {
            let run_id: RunId = "run-1".parse().expect("a valid id");
            let data = event_data(&run_id, &entry);
            prop_assert!(!data.contains(&b'\n'));
            let value: Value = serde_json::from_slice(&data).expect("valid JSON");
            prop_assert_eq!(value["seq"].as_u64(), Some(entry.seq.0));
            if let Body::Terminal(chunk) = &entry.body {
                prop_assert_eq!(value["chunkIndex"].as_u64(), Some(chunk.index.0));
                let payload = value["payload"].as_str().map(|text| STANDARD.decode(text).expect("base64"));
                prop_assert_eq!(payload.as_deref(), chunk.kind.payload().map(AsRef::as_ref));
            }
        }
    }
}
