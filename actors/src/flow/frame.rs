//! An event as it is sent: encoded once, shared by every viewer.

use std::io::Write as _;

use bytes::Bytes;
use serde::Serialize;

use crate::entry::{Body, Entry};
use crate::event_json::write_event_data;
use crate::history::{Gap, Item};
use crate::ids::{NodeRef, RunId, Seq, StreamName};

/// The name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the events")]
pub enum EventName {
    Status,
    Trace,
    Terminal,
    Gap,
}

impl EventName {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Trace => "trace",
            Self::Terminal => "terminal",
            Self::Gap => "gap",
        }
    }
}

/// What ends with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing.
    Nothing,
    /// The node it belongs to.
    Node,
    /// The run: nothing follows.
    Run,
}

/// One event, ready to be sent: `id`, `event`, `data` and an empty line, as Server-Sent Events want it.
/// The data is one line of JSON, so that other formats can take it out.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its place; for a gap the last entry that is missing.
    pub seq: Seq,
    /// What it tells of.
    pub event: EventName,
    /// The node it belongs to.
    pub node_ref: Option<NodeRef>,
    /// The stream it belongs to.
    pub stream: Option<StreamName>,
    /// What ends with it.
    pub ends: Ends,
    text: Bytes,
    data_start: usize,
}

impl Frame {
    /// Encodes what the history holds.
    pub fn of_item(run_id: &RunId, item: &Item) -> Self {
        match item {
            Item::Entry(entry) => Self::of_entry(run_id, entry),
            Item::Gap(gap) => Self::of_gap(gap),
        }
    }

    /// Encodes an entry.
    pub fn of_entry(run_id: &RunId, entry: &Entry) -> Self {
        let (event, chunk) = match &entry.body {
            Body::Status(_) => (EventName::Status, None),
            Body::Trace(_) => (EventName::Trace, None),
            Body::Terminal(chunk) => (EventName::Terminal, Some(chunk)),
        };
        let room = entry.payload_len() / 3 * 4 + 512;
        let (text, data_start) =
            frame(entry.seq, event, room, |out| write_event_data(out, run_id, entry));
        Self {
            seq: entry.seq,
            event,
            node_ref: entry.node_ref().cloned(),
            stream: chunk.map(|chunk| chunk.stream),
            ends: ends(&entry.body),
            text,
            data_start,
        }
    }

    /// Encodes a gap.
    pub fn of_gap(gap: &Gap) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct GapData {
            seq: Seq,
            from_seq: Seq,
            to_seq: Seq,
            reason: &'static str,
        }

        let data = GapData { seq: gap.to, from_seq: gap.from, to_seq: gap.to, reason: gap.reason };
        let (text, data_start) = frame(gap.to, EventName::Gap, 128, |out| {
            serde_json::to_writer(out, &data).expect("writing to memory");
        });
        let event = EventName::Gap;
        Self {
            seq: gap.to,
            event,
            node_ref: None,
            stream: None,
            ends: Ends::Nothing,
            text,
            data_start,
        }
    }

    /// The whole event.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Its data: one line of JSON.
    pub fn data(&self) -> Bytes {
        self.text.slice(self.data_start..self.text.len() - 2)
    }
}

fn ends(body: &Body) -> Ends {
    let Body::Status(change) = body else { return Ends::Nothing };
    match &change.node {
        Some(node) if node.status.is_terminal() => Ends::Node,
        None if change.run.status.is_terminal() => Ends::Run,
        _ => Ends::Nothing,
    }
}

fn frame(
    seq: Seq,
    event: EventName,
    room: usize,
    write_data: impl FnOnce(&mut Vec<u8>),
) -> (Bytes, usize) {
    let mut out = Vec::with_capacity(room);
    write!(out, "id: {seq}\nevent: {}\ndata: ", event.as_str()).expect("writing to memory");
    let data_start = out.len();
    write_data(&mut out);
    out.extend_from_slice(b"\n\n");
    out.shrink_to_fit();
    (Bytes::from(out), data_start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arbitrary::any_entry;

    proptest! {
        #[test]
        fn a_frame_is_three_fields_and_an_empty_line(entry in any_entry()) {
            let run_id: RunId = "r".parse().expect("a valid id");
            let frame = Frame::of_entry(&run_id, &entry);
            let text = std::str::from_utf8(frame.text()).expect("text");
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert_eq!(lines.len(), 5);
            let id = format!("id: {}", entry.seq);
            prop_assert_eq!(lines[0], id.as_str());
            prop_assert!(lines[1].starts_with("event: "));
            let data = frame.data();
            prop_assert_eq!(lines[2].strip_prefix("data: ").map(str::as_bytes), Some(data.as_ref()));
            let parsed = serde_json::from_slice::<serde_json::Value>(&data);
            prop_assert!(parsed.is_ok());
        }
    }
}
