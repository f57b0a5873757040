//! The history of a run behind one function with one cursor, wherever its pieces are kept.
//!
//! Entries come from the log. What the log does not hold any more is looked for among the recorded rows,
//! which have every `status` and `trace`, and in the archive, which has every chunk; what exists nowhere
//! is told as a [`Gap`], never left out.

mod holes;
mod reader;
mod stretch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::stretch::{Gap, HistoryError, Item, Source, StreamPlace, Stretch, Wanted};

use self::holes::{follows, missing_before};
use self::reader::NearestReader;
use crate::archive::{Archive, BlockCache, is_of};
use crate::entry::Body;
use crate::ids::{ChunkIndex, RunKey, Seq, StreamKey};
use crate::live_runs::{LiveRuns, apply};
use crate::ports::{LogError, Page, Replica, RunLog, RunStore, StoredRun, Wake};

/// Reads runs.
#[derive(Clone)]
pub struct History {
    log: NearestReader,
    store: Arc<dyn RunStore>,
    archive: Arc<Archive>,
    /// What was put together from rows and archive last.
    blocks: Arc<BlockCache>,
    /// What this process owns.
    live: LiveRuns,
    /// Whether the rows of a run know more than its log, asked once a run: only a crash of the machine
    /// or a damaged log can cause it, never this process.
    rows_ahead: Arc<Mutex<HashMap<RunKey, bool>>>,
}

/// How many rows are read at once where the log has a hole.
const ROWS_PER_READ: u32 = 500;
/// Of how many runs it is remembered whether their rows know more than their log.
const RUNS_REMEMBERED: usize = 10_000;
/// How much of the log is looked through at once for changes that the rows do not have yet.
const VIEW_READ_BYTES: usize = 1024 * 1024;
/// How much is put together at once from rows and archive, for those who read on from there.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How much of that is kept, over all runs.
const BLOCKS_BYTES: usize = 16 * 1024 * 1024;

impl History {
    /// Over this log, these rows and this archive, and over the replica of what other instances own.
    pub fn new(
        log: Arc<dyn RunLog>,
        replica: Option<Arc<dyn Replica>>,
        store: Arc<dyn RunStore>,
        archive: Arc<Archive>,
    ) -> Self {
        let (live, recordings) = (LiveRuns::default(), archive.recordings().clone());
        let log = NearestReader::new(log, replica, store.clone(), recordings, live.clone());
        Self {
            log,
            store,
            archive,
            blocks: Arc::new(BlockCache::new(BLOCKS_BYTES)),
            live,
            rows_ahead: Arc::default(),
        }
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
            let page = match self.log.read(run, cursor, VIEW_READ_BYTES).await {
                Ok(page) => page,
                // Without the replica a run of another instance is told as of its rows.
                Err(LogError::Unavailable(_)) if !self.log.is_own(run) => return Ok(Some(stored)),
                Err(error) => return Err(error.into()),
            };
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

    /// What the log does not hold any more.
    pub fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    /// What is remembered of the run is not so any more: it was purged, or its recordings were.
    pub fn forget(&self, run: &RunKey) {
        self.blocks.forget(run);
        self.archive.forget(run);
    }

    /// What stands after the cursor, at most `limit` bytes of memory cost, but at least one item if there is one.
    pub async fn read(
        &self,
        run: &RunKey,
        after: Seq,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        if let Some(known) = self.blocks.read(run, after, limit) {
            return Ok(known);
        }
        let page = self.log.read(run, after, limit).await?;
        if follows(after, &page) && !self.are_rows_ahead(run).await? {
            let through = page.entries.last().map_or(after, |entry| entry.seq);
            let items = page.entries.into_iter().map(Item::Entry).collect();
            return Ok(Stretch { items, through, tail: page.tail, source: Source::Log });
        }
        if page.trimmed <= after {
            return self.read_around_a_hole(run, after, page, limit).await;
        }
        // Rows and archive have all of it, and it never changes.
        let limit_of_block = limit.max(BLOCK_BYTES);
        let trimmed = Page { entries: Vec::new(), ..page };
        let stretch = self.read_around_a_hole(run, after, trimmed, limit_of_block).await?;
        self.blocks.put(run, after, Arc::new(stretch.clone()));
        Ok(self.blocks.read(run, after, limit).unwrap_or(stretch))
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
            let page = self.log.read(run, cursor, 1).await?;
            let is_trimmed = page.trimmed > cursor;
            let mut stretch = if is_trimmed {
                self.archived_stream(run, stream, cursor, &page, limit).await?
            } else {
                self.read(run, cursor, limit).await?
            };
            // Where the archive has no more of the stream, the log may.
            let goes_on = is_trimmed && stretch.through > cursor;
            cursor = stretch.through;
            let is_last = cursor >= stretch.tail || (stretch.items.is_empty() && !goes_on);
            stretch.items.retain(|item| match item {
                Item::Entry(entry) => is_of(entry, stream),
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
        run: &RunKey,
        stream: &StreamKey,
        wanted: Wanted,
    ) -> Result<StreamPlace, HistoryError> {
        Ok(self.archive.nearest(run, stream, wanted).await?)
    }

    /// The last entry there is now.
    pub async fn tail(&self, run: &RunKey) -> Result<Seq, HistoryError> {
        let tail = self.log.read(run, Seq::MAX, 1).await?.tail;
        if !self.are_rows_ahead(run).await? {
            return Ok(tail);
        }
        let recorded = self.store.find(run).await?.map(|stored| stored.view.last_seq);
        Ok(tail.max(recorded.unwrap_or_default()))
    }

    /// Wakes when the run has grown. Register first, then read, then wait.
    pub fn follow(&self, run: &RunKey) -> Wake {
        self.log.follow(run)
    }

    async fn are_rows_ahead(&self, run: &RunKey) -> Result<bool, HistoryError> {
        // The replica of another instance's run may come after its rows.
        if !self.log.is_own(run) {
            return Ok(false);
        }
        if let Some(known) = self.lock_rows_ahead().get(run) {
            return Ok(*known);
        }
        let Some(stored) = self.store.find(run).await? else { return Ok(false) };
        // The log is asked after the rows, which follow it.
        let tail = self.log.read(run, Seq::MAX, 1).await?.tail;
        let ahead = !stored.purged && stored.view.last_seq > tail;
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

    /// What a stream has in the archive after the cursor, as far as the log is trimmed.
    async fn archived_stream(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        after: Seq,
        page: &Page,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        let upto = page.trimmed;
        let found = self.archive.read(run, Some(stream), after, upto, limit).await?;
        let mut items = Vec::with_capacity(found.entries.len());
        let mut last: Option<(Seq, ChunkIndex)> = None;
        for entry in found.entries {
            let Body::Terminal(chunk) = &entry.body else { continue };
            // Before the first one is only known to be missing what no reader had before.
            let expected = last.map(|(seq, index)| (seq, index.next()));
            let expected = expected.or((after == Seq::START).then_some((after, ChunkIndex(0))));
            if let Some((seq, index)) = expected
                && chunk.index > index
            {
                let (from, to) = (seq.next(), Seq(entry.seq.0 - 1));
                items.push(Item::Gap(self.gap(run, from, to).await?));
            }
            last = Some((entry.seq, chunk.index));
            items.push(Item::Entry(entry));
        }
        Ok(Stretch { items, through: found.through, tail: page.tail, source: Source::Archive })
    }

    /// Names what is missing: it was lost, unless retention has removed it.
    async fn gap(&self, run: &RunKey, from: Seq, to: Seq) -> Result<Gap, HistoryError> {
        let recordings = self.archive.recordings().recordings(run).await?;
        let is_purged = recordings.iter().any(|recording| recording.purged_at.is_some());
        Ok(Gap { from, to, reason: if is_purged { "purged" } else { "lost" } })
    }

    /// Fills what the log lacks after the cursor from the rows, which have every `status` and `trace`, and
    /// from the archive, which has every chunk. What is in none of them is a gap.
    async fn read_around_a_hole(
        &self,
        run: &RunKey,
        after: Seq,
        page: Page,
        limit: usize,
    ) -> Result<Stretch, HistoryError> {
        // Rows and archive are asked after the log: whatever the log had trimmed by then is there by now.
        let rows = self.store.history(run, after, ROWS_PER_READ).await?;
        let is_trimmed = page.trimmed > after;
        let upto = if is_trimmed { page.trimmed } else { Seq::MAX };
        let archived = self.archive.read(run, None, after, upto, limit).await?;

        // Each source was cut somewhere; beyond the earliest cut the others must wait.
        let cut_of_rows = rows.last().filter(|_| rows.len() >= ROWS_PER_READ as usize);
        let is_all_of_the_log = page.entries.last().is_none_or(|last| last.seq >= page.tail);
        let has_grown = self.log.read(run, Seq::MAX, 1).await?.tail > page.tail;
        let cut_of_log = match page.entries.last() {
            Some(last) if !is_all_of_the_log => Some(last.seq),
            // The rows may tell of what the log got meanwhile, or the replica not yet; its chunks come with the
            // next read.
            _ if (has_grown || !self.log.is_own(run)) && page.tail > after => Some(page.tail),
            _ => None,
        };
        let cuts = [
            cut_of_rows.map(|row| row.seq),
            cut_of_log,
            (!archived.is_all).then_some(archived.through),
            is_trimmed.then_some(page.trimmed),
        ];
        let cut = cuts.into_iter().flatten().min();
        let ends = [rows.last(), archived.entries.last().map(AsRef::as_ref)];
        let end = ends.into_iter().flatten().map(|entry| entry.seq).max().unwrap_or_default();
        let tail = page.tail.max(end);

        let mut entries = page.entries;
        entries.extend(rows.into_iter().map(Arc::new));
        entries.extend(archived.entries);
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        entries.retain(|entry| cut.is_none_or(|cut| entry.seq <= cut));

        let mut items = Vec::with_capacity(entries.len());
        let mut cursor = after;
        for entry in entries {
            if let Some((from, to)) = missing_before(cursor, &entry) {
                items.push(Item::Gap(self.gap(run, from, to).await?));
            }
            cursor = entry.seq;
            items.push(Item::Entry(entry));
        }
        // What there once was up to the cut, or to the very end, and nobody can give any more.
        let end = cut.unwrap_or(tail);
        if cursor < end {
            items.push(Item::Gap(self.gap(run, cursor.next(), end).await?));
            cursor = end;
        }
        Ok(Stretch { items, through: cursor, tail, source: Source::Archive })
    }
}
