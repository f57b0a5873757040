//! Owns: nothing; it keeps what the manager holds.
//! Takes: nothing; it renews every third of a lease, whatever else the database is asked.
//! Sends: renewals to the database; `LeasesLost` to the manager.
//! Queue: none; one renewal at a time, as two of them would wait for each other's rows.
//! Stops: with the service.
//! Restart: yes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Addr, Message};
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::ids::{Epoch, InstanceId, RunKey};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::ports::{RunStore, StoreError};
use crate::roles::run_manager::RunManager;

/// Which runs the manager holds, and under which epoch.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(RunKey, Epoch)>")]
pub struct GetHeldRuns;

/// These runs belong to somebody else now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LeasesLost(pub Vec<(RunKey, Epoch)>);

/// Renews our leases.
pub struct LeaseKeeper {
    /// Who we are.
    pub instance: InstanceId,
    /// Where the leases are.
    pub store: Arc<dyn RunStore>,
    /// Who holds them, and is told of those that are lost.
    pub manager: Addr<RunManager>,
    /// How long a lease holds.
    pub lease: Duration,
}

/// What the keeper shows of itself.
#[derive(Serialize)]
struct LeaseKeeperState {
    /// Those that were renewed last.
    leases: usize,
}

impl LeaseKeeper {
    /// One incarnation.
    pub async fn keep(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let leases = Arc::new(AtomicUsize::new(0));
        let shown = leases.clone();
        child.observe(move || {
            Shown::new(LeaseKeeperState { leases: shown.load(Ordering::Relaxed) })
        });
        let mut ticks = tokio::time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(held) = self.manager.send(GetHeldRuns).await else {
                return ExitStatus::DownstreamClosed;
            };
            leases.store(held.len(), Ordering::Relaxed);
            child.handled(1);
            if held.is_empty() {
                continue;
            }
            match self.renew(&held).await {
                Ok(lost) if lost.is_empty() => {}
                // A manager that is busy is told at the next renewal.
                Ok(lost) => drop(self.manager.try_send(LeasesLost(lost))),
                Err(error) => tracing::warn!(%error, "leases were not renewed"),
            }
        }
    }

    /// Gives those that are not ours any more. A slow database may take half a lease for it; after that it hangs,
    /// and there is time for another one.
    async fn renew(&self, held: &[(RunKey, Epoch)]) -> Result<Vec<(RunKey, Epoch)>, StoreError> {
        let limit = self.lease / 2;
        let renewing = self.store.renew(&self.instance, self.lease, held);
        let lost = tokio::time::timeout(limit, renewing).await.unwrap_or_else(|_| {
            let limit_ms = limit.as_millis();
            Err(StoreError::Unavailable(format!("no answer within {limit_ms} ms")))
        })?;
        Ok(held.iter().filter(|(run, _)| lost.contains(run)).cloned().collect())
    }
}
