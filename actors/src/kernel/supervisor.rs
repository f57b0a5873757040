//! A group of children under one kill switch.
//!
//! A child that ends cleanly leaves the others alone. One that gives up with a fault kills the group
//! with that fault. A group that is killed gives its children its grace to end by themselves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ContextFut;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context};
use tokio::sync::watch;

use super::supervision::{Ending, Supervision};
use super::{
    ActorHandle, ArbiterHandle, ChildContext, ExitStatus, KillSwitch, Observers, RestartPolicy,
    TaskHandle,
};

/// How long a killed child may take to end by itself, unless the group says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// An actor to supervise.
#[derive(Debug, Clone, Copy)]
pub struct ChildSpec<F> {
    /// The name of the actor, for logs, metrics and the registry: one for all of its kind.
    pub name: &'static str,
    /// What follows a fault.
    pub policy: RestartPolicy,
    /// Builds a fresh actor for each incarnation, on the arbiter.
    pub factory: F,
}

/// A group of children. Dropped, it kills those that are left with `Stopped`.
#[derive(Debug)]
pub struct Supervisor {
    id: Arc<str>,
    kill_switch: KillSwitch,
    observers: Observers,
    grace: Duration,
    running: Arc<watch::Sender<usize>>,
}

impl Supervisor {
    /// A group that dies with `parent`. `id` names it in the registry.
    pub fn new(id: impl Into<Arc<str>>, parent: &KillSwitch, observers: Observers) -> Self {
        Self {
            id: id.into(),
            kill_switch: parent.child(),
            observers,
            grace: DEFAULT_GRACE,
            running: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The same group with another grace: how long a killed child may take before it is dropped.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The switch of the group. Killing it ends all children; whoever holds it may.
    pub fn kill_switch(&self) -> &KillSwitch {
        &self.kill_switch
    }

    /// Supervises an actor on `arbiter`.
    ///
    /// It ends with what it declared (see [`ChildContext::stop_with`]), else with `Finished`. When it is
    /// to end, its context is stopped: [`Actor::stopping`] is called, and may answer `Continue` to
    /// finish something first and stop the context itself, within the grace of the group. Messages that
    /// wait in the mailbox are then not handled.
    pub fn spawn_actor<A, F>(&self, arbiter: &ArbiterHandle, spec: ChildSpec<F>) -> ActorHandle<A>
    where
        A: Actor<Context = Context<A>>,
        F: Fn(ChildContext) -> A + Send + 'static,
    {
        let ChildSpec { name, policy, factory } = spec;
        let (addresses, address) = watch::channel(None);
        let addresses = Arc::new(addresses);
        let task = self.spawn_task(name, policy, arbiter, move |child| {
            let actor = factory(child.clone());
            run_actor(actor, child, Arc::clone(&addresses))
        });
        ActorHandle { task, address }
    }

    /// Supervises a plain task on `arbiter`; the future need not be `Send`. It ends with the status that
    /// it returns. When it is to end, [`ChildContext::killed`] tells it, and after the grace of the group
    /// it is dropped.
    pub fn spawn_task<F, Fut>(
        &self,
        name: &'static str,
        policy: RestartPolicy,
        arbiter: &ArbiterHandle,
        factory: F,
    ) -> TaskHandle
    where
        F: Fn(ChildContext) -> Fut + Send + 'static,
        Fut: Future<Output = ExitStatus> + 'static,
    {
        // From 0 on, so that the first restart is seen as one.
        metrics::counter!("runcast_actor_restarts_total", "actor" => name).increment(0);
        let (ending, ended) = Ending::of_child(&self.running);
        let kill_switch = self.kill_switch.child();
        let supervision = Supervision {
            name,
            policy,
            grace: self.grace,
            group: self.kill_switch.clone(),
            kill_switch: kill_switch.clone(),
            observed: self.observers.register(name, Arc::clone(&self.id)),
            ending,
        };
        arbiter.spawn(move || supervision.run(factory));
        TaskHandle { name, kill_switch, ended }
    }

    /// The same for a task that has nothing to finish: when it is to end, it is dropped where it waits.
    pub fn spawn_follower<F, Fut>(
        &self,
        name: &'static str,
        policy: RestartPolicy,
        arbiter: &ArbiterHandle,
        factory: F,
    ) -> TaskHandle
    where
        F: Fn(ChildContext) -> Fut + Send + 'static,
        Fut: Future<Output = ExitStatus> + 'static,
    {
        self.spawn_task(name, policy, arbiter, move |child| {
            let killed = child.killed();
            let following = factory(child);
            async move {
                tokio::select! {
                    biased;
                    status = following => status,
                    reason = killed => reason.of_the_killed(),
                }
            }
        })
    }

    /// How many children have not ended for good.
    pub fn children(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until no child is left, and says how the group ended: the first fault, else why it was
    /// killed, else `Finished`. A group without children has ended.
    pub async fn ended(&self) -> ExitStatus {
        let mut running = self.running.subscribe();
        // The sender is a field of `self`: the wait cannot fail.
        let _ = running.wait_for(|count| *count == 0).await;
        self.kill_switch.status().unwrap_or(ExitStatus::Finished)
    }

    /// Asks all children to stop, and waits until they have: at most the grace of the group, and the
    /// step they are at.
    pub async fn stop(&self) -> ExitStatus {
        self.kill_switch.kill(ExitStatus::Stopped);
        self.ended().await
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.kill_switch.kill(ExitStatus::Stopped);
    }
}

async fn run_actor<A: Actor<Context = Context<A>>>(
    actor: A,
    child: ChildContext,
    addresses: Arc<watch::Sender<Option<Addr<A>>>>,
) -> ExitStatus {
    let context = Context::new();
    let _published = Published::new(addresses, context.address());
    let mut running: ContextFut<A, Context<A>> = context.into_future(actor);
    let was_killed = tokio::select! {
        () = &mut running => false,
        _ = child.killed() => true,
    };
    if was_killed {
        running.ctx().stop();
        running.await;
    }
    let of_the_killed = || child.kill_switch.status().map(|reason| reason.of_the_killed());
    child.exit.declared().or_else(of_the_killed).unwrap_or(ExitStatus::Finished)
}

/// The address of a running incarnation; withdrawn when it ends, however it ends.
struct Published<A: Actor>(Arc<watch::Sender<Option<Addr<A>>>>);

impl<A: Actor> Published<A> {
    fn new(addresses: Arc<watch::Sender<Option<Addr<A>>>>, address: Addr<A>) -> Self {
        addresses.send_replace(Some(address));
        Self(addresses)
    }
}

impl<A: Actor> Drop for Published<A> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}
