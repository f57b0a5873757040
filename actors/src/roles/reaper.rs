//! Owns: nothing; it looks at what runs that have ended leave behind.
//! Takes: nothing.
//! Sends: deletes of superseded segments, trims of logs, removals by retention.
//! Queue: none; each look takes a bounded part, the rest waits for the next.
//! Stops: with the service.
//! Restart: yes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::fail_point::fail_point;
use crate::history::{History, HistoryError};
use crate::ids::{RunKey, Seq};
use crate::kernel::{ChildContext, ExitStatus};
use crate::moment::Timestamp;
use crate::ports::{ObjectKey, RunLog, RunStore, Runner};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// Directories stay for days: only every so many looks they are looked at.
const LOOKS_PER_LOOK_AT_DIRECTORIES: u32 = 12;
/// Objects or runs of one look.
const AT_ONCE: u32 = 200;

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The log of a run that has ended (`retention.hot_min_secs`).
    pub hot_min: Duration,
    /// Segments that a whole recording has replaced (`archive.delete_after_secs`).
    pub superseded: Duration,
    /// Recordings, from their end (`retention.recordings_days`); none: for ever.
    pub recordings: Option<Duration>,
    /// Directories in which nodes worked, from the end of their run (`retention.work_days`); none: for ever.
    pub work: Option<Duration>,
}

/// Cleans up behind runs that have ended.
pub struct Reaper {
    /// What is trimmed.
    pub log: Arc<dyn RunLog>,
    /// Which runs have ended.
    pub store: Arc<dyn RunStore>,
    /// What is kept of them.
    pub history: History,
    /// What has directories of runs.
    pub runner: Arc<dyn Runner>,
    /// How long.
    pub retention: Retention,
}

/// Which runs were looked at, of those that have something here.
#[derive(Default)]
struct Round {
    /// The last one.
    last: Option<RunKey>,
    /// Those of which nothing can go any more while they are here.
    done: HashSet<RunKey>,
}

impl Round {
    /// Those of this look: it goes on behind the last, and after the end at the beginning.
    fn next(&mut self, mut runs: Vec<RunKey>) -> Vec<RunKey> {
        runs.sort_unstable();
        self.done.retain(|run| runs.binary_search(run).is_ok());
        runs.retain(|run| !self.done.contains(run));
        let seen = self.last.as_ref().map_or(0, |last| runs.partition_point(|run| run <= last));
        runs.rotate_left(seen);
        runs.truncate(AT_ONCE as usize);
        self.last = runs.last().cloned();
        runs
    }
}

impl Reaper {
    /// One incarnation.
    pub async fn look(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let (mut logs, mut directories) = (Round::default(), Round::default());
        let mut looks: u32 = 0;
        loop {
            let mut results = vec![
                self.delete_superseded().await,
                self.trim_ended(&mut logs).await,
                self.expire().await,
            ];
            if looks.is_multiple_of(LOOKS_PER_LOOK_AT_DIRECTORIES) {
                results.push(self.remove_directories(&mut directories).await);
            }
            for error in results.into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "what runs left behind was not cleaned up");
            }
            looks = looks.wrapping_add(1);
            child.handled(1);
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn delete_superseded(&self) -> Result<(), HistoryError> {
        let archive = self.history.archive();
        let before = Timestamp::now().minus(self.retention.superseded);
        let objects = archive.recordings().superseded(before, AT_ONCE).await?;
        if objects.is_empty() {
            return Ok(());
        }
        let mut deleted = Vec::with_capacity(objects.len());
        for object in objects {
            match archive.objects().delete(&object).await {
                Ok(()) => deleted.push(object),
                // One that does not go must not keep the others.
                Err(error) => tracing::warn!(%object, %error, "an object was not deleted"),
            }
            fail_point("archive.segment_deleted");
        }
        Ok(archive.recordings().forget_superseded(&deleted).await?)
    }

    /// What an owner leaves in the log is trimmed here when its time has come, also after a restart.
    async fn trim_ended(&self, round: &mut Round) -> Result<(), HistoryError> {
        let ended_before = Timestamp::now().minus(self.retention.hot_min);
        for run in round.next(self.log.runs().await?) {
            if self.history.live().contains(&run) {
                continue;
            }
            let Some(stored) = self.store.find(&run).await? else { continue };
            if stored.purged {
                // Another instance was asked.
                self.log.remove(&run).await?;
                continue;
            }
            let view = &stored.view;
            let is_due = view.status.is_terminal()
                && view.recordings.live == 0
                && view.finished_at.is_some_and(|finished| finished <= ended_before);
            if !is_due {
                continue;
            }
            let (archived, _) =
                self.history.archive().recordings().segments(&run, None, Seq::MAX, 1).await?;
            self.log.trim(&run, archived.min(view.last_seq)).await?;
            round.done.insert(run);
        }
        Ok(())
    }

    /// The instance on which nodes worked looks after what they left there; nobody else can.
    async fn remove_directories(&self, round: &mut Round) -> Result<(), HistoryError> {
        let ended_before = self.retention.work.map(|keep| Timestamp::now().minus(keep));
        for run in round.next(self.runner.directories().await) {
            if self.history.live().contains(&run) {
                continue;
            }
            // One that this database does not know may be of another one.
            let Some(stored) = self.store.find(&run).await? else { continue };
            let is_over = || {
                let (finished, before) = (stored.view.finished_at?, ended_before?);
                Some(stored.view.status.is_terminal() && finished <= before)
            };
            if stored.purged || is_over().unwrap_or(false) {
                self.runner.remove_directory(&run).await;
            }
        }
        Ok(())
    }

    async fn expire(&self) -> Result<(), HistoryError> {
        let Some(keep) = self.retention.recordings else { return Ok(()) };
        let before = Timestamp::now().minus(keep);
        let archive = self.history.archive();
        for run in archive.recordings().expired(before, AT_ONCE).await? {
            if let Err(error) = self.expire_run(&run).await {
                tracing::warn!(%run, %error, "the recordings of the run were not removed");
            }
        }
        Ok(())
    }

    async fn expire_run(&self, run: &RunKey) -> Result<(), HistoryError> {
        let archive = self.history.archive();
        // The rows go first: a reader that finds them finds the objects too, or learns that they went.
        archive.recordings().expire(run).await?;
        fail_point("retention.rows_expired");
        self.history.forget(run);
        let prefix = ObjectKey::run_prefix(run);
        archive.objects().remove_all(&prefix).await.map_err(HistoryError::Archive)?;
        fail_point("retention.objects_removed");
        archive.recordings().forget_objects(run).await?;
        tracing::info!(%run, "the recordings of the run were removed: their time is over");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_memory::run_key;

    #[test]
    fn logs_are_looked_at_in_turn_and_once_trimmed_no_more() {
        let at_once = AT_ONCE as usize;
        let all: Vec<RunKey> =
            (0..2 * at_once + 50).map(|n| run_key(&format!("r{n:04}"))).collect();
        let mut held = all.clone();
        held.reverse();
        let mut round = Round::default();
        assert_eq!(round.next(held.clone()), all[..at_once]);
        round.done.extend(all[..10].iter().cloned());
        assert_eq!(round.next(held.clone()), all[at_once..2 * at_once]);
        let next: Vec<RunKey> = all[2 * at_once..].iter().chain(&all[10..]).cloned().collect();
        assert_eq!(round.next(held.clone()), next[..at_once]);

        assert_eq!(round.next(all[5..15].to_vec()).len(), 5);
        assert_eq!(round.done.len(), 5, "what the log does not hold is forgotten");
        assert!(round.next(Vec::new()).is_empty());
        assert_eq!(round.next(all[..3].to_vec()), all[..3]);
    }
}
