//! The chunks of one node in the order of their `seq`, pulled a little at a time.
//!
//! Each stream is read alone, so that the output of other nodes costs nothing, and the streams are merged:
//! a chunk is given once it is known that no other stream has an earlier one.

use std::collections::VecDeque;
use std::sync::Arc;

use runcast_actors::entry::{Body, ChunkKind, Entry};
use runcast_actors::history::{History, HistoryError, Item};
use runcast_actors::ids::{RunKey, Seq, StreamKey};
use runcast_actors::ports::{ObjectError, ObjectKey};

/// What is read of one stream at once, in bytes of memory cost.
const READ_BYTES: usize = 128 * 1024;

/// The chunks of some streams of a run.
pub struct ChunkPull {
    history: History,
    run: RunKey,
    lanes: Vec<Lane>,
    until: Seq,
    /// A hole is an error: what is given was called complete.
    is_whole: bool,
}

struct Lane {
    stream: StreamKey,
    ready: VecDeque<Arc<Entry>>,
    cursor: Seq,
    /// Every chunk up to here has been read.
    known: Seq,
    has_ended: bool,
}

impl Lane {
    fn first(&self) -> Option<Seq> {
        self.ready.front().map(|entry| entry.seq)
    }

    fn must_be_read_before(&self, seq: Seq) -> bool {
        self.ready.is_empty() && !self.has_ended && self.known < seq
    }
}

impl ChunkPull {
    /// Chunks of these streams after `after`, up to the entry `until`.
    pub fn new(
        history: History,
        run: RunKey,
        streams: Vec<StreamKey>,
        after: Seq,
        until: Seq,
    ) -> Self {
        let lane = |stream| Lane {
            stream,
            ready: VecDeque::new(),
            cursor: after,
            known: after,
            has_ended: false,
        };
        let lanes = streams.into_iter().map(lane).collect();
        Self { history, run, lanes, until, is_whole: false }
    }

    /// From now on a hole is an error, because what is given is called complete.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.is_whole = true;
        self
    }

    /// Up to where chunks are given.
    pub fn until(&self) -> Seq {
        self.until
    }

    /// Gives chunks up to this entry from now on.
    pub fn extend(&mut self, until: Seq) {
        self.until = self.until.max(until);
    }

    /// True if the end of every stream was given.
    pub fn has_ended(&self) -> bool {
        self.lanes.iter().all(|lane| lane.has_ended)
    }

    /// The next chunk; none if there is no other up to the given end.
    pub async fn next(&mut self) -> Result<Option<Arc<Entry>>, HistoryError> {
        loop {
            let first = self.lanes.iter().filter_map(Lane::first).min();
            let first = first.filter(|seq| *seq <= self.until);
            let horizon = first.unwrap_or(self.until);
            let behind = self.lanes.iter().position(|lane| lane.must_be_read_before(horizon));
            if let Some(lane) = behind {
                self.read(lane).await?;
                continue;
            }
            let Some(first) = first else { return Ok(None) };
            let lane = self.lanes.iter_mut().find(|lane| lane.first() == Some(first));
            return Ok(lane.and_then(Lane::take));
        }
    }

    async fn read(&mut self, lane: usize) -> Result<(), HistoryError> {
        let lane = &mut self.lanes[lane];
        let stretch =
            self.history.read_stream(&self.run, &lane.stream, lane.cursor, READ_BYTES).await?;
        lane.cursor = lane.cursor.max(stretch.through);
        // Without an item there is nothing up to the tail of that moment.
        lane.known =
            if stretch.items.is_empty() { lane.cursor.max(stretch.tail) } else { lane.cursor };
        let has_gap = stretch.items.iter().any(|item| matches!(item, Item::Gap(_)));
        if self.is_whole && has_gap {
            return Err(HistoryError::Archive(ObjectError::Damaged(
                ObjectKey::recording(&self.run, &lane.stream),
                "chunks of a complete recording are missing".to_owned(),
            )));
        }
        lane.ready.extend(stretch.items.into_iter().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Gap(_) => None,
        }));
        // What comes from memory is there at once, and others want this thread, too.
        tokio::task::yield_now().await;
        Ok(())
    }
}

impl Lane {
    fn take(&mut self) -> Option<Arc<Entry>> {
        let entry = self.ready.pop_front()?;
        if let Body::Terminal(chunk) = &entry.body {
            self.has_ended |= matches!(chunk.kind, ChunkKind::Exit(_));
        }
        Some(entry)
    }
}
