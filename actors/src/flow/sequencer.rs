//! Numbers the entries of a run: `seq` over everything, a dense `chunkIndex`, counts and hash per stream.
//!
//! A pure value. A takeover rebuilds it from the log with [`Sequencer::absorb`].

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cast::EncoderState;
use crate::entry::{Body, Chunk, ChunkKind, Entry, Exit, StreamTotals};
use crate::flow::draft::{DraftBody, DraftChunk, DraftChunkKind};
use crate::ids::{ChunkIndex, Epoch, NodeRef, Seq, StreamKey};
use crate::moment::Moment;
use crate::run_view::StreamFinal;

/// The counters of a run.
#[derive(Debug)]
pub struct Sequencer {
    last: Seq,
    origin: Arc<str>,
    streams: HashMap<StreamKey, StreamState>,
}

#[derive(Debug, Default)]
struct StreamState {
    next_index: ChunkIndex,
    last_chunk_at: Option<Moment>,
    at_us: u64,
    bytes: u64,
    hash: Sha256,
    ended: Option<StreamTotals>,
}

impl Sequencer {
    /// Before the first entry of `epoch`; `origin` is the instance that captures.
    pub fn new(epoch: Epoch, origin: Arc<str>) -> Self {
        Self { last: Seq::new(epoch, 0), origin, streams: HashMap::new() }
    }

    /// The last number given.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Learns an entry that an earlier owner wrote. Does not change the numbers of this epoch.
    pub fn absorb(&mut self, entry: &Entry) {
        let Body::Terminal(chunk) = &entry.body else { return };
        let state = self.streams.entry(chunk.stream_key()).or_default();
        state.next_index = chunk.index.next();
        state.at_us = chunk.at_us;
        match &chunk.kind {
            ChunkKind::Output(bytes) => state.count(bytes),
            ChunkKind::Exit(exit) => state.ended = Some(exit.totals.clone()),
            _ => {}
        }
    }

    /// Learns a stream up to where it is archived.
    pub fn resume(&mut self, stream: StreamKey, archived: &EncoderState) {
        let state = StreamState {
            next_index: archived.next_chunk(),
            last_chunk_at: None,
            at_us: archived.at_us(),
            bytes: archived.bytes(),
            hash: archived.hasher(),
            ended: archived.exit().map(|exit| exit.totals.clone()),
        };
        self.streams.insert(stream, state);
    }

    /// Streams that have begun and have no `exit`.
    pub fn open_streams(&self) -> Vec<StreamKey> {
        let mut open: Vec<StreamKey> = self
            .streams
            .iter()
            .filter(|(_, state)| state.ended.is_none())
            .map(|(stream, _)| stream.clone())
            .collect();
        open.sort();
        open
    }

    /// Gives the next number.
    pub fn number(&mut self, draft: DraftBody) -> Entry {
        self.last = self.last.next();
        let seq = self.last;
        let body = match draft {
            DraftBody::Status(mut change) => {
                change.run.last_seq = seq;
                if let Some(node) = &mut change.node {
                    node.totals = self.totals(&node.node_ref);
                }
                Body::Status(change)
            }
            DraftBody::Trace(trace) => Body::Trace(trace),
            DraftBody::Chunk(chunk) => Body::Terminal(self.place(chunk)),
        };
        Entry { seq, body }
    }

    /// What the streams of a node hold that have ended.
    fn totals(&self, node_ref: &NodeRef) -> Vec<StreamFinal> {
        let mut totals: Vec<StreamFinal> = self
            .streams
            .iter()
            .filter(|(key, _)| key.node_ref == *node_ref)
            .filter_map(|(key, state)| {
                let totals = state.ended.clone()?;
                Some(StreamFinal { stream: key.stream, totals })
            })
            .collect();
        totals.sort_by_key(|of_stream| of_stream.stream);
        totals
    }

    fn place(&mut self, draft: DraftChunk) -> Chunk {
        let state = self.streams.entry(draft.stream.clone()).or_default();
        let index = state.next_index;
        state.next_index = index.next();
        // A stream that an earlier owner began has no moment of this process' clock to measure from.
        let since = match state.last_chunk_at {
            Some(last) => draft.at.micros_since(last),
            None if index.0 == 0 => draft.at.micros_since(draft.node_started),
            None => 0,
        };
        state.last_chunk_at = Some(draft.at);
        state.at_us += since;
        let kind = match draft.kind {
            DraftChunkKind::Output(bytes) => {
                state.count(&bytes);
                ChunkKind::Output(bytes)
            }
            DraftChunkKind::Input(bytes) => ChunkKind::Input(bytes),
            DraftChunkKind::Resize(size) => ChunkKind::Resize(size),
            DraftChunkKind::Marker(label) => ChunkKind::Marker(label),
            DraftChunkKind::Gap(data) => ChunkKind::Gap(data),
            DraftChunkKind::Exit { end, complete, truncated } => {
                let totals = state.totals(complete, truncated);
                state.ended = Some(totals.clone());
                ChunkKind::Exit(Exit { end, totals })
            }
        };
        Chunk {
            node_ref: draft.stream.node_ref,
            stream: draft.stream.stream,
            index,
            kind,
            recorded_at: draft.at.wall,
            delta_us: since,
            at_us: state.at_us,
            origin: self.origin.clone(),
            runner_kind: draft.runner_kind,
        }
    }
}

impl StreamState {
    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    fn totals(&self, complete: bool, truncated: bool) -> StreamTotals {
        let digest = self.hash.clone().finalize();
        StreamTotals {
            chunks: self.next_index.0,
            bytes: self.bytes,
            sha256: hex(&digest),
            complete,
            truncated,
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::entry::{ProcessEnd, RunnerKind};
    use crate::ids::StreamName;

    fn chunk(node: &str, kind: DraftChunkKind, started: Moment, at: Moment) -> DraftBody {
        DraftBody::Chunk(DraftChunk {
            stream: StreamKey {
                node_ref: node.parse().expect("a valid name"),
                stream: StreamName::Pty,
            },
            kind,
            at,
            node_started: started,
            runner_kind: RunnerKind::Local,
        })
    }

    fn terminal(entry: &Entry) -> &Chunk {
        match &entry.body {
            Body::Terminal(chunk) => chunk,
            other => panic!("expected a chunk, got {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_are_numbered_apart_and_their_times_add_up() {
        let started = Moment::now();
        let mut sequencer = Sequencer::new(Epoch(2), "here".into());
        tokio::time::advance(Duration::from_micros(1500)).await;
        let output = DraftChunkKind::Output(Bytes::from("ab"));
        let first = sequencer.number(chunk("a", output, started, Moment::now()));
        tokio::time::advance(Duration::from_millis(7)).await;
        let other = DraftChunkKind::Output(Bytes::from("x"));
        sequencer.number(chunk("b", other, started, Moment::now()));
        let exit =
            DraftChunkKind::Exit { end: ProcessEnd::Code(0), complete: true, truncated: false };
        let last = sequencer.number(chunk("a", exit, started, Moment::now()));

        assert_eq!((first.seq, last.seq), (Seq::new(Epoch(2), 1), Seq::new(Epoch(2), 3)));
        assert_eq!((terminal(&first).delta_us, terminal(&first).at_us), (1500, 1500));
        assert_eq!((terminal(&last).delta_us, terminal(&last).at_us), (7000, 8500));
        let ChunkKind::Exit(exit) = &terminal(&last).kind else { panic!("the exit is last") };
        assert_eq!((exit.totals.chunks, exit.totals.bytes), (2, 2));
        assert_eq!(exit.totals.sha256, hex(&Sha256::digest(b"ab")));
        assert_eq!(sequencer.open_streams().len(), 1, "only b is open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_takeover_goes_on_where_the_log_ends() {
        let started = Moment::now();
        let mut first = Sequencer::new(Epoch(0), "here".into());
        let output = || DraftChunkKind::Output(Bytes::from("abc"));
        let entries: Vec<Entry> =
            (0..3).map(|_| first.number(chunk("a", output(), started, Moment::now()))).collect();

        let mut second = Sequencer::new(Epoch(1), "there".into());
        entries.iter().for_each(|entry| second.absorb(entry));
        let open = second.open_streams();
        assert_eq!(open.len(), 1);
        let lost =
            DraftChunkKind::Exit { end: ProcessEnd::Unknown, complete: false, truncated: false };
        let exit = second.number(chunk("a", lost, Moment::now(), Moment::now()));
        assert_eq!(exit.seq, Seq::new(Epoch(1), 1));
        let ChunkKind::Exit(totals) = &terminal(&exit).kind else { panic!("an exit") };
        assert_eq!((totals.totals.chunks, totals.totals.bytes), (4, 9));
        assert_eq!(totals.totals.sha256, hex(&Sha256::digest(b"abcabcabc")));
        assert!(second.open_streams().is_empty());
    }
}
