//! Owns: the rows' checkpoint of one run.
//! Takes: nothing; it follows the log.
//! Sends: `status` and `trace` entries to the database, with the checkpoint in the same transaction.
//! Queue: none; the log is its queue.
//! Stops: when the run's last entry is recorded.
//! Restart: yes, from the checkpoint; repeats change nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::entry::{Body, Entry};
use crate::fail_point::fail_point;
use crate::ids::{Epoch, RunKey, Seq};
use crate::kernel::{ChildContext, ExitStatus, KillSwitch, Shown};
use crate::live_runs::LiveRuns;
use crate::ports::{LogError, RecordBatch, RunLog, RunStore, StoreError};
use crate::roles::retry::Retry;

/// How much of the log is looked through at once.
const READ_BYTES: usize = 1024 * 1024;
/// How many entries are written at once, at most.
const BATCH_ENTRIES: usize = 500;
/// How often the checkpoint is moved while only terminals are busy.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// The first wait after a failed write; it doubles …
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Follows one run into the database.
pub struct Recorder {
    /// Which run.
    pub run: RunKey,
    /// Under which epoch.
    pub epoch: Epoch,
    /// What is followed.
    pub log: Arc<dyn RunLog>,
    /// Where the rows are.
    pub store: Arc<dyn RunStore>,
    /// Up to where everything is recorded; kept beside the incarnations.
    pub recorded: Arc<watch::Sender<Seq>>,
    /// How far the log is.
    pub live: LiveRuns,
    /// The group of the run.
    pub group: KillSwitch,
}

/// What a recorder shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecorderState {
    recorded_through: Seq,
}

impl Recorder {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let recorder = self.clone();
        child.observe(move || recorder.shown());
        let mut wake = self.log.follow(&self.run);
        let mut cursor = *self.recorded.borrow();
        let mut gathered: Vec<Arc<Entry>> = Vec::new();
        let mut written_at = tokio::time::Instant::now();
        loop {
            let page = match self.log.read(&self.run, cursor, READ_BYTES).await {
                Ok(page) => page,
                Err(LogError::Unavailable(_)) => {
                    tokio::time::sleep(RETRY_FIRST).await;
                    continue;
                }
                Err(error) => return ExitStatus::failed(error),
            };
            if page.entries.is_empty() && cursor <= *self.recorded.borrow() {
                wake.changed().await;
                continue;
            }
            let count = page.entries.len() as u64;
            cursor = page.entries.last().map_or(cursor, |entry| entry.seq);
            let rows =
                page.entries.into_iter().filter(|entry| !matches!(entry.body, Body::Terminal(_)));
            gathered.extend(rows);
            child.handled(count);
            let caught_up = cursor >= page.tail;
            let due = written_at.elapsed() >= CHECKPOINT_EVERY;
            if gathered.is_empty() && !due && !caught_up {
                continue;
            }
            if gathered.is_empty() && !due {
                // Only terminal output so far: the checkpoint may wait a little for more.
                tokio::select! {
                    () = wake.changed() => continue,
                    () = tokio::time::sleep_until(written_at + CHECKPOINT_EVERY) => {}
                }
            }
            if let Err(status) = self.write(&mut gathered, cursor).await {
                return status;
            }
            written_at = tokio::time::Instant::now();
        }
    }

    fn shown(&self) -> Shown {
        let recorded_through = *self.recorded.borrow();
        Shown::new(RecorderState { recorded_through })
            .with_queue(self.live.behind(&self.run, recorded_through))
    }

    async fn write(&self, gathered: &mut Vec<Arc<Entry>>, through: Seq) -> Result<(), ExitStatus> {
        loop {
            let rest = gathered.split_off(gathered.len().min(BATCH_ENTRIES));
            let entries = std::mem::replace(gathered, rest);
            let upto = if gathered.is_empty() {
                through
            } else {
                entries.last().map_or(through, |entry| entry.seq)
            };
            self.write_batch(RecordBatch { entries, through: upto }).await?;
            fail_point("recorder.rows_written");
            self.recorded.send_replace(upto);
            if gathered.is_empty() {
                return Ok(());
            }
        }
    }

    async fn write_batch(&self, batch: RecordBatch) -> Result<(), ExitStatus> {
        let mut retry = Retry::new(RETRY_FIRST, RETRY_MAX);
        loop {
            match self.store.record(&self.run, self.epoch, batch.clone()).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Fenced(epoch)) => {
                    // No restart can mend this: the group goes, and its processes with it.
                    let error = format!("epoch {epoch} of the run is fenced");
                    self.group.kill(ExitStatus::failed(error));
                    return Err(ExitStatus::Killed);
                }
                Err(StoreError::Broken(error)) => return Err(ExitStatus::failed(error)),
                Err(error @ StoreError::Unavailable(_)) => {
                    metrics::counter!("runcast_rows_failures_total").increment(1);
                    retry.wait(&self.run, "rows were not written", &error).await;
                }
            }
        }
    }
}
