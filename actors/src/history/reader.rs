//! The log of a run, wherever it is nearest: the own one for runs that this process owns, the replica for
//! those of other instances, and what is recorded where both have nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::holes::missing_before;
use crate::entry::Entry;
use crate::ids::{RunKey, Seq};
use crate::live_runs::LiveRuns;
use crate::ports::{LogError, Page, RecordingStore, Replica, RunLog, RunStore, StoreError, Wake};

/// How old may be what is known of the checkpoints of a run of another instance while the replica has it.
const CHECKPOINTS_AGE: Duration = Duration::from_secs(1);
/// How long the database may keep those waiting for whom the replica has something.
const DATABASE_PATIENCE: Duration = Duration::from_millis(500);
/// Of how many runs checkpoints are remembered.
const RUNS_REMEMBERED: usize = 10_000;
/// How often followers of a run of another instance look, though nobody tells that it has grown.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What rows and archive have of a run.
#[derive(Clone, Copy, Default)]
struct Recorded {
    /// Everything up to here.
    through: Seq,
    /// The run has ended, and that is everything.
    is_whole: bool,
}

/// The beginning of a page up to the first entry before which something is missing. A cursor that stands where
/// a later epoch did not go on is no hole.
fn dense(after: Seq, mut page: Page) -> Page {
    let mut cursor = after;
    let is_hole = |entry: &Arc<Entry>| {
        let missing = missing_before(cursor, entry);
        let is_hole = missing.is_some_and(|(from, _)| from > cursor);
        cursor = entry.seq;
        is_hole
    };
    if page.trimmed <= after
        && let Some(place) = page.entries.iter().position(is_hole)
    {
        page.entries.truncate(place);
        page.tail = page.entries.last().map_or(after, |last| last.seq);
    }
    page
}

/// Reads the logs of all runs.
#[derive(Clone)]
pub(super) struct NearestReader {
    log: Arc<dyn RunLog>,
    /// None if there is one instance alone: then its log has every run.
    replica: Option<Arc<dyn Replica>>,
    store: Arc<dyn RunStore>,
    recordings: Arc<dyn RecordingStore>,
    live: LiveRuns,
    recorded: Arc<Mutex<HashMap<RunKey, (Instant, Recorded)>>>,
}

impl NearestReader {
    pub(super) fn new(
        log: Arc<dyn RunLog>,
        replica: Option<Arc<dyn Replica>>,
        store: Arc<dyn RunStore>,
        recordings: Arc<dyn RecordingStore>,
        live: LiveRuns,
    ) -> Self {
        Self { log, replica, store, recordings, live, recorded: Arc::default() }
    }

    /// The replica, if the own log does not tell of this run.
    fn remote(&self, run: &RunKey) -> Option<&Arc<dyn Replica>> {
        self.replica.as_ref().filter(|_| !self.live.contains(run))
    }

    /// True if the own log has all that was acknowledged of the run.
    pub(super) fn is_own(&self, run: &RunKey) -> bool {
        self.remote(run).is_none()
    }

    /// As [`crate::ports::RunReader::read`]. What other instances have written and nobody here has yet is not
    /// there, nor what stands behind a hole: the owner fills it, or records what was really lost, which ends
    /// it. What is recorded is as if it had been trimmed.
    pub(super) async fn read(
        &self,
        run: &RunKey,
        after: Seq,
        limit: usize,
    ) -> Result<Page, LogError> {
        let Some(replica) = self.remote(run) else {
            return self.log.read(run, after, limit).await;
        };
        let (page, away) =
            match replica.read(run, after, limit).await.map(|page| dense(after, page)) {
                Ok(page) if page.trimmed <= after && !page.entries.is_empty() => return Ok(page),
                Ok(page) => (page, None),
                Err(error @ LogError::Unavailable(_)) => (Page::default(), Some(error)),
                Err(error) => return Err(error),
            };
        // It is at its end, has trimmed, was emptied, is gone because all is recorded, or is away. Where it has
        // nothing, the end of the run is known from what is recorded alone, and that must not be old.
        let Recorded { through, is_whole } = match page.tail {
            Seq::START => self.recorded(run, Duration::ZERO).await?,
            _ => self.recorded_about(run).await,
        };
        match away {
            Some(error) if through <= after && !is_whole => Err(error),
            _ => {
                let trimmed = page.trimmed.max(through);
                let entries = if trimmed > after { Vec::new() } else { page.entries };
                Ok(Page { entries, trimmed, tail: page.tail.max(through) })
            }
        }
    }

    pub(super) fn follow(&self, run: &RunKey) -> Wake {
        let wake = self.log.follow(run);
        // Also for a run of our own: another instance may own it next.
        match &self.replica {
            None => wake,
            Some(replica) => wake.or(replica.follow(run), LOOK_EVERY),
        }
    }

    /// What is recorded, as of about [`CHECKPOINTS_AGE`] ago, or longer if the database is slow or away: what
    /// the replica has goes on all the same.
    async fn recorded_about(&self, run: &RunKey) -> Recorded {
        let asked = self.recorded(run, CHECKPOINTS_AGE);
        if let Ok(Ok(recorded)) = tokio::time::timeout(DATABASE_PATIENCE, asked).await {
            return recorded;
        }
        let mut known = self.lock();
        let (at, recorded) =
            known.entry(run.clone()).or_insert((Instant::now(), Recorded::default()));
        *at = Instant::now();
        *recorded
    }

    /// What is recorded, as of at most this long ago.
    async fn recorded(&self, run: &RunKey, max_age: Duration) -> Result<Recorded, LogError> {
        if let Some((at, recorded)) = self.lock().get(run)
            && (recorded.is_whole || at.elapsed() < max_age)
        {
            return Ok(*recorded);
        }
        let away = |error: StoreError| LogError::Unavailable(error.to_string());
        let (archived, _) = self.recordings.segments(run, None, Seq::MAX, 1).await.map_err(away)?;
        let stored = self.store.find(run).await.map_err(away)?;
        let recorded = stored.map_or(Recorded::default(), |stored| {
            let (rows, has_ended) = (stored.view.last_seq, stored.view.status.is_terminal());
            Recorded { through: rows.min(archived), is_whole: has_ended && archived >= rows }
        });
        let mut known = self.lock();
        if known.len() >= RUNS_REMEMBERED {
            known.clear();
        }
        known.insert(run.clone(), (Instant::now(), recorded));
        Ok(recorded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunKey, (Instant, Recorded)>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
