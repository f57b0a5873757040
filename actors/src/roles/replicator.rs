//! Owns: how far the replica of one run is, and how much it holds.
//! Takes: nothing; it follows the log.
//! Sends: batches and trims to the replica; how far it is to the gate of the captures.
//! Queue: none; the log is its queue.
//! Stops: with the group of the run.
//! Restart: yes, from the tail of the replica.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::flow::capture_gate::CaptureGate;
use crate::flow::stretches::Stretches;
use crate::ids::{Epoch, RunKey, Seq};
use crate::kernel::{ChildContext, ExitStatus, KillSwitch, Shown};
use crate::live_runs::LiveRuns;
use crate::ports::{LogError, Page, Replica, ReplicaBatch, RunLog, Wake};
use crate::roles::archivist::ArchivedThrough;
use crate::roles::retry::Retry;

/// How much of the log is appended at once.
const READ_BYTES: usize = 512 * 1024;
/// The first wait after a failure; it doubles …
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// … up to this: terminals may wait for it. The replica itself asks a server that is away less often.
const RETRY_MAX: Duration = Duration::from_millis(500);

/// Follows one run into the replica.
pub struct Replicator {
    /// Which run.
    pub run: RunKey,
    /// Under which epoch.
    pub epoch: Epoch,
    /// What is followed.
    pub log: Arc<dyn RunLog>,
    /// Where it goes.
    pub replica: Arc<dyn Replica>,
    /// The archive's checkpoint.
    pub archived: watch::Receiver<ArchivedThrough>,
    /// The rows' checkpoint.
    pub recorded: watch::Receiver<Seq>,
    /// Up to where the replica has everything; kept beside the incarnations.
    pub replicated: Arc<watch::Sender<Seq>>,
    /// Learns how far the replica is.
    pub gate: CaptureGate,
    /// What the replica may hold of the run, in bytes as it counts them (`redis.max_bytes_per_run`).
    pub max_bytes: u64,
    /// How far the log is.
    pub live: LiveRuns,
    /// The group of the run.
    pub group: KillSwitch,
}

/// What a replicator shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplicatorState {
    replicated_through: Seq,
    lag_bytes: u64,
}

impl Replicator {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let replicator = self.clone();
        child.observe(move || replicator.shown());
        let mut wake = self.log.follow(&self.run);
        let mut retry = Retry::new(RETRY_FIRST, RETRY_MAX);
        loop {
            let Err(error) = self.replicate(&child, &mut wake, &mut retry).await;
            match error {
                LogError::Fenced { .. } => {
                    // No restart can mend this: the group goes, and its processes with it.
                    self.group.kill(ExitStatus::failed(error));
                    return ExitStatus::Killed;
                }
                // What nobody understands is of no use to anybody: it begins anew.
                LogError::Corrupt(_) => {
                    tracing::error!(run = %self.run, %error, "the replica is damaged");
                    drop(self.replica.remove(&self.run).await);
                }
                // It has forgotten where it was: from what it has now on.
                LogError::Behind { .. } => {}
                LogError::Unavailable(_) => {
                    metrics::counter!("runcast_replica_append_failures_total").increment(1);
                    // If it is there and its memory is used up, this makes room.
                    drop(self.replica.trim(&self.run, self.through()).await);
                }
            }
            retry.wait(&self.run, "the replica waits", &error).await;
        }
    }

    /// Goes on from where the replica is until that is lost.
    async fn replicate(
        &self,
        child: &ChildContext,
        wake: &mut Wake,
        retry: &mut Retry,
    ) -> Result<Infallible, LogError> {
        let tail = self.replica.fence(&self.run, self.epoch).await?;
        let (mut cursor, mut held) = self.measure(tail.trimmed, tail.seq).await?;
        self.note(cursor);
        let mut page = self.read_log(cursor).await;
        loop {
            let Some(last) = page.entries.last().map(|entry| entry.seq) else {
                wake.changed().await;
                page = self.read_log(cursor).await;
                continue;
            };
            let (bytes, count) = (self.cost(&page), page.entries.len() as u64);
            self.make_room(&mut held, bytes).await?;
            // What the log does not hold any more is recorded: others read it from there.
            let after = cursor.max(page.trimmed);
            let recorded = self.through().max(page.trimmed);
            let batch = ReplicaBatch { after, recorded, entries: page.entries };
            // The next page is read while this one travels.
            let appending = self.replica.append(&self.run, self.epoch, batch);
            let (appended, next) = tokio::join!(appending, self.read_log(last));
            appended?;
            page = next;
            retry.succeeded();
            child.handled(count);
            held.add(last, bytes);
            cursor = last;
            self.note(cursor);
        }
    }

    fn shown(&self) -> Shown {
        let replicated_through = *self.replicated.borrow();
        let lag_bytes = self.gate.unreplicated();
        Shown::new(ReplicatorState { replicated_through, lag_bytes })
            .with_queue(self.live.behind(&self.run, replicated_through))
    }

    fn note(&self, through: Seq) {
        self.gate.replicated(through);
        self.replicated.send_if_modified(|known| {
            let is_new = *known != through;
            *known = through;
            is_new
        });
    }

    /// Everything up to here is archived and in the rows.
    fn through(&self) -> Seq {
        self.archived.borrow().seq.min(*self.recorded.borrow())
    }

    async fn read_log(&self, after: Seq) -> Page {
        loop {
            match self.log.read(&self.run, after, READ_BYTES).await {
                Ok(page) => return page,
                Err(LogError::Unavailable(_)) => tokio::time::sleep(RETRY_FIRST).await,
                Err(error) => {
                    // Whoever else follows the log meets it, too; no restart mends it.
                    self.group.kill(ExitStatus::failed(error));
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// What the replica holds, as far as the log still has it; the rest is recorded, and goes. Also up to where
    /// both have the same: a log that lost its end in a power cut goes on in another way than what was copied,
    /// and that goes with the next batch.
    async fn measure(&self, after: Seq, through: Seq) -> Result<(Seq, Stretches), LogError> {
        let mut held = Stretches::new(self.max_bytes);
        let mut cursor = after;
        while cursor < through {
            let mut page = self.read_log(cursor).await;
            if page.trimmed > cursor {
                cursor = page.trimmed.min(through);
                self.replica.trim(&self.run, cursor).await?;
            }
            page.entries.retain(|entry| entry.seq <= through);
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { break };
            held.add(last, self.cost(&page));
            cursor = last;
        }
        Ok((cursor, held))
    }

    /// At the limit what is recorded goes at once; then it waits until more is.
    async fn make_room(&self, held: &mut Stretches, bytes: u64) -> Result<(), LogError> {
        let (mut archived, mut recorded) = (self.archived.clone(), self.recorded.clone());
        // A batch greater than the limit alone would wait for ever.
        while held.bytes() > 0 && held.bytes() + bytes > self.max_bytes {
            let through = archived.borrow_and_update().seq.min(*recorded.borrow_and_update());
            if held.settle(through) > 0 {
                self.replica.trim(&self.run, through).await?;
                continue;
            }
            // The senders live as long as the group.
            tokio::select! {
                _ = archived.changed() => {}
                _ = recorded.changed() => {}
            }
        }
        Ok(())
    }

    /// What the replica needs for a page.
    fn cost(&self, page: &Page) -> u64 {
        page.entries.iter().map(|entry| self.replica.cost(entry)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::capture_gate::GateLimits;
    use crate::ports::LogHealth;
    use crate::testing::log_memory::{MemoryLog, chunk_entry, run_key};
    use crate::testing::replica_conformance::chunks;
    use crate::testing::replica_memory::MemoryReplica;

    #[tokio::test(start_paused = true)]
    async fn what_only_the_replica_has_of_an_older_epoch_is_no_part_of_the_run() {
        let (log, replica, run) = (MemoryLog::new(), MemoryReplica::new(), run_key("r"));
        replica.fence(&run, Epoch(0)).await.expect("fenced");
        let batch = ReplicaBatch { entries: chunks(0, 1..=8), ..ReplicaBatch::default() };
        replica.append(&run, Epoch(0), batch).await.expect("appended");
        // A power cut has taken the last three out of the log, and its owner goes on with the exit.
        log.fence(&run, Epoch(0)).await.expect("fenced");
        log.append(&run, Epoch(0), chunks(0, 1..=5)).await.expect("appended");
        log.fence(&run, Epoch(1)).await.expect("fenced");
        let exit = chunk_entry(Seq::new(Epoch(1), 1), 5, 10);
        log.append(&run, Epoch(1), vec![exit]).await.expect("appended");

        let limits = GateLimits { unrecorded: 1 << 20, unreplicated: None };
        let log: Arc<dyn RunLog> = Arc::new(log);
        let replicated = Arc::new(watch::Sender::new(Seq::START));
        let replicator = Replicator {
            run: run.clone(),
            epoch: Epoch(1),
            log: log.clone(),
            replica: Arc::new(replica.clone()),
            archived: watch::channel(ArchivedThrough::default()).1,
            recorded: watch::channel(Seq::START).1,
            replicated: replicated.clone(),
            gate: CaptureGate::new(limits, watch::channel(LogHealth::Up).1),
            max_bytes: 1 << 20,
            live: LiveRuns::default(),
            group: KillSwitch::new(),
        };
        let following = tokio::time::timeout(
            Duration::from_secs(60),
            Arc::new(replicator).follow(crate::kernel::ChildContext::of_test()),
        );
        assert!(following.await.is_err(), "it goes on");
        let page = log.read(&run, Seq::START, usize::MAX).await.expect("read");
        assert_eq!(replica.entries(&run), page.entries);
        assert_eq!(*replicated.borrow(), page.tail);
    }
}
