//! The two ends of a child: what it is given when it is built, and what others hold of it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, ActorContext, Addr, Context};
use tokio::sync::watch;

#[cfg(test)]
use super::Observers;
use super::observation::{Observer, Shown};
use super::{ExitStatus, KillSwitch};

/// What an incarnation of a child is given.
#[derive(Debug, Clone)]
pub struct ChildContext {
    /// Where an actor says how it ends. A task returns it instead.
    pub exit: ExitCell,
    /// The child's own switch, below its group's.
    pub kill_switch: KillSwitch,
    /// Which incarnation this is, from 1.
    pub incarnation: u32,
    pub(super) observer: Observer,
}

impl ChildContext {
    /// Waits until the child is to end, and says why. From then on it has the grace of its group to
    /// finish what it is at; after that it is dropped.
    pub fn killed(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        self.kill_switch.dead()
    }

    /// Of a task that a test runs without a supervisor.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self {
            exit: ExitCell::default(),
            kill_switch: KillSwitch::new(),
            incarnation: 1,
            observer: Observers::new().observe("test", "test").observer(),
        }
    }

    /// Declares how the actor ends, and stops it.
    pub fn stop_with<A: Actor<Context = Context<A>>>(
        &self,
        context: &mut Context<A>,
        status: ExitStatus,
    ) {
        self.exit.declare(status);
        context.stop();
    }

    /// Shows this of the child until the incarnation ends. `state` is called on the thread of whoever
    /// asks: it reads shared state and does not wait.
    pub fn observe(&self, state: impl Fn() -> Shown + Send + Sync + 'static) {
        self.observer.show(Arc::new(state));
    }

    /// The child has handled so many more messages, requests or entries.
    pub fn handled(&self, count: u64) {
        self.observer.handled(count);
    }
}

/// Where an actor says how it ends, before it stops. The first word counts.
#[derive(Debug, Clone, Default)]
pub struct ExitCell(Arc<Mutex<Option<ExitStatus>>>);

impl ExitCell {
    /// Declares how the actor ends.
    pub fn declare(&self, status: ExitStatus) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(status);
    }

    pub(super) fn declared(&self) -> Option<ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A supervised child, seen from outside. Holding it does not keep the child alive, and dropping it
/// does not end it.
#[derive(Debug, Clone)]
pub struct TaskHandle {
    pub(super) name: &'static str,
    pub(super) kill_switch: KillSwitch,
    pub(super) ended: watch::Receiver<Option<ExitStatus>>,
}

impl TaskHandle {
    /// The name it was spawned with.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks this child alone to stop. Follow with [`TaskHandle::ended`].
    pub fn stop(&self) {
        self.kill_switch.kill(ExitStatus::Stopped);
    }

    /// How it ended; `None` while it runs or waits for a restart.
    pub fn status(&self) -> Option<ExitStatus> {
        self.ended.borrow().clone()
    }

    /// Waits until it has ended for good: no incarnation runs and none will.
    pub async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        // The child says how it ended before it lets go of the watch.
        ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| status.clone())
            .unwrap_or(ExitStatus::Killed)
    }
}

/// A supervised actor, seen from outside. Its address changes with each incarnation: ask for it each
/// time instead of keeping it.
pub struct ActorHandle<A: Actor> {
    pub(super) task: TaskHandle,
    pub(super) address: watch::Receiver<Option<Addr<A>>>,
}

impl<A: Actor> ActorHandle<A> {
    /// The address of the incarnation that runs; `None` between two and after the last.
    pub fn current(&self) -> Option<Addr<A>> {
        self.address.borrow().clone()
    }

    /// Waits for an incarnation that runs. An error is how the actor ended for good.
    pub async fn ready(&self) -> Result<Addr<A>, ExitStatus> {
        let mut address = self.address.clone();
        let current = address.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match current {
            Some(address) => Ok(address),
            None => Err(self.task.ended().await),
        }
    }

    /// The address as it changes.
    pub fn subscribe(&self) -> watch::Receiver<Option<Addr<A>>> {
        self.address.clone()
    }

    /// The actor as a child: its name, its end, and how to stop it.
    pub fn task(&self) -> &TaskHandle {
        &self.task
    }
}

impl<A: Actor> Clone for ActorHandle<A> {
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), address: self.address.clone() }
    }
}

impl<A: Actor> fmt::Debug for ActorHandle<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ActorHandle").field("task", &self.task).finish_non_exhaustive()
    }
}
