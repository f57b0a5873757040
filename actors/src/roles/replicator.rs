//! Owns: how far the replica of one run is, and how much it holds.
//! Takes: nothing; it follows the log.
//! Sends: batches and trims to the replica; how far it is to the gate of the captures.
//! Queue: none; the log is its queue.
//! Stops: with the group of the run.
//! Restart: yes, from the tail of the replica.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::flow::capture_gate::CaptureGate;
use crate::flow::stretches::Stretches;
use crate::ids::{Epoch, RunKey, Seq};
use crate::kernel::{ExitStatus, KillSwitch};
use crate::ports::{LogError, Page, Replica, ReplicaBatch, RunLog, Wake};
use crate::roles::archivist::ArchivedThrough;

/// How much of the log is appended at once.
const READ_BYTES: usize = 512 * 1024;
/// The first wait after a failure; it doubles …
const RETRY: Duration = Duration::from_millis(100);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_secs(5);

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
    /// What the replica may hold of the run, in bytes of memory cost (`redis.max_bytes_per_run`).
    pub max_bytes: u64,
    /// The group of the run.
    pub group: KillSwitch,
}

impl Replicator {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>) -> ExitStatus {
        let mut wake = self.log.follow(&self.run);
        let mut tries = Tries::default();
        loop {
            match self.replicate(&mut wake, &mut tries).await {
                Lost::Fenced(error) => {
                    // No restart can mend this: the group goes, and its processes with it.
                    self.group.kill(ExitStatus::failed(error));
                    return ExitStatus::Killed;
                }
                Lost::Broken(error) => return ExitStatus::failed(error),
                // It has forgotten where it was: from what it has now on.
                Lost::Behind(error) => tries.wait(&self.run, &error).await,
                Lost::Away(error) => {
                    metrics::counter!("runcast_replica_append_failures_total").increment(1);
                    tries.wait(&self.run, &error).await;
                }
            }
        }
    }

    /// Goes on from where the replica is until it is lost.
    async fn replicate(&self, wake: &mut Wake, tries: &mut Tries) -> Lost {
        let tail = match self.replica.fence(&self.run, self.epoch).await {
            Ok(tail) => tail,
            Err(error) => return error.into(),
        };
        let mut cursor = tail.seq;
        let mut held = Stretches::new(self.max_bytes);
        // What an earlier incarnation appended is measured by the log, as far as that still has it.
        if let Err(error) = self.measure(&mut held, tail.trimmed, cursor).await {
            return Lost::Broken(error);
        }
        self.note(cursor);
        loop {
            let page = match self.log.read(&self.run, cursor, READ_BYTES).await {
                Ok(page) => page,
                Err(LogError::Unavailable(_)) => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Lost::Broken(error),
            };
            let Some(last) = page.entries.last().map(|entry| entry.seq) else {
                wake.changed().await;
                continue;
            };
            let bytes = cost(&page);
            if let Err(error) = self.make_room(&mut held, bytes).await {
                return error.into();
            }
            // What the log does not hold any more is recorded: others read it from there.
            let after = cursor.max(page.trimmed);
            let recorded = self.through().max(page.trimmed);
            let batch = ReplicaBatch { after, recorded, entries: page.entries };
            if let Err(error) = self.replica.append(&self.run, self.epoch, batch).await {
                return error.into();
            }
            tries.succeeded();
            held.add(last, bytes);
            cursor = last;
            self.note(cursor);
        }
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

    async fn measure(
        &self,
        held: &mut Stretches,
        after: Seq,
        through: Seq,
    ) -> Result<(), LogError> {
        let mut cursor = after;
        while cursor < through {
            let page = match self.log.read(&self.run, cursor, READ_BYTES).await {
                Ok(page) => page,
                Err(LogError::Unavailable(_)) => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { break };
            held.add(last.min(through), cost(&page));
            cursor = last;
        }
        Ok(())
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
}

fn cost(page: &Page) -> u64 {
    page.entries.iter().map(|entry| entry.memory_cost() as u64).sum()
}

/// Why it does not go on.
enum Lost {
    Fenced(LogError),
    Behind(LogError),
    Away(LogError),
    Broken(LogError),
}

impl From<LogError> for Lost {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Fenced { .. } => Self::Fenced(error),
            LogError::Behind { .. } => Self::Behind(error),
            LogError::Unavailable(_) => Self::Away(error),
            LogError::Corrupt(_) => Self::Broken(error),
        }
    }
}

/// The waits between tries, which double until one succeeds.
struct Tries {
    wait: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self { wait: RETRY }
    }
}

impl Tries {
    fn succeeded(&mut self) {
        self.wait = RETRY;
    }

    async fn wait(&mut self, run: &RunKey, error: &LogError) {
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%run, %error, wait_ms, "the replica waits");
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(RETRY_MAX);
    }
}
