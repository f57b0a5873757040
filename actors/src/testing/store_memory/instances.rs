//! Instances in memory. The clock is that of tokio.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use crate::ids::InstanceId;
use crate::moment::Timestamp;
use crate::ports::{Instance, InstanceStore, SeenInstance, StoreError};

/// Each with when it started and when it was seen.
#[derive(Debug, Default)]
pub(super) struct Rows {
    begun: OnceLock<Instant>,
    known: HashMap<InstanceId, (Instance, Timestamp, Timestamp)>,
}

impl Rows {
    fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.begun.get_or_init(Instant::now).elapsed())
    }
}

impl MemoryStore {
    fn instance_rows<T>(&self, change: impl FnOnce(&mut Rows) -> T) -> Result<T, StoreError> {
        drop(self.rows()?);
        Ok(change(&mut self.instances.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[async_trait]
impl InstanceStore for MemoryStore {
    async fn enter(&self, me: &Instance) -> Result<(), StoreError> {
        self.instance_rows(|rows| {
            let now = rows.now();
            rows.known.insert(me.id.clone(), (me.clone(), now, now));
        })
    }

    async fn announce(&self, me: &Instance) -> Result<(), StoreError> {
        self.instance_rows(|rows| {
            let now = rows.now();
            let started = rows.known.get(&me.id).map_or(now, |(_, started, _)| *started);
            rows.known.insert(me.id.clone(), (me.clone(), started, now));
        })
    }

    async fn instances(&self) -> Result<Vec<SeenInstance>, StoreError> {
        self.instance_rows(|rows| {
            let now = rows.now();
            let seen = |(instance, started_at, seen_at): &(Instance, Timestamp, Timestamp)| {
                let unseen_us = u64::try_from(now.0 - seen_at.0).unwrap_or_default();
                SeenInstance {
                    instance: instance.clone(),
                    started_at: *started_at,
                    seen_at: *seen_at,
                    unseen_for: Duration::from_micros(unseen_us),
                }
            };
            let mut all: Vec<SeenInstance> = rows.known.values().map(seen).collect();
            all.sort_by_key(|row| (row.started_at, row.instance.id.clone()));
            all
        })
    }

    async fn leave(&self, me: &InstanceId) -> Result<(), StoreError> {
        self.instance_rows(|rows| drop(rows.known.remove(me)))
    }
}
