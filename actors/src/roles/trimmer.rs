//! Owns: how much of one run's log is kept though it is archived and recorded.
//! Takes: nothing; it watches both checkpoints.
//! Sends: room to the gate of the captures; trims to the log once `retention.hot_min_secs` have passed, at
//! once while the disk is nearly full.
//! Queue: marks that wait for their time, at most about 64.
//! Stops: with the group of the run.
//! Restart: yes; marks that waited are made anew at the next move of a checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::fail_point::fail_point;
use crate::flow::capture_gate::CaptureGate;
use crate::ids::{RunKey, Seq};
use crate::kernel::ExitStatus;
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

impl Trimmer {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>) -> ExitStatus {
        let (mut archived, mut recorded) = (self.archived.clone(), self.recorded.clone());
        let mut health = self.health.clone();
        // Archived, with what the archive counted, but maybe not recorded.
        let mut steps: VecDeque<ArchivedThrough> = VecDeque::new();
        let mut released = archived.borrow().bytes;
        let mut marks: VecDeque<(Seq, Instant)> = VecDeque::new();
        let mut trimmed = Seq::START;
        loop {
            let now_archived = *archived.borrow_and_update();
            if steps.back().is_none_or(|last| last.seq < now_archived.seq) {
                steps.push_back(now_archived);
            }
            let through = now_archived.seq.min(*recorded.borrow_and_update());
            while let Some(step) = steps.front().copied()
                && step.seq <= through
            {
                steps.pop_front();
                self.gate.recorded(step.bytes.saturating_sub(released));
                released = released.max(step.bytes);
            }
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
                        Ok(()) => trimmed = mark,
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
