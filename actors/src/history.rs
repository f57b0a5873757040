//! The history of a run behind one function with one cursor, wherever its pieces are kept.
//!
//! Entries come from the log. What the log does not hold any more is looked for among the recorded
//! rows, which have every `status` and `trace`; what exists nowhere is told as a [`Gap`], never left out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::entry::{Body, Entry, TraceKind};
use crate::ids::{ChunkIndex, RunKey, Seq, StreamKey};
use crate::live_runs::{LiveRuns, apply};
use crate::ports::{LogError, Page, RunLog, RunStore, StoreError, StoredRun, Wake};

/// Reads runs.
#[derive(Clone)]
pub struct History {
    log: Arc<dyn RunLog>,
    store: Arc<dyn RunStore>,
    /// What this process owns.
    live: LiveRuns,
    /// Whether the rows of a run know more than its log, asked once a run: only a crash of the machine
    /// or a damaged log can cause it, never this process.
    rows_ahead: Arc<Mutex<HashMap<RunKey, bool>>>,
}

/// A stretch of a run's history.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// What stands there, in order.
    pub items: Vec<Item>,
    /// The cursor behind the last item (the one given, if there is none).
    pub through: Seq,
    /// The last entry there was at that moment.
    pub tail: Seq,
}

/// One thing in the history.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry.
    Entry(Arc<Entry>),
    /// Entries that exist nowhere any more.
    Gap(Gap),
}

/// Entries that exist nowhere any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
    /// `lost` or `purged`.
    pub reason: &'static str,
}

/// A place in a stream that somebody looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This chunk.
    Chunk(ChunkIndex),
    /// The last chunk at or before this time since the node started, in microseconds.
    Time(u64),
    /// The chunk that holds this byte of the output, counted from 0.
    Byte(u64),
}

/// A place in a stream: read on from it with [`History::read_stream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPlace {
    /// The cursor.
    pub after: Seq,
    /// Chunks of the stream before the place.
    pub chunks: u64,
    /// Output bytes before the place.
    pub bytes: u64,
}

/// Why a run could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The log is away or damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many rows are read at once where the log has a hole.
const ROWS_PER_READ: u32 = 500;
/// Of how many runs it is remembered whether their rows know more than their log.
const RUNS_REMEMBERED: usize = 10_000;
/// How much of the log is looked through at once for changes that the rows do not have yet.
const VIEW_READ_BYTES: usize = 1024 * 1024;

impl History {
    /// Over this log and these rows.
    pub fn new(log: Arc<dyn RunLog>, store: Arc<dyn RunStore>) -> Self {
        Self { log, store, live: LiveRuns::default(), rows_ahead: Arc::default() }
    }

    /// The run as of the tail of its log; `view.last_seq` says up to which entry it is true.
    pub async fn run(&self, run: &RunKey) -> Result<Option<StoredRun>, HistoryError> {
        let found = match self.live.get(run) {
            Some(stored) => Some(stored),
            None => self.store.find(run).await?,
        };
        let Some(mut stored) = found else { return Ok(None) };
        if stored.purged || stored.view.status.is_terminal() {
            return Ok(Some(stored));
        }
        // What is in memory learns of an entry a little after those who follow the log: whoever has just
        // read the end of the run must not be told that it goes on.
        let mut cursor = stored.view.last_seq;
        loop {
            let page = self.log.read(run, cursor, VIEW_READ_BYTES).await?;
            for entry in &page.entries {
                apply(&mut stored, entry);
                cursor = entry.seq;
            }
            stored.view.last_seq = stored.view.last_seq.max(cursor);
            if page.entries.is_empty() || cursor >= page.tail {
                return Ok(Some(stored));
            }
        }
    }

    /// The runs that this process owns.
    pub fn live(&self) -> &LiveRuns {
        &self.live
    }

    /// What stands after the cursor, at most `limit` bytes of memory cost, but at least one item if there is one.
    pub async fn read(
        &self,
        run: &RunKey,
        after: Seq,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        let page = self.log.read(run, after, limit).await?;
        if follows(after, &page) && !self.are_rows_ahead(run).await? {
            let through = page.entries.last().map_or(after, |entry| entry.seq);
            let items = page.entries.into_iter().map(Item::Entry).collect();
            return Ok(Stretch { items, through, tail: page.tail });
        }
        self.read_around_a_hole(run, after, page).await
    }

    /// Chunks of one stream after the cursor, and gaps, at most `limit` bytes of memory cost. Without an
    /// item the stream has nothing more at this moment; `through` may then still have moved.
    pub async fn read_stream(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        after: Seq,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        let mut cursor = after;
        loop {
            let mut stretch = self.read(run, cursor, limit).await?;
            cursor = stretch.through;
            let is_last = stretch.items.is_empty() || cursor >= stretch.tail;
            stretch.items.retain(|item| match item {
                Item::Entry(entry) => match &entry.body {
                    Body::Terminal(chunk) => {
                        chunk.stream == stream.stream && chunk.node_ref == stream.node_ref
                    }
                    _ => false,
                },
                Item::Gap(_) => true,
            });
            if is_last || !stretch.items.is_empty() {
                return Ok(stretch);
            }
        }
    }

    /// A place at or before the one that is wanted from which reading the stream is not far.
    pub async fn nearest(
        &self,
        _run: &RunKey,
        _stream: &StreamKey,
        _wanted: Wanted,
    ) -> Result<StreamPlace, HistoryError> {
        Ok(StreamPlace::default())
    }

    /// The last entry there is now.
    pub async fn tail(&self, run: &RunKey) -> Result<Seq, HistoryError> {
        Ok(self.log.read(run, Seq::MAX, 1).await?.tail)
    }

    /// Wakes when the run has grown. Register first, then read, then wait.
    pub fn follow(&self, run: &RunKey) -> Wake {
        self.log.follow(run)
    }

    async fn are_rows_ahead(&self, run: &RunKey) -> Result<bool, HistoryError> {
        if let Some(known) = self.lock_rows_ahead().get(run) {
            return Ok(*known);
        }
        let tail = self.tail(run).await?;
        let Some(stored) = self.store.find(run).await? else { return Ok(false) };
        let ahead = !stored.purged && stored.view.last_seq > self.tail(run).await?.max(tail);
        if ahead {
            let (recorded, tail) = (stored.view.last_seq, tail);
            tracing::error!(%run, %recorded, %tail, "the log has lost entries that were recorded");
        }
        let mut known = self.lock_rows_ahead();
        if known.len() >= RUNS_REMEMBERED {
            known.clear();
        }
        known.insert(run.clone(), ahead);
        Ok(ahead)
    }

    fn lock_rows_ahead(&self) -> MutexGuard<'_, HashMap<RunKey, bool>> {
        self.rows_ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_around_a_hole(
        &self,
        run: &RunKey,
        after: Seq,
        page: Page,
    ) -> Result<Stretch, HistoryError> {
        let mut rows = self.store.history(run, after, ROWS_PER_READ).await?;
        let are_all_rows = rows.len() < ROWS_PER_READ as usize;
        let mut entries = page.entries;
        // Each of the two was cut somewhere; beyond the earlier cut the other must wait.
        if let Some(last) = entries.last().map(|entry| entry.seq)
            && last < page.tail
        {
            rows.retain(|row| row.seq <= last);
        } else if !are_all_rows && let Some(last) = rows.last().map(|row| row.seq) {
            entries.retain(|entry| entry.seq <= last);
        }
        let is_all_of_the_log = entries.last().is_none_or(|entry| entry.seq >= page.tail);
        let tail = page.tail.max(rows.last().map(|row| row.seq).unwrap_or_default());
        entries.extend(rows.into_iter().map(Arc::new));
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);

        let mut items = Vec::with_capacity(entries.len());
        let mut cursor = after;
        for entry in entries {
            if let Some(gap) = gap_before(cursor, &entry) {
                items.push(Item::Gap(gap));
            }
            cursor = entry.seq;
            items.push(Item::Entry(entry));
        }
        // What the log once had and cannot give any more, at its very end.
        if is_all_of_the_log && are_all_rows && cursor < page.tail {
            items.push(Item::Gap(Gap { from: cursor.next(), to: page.tail, reason: "lost" }));
            cursor = page.tail;
        }
        Ok(Stretch { items, through: cursor, tail })
    }
}

/// True if nothing is missing between the cursor and the page, nor within it.
fn follows(after: Seq, page: &Page) -> bool {
    let mut cursor = after;
    for entry in &page.entries {
        if gap_before(cursor, entry).is_some() {
            return false;
        }
        cursor = entry.seq;
    }
    // An empty page below the tail or behind the trim mark hides something.
    !page.entries.is_empty() || (after >= page.tail && after >= page.trimmed)
}

/// What is missing between a cursor and the entry that comes next.
fn gap_before(cursor: Seq, next: &Entry) -> Option<Gap> {
    let lost = |from: Seq, to: Seq| Some(Gap { from, to, reason: "lost" });
    if cursor.epoch() == next.seq.epoch() {
        return if next.seq == cursor.next() {
            None
        } else {
            lost(cursor.next(), Seq(next.seq.0 - 1))
        };
    }
    // A new epoch says itself how far the one before was kept.
    match continued_from(next) {
        Some(continues) if continues > cursor => lost(cursor.next(), continues),
        Some(continues) if continues < cursor => lost(continues.next(), cursor),
        Some(_) => None,
        None if cursor == Seq::START && next.seq.number() == 1 => None,
        None => lost(cursor.next(), Seq(next.seq.0 - 1)),
    }
}

fn continued_from(entry: &Entry) -> Option<Seq> {
    let Body::Trace(trace) = &entry.body else { return None };
    if trace.kind != TraceKind::RunTakenOver {
        return None;
    }
    trace.data.as_ref()?.get("continuesSeq")?.as_u64().map(Seq)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::{Level, TraceEvent};
    use crate::ids::Epoch;
    use crate::moment::Timestamp;

    fn entry(epoch: u32, number: u32, continues: Option<Seq>) -> Arc<Entry> {
        let kind =
            if continues.is_some() { TraceKind::RunTakenOver } else { TraceKind::NodeProgress };
        let trace = TraceEvent {
            node_ref: None,
            kind,
            level: Level::Info,
            message: String::new(),
            error: None,
            output_summary: None,
            data: continues.map(|seq| json!({ "continuesSeq": seq })),
            timestamp: Timestamp(0),
        };
        Arc::new(Entry { seq: Seq::new(Epoch(epoch), number), body: Body::Trace(trace) })
    }

    #[test]
    fn a_gap_has_exact_bounds() {
        let at = |epoch, number| Seq::new(Epoch(epoch), number);
        let takeover = entry(1, 1, Some(at(0, 5)));
        let cases = [
            (at(0, 0), entry(0, 1, None), None),
            (at(0, 3), entry(0, 4, None), None),
            (at(0, 3), entry(0, 7, None), Some((at(0, 4), at(0, 6)))),
            (at(0, 5), takeover.clone(), None),
            (at(0, 3), takeover.clone(), Some((at(0, 4), at(0, 5)))),
            (at(0, 8), takeover, Some((at(0, 6), at(0, 8)))),
        ];
        for (cursor, next, expected) in cases {
            let gap = gap_before(cursor, &next).map(|gap| (gap.from, gap.to));
            assert_eq!(gap, expected, "cursor {cursor}, next {}", next.seq);
        }
    }
}
