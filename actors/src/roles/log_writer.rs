//! Owns: the numbers of a run and everything of it that the log has not acknowledged.
//! Takes: drafts from the inbox of the run.
//! Sends: batches to the log; what gathers while one append is under way is the next batch.
//! Queue: the inbox, bounded by byte permits, which are released when the log has acknowledged.
//! Stops: never by itself; its group ends it when the run's last entry is acknowledged.
//! Restart: yes; what was not acknowledged is kept beside it and appended again, repeats change nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::entry::{Body, Entry};
use crate::flow::capture_gate::CaptureGate;
use crate::flow::draft::Draft;
use crate::flow::inbox::Inbox;
use crate::flow::permits::BytePermit;
use crate::flow::sequencer::Sequencer;
use crate::ids::{Epoch, RunKey, Seq};
use crate::kernel::{ChildContext, ExitStatus, KillSwitch, Shown};
use crate::live_runs::LiveRun;
use crate::ports::{LogError, RunLog};
use crate::roles::retry::Retry;

/// Bytes of one append, at most.
const BATCH_BYTES: usize = 1024 * 1024;
/// The first wait after a failed append; it doubles …
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What outlives an incarnation of the writer.
pub struct Journal {
    run: RunKey,
    epoch: Epoch,
    log: Arc<dyn RunLog>,
    inbox: Arc<Inbox>,
    gate: CaptureGate,
    state: Mutex<State>,
    acknowledged: watch::Sender<Acknowledged>,
    group: KillSwitch,
    live: LiveRun,
}

/// Up to where the log has acknowledged.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    seq: Seq,
    count: u64,
}

/// What a writer shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogWriterState {
    epoch: Epoch,
    acknowledged_through: Seq,
    /// Entries that the log is taking.
    unacknowledged: u64,
}

struct State {
    sequencer: Sequencer,
    unacknowledged: VecDeque<(Arc<Entry>, Option<BytePermit>)>,
}

impl Journal {
    /// The journal of a run under this epoch, after [`RunLog::fence`].
    #[expect(clippy::too_many_arguments, reason = "each is a part of the run, named once")]
    pub fn new(
        run: RunKey,
        epoch: Epoch,
        log: Arc<dyn RunLog>,
        inbox: Arc<Inbox>,
        gate: CaptureGate,
        sequencer: Sequencer,
        group: KillSwitch,
        live: LiveRun,
    ) -> Self {
        let acknowledged = watch::Sender::new(Acknowledged { seq: sequencer.last(), count: 0 });
        let state = Mutex::new(State { sequencer, unacknowledged: VecDeque::new() });
        Self { run, epoch, log, inbox, gate, state, acknowledged, group, live }
    }

    /// Waits until everything that was pushed before this call is acknowledged, and tells the last number.
    pub async fn flushed(&self) -> Seq {
        let pushed = self.inbox.ever_pushed();
        let mut acknowledged = self.acknowledged.subscribe();
        loop {
            let now = *acknowledged.borrow_and_update();
            if now.count >= pushed {
                return now.seq;
            }
            if acknowledged.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// One incarnation of the writer.
    pub async fn write(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let journal = self.clone();
        child.observe(move || journal.shown());
        loop {
            if self.lock().unacknowledged.is_empty() {
                let drafts = self.inbox.take(BATCH_BYTES).await;
                // Nothing waits between the two, so a stop loses nothing that was taken.
                self.number(drafts);
            }
            match self.append().await {
                Ok(count) => child.handled(count),
                Err(status) => return status,
            }
        }
    }

    fn number(&self, drafts: Vec<Draft>) {
        let mut state = self.lock();
        for draft in drafts {
            let entry = Arc::new(state.sequencer.number(draft.body));
            if let Body::Trace(event) = &entry.body {
                let level = event.level.as_str();
                metrics::counter!("runcast_trace_events_total", "level" => level).increment(1);
            }
            state.unacknowledged.push_back((entry, draft.permit));
        }
    }

    fn shown(&self) -> Shown {
        let unacknowledged = self.lock().unacknowledged.len() as u64;
        let acknowledged_through = self.acknowledged.borrow().seq;
        Shown::new(LogWriterState { epoch: self.epoch, acknowledged_through, unacknowledged })
            .with_queue(self.inbox.len() as u64 + unacknowledged)
    }

    /// Returns how many entries were appended.
    async fn append(&self) -> Result<u64, ExitStatus> {
        let batch: Vec<Arc<Entry>> =
            self.lock().unacknowledged.iter().map(|(entry, _)| entry.clone()).collect();
        let Some(last) = batch.last().map(|entry| entry.seq) else { return Ok(0) };
        let (count, bytes) =
            (batch.len(), batch.iter().map(|entry| entry.memory_cost() as u64).sum());
        let mut retry = Retry::new(RETRY_FIRST, RETRY_MAX);
        loop {
            match self.log.append(&self.run, self.epoch, batch.clone()).await {
                Ok(()) => break,
                Err(error @ (LogError::Fenced { .. } | LogError::Behind { .. })) => {
                    tracing::error!(run = %self.run, %error, "this instance is not the owner any more");
                    // No restart can mend this: the group goes, and its processes with it.
                    self.group.kill(ExitStatus::failed(&error));
                    return Err(ExitStatus::Killed);
                }
                Err(error) => retry.wait(&self.run, "append failed", &error).await,
            }
        }
        self.live.acknowledged(&batch);
        self.gate.appended(last, bytes);
        self.lock().unacknowledged.drain(..count);
        self.acknowledged.send_modify(|acknowledged| {
            acknowledged.seq = last;
            acknowledged.count += count as u64;
        });
        Ok(count as u64)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
