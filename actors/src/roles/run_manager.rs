//! Owns: the runs of this instance.
//! Takes: `RunSubmitted`, `LookForRuns`, commands to runs, `LeasesLost`, `TakeOver`, `CancelRequested`, `Drain`.
//! Sends: claims to the database; commands to runs.
//! Queue: its mailbox; the claims are bounded by the number of runs an instance may hold.
//! Stops: with the service, after the drain.
//! Restart: never; without it nobody owns the runs, so the service stops.

mod held;
mod messages;
mod takeovers;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ids::{Epoch, RunKey};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::messages::run_commands::{EndRun, RunAnnotated};
use crate::ports::{Claim, Lease, Seen, StoreError};
use crate::roles::lease_keeper::{GetHeldRuns, LeasesLost};
use crate::roles::lease_watch::{CancelRequested, TakeOver};
use crate::roles::node::EndReason;
use crate::roles::owner::{Service, Succession, own};
use crate::roles::run::Run;
use crate::run_view::FailureKind;

pub use self::held::HeldRuns;
use self::held::{Held, ManagerState};
pub use self::messages::{AnnotateRun, CancelRun, Drain, GetRun, IsHeld, OwnRun, RunSubmitted};
use self::takeovers::{Decision, Takeovers};

/// How often queued runs are looked for when nobody tells.
const POLL: Duration = Duration::from_secs(1);
/// How many runs are claimed at once.
const CLAIMS_AT_ONCE: usize = 32;

/// The runs of this instance.
pub struct RunManager {
    service: Arc<Service>,
    max_runs: usize,
    runs: HashMap<RunKey, Held>,
    takeovers: Takeovers,
    looking: Looking,
    /// A cancelled run may wait to be claimed.
    cancel_queued: bool,
    draining: bool,
    count: watch::Sender<HeldRuns>,
    child: ChildContext,
}

/// Whether the database is being asked for queued runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
    /// Something has come meanwhile.
    YesAndAgain,
}

impl RunManager {
    /// A manager that runs at most `max_runs` runs at once; `count` tells how many it has.
    pub fn new(
        service: Arc<Service>,
        max_runs: usize,
        count: watch::Sender<HeldRuns>,
        child: ChildContext,
    ) -> Self {
        Self {
            service,
            max_runs,
            runs: HashMap::new(),
            takeovers: Takeovers::default(),
            looking: Looking::No,
            cancel_queued: false,
            draining: false,
            count,
            child,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        // What only waits for rows or archive runs nothing; it is bounded by the disk of the log.
        let is_running =
            |held: &&Held| !held.is_session && !held.owned.has_ended.load(Ordering::Relaxed);
        let running = self.runs.values().filter(is_running).count();
        let free = self.max_runs.saturating_sub(running).min(CLAIMS_AT_ONCE);
        // A queued run that is to end needs no room; one that is to run does.
        let only_cancelled = free == 0;
        if self.draining || (only_cancelled && !self.cancel_queued) {
            return;
        }
        if self.looking != Looking::No {
            self.looking = Looking::YesAndAgain;
            return;
        }
        self.looking = Looking::Yes;
        self.cancel_queued = false;
        let room = if only_cancelled { CLAIMS_AT_ONCE } else { free };
        let service = self.service.clone();
        let limit = u32::try_from(room).unwrap_or(1);
        let claiming = async move {
            let Service { store, instance, lease, .. } = service.as_ref();
            if only_cancelled {
                store.claim_cancelled(instance, *lease, limit).await
            } else {
                store.claim(instance, *lease, limit).await
            }
        };
        ctx.spawn(claiming.into_actor(self).map(move |claims, manager, ctx| {
            let look_again =
                std::mem::replace(&mut manager.looking, Looking::No) == Looking::YesAndAgain;
            match claims {
                Ok(claims) => {
                    let full = claims.len() >= room;
                    manager.cancel_queued |= full && only_cancelled;
                    for claim in claims {
                        manager.own(
                            claim,
                            Succession { previous: None, cause: FailureKind::Lost },
                            ctx,
                        );
                    }
                    if full || look_again {
                        manager.look(ctx);
                    }
                }
                Err(error) => {
                    // It is looked for again at the next poll.
                    manager.cancel_queued |= only_cancelled;
                    tracing::warn!(%error, "no runs were claimed");
                }
            }
        }));
    }

    fn own(&mut self, claim: Claim, succession: Succession, ctx: &mut Context<Self>) {
        let (run, epoch) = (claim.run.clone(), claim.epoch);
        let is_session = !self.service.runner.takes_slot(&run);
        tracing::info!(%run, %epoch, previous = ?succession.previous, "run claimed");
        let owned = own(&self.service, claim, succession);
        let group = owned.group.clone();
        self.runs.insert(run.clone(), Held { epoch, owned, annotation: None, is_session });
        self.tell_count();
        let ended = async move { group.ended().await };
        ctx.spawn(ended.into_actor(self).map(move |status, manager, ctx| {
            manager.forget(&run, epoch, &status, ctx);
        }));
    }

    fn forget(&mut self, run: &RunKey, epoch: Epoch, status: &ExitStatus, ctx: &mut Context<Self>) {
        let is_this = self.runs.get(run).is_some_and(|held| held.epoch == epoch);
        if is_this {
            self.runs.remove(run);
            self.tell_count();
        }
        if status.is_fault() {
            tracing::error!(%run, %epoch, %status, "a run's group has ended with a fault");
            // If nobody else has the run, it is ours to bring to an end.
            let previous = Some(self.service.instance.clone());
            let succession = Succession { previous, cause: FailureKind::Internal };
            self.take_over(run.clone(), epoch.into(), succession, ctx);
        }
        self.look(ctx);
    }

    fn take_over(
        &mut self,
        run: RunKey,
        seen: Seen,
        succession: Succession,
        ctx: &mut Context<Self>,
    ) {
        let wait = match self.takeovers.begin(&run, Instant::now()) {
            Decision::After(wait) => wait,
            Decision::UnderWay => return,
            Decision::LeftAlone(is_new) => {
                if is_new {
                    tracing::error!(%run, "the run was taken over too often and is left as it is");
                }
                return;
            }
        };
        // What broke it may break it again at once.
        let after_fault = (succession.cause == FailureKind::Internal).then_some(POLL);
        let wait = wait.max(after_fault.unwrap_or_default());
        let service = self.service.clone();
        let is_ours = succession.previous.as_ref() == Some(&service.instance);
        let taken_run = run.clone();
        let taking = async move {
            tokio::time::sleep(wait).await;
            loop {
                let Service { store, instance, lease, .. } = service.as_ref();
                match store.take_over(&taken_run, seen, instance, *lease).await {
                    // The run of another may be renewed again when the database is back: who watches its
                    // lease tells if it is not.
                    Err(StoreError::Unavailable(_)) if is_ours => tokio::time::sleep(POLL).await,
                    taken => return taken,
                }
            }
        };
        ctx.spawn(taking.into_actor(self).map(move |taken, manager, ctx| {
            if let Ok(Some(claim)) = taken {
                manager.takeovers.taken(&run, Instant::now());
                return manager.own(claim, succession, ctx);
            }
            manager.takeovers.given_up(&run, Instant::now());
            if let Err(error) = taken {
                tracing::error!(%run, %error, "the run could not be taken over");
            }
        }));
    }

    fn tell_count(&self) {
        let sessions = self.runs.values().filter(|held| held.is_session).count();
        self.count.send_replace(HeldRuns { runs: self.runs.len() - sessions, sessions });
    }

    fn run(&self, run: &RunKey) -> Option<Addr<Run>> {
        self.runs.get(run)?.owned.run.borrow().address()
    }
}

impl Actor for RunManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(1024);
        let (held, max_runs) = (self.count.subscribe(), self.max_runs);
        self.child.observe(move || Shown::new(ManagerState { held: *held.borrow(), max_runs }));
        ctx.run_interval(POLL, Self::look);
        self.look(ctx);
    }
}

impl Handler<IsHeld> for RunManager {
    type Result = bool;

    fn handle(&mut self, IsHeld(run): IsHeld, _: &mut Context<Self>) -> bool {
        self.child.handled(1);
        self.runs.contains_key(&run)
    }
}

impl Handler<OwnRun> for RunManager {
    type Result = ();

    fn handle(&mut self, OwnRun(claim): OwnRun, ctx: &mut Context<Self>) {
        self.child.handled(1);
        self.own(*claim, Succession { previous: None, cause: FailureKind::Lost }, ctx);
    }
}

impl Handler<CancelRun> for RunManager {
    type Result = ();

    fn handle(&mut self, CancelRun(run): CancelRun, ctx: &mut Context<Self>) {
        self.child.handled(1);
        let Some(held) = self.runs.get(&run) else {
            // A run that waits needs no room for its end.
            self.cancel_queued = true;
            return self.look(ctx);
        };
        let settled = held.settled();
        ctx.spawn(settled.into_actor(self).map(|address, _, _| {
            if let Some(address) = address {
                let _ = address.try_send(EndRun(EndReason::Cancelled));
            }
        }));
    }
}

impl Handler<AnnotateRun> for RunManager {
    type Result = bool;

    fn handle(&mut self, message: AnnotateRun, ctx: &mut Context<Self>) -> bool {
        self.child.handled(1);
        let AnnotateRun(run, annotation) = message;
        let Some(held) = self.runs.get_mut(&run) else { return false };
        if let Some(waiting) = &mut held.annotation {
            waiting.replace_with(annotation);
            return true;
        }
        held.annotation = Some(annotation);
        let settled = held.settled();
        ctx.spawn(settled.into_actor(self).map(move |address, manager, _| {
            let held = manager.runs.get_mut(&run);
            let Some(annotation) = held.and_then(|held| held.annotation.take()) else { return };
            // What its owner began with may be older.
            manager.service.history.live().annotate(&run, &annotation);
            if let Some(address) = address {
                let _ = address.try_send(RunAnnotated(annotation));
            }
        }));
        true
    }
}

impl Handler<RunSubmitted> for RunManager {
    type Result = ();

    fn handle(&mut self, _: RunSubmitted, ctx: &mut Context<Self>) {
        self.child.handled(1);
        self.look(ctx);
    }
}

impl Handler<GetRun> for RunManager {
    type Result = Option<Addr<Run>>;

    fn handle(&mut self, GetRun(run): GetRun, _: &mut Context<Self>) -> Self::Result {
        self.child.handled(1);
        self.run(&run)
    }
}

impl Handler<GetHeldRuns> for RunManager {
    type Result = Vec<(RunKey, Epoch)>;

    fn handle(&mut self, _: GetHeldRuns, _: &mut Context<Self>) -> Self::Result {
        self.child.handled(1);
        self.runs.iter().map(|(run, held)| (run.clone(), held.epoch)).collect()
    }
}

impl Handler<LeasesLost> for RunManager {
    type Result = ();

    fn handle(&mut self, LeasesLost(lost): LeasesLost, _: &mut Context<Self>) {
        self.child.handled(1);
        for (run, epoch) in lost {
            // It may have ended, or been taken over here, while the database was asked.
            if self.runs.get(&run).is_none_or(|held| held.epoch != epoch) {
                continue;
            }
            if let Some(held) = self.runs.remove(&run) {
                tracing::error!(%run, %epoch, "another instance owns the run now");
                held.owned.group.kill_switch().kill(ExitStatus::Stopped);
            }
        }
        self.tell_count();
    }
}

impl Handler<TakeOver> for RunManager {
    type Result = ();

    fn handle(&mut self, TakeOver(leases): TakeOver, ctx: &mut Context<Self>) {
        self.child.handled(1);
        for lease in leases {
            if !self.draining && !self.runs.contains_key(&lease.run) {
                let seen = Seen::from(&lease);
                let Lease { run, owner, .. } = lease;
                let succession = Succession { previous: owner, cause: FailureKind::Lost };
                self.take_over(run, seen, succession, ctx);
            }
        }
    }
}

impl Handler<CancelRequested> for RunManager {
    type Result = ();

    fn handle(&mut self, CancelRequested(runs): CancelRequested, _: &mut Context<Self>) {
        self.child.handled(1);
        for run in runs {
            if let Some(address) = self.run(&run) {
                let _ = address.try_send(EndRun(EndReason::Cancelled));
            }
        }
    }
}

impl Handler<Drain> for RunManager {
    type Result = ();

    fn handle(&mut self, Drain { within }: Drain, ctx: &mut Context<Self>) {
        self.draining = true;
        ctx.run_later(within, |manager, _| {
            // Sessions are ended by whoever holds them.
            let submitted = manager.runs.iter().filter(|(_, held)| !held.is_session);
            for (run, _) in submitted {
                if let Some(address) = manager.run(run) {
                    tracing::warn!(%run, "the run is ended: the service stops");
                    let _ = address.try_send(EndRun(EndReason::Stopping));
                }
            }
        });
    }
}
