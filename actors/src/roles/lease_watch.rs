//! Owns: what this instance has seen of the leases of others.
//! Takes: nothing; it looks every third of a lease.
//! Sends: `TakeOver` and `CancelRequested` to the manager.
//! Queue: none.
//! Stops: with the service.
//! Restart: yes; what it has seen of others' leases begins anew, so nobody is declared dead too early.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Addr, Message};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ids::{Epoch, InstanceId, RunKey};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::ports::{Lease, RunStore, StoreError};
use crate::roles::lease_keeper::GetHeldRuns;
use crate::roles::run_manager::RunManager;

/// Nobody holds these runs any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TakeOver(pub Vec<Lease>);

/// Somebody asked another instance, or the database, to end these runs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CancelRequested(pub Vec<RunKey>);

/// Watches the leases of others.
pub struct LeaseWatch {
    /// Who we are.
    pub instance: InstanceId,
    /// Where the leases are.
    pub store: Arc<dyn RunStore>,
    /// Whom to tell.
    pub manager: Addr<RunManager>,
    /// How long a lease holds.
    pub lease: Duration,
    /// Whether runs of others are taken over, too.
    pub takes_others: bool,
    /// False while the database takes nothing from us, and so perhaps from nobody.
    pub can_write: watch::Receiver<bool>,
}

/// What the watch shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseWatchState {
    leases_of_others: usize,
}

impl LeaseWatch {
    /// One incarnation.
    pub async fn watch(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let others = Arc::new(AtomicUsize::new(0));
        let shown = others.clone();
        child.observe(move || {
            Shown::new(LeaseWatchState { leases_of_others: shown.load(Ordering::Relaxed) })
        });
        let mut watched = Watched::default();
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let Ok(held) = self.manager.send(GetHeldRuns).await else {
                return ExitStatus::DownstreamClosed;
            };
            if let Err(error) = self.look(&held, &mut watched).await {
                // An outage of the database declares nobody dead: all observations start again.
                watched = Watched::default();
                tracing::warn!(%error, "the leases of others are not known");
            }
            others.store(watched.0.len(), Ordering::Relaxed);
            child.handled(1);
        }
    }

    fn concerns_us(&self, held: &[(RunKey, Epoch)], lease: &Lease) -> bool {
        (self.takes_others || self.is_ours(lease)) && !self.holds(held, lease)
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        lease.owner.as_ref() == Some(&self.instance)
    }

    fn holds(&self, held: &[(RunKey, Epoch)], lease: &Lease) -> bool {
        self.is_ours(lease)
            && held.iter().any(|(run, epoch)| *run == lease.run && *epoch == lease.epoch)
    }

    async fn look(
        &self,
        held: &[(RunKey, Epoch)],
        watched: &mut Watched,
    ) -> Result<(), StoreError> {
        if !held.is_empty() {
            let cancelled = self.store.cancel_requests(&self.instance).await?;
            if !cancelled.is_empty() {
                self.manager.try_send(CancelRequested(cancelled)).unwrap_or_else(|_| log_full());
            }
        }
        if !*self.can_write.borrow() {
            return Err(StoreError::Unavailable("it takes nothing from this instance".to_owned()));
        }
        let leases = self.store.leases().await?;
        // Our own count too if the manager does not have them: a claim whose answer was lost.
        let others: Vec<Lease> =
            leases.into_iter().filter(|lease| self.concerns_us(held, lease)).collect();
        let dead = watched.update(others, self.lease, Instant::now());
        if !dead.is_empty() {
            self.manager.try_send(TakeOver(dead)).unwrap_or_else(|_| log_full());
        }
        Ok(())
    }
}

fn log_full() {
    tracing::warn!("the manager is busy; it is told again at a later look");
}

/// Leases of others, with when they were first seen as they are, on our own clock.
#[derive(Default)]
struct Watched(HashMap<RunKey, (Lease, Instant)>);

impl Watched {
    /// Learns today's leases and returns those that nobody holds: given back, or unchanged for a whole `ttl`. Those
    /// are watched anew: if they could not be taken over, they are told again after another `ttl`.
    fn update(&mut self, leases: Vec<Lease>, ttl: Duration, now: Instant) -> Vec<Lease> {
        let mut seen = HashMap::with_capacity(leases.len());
        let mut dead = Vec::new();
        for lease in leases {
            let since = match self.0.get(&lease.run) {
                Some((known, since)) if *known == lease => *since,
                _ => now,
            };
            if lease.owner.is_none() || now.duration_since(since) >= ttl {
                dead.push(lease);
            } else {
                seen.insert(lease.run.clone(), (lease, since));
            }
        }
        self.0 = seen;
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(owner: Option<&str>, until: i64) -> Lease {
        Lease {
            run: RunKey {
                tenant: "default".parse().expect("a tenant"),
                run: "r".parse().expect("an id"),
            },
            owner: owner.map(|owner| owner.parse().expect("a name")),
            epoch: Epoch(0),
            lease_until: until,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_lease_that_stood_still_for_its_whole_time_is_dead() {
        let ttl = Duration::from_secs(15);
        let mut watched = Watched::default();
        let step = Duration::from_secs(5);
        for until in 0..10 {
            let dead = watched.update(vec![lease(Some("other"), until)], ttl, Instant::now());
            assert!(dead.is_empty(), "it is renewed, whatever its clock says");
            tokio::time::advance(step).await;
        }
        for _ in 0..2 {
            assert!(watched.update(vec![lease(Some("other"), 9)], ttl, Instant::now()).is_empty());
            tokio::time::advance(step).await;
        }
        let dead = watched.update(vec![lease(Some("other"), 9)], ttl, Instant::now());
        assert_eq!(dead.len(), 1);
        assert!(watched.update(vec![lease(Some("other"), 9)], ttl, Instant::now()).is_empty());
        assert_eq!(
            watched.update(vec![lease(None, 10)], ttl, Instant::now()).len(),
            1,
            "given back"
        );
    }
}
