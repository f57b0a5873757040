//! Owns: the row of this instance among those on the same database, and what it saw of the others.
//! Takes: nothing; it tells and looks every third of a lease.
//! Sends: its row to the database; whether it can write there; whether it should have a replica and has none.
//! Queue: none.
//! Stops: with the service, which then takes the row back.
//! Restart: yes; what it has seen of others begins anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::ids::InstanceId;
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::moment::Timestamp;
use crate::ports::{Instance, InstanceStore, SeenInstance, StoreError};

/// After so many leases without a sign an instance is not waited for.
const SILENT_LEASES: u32 = 3;
/// How often somebody who waits looks, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the row may take to go at the end; what is left of it costs the next instance a wait.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Why an instance cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Runs of one would be unknown to the other until they are recorded.
    #[error(
        "the instance {0} uses the same database: \
         give all instances the same redis.url, or each a database.url of its own"
    )]
    NotAlone(InstanceId),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One instance among those that share a database.
pub struct Presence {
    me: Instance,
    store: Arc<dyn InstanceStore>,
    /// How long a lease holds.
    lease: Duration,
    can_write: watch::Sender<bool>,
    lacks_replica: watch::Sender<bool>,
}

/// What it shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceState {
    can_write: bool,
    lacks_replica: bool,
}

impl Presence {
    /// Of this instance, which has not entered yet.
    pub fn new(me: Instance, store: Arc<dyn InstanceStore>, lease: Duration) -> Self {
        let (can_write, lacks_replica) = (watch::Sender::new(true), watch::Sender::new(false));
        Self { me, store, lease, can_write, lacks_replica }
    }

    /// False while the database does not take what this instance tells.
    pub fn can_write(&self) -> watch::Receiver<bool> {
        self.can_write.subscribe()
    }

    /// True while another instance lives on the database and this one has no replica.
    pub fn lacks_replica(&self) -> watch::Receiver<bool> {
        self.lacks_replica.subscribe()
    }

    /// Takes its place. Without a replica it must be alone: one that is renewed refuses it. A row that a killed
    /// instance has left is waited for, a whole lease. Of two that start at the same time the first one stays.
    pub async fn enter(&self) -> Result<(), EnterError> {
        self.store.enter(&self.me).await?;
        if self.me.has_replica {
            return Ok(());
        }
        let entered = self.wait_until_alone().await;
        if entered.is_err() {
            self.leave().await;
        }
        entered
    }

    async fn wait_until_alone(&self) -> Result<(), EnterError> {
        let mut others = Others::default();
        let mut is_told = false;
        loop {
            let before_me = self.before_me(self.store.instances().await?);
            let now = Instant::now();
            others.update(before_me, now);
            if let Some(other) = others.living(self.lease, now).next() {
                return Err(EnterError::NotAlone(other.clone()));
            }
            let Some(other) = others.unclear(self.lease, now).next() else { return Ok(()) };
            if !std::mem::replace(&mut is_told, true) {
                let lease_secs = self.lease.as_secs();
                tracing::warn!(%other, lease_secs, "the start waits until it is clear that this instance is dead");
            }
            tokio::time::sleep(LOOK_EVERY.min(self.lease / 3)).await;
            self.store.announce(&self.me).await?;
        }
    }

    /// Those who started earlier and may live.
    fn before_me(&self, mut rows: Vec<SeenInstance>) -> Vec<SeenInstance> {
        if let Some(place) = rows.iter().position(|row| row.instance.id == self.me.id) {
            rows.truncate(place);
        }
        rows.retain(|row| row.unseen_for < self.lease * SILENT_LEASES);
        rows
    }

    /// One incarnation.
    pub async fn keep(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let presence = self.clone();
        child.observe(move || {
            Shown::new(PresenceState {
                can_write: *presence.can_write.borrow(),
                lacks_replica: *presence.lacks_replica.borrow(),
            })
        });
        let mut others = Others::default();
        let mut ticks = tokio::time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let told = self.look(&mut others).await;
            child.handled(1);
            let is_new = self.can_write.send_if_modified(|known| {
                let before = std::mem::replace(known, told.is_ok());
                before != told.is_ok()
            });
            if let (Err(error), true) = (told, is_new) {
                tracing::warn!(%error, "this instance cannot tell that it lives");
            }
        }
    }

    async fn look(&self, others: &mut Others) -> Result<(), StoreError> {
        let limit = self.lease / 3;
        let telling = tokio::time::timeout(limit, self.store.announce(&self.me));
        telling.await.unwrap_or_else(|_| {
            let limit_ms = limit.as_millis();
            Err(StoreError::Unavailable(format!("no answer within {limit_ms} ms")))
        })?;
        if self.me.has_replica {
            return Ok(());
        }
        let mut rows = self.store.instances().await?;
        rows.retain(|row| row.instance.id != self.me.id);
        let now = Instant::now();
        others.update(rows, now);
        let other = others.living(self.lease, now).next();
        let is_new = self.lacks_replica.send_if_modified(|known| {
            let before = std::mem::replace(known, other.is_some());
            before != other.is_some()
        });
        if let (Some(other), true) = (other, is_new) {
            tracing::error!(%other, "another instance uses the database, and this one has no redis.url");
        }
        Ok(())
    }

    /// Takes the row back.
    pub async fn leave(&self) {
        let leaving = tokio::time::timeout(LEAVE_LIMIT, self.store.leave(&self.me.id));
        if !matches!(leaving.await, Ok(Ok(()))) {
            tracing::warn!("the row of this instance stays in the database");
        }
    }
}

/// What was seen of other instances, by our own clock.
#[derive(Default)]
struct Others(HashMap<InstanceId, Sighting>);

struct Sighting {
    seen_at: Timestamp,
    /// Since when it stands still.
    since: Instant,
    has_moved: bool,
}

impl Others {
    fn update(&mut self, rows: Vec<SeenInstance>, now: Instant) {
        let sight = |row: SeenInstance| {
            let known = self.0.get(&row.instance.id);
            let has_moved = known.is_some_and(|known| known.seen_at != row.seen_at);
            let sighting = match known {
                Some(known) if !has_moved => Sighting {
                    seen_at: row.seen_at,
                    since: known.since,
                    has_moved: known.has_moved,
                },
                _ => Sighting { seen_at: row.seen_at, since: now, has_moved },
            };
            (row.instance.id, sighting)
        };
        self.0 = rows.into_iter().map(sight).collect();
    }

    /// Those who told something within a lease.
    fn living(&self, lease: Duration, now: Instant) -> impl Iterator<Item = &InstanceId> {
        self.unclear(lease, now).filter(|id| self.0[*id].has_moved)
    }

    /// Those who have not stood still for a whole lease.
    fn unclear(&self, lease: Duration, now: Instant) -> impl Iterator<Item = &InstanceId> {
        let is_unclear = move |sighting: &Sighting| now.duration_since(sighting.since) < lease;
        self.0.iter().filter(move |(_, sighting)| is_unclear(sighting)).map(|(id, _)| id)
    }
}
