//! Owns: how much of one run's log is kept though it is archived and recorded.
//! Takes: nothing; it watches both checkpoints.
//! Sends: room to the gate of the captures; trims to the log once `retention.hot_min_secs` have passed, at
//! once while the disk is nearly full.
//! Queue: marks that wait for their time, at most about 64.
//! Stops: with the group of the run.
//! Restart: yes; marks that waited are made anew at the next move of a checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fail_point::fail_point;
use crate::flow::capture_gate::CaptureGate;
use crate::ids::{RunKey, Seq};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::ports::{LogHealth, RunLog};
use crate::roles::archivist::ArchivedThrough;

/// Marks that are nearer to each other than this part of the time that they wait are one.
const MARKS: u32 = 64;

/// Trims the log of one run behind its checkpoints.
pub struct Trimmer {
    /// Which run.
    pub run: RunKey,
    /// What is trimmed.
    pub log: Arc<dyn RunLog>,
    /// The archive's checkpoint.
    pub archived: watch::Receiver<ArchivedThrough>,
    /// The rows' checkpoint.
    pub recorded: watch::Receiver<Seq>,
    /// Learns what needs the log no more.
    pub gate: CaptureGate,
    /// How long the log keeps what it need not keep (`retention.hot_min_secs`).
    pub hot_min: Duration,
    /// While the disk is nearly full, everything goes that may.
    pub health: watch::Receiver<LogHealth>,
}

/// What a trimmer shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TrimmerState {
    trimmed_through: Seq,
}

impl Trimmer {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let trimmed_through = Arc::new(AtomicU64::new(0));
        let shown = trimmed_through.clone();
        child.observe(move || {
            let trimmed_through = Seq(shown.load(Ordering::Relaxed));
            Shown::new(TrimmerState { trimmed_through })
        });
        let (mut archived, mut recorded) = (self.archived.clone(), self.recorded.clone());
        let mut health = self.health.clone();
        let mut marks: VecDeque<(Seq, Instant)> = VecDeque::new();
        let mut trimmed = Seq::START;
        loop {
            let through = archived.borrow_and_update().seq.min(*recorded.borrow_and_update());
            self.gate.recorded(through);
            if through > trimmed {
                self.mark(&mut marks, through);
            }
            let is_low = *health.borrow_and_update() == LogHealth::LowOnDisk;
            while let Some((mark, at)) = marks.front().copied()
                && (at.elapsed() >= self.hot_min || is_low)
            {
                marks.pop_front();
                if mark > trimmed {
                    match self.log.trim(&self.run, mark).await {
                        Ok(()) => {
                            trimmed = mark;
                            trimmed_through.store(mark.0, Ordering::Relaxed);
                            child.handled(1);
                        }
                        Err(error) => {
                            tracing::warn!(run = %self.run, %error, "the log was not trimmed");
                        }
                    }
                    fail_point("archive.trimmed");
                }
            }
            let due = marks.front().map(|(_, at)| *at + self.hot_min);
            tokio::select! {
                changed = archived.changed() => if changed.is_err() { return ExitStatus::Finished },
                changed = recorded.changed() => if changed.is_err() { return ExitStatus::Finished },
                changed = health.changed() => if changed.is_err() { return ExitStatus::Finished },
                () = sleep_until(due) => {}
            }
        }
    }

    fn mark(&self, marks: &mut VecDeque<(Seq, Instant)>, through: Seq) {
        let now = Instant::now();
        if marks.back().is_some_and(|(mark, _)| *mark >= through) {
            return;
        }
        // One that is near enough to the last takes its place: it waits a little longer.
        if marks.len() > 1 && marks[marks.len() - 2].1 + self.hot_min / MARKS > now {
            marks.pop_back();
        }
        marks.push_back((through, now));
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::capture_gate::GateLimits;
    use crate::testing::log_memory::{MemoryLog, run_key};

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn room_comes_back_also_when_an_incarnation_ends_between_two_checkpoints() {
        let (archived, archived_through) = watch::channel(ArchivedThrough::default());
        let (recorded, recorded_through) = watch::channel(Seq::START);
        let (_health, health) = watch::channel(LogHealth::Up);
        let gate = CaptureGate::new(
            GateLimits { unrecorded: 1 << 20, unreplicated: None },
            health.clone(),
        );
        let trimmer = Arc::new(Trimmer {
            run: run_key("r"),
            log: Arc::new(MemoryLog::new()),
            archived: archived_through,
            recorded: recorded_through,
            gate: gate.clone(),
            hot_min: Duration::from_secs(3600),
            health,
        });
        gate.appended(Seq(5), 5000);
        gate.appended(Seq(9), 9000);
        let mut left = Vec::new();
        for (archive, rows) in [(5, 0), (5, 5), (9, 5), (9, 9)] {
            let following =
                tokio::task::spawn_local(trimmer.clone().follow(ChildContext::of_test()));
            archived.send_modify(|archived| archived.seq = Seq(archive));
            recorded.send_replace(Seq(rows));
            tokio::time::sleep(Duration::from_secs(1)).await;
            following.abort();
            left.push(gate.unrecorded());
        }
        assert_eq!(left, [14_000, 9000, 9000, 0]);
    }
}
