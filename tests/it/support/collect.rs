//! What one viewer has of a run: the events in order, and the bytes of each stream.
//!
//! Everything that must hold for every viewer is asserted while events arrive: ids ascend and equal
//! the `seq` of their data, chunk indices are dense, `final` agrees with the bytes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::api::EventPage;
use super::sse::{Event, Message, SseClient};

/// An event with a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) name: String,
    /// The data as it was sent, or its SHA-256 if data is not kept.
    pub(crate) data: String,
}

/// A node and one of its streams.
pub(crate) type StreamId = (String, String);

/// What came of one stream.
#[derive(Default)]
pub(crate) struct StreamBytes {
    /// The index of the next chunk.
    pub(crate) next_index: u64,
    /// Output bytes.
    pub(crate) bytes: u64,
    /// The output itself, if it is kept.
    pub(crate) output: Vec<u8>,
    /// The data of `exit`.
    pub(crate) exit: Option<Value>,
    sha256: Sha256,
}

impl StreamBytes {
    /// SHA-256 over all output, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        hex(&self.sha256.clone().finalize())
    }

    /// Takes the next chunk; panics if one is missing or `final` is not what came.
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>, keep_output: bool) {
        let place = format!("{}/{} seq {}", chunk.node_ref, chunk.stream, chunk.seq);
        assert_eq!(chunk.chunk_index, self.next_index, "{place}: the index of the chunk");
        assert!(self.exit.is_none(), "{place}: a chunk after exit");
        self.next_index += 1;
        match chunk.kind {
            "output" => {
                let payload = chunk.payload.expect("output has a payload");
                let bytes = STANDARD.decode(payload).expect("payloads are base64");
                assert!(!bytes.is_empty(), "{place}: empty output");
                self.bytes += bytes.len() as u64;
                self.sha256.update(&bytes);
                if keep_output {
                    self.output.extend_from_slice(&bytes);
                }
            }
            "exit" => {
                let totals = chunk.totals.clone().expect("exit has final");
                assert_eq!(totals["chunks"], self.next_index, "{place}: final.chunks");
                assert_eq!(totals["bytes"], self.bytes, "{place}: final.bytes");
                assert_eq!(totals["sha256"], self.sha256(), "{place}: final.sha256");
                self.exit = Some(totals);
            }
            "resize" | "marker" | "input" | "gap" => {}
            other => panic!("{place}: unknown kind {other}"),
        }
    }
}

/// The data of a `terminal` event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chunk<'a> {
    pub(crate) seq: u64,
    pub(crate) node_ref: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) chunk_index: u64,
    pub(crate) kind: &'a str,
    pub(crate) payload: Option<&'a str>,
    #[serde(rename = "final")]
    pub(crate) totals: Option<Value>,
}

impl<'a> Chunk<'a> {
    /// Of the data of an event.
    pub(crate) fn of(data: &'a str) -> Self {
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
    }
}

#[derive(Deserialize)]
struct SeqOnly {
    seq: u64,
}

impl SeqOnly {
    fn of(data: &str) -> u64 {
        serde_json::from_str::<Self>(data).unwrap_or_else(|error| panic!("{error}: {data}")).seq
    }
}

/// What a viewer has.
#[derive(Default)]
pub(crate) struct Collected {
    /// Events with a cursor, in order, gaps too.
    pub(crate) events: Vec<Logged>,
    /// The streams by node and name.
    pub(crate) streams: BTreeMap<StreamId, StreamBytes>,
    /// The data of each first `status`, one a connection.
    pub(crate) first: Vec<Value>,
    /// The data of each `live`.
    pub(crate) live: Vec<Value>,
    /// The data of `done`.
    pub(crate) done: Option<Value>,
    /// The data of each `error`.
    pub(crate) errors: Vec<Value>,
    /// The last cursor the service gave, with an event or bare.
    pub(crate) cursor: Option<u64>,
    sums_only: bool,
    partial: bool,
}

impl Collected {
    /// Keeps everything.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Keeps sums instead of data, for streams that are large.
    pub(crate) fn sums_only() -> Self {
        Self { sums_only: true, ..Self::default() }
    }

    /// Does not see every chunk, so indices and sums are not checked.
    pub(crate) fn partial() -> Self {
        Self { partial: true, ..Self::default() }
    }

    /// Reads the stream to its end, or until it is cut.
    pub(crate) async fn read(&mut self, client: &mut SseClient) {
        while let Some(message) = client.next().await {
            self.push(message);
        }
    }

    /// Takes the next message of a connection.
    pub(crate) fn push(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.push_event(&event),
            Message::BareId(id) => self.advance(id),
            Message::Comment | Message::Retry(_) => {}
        }
    }

    fn push_event(&mut self, event: &Event) {
        assert!(self.done.is_none(), "an event after done: {event:?}");
        match (event.name.as_str(), event.id) {
            ("status", None) => self.first.push(event.json()),
            ("live", None) => self.live.push(event.json()),
            ("error", None) => self.errors.push(event.json()),
            ("done", Some(id)) => {
                let done = event.json();
                assert_eq!(done["finalSeq"], id, "the id of done");
                self.done = Some(done);
                self.cursor = Some(id);
            }
            ("status" | "trace" | "terminal" | "gap", Some(id)) => {
                self.advance(id);
                self.push_logged(&event.name, &event.data, id);
            }
            _ => panic!("an unexpected event {event:?}"),
        }
    }

    /// Takes an event that came by another way than a stream.
    pub(crate) fn push_logged(&mut self, name: &str, data: &str, seq: u64) {
        if name == "terminal" {
            let chunk = Chunk::of(data);
            assert_eq!(chunk.seq, seq, "the seq of the data is the id");
            let id = (chunk.node_ref.to_owned(), chunk.stream.to_owned());
            if !self.partial {
                self.streams.entry(id).or_default().push(&chunk, !self.sums_only);
            }
        }
        let data = if self.sums_only { sha256_hex(data.as_bytes()) } else { data.to_owned() };
        self.events.push(Logged { seq, name: name.to_owned(), data });
    }

    /// Takes a page of events.
    pub(crate) fn push_page(&mut self, page: &EventPage) {
        for event in &page.events {
            let seq = SeqOnly::of(event.data.get());
            self.advance(seq);
            self.push_logged(&event.event, event.data.get(), seq);
        }
        // Beyond the last event there may be others that did not pass.
        if self.cursor.is_none_or(|cursor| cursor < page.next_after) {
            self.cursor = Some(page.next_after);
        }
        if page.done.is_some() {
            self.done.clone_from(&page.done);
        }
    }

    fn advance(&mut self, id: u64) {
        assert!(self.cursor.is_none_or(|cursor| cursor < id), "{id} after {:?}", self.cursor);
        self.cursor = Some(id);
    }

    /// Panics unless the sequence has no hole: n = 1, 2, 3 … in each epoch.
    #[track_caller]
    pub(crate) fn assert_dense(&self) {
        let mut previous = 0;
        for event in &self.events {
            assert_ne!(event.name, "gap", "a gap: {}", event.data);
            let same_epoch = event.seq >> 32 == previous >> 32;
            let expected = if same_epoch { previous + 1 } else { ((event.seq >> 32) << 32) + 1 };
            assert_eq!(event.seq, expected, "after {previous}");
            previous = event.seq;
        }
    }

    /// As [`Self::assert_dense`], but the owner may have died with what nobody else had yet: then a gap ends its
    /// epoch.
    #[track_caller]
    pub(crate) fn assert_dense_but_for_what_died_with_the_owner(&self) {
        let mut rest = Self::new();
        let mut previous = 0;
        for (place, event) in self.events.iter().enumerate() {
            let mut event = event.clone();
            if event.name == "gap" {
                let next = self.events.get(place + 1).expect("an epoch after the gap");
                assert_eq!(next.seq, ((event.seq >> 32) + 1) << 32 | 1, "it ends an epoch");
                let gap: Value = serde_json::from_str(&event.data).expect("JSON");
                assert_eq!(gap["fromSeq"], previous + 1, "{gap}");
                assert_eq!(gap["reason"], "lost", "{gap}");
                continue;
            }
            previous = event.seq;
            event.data.clear();
            rest.events.push(event);
        }
        rest.assert_dense();
    }

    /// Panics unless everything came, and `done` says the same as what came.
    #[track_caller]
    pub(crate) fn assert_complete(&self) {
        self.assert_dense();
        let done = self.done.as_ref().expect("the stream ends with done");
        let last = self.events.last().expect("events").seq;
        assert_eq!(done["finalSeq"], last, "finalSeq is the last entry");
        let told = done["streams"].as_array().expect("streams");
        assert_eq!(told.len(), self.streams.len(), "streams of done: {done}");
        for told in told {
            let text = |member: &str| told[member].as_str().expect(member).to_owned();
            let id = (text("nodeRef"), text("stream"));
            let stream = self.streams.get(&id).unwrap_or_else(|| panic!("no stream {id:?}"));
            assert_eq!(told["chunks"], stream.next_index, "{id:?}");
            assert_eq!(told["bytes"], stream.bytes, "{id:?}");
            assert_eq!(told["sha256"], stream.sha256(), "{id:?}");
            assert!(stream.exit.is_some(), "{id:?} has no exit");
        }
    }

    /// Panics unless both have exactly the same events.
    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self) {
        for (mine, theirs) in self.events.iter().zip(&other.events) {
            assert_eq!(mine, theirs);
        }
        assert_eq!(self.done, other.done, "done");
        assert_eq!(self.events.len(), other.events.len(), "the number of events");
    }

    /// The same for two of which one may have been away when `done` was sent: it was told 204.
    #[track_caller]
    pub(crate) fn assert_same_events(&self, other: &Self) {
        for (mine, theirs) in self.events.iter().zip(&other.events) {
            assert_eq!(mine, theirs);
        }
        assert_eq!(self.events.len(), other.events.len(), "the number of events");
    }

    /// One stream.
    #[track_caller]
    pub(crate) fn stream(&self, node: &str, stream: &str) -> &StreamBytes {
        let found = self.streams.get(&(node.to_owned(), stream.to_owned()));
        found.unwrap_or_else(|| panic!("no stream {node}/{stream}"))
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;

    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory");
        text
    })
}
