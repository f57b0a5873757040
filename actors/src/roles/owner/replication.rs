//! The part of an owner that other instances see: the copy of its run, and what they ask of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Owner;
use super::followers::Followers;
use crate::flow::capture_gate::CaptureGate;
use crate::ids::Seq;
use crate::kernel::{Backoff, ExitStatus, RestartPolicy};
use crate::ports::Replica;
use crate::roles::archivist::ArchivedThrough;
use crate::roles::commander::Commander;
use crate::roles::replicator::Replicator;

/// How long a run that is recorded waits for a replica that is behind.
const MAX_WAIT_FOR_REPLICA: Duration = Duration::from_secs(5);

/// The replica and its bounds.
pub struct Replication {
    /// Where runs are copied to.
    pub replica: Arc<dyn Replica>,
    /// What it may hold of a run, in bytes as it counts them (`redis.max_bytes_per_run`).
    pub max_bytes_per_run: u64,
    /// How far it may be behind before terminals wait, in bytes of memory cost (`redis.max_lag_bytes`); none
    /// if the log runs ahead to its own limit.
    pub max_lag_bytes: Option<u64>,
    /// How long it keeps a run after everything of it is recorded (`retention.hot_ttl_secs`).
    pub hot_ttl: Duration,
}

impl Owner {
    /// Other instances follow the run, and may ask something of it.
    pub(super) fn spawn_replicator(
        &self,
        gate: &CaptureGate,
        archived: &watch::Sender<ArchivedThrough>,
        recorded: &watch::Sender<Seq>,
    ) -> Result<Option<Arc<watch::Sender<Seq>>>, ExitStatus> {
        let Some(Replication { replica, max_bytes_per_run, .. }) = &self.service.replication else {
            return Ok(None);
        };
        let (group, arbiter) = self.group()?;
        let policy = RestartPolicy::OnFault(Backoff::default());
        let replicated = Arc::new(watch::Sender::new(Seq::START));
        let replicator = Arc::new(Replicator {
            run: self.claim.run.clone(),
            epoch: self.claim.epoch,
            log: self.service.log.clone(),
            replica: replica.clone(),
            archived: archived.subscribe(),
            recorded: recorded.subscribe(),
            replicated: replicated.clone(),
            gate: gate.clone(),
            max_bytes: *max_bytes_per_run,
            live: self.service.history.live().clone(),
            group: group.kill_switch().clone(),
        });
        group.spawn_follower("Replicator", policy, &arbiter, move |child| {
            replicator.clone().follow(child)
        });
        let commander = Arc::new(Commander {
            run: self.claim.run.clone(),
            replica: replica.clone(),
            live: self.service.history.live().clone(),
            actor: self.published.subscribe(),
        });
        group.spawn_follower("Commander", policy, &arbiter, move |child| {
            commander.clone().obey(child)
        });
        Ok(Some(replicated))
    }

    /// Those who follow the replica get the end from there, if it can take it; else from rows and archive.
    pub(super) async fn leave_replica(&self, last: Seq, followers: &Followers) {
        let Some(Replication { replica, hot_ttl, .. }) = &self.service.replication else { return };
        let Some(replicated) = &followers.replicated else { return };
        let mut replicated = replicated.subscribe();
        let all = replicated.wait_for(|replicated| *replicated >= last);
        let is_whole = tokio::time::timeout(MAX_WAIT_FOR_REPLICA, all).await.is_ok();
        let left = if is_whole {
            replica.expire(&self.claim.run, *hot_ttl).await
        } else {
            replica.remove(&self.claim.run).await
        };
        if let Err(error) = left {
            // It has a life time all the same.
            tracing::warn!(run = %self.claim.run, %error, "the replica of the run goes later");
        }
    }
}
