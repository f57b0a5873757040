//! Interactive terminals in memory.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use crate::ids::{InstanceId, TenantId};
use crate::moment::Timestamp;
use crate::ports::{
    InstanceStore as _, SessionClaim, SessionQuery, SessionRow, SessionStore, StoreError,
};
use crate::sessions::{EndReason, SessionId, SessionState};

pub(super) type Rows = HashMap<SessionId, SessionRow>;

impl MemoryStore {
    fn session_rows<T>(&self, change: impl FnOnce(&mut Rows) -> T) -> Result<T, StoreError> {
        drop(self.rows()?);
        Ok(change(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// As lists and claims tell it.
fn without_screen(row: &SessionRow) -> SessionRow {
    SessionRow { screen: None, ..stored(row) }
}

/// As a row tells it: what only its instance knows is not in it.
fn stored(row: &SessionRow) -> SessionRow {
    let mut row = row.clone();
    row.view.persisted = true;
    row.view.attached = 0;
    row
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn claim(&self, row: &SessionRow) -> Result<SessionClaim, StoreError> {
        self.session_rows(|rows| {
            let key = row.key();
            let holder = rows.values().find(|other| other.view.active && other.key() == key);
            if let Some(holder) = holder.filter(|holder| holder.view.id != row.view.id) {
                return SessionClaim::Held(Box::new(without_screen(holder)));
            }
            let has_ended = |other: &&SessionRow| other.view.state == SessionState::Terminated;
            let ended = rows.values().filter(|other| other.key() == key).filter(has_ended);
            let before = ended.max_by_key(|other| other.view.ended_at).map(without_screen);
            rows.insert(row.view.id.clone(), row.clone());
            SessionClaim::Taken { before: before.map(Box::new) }
        })
    }

    async fn put(&self, put: &[SessionRow]) -> Result<(), StoreError> {
        self.session_rows(|rows| {
            rows.extend(put.iter().map(|row| (row.view.id.clone(), row.clone())));
        })
    }

    async fn find(
        &self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, StoreError> {
        self.session_rows(|rows| rows.get(id).filter(|row| row.tenant == *tenant).map(stored))
    }

    async fn list(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, StoreError> {
        self.session_rows(|rows| {
            let matches = |row: &&SessionRow| {
                query.tenant.as_ref().is_none_or(|tenant| *tenant == row.tenant)
                    && query.project.as_ref().is_none_or(|project| *project == row.view.project_id)
                    && query.active.is_none_or(|active| active == row.view.active)
            };
            let mut found: Vec<SessionRow> =
                rows.values().filter(matches).map(without_screen).collect();
            found.sort_by_key(|row| (std::cmp::Reverse(row.view.created_at), row.view.id.clone()));
            found.truncate(query.limit as usize);
            found
        })
    }

    async fn end_lost(
        &self,
        instance: &InstanceId,
        born: Timestamp,
        absent_for: Duration,
    ) -> Result<u64, StoreError> {
        let known = self.instances().await?;
        let is_present = |id: &InstanceId| {
            known.iter().any(|seen| seen.instance.id == *id && seen.unseen_for < absent_for)
        };
        self.session_rows(|rows| {
            let mut count = 0;
            for row in rows.values_mut().filter(|row| row.view.active) {
                let is_lost = if row.view.instance == *instance {
                    row.view.created_at < born
                } else {
                    !is_present(&row.view.instance)
                };
                if is_lost {
                    count += 1;
                    row.view.state = SessionState::Terminated;
                    row.view.active = false;
                    row.view.pid = None;
                    row.view.reason = Some(EndReason::Restarted);
                    row.view.ended_at = Some(Timestamp::now());
                }
            }
            count
        })
    }

    async fn forget(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        self.session_rows(|rows| {
            let before = rows.len();
            rows.retain(|_, row| row.view.ended_at.is_none_or(|at| at >= ended_before));
            (before - rows.len()) as u64
        })
    }
}
