//! The log of a run, wherever it is nearest: the own one for runs that this process owns, the replica for
//! those of other instances, and what is recorded where both have nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::{RunKey, Seq};
use crate::live_runs::LiveRuns;
use crate::ports::{LogError, Page, RecordingStore, Replica, RunLog, RunStore, StoreError, Wake};

/// How old may be what is known of the checkpoints of a run of another instance.
const CHECKPOINTS_AGE: Duration = Duration::from_secs(1);
/// Of how many runs checkpoints are remembered.
const RUNS_REMEMBERED: usize = 10_000;
/// How often followers of a run of another instance look, though nobody tells that it has grown.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the logs of all runs.
#[derive(Clone)]
pub(super) struct NearestReader {
    pub(super) log: Arc<dyn RunLog>,
    /// None if there is one instance alone: then its log has every run.
    pub(super) replica: Option<Arc<dyn Replica>>,
    pub(super) store: Arc<dyn RunStore>,
    pub(super) recordings: Arc<dyn RecordingStore>,
    pub(super) live: LiveRuns,
    recorded: Arc<Mutex<HashMap<RunKey, (Instant, Seq)>>>,
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
    /// there; what is recorded is as if it had been trimmed.
    pub(super) async fn read(
        &self,
        run: &RunKey,
        after: Seq,
        limit: usize,
    ) -> Result<Page, LogError> {
        let Some(replica) = self.remote(run) else {
            return self.log.read(run, after, limit).await;
        };
        let (page, away) = match replica.read(run, after, limit).await {
            Ok(page) if page.trimmed <= after && !page.entries.is_empty() => return Ok(page),
            Ok(page) => (page, None),
            Err(error @ LogError::Unavailable(_)) => (Page::default(), Some(error)),
            Err(error) => return Err(error),
        };
        // It is at its end, has trimmed, was emptied, is gone because all is recorded, or is away.
        let recorded = self.recorded_through(run).await?;
        match away {
            Some(error) if recorded <= after => Err(error),
            _ => {
                let trimmed = page.trimmed.max(recorded);
                let entries = if trimmed > after { Vec::new() } else { page.entries };
                Ok(Page { entries, trimmed, tail: page.tail.max(recorded) })
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

    /// Everything up to here is in rows and archive.
    async fn recorded_through(&self, run: &RunKey) -> Result<Seq, LogError> {
        if let Some((at, seq)) = self.lock().get(run)
            && at.elapsed() < CHECKPOINTS_AGE
        {
            return Ok(*seq);
        }
        let away = |error: StoreError| LogError::Unavailable(error.to_string());
        let (archived, _) = self.recordings.segments(run, None, Seq::MAX, 1).await.map_err(away)?;
        let stored = self.store.find(run).await.map_err(away)?;
        let recorded = stored.map_or(Seq::START, |stored| stored.view.last_seq.min(archived));
        let mut known = self.lock();
        if known.len() >= RUNS_REMEMBERED {
            known.clear();
        }
        known.insert(run.clone(), (Instant::now(), recorded));
        Ok(recorded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunKey, (Instant, Seq)>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
