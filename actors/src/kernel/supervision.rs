//! The life of one child: incarnation after incarnation, until it ends for good.
//!
//! It runs on the arbiter of the child. Whatever happens to it, also when the arbiter goes away, the
//! child is told of as ended.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::observation::Observed;
use super::restart_policy::Decision;
use super::{ChildContext, ExitCell, ExitStatus, KillSwitch, RestartPolicy};

/// One child and everything that decides about it.
pub(super) struct Supervision {
    pub(super) name: &'static str,
    pub(super) policy: RestartPolicy,
    pub(super) grace: Duration,
    pub(super) group: KillSwitch,
    pub(super) kill_switch: KillSwitch,
    pub(super) observed: Observed,
    pub(super) ending: Ending,
}

impl Supervision {
    /// Runs what `factory` makes until it ends for good.
    pub(super) async fn run<F, Fut>(self, factory: F)
    where
        F: Fn(ChildContext) -> Fut + 'static,
        Fut: Future<Output = ExitStatus> + 'static,
    {
        // Shared with the incarnation, so that a factory that panics is caught like the child itself.
        let factory = Arc::new(factory);
        let mut faults = Vec::new();
        let mut incarnation = 1;
        let status = loop {
            if let Some(reason) = self.kill_switch.status() {
                break reason.of_the_killed();
            }
            let status = self.incarnate(incarnation, &factory).await;
            if !status.is_fault() || self.kill_switch.is_dead() {
                break status;
            }
            let Decision::Delay(delay) =
                self.policy.decide(&mut faults, Instant::now(), rand::random())
            else {
                break status;
            };
            tracing::warn!(actor = self.name, incarnation, %status, ?delay, "restarting");
            tokio::select! {
                biased;
                reason = self.kill_switch.dead() => break reason.of_the_killed(),
                () = sleep(delay) => {}
            }
            metrics::counter!("runcast_actor_restarts_total", "actor" => self.name).increment(1);
            incarnation = incarnation.saturating_add(1);
        };
        if status.is_fault() {
            tracing::error!(actor = self.name, incarnation, %status, "gave up");
            self.group.kill(status.clone());
        }
        drop(factory);
        drop(self.observed);
        self.ending.end(status);
    }

    async fn incarnate<F, Fut>(&self, incarnation: u32, factory: &Arc<F>) -> ExitStatus
    where
        F: Fn(ChildContext) -> Fut + 'static,
        Fut: Future<Output = ExitStatus> + 'static,
    {
        let observer = self.observed.observer();
        observer.started(incarnation);
        let context = ChildContext {
            exit: ExitCell::default(),
            kill_switch: self.kill_switch.clone(),
            incarnation,
            observer: observer.clone(),
        };
        let factory = Arc::clone(factory);
        // Caught inside of the task, what panicked is dropped after the unwinding: an actor's drop asks
        // it to stop, and a second panic there would abort the process.
        let caught = AssertUnwindSafe(async move { factory(context).await }).catch_unwind();
        let mut task = AbortOnDrop(spawn_local(async move {
            caught.await.unwrap_or_else(|payload| ExitStatus::panicked(&*payload))
        }));
        let joined = tokio::select! {
            joined = &mut task.0 => joined,
            _ = self.kill_switch.dead() => self.end_within_grace(&mut task.0).await,
        };
        let status = joined.unwrap_or_else(of_join_error);
        observer.exited(&status);
        status
    }

    async fn end_within_grace(
        &self,
        task: &mut JoinHandle<ExitStatus>,
    ) -> Result<ExitStatus, JoinError> {
        if let Ok(joined) = timeout(self.grace, &mut *task).await {
            return joined;
        }
        tracing::warn!(actor = self.name, grace = ?self.grace, "dropped: it did not end by itself");
        task.abort();
        task.await
    }
}

fn of_join_error(error: JoinError) -> ExitStatus {
    match error.try_into_panic() {
        Ok(payload) => ExitStatus::panicked(&*payload),
        Err(_) => ExitStatus::Killed,
    }
}

struct AbortOnDrop(JoinHandle<ExitStatus>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells of the end of a child exactly once: how it ended, or `Killed` if this is dropped before.
pub(super) struct Ending {
    ended: watch::Sender<Option<ExitStatus>>,
    running: Arc<watch::Sender<usize>>,
}

impl Ending {
    /// One more child of the group whose children `running` counts, and where to hear of its end.
    pub(super) fn of_child(
        running: &Arc<watch::Sender<usize>>,
    ) -> (Self, watch::Receiver<Option<ExitStatus>>) {
        running.send_modify(|count| *count += 1);
        let (ended, hears) = watch::channel(None);
        (Self { ended, running: Arc::clone(running) }, hears)
    }

    fn end(self, status: ExitStatus) {
        self.ended.send_replace(Some(status));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.send_if_modified(|ended| {
            let untold = ended.is_none();
            ended.get_or_insert(ExitStatus::Killed);
            untold
        });
        self.running.send_modify(|count| *count = count.saturating_sub(1));
    }
}
