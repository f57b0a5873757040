//! How the parts of a stream are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use runcast_actors::event_json::Millis;
use runcast_actors::flow::frame::Frame;
use runcast_actors::ids::{Seq, StreamName};
use runcast_actors::run_view::RunView;
use runcast_actors::screen::terminal::VirtualTerminal;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::sse;
use crate::http::stream::source::{Part, SnapshotData};

/// Frames smaller than this are sent together, copied into one piece.
const COPY_BELOW_BYTES: usize = 8 * 1024;

#[derive(Serialize)]
struct RunData<'a> {
    seq: Seq,
    run: &'a RunView,
}

#[derive(Serialize)]
struct SeqData {
    seq: Seq,
}

/// Parts as Server-Sent Events.
pub fn sse(part: &Part) -> Vec<Bytes> {
    match part {
        Part::Events(frames) => join(frames),
        Part::SnapshotChunk(frame) => vec![without_id(frame)],
        Part::Cursor(seq) => vec![sse::bare_id(*seq)],
        Part::Silence => vec![sse::comment()],
        Part::Live(seq) => vec![sse::event("live", None, &SeqData { seq: *seq })],
        Part::Done(done) => vec![sse::event("done", Some(done.final_seq), done)],
        Part::ComeBack(passing) => {
            let mut pieces = vec![sse::retry_jittered()];
            pieces.extend(passing.as_ref().map(|passing| sse::event("error", None, passing)));
            pieces
        }
        Part::Run(_) | Part::Snapshot(..) => {
            let (name, data) = named_data(part);
            vec![sse::raw_event(name, None, &data)]
        }
    }
}

/// Parts as a JSON document a line: `{"event","data"}`.
pub fn ndjson(part: &Part) -> Vec<Bytes> {
    let line =
        |name: &str, data: &str| Bytes::from(format!("{{\"event\":\"{name}\",\"data\":{data}}}\n"));
    match part {
        Part::Events(frames) => frames.iter().map(|frame| ndjson_frame(frame)).collect(),
        Part::SnapshotChunk(frame) => vec![ndjson_frame(frame)],
        Part::Cursor(_) | Part::Silence | Part::ComeBack(None) => Vec::new(),
        Part::Run(_) | Part::Snapshot(..) | Part::Live(_) | Part::Done(_) | Part::ComeBack(_) => {
            let (name, data) = named_data(part);
            vec![line(name, &data)]
        }
    }
}

/// One event as a line of JSON.
pub fn ndjson_frame(frame: &Frame) -> Bytes {
    let data = frame.data();
    let name = frame.event.as_str();
    let mut line = BytesMut::with_capacity(data.len() + 40);
    line.extend_from_slice(format!("{{\"event\":\"{name}\",\"data\":").as_bytes());
    line.extend_from_slice(&data);
    line.extend_from_slice(b"}\n");
    line.freeze()
}

/// The data of a frame, to be put into another document.
pub fn raw(frame: &Frame) -> Box<RawValue> {
    let text = String::from_utf8(frame.data().to_vec()).expect("frames hold JSON");
    RawValue::from_string(text).expect("frames hold JSON")
}

fn named_data(part: &Part) -> (&'static str, String) {
    let json = |data: serde_json::Result<String>| data.expect("events hold only strings as keys");
    match part {
        Part::Run(view) => {
            let data = RunData { seq: view.last_seq, run: view };
            ("status", json(serde_json::to_string(&data)))
        }
        Part::Snapshot(seq, terminal) => {
            let data = SnapshotData {
                node_ref: &terminal.node_ref,
                stream: StreamName::Pty,
                cols: terminal.size.cols,
                rows: terminal.size.rows,
                seq: *seq,
                chunk_index: terminal.chunk_index,
                at_ms: Millis(terminal.at_us),
                payload: STANDARD.encode(&terminal.payload),
                lines_above: terminal.lines_above,
            };
            ("snapshot", json(serde_json::to_string(&data)))
        }
        Part::Live(seq) => ("live", json(serde_json::to_string(&SeqData { seq: *seq }))),
        Part::Done(done) => ("done", json(serde_json::to_string(done))),
        Part::ComeBack(passing) => ("error", json(serde_json::to_string(passing))),
        Part::Events(_) | Part::SnapshotChunk(_) | Part::Cursor(_) | Part::Silence => {
            ("status", "null".to_owned())
        }
    }
}

/// Small frames share a piece; a large one is sent as it is, uncopied.
fn join(frames: &[std::sync::Arc<Frame>]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut small = BytesMut::new();
    for frame in frames {
        if frame.text().len() < COPY_BELOW_BYTES {
            small.extend_from_slice(frame.text());
            continue;
        }
        if !small.is_empty() {
            pieces.push(small.split().freeze());
        }
        pieces.push(frame.text().clone());
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    pieces
}

/// A chunk of a snapshot must not move the cursor back.
fn without_id(frame: &Frame) -> Bytes {
    let text = frame.text();
    let id_end = text.iter().position(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    text.slice(id_end..)
}

/// The screen of a snapshot as plain text.
pub fn snapshot_text(size: runcast_actors::entry::TerminalSize, payload: &[u8]) -> String {
    let mut terminal = VirtualTerminal::new(size);
    terminal.feed(payload);
    terminal.text()
}
