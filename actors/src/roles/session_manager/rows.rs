//! The rows of sessions, as far as the database answers.
//!
//! A call that takes too long or finds the database away opens a breaker: for a few seconds nobody asks, so that
//! people wait once for a database that is away and not each time. What could not be written is written by the
//! next round of the upkeep that gets through.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use recloser::{AsyncRecloser, Recloser};
use tokio::sync::Mutex;

use crate::ids::{InstanceId, TenantId};
use crate::moment::Timestamp;
use crate::ports::{SessionClaim, SessionQuery, SessionRow, SessionStore, StoreError};
use crate::roles::session::SessionHandle;
use crate::sessions::SessionId;

/// Rows of one write.
const ROWS_AT_ONCE: usize = 50;

/// The way to the rows.
pub struct SessionRows {
    store: Option<Arc<dyn SessionStore>>,
    breaker: AsyncRecloser,
    timeout: Duration,
    /// One writes at a time, so that an older row never follows a newer one.
    writing: Mutex<()>,
}

/// Why the rows did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RowsError {
    /// Sessions are kept in memory alone.
    #[error("sessions are kept in memory alone")]
    None,
    /// Nobody asks for a while.
    #[error("the database was away a moment ago")]
    Open,
    /// It did not answer in time.
    #[error("the database did not answer within {0:?}")]
    Slow(Duration),
    /// It refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SessionRows {
    /// Of this database, asked for at most `timeout`, and not for `pause` after it was away; of none, if sessions
    /// are to live in memory.
    pub fn new(store: Option<Arc<dyn SessionStore>>, timeout: Duration, pause: Duration) -> Self {
        // One failure opens it, one success closes it.
        let breaker = Recloser::custom()
            .error_rate(0.5)
            .closed_len(1)
            .half_open_len(1)
            .open_wait(pause)
            .build();
        Self { store, breaker: breaker.into(), timeout, writing: Mutex::new(()) }
    }

    /// Takes the key of a new session; none if the database does not say.
    pub(super) async fn claim(&self, row: &SessionRow) -> Option<SessionClaim> {
        let claimed = self.ask(|store| async move { store.claim(row).await }).await;
        told("a session is kept in memory until the database is back", claimed)
    }

    /// The row of a session that this instance does not hold.
    pub async fn find(
        &self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, RowsError> {
        self.ask(|store| async move { store.find(tenant, id).await }).await
    }

    /// Rows that match, newest first.
    pub async fn list(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, RowsError> {
        self.ask(|store| async move { store.list(query).await }).await
    }

    /// Writes the rows of these sessions as they are now, and tells them whether it could.
    /// Returns whether it could.
    pub(super) async fn save(&self, sessions: &[Arc<SessionHandle>]) -> bool {
        let _turn = self.writing.lock().await;
        for some in sessions.chunks(ROWS_AT_ONCE) {
            let rows: Vec<SessionRow> = some.iter().map(|session| session.row()).collect();
            let rows = &rows;
            let saved = self.ask(|store| async move { store.put(rows).await }).await;
            let is_saved = saved.is_ok();
            if matches!(saved, Err(RowsError::None)) {
                return true;
            }
            told("the rows of sessions are written later", saved);
            for session in some {
                session.set_persisted(is_saved);
            }
            if !is_saved {
                return false;
            }
        }
        true
    }

    /// Ends the rows of earlier lives of this instance, and those of instances that are gone.
    pub(super) async fn end_lost(
        &self,
        instance: &InstanceId,
        born: Timestamp,
        absent_for: Duration,
    ) -> Option<u64> {
        let ended =
            self.ask(|store| async move { store.end_lost(instance, born, absent_for).await }).await;
        let ended = told("rows of lost sessions are ended later", ended);
        if let Some(sessions) = ended.filter(|count| *count > 0) {
            tracing::info!(sessions, "sessions behind which nothing runs have ended");
        }
        ended
    }

    /// Forgets what ended before this time.
    pub(super) async fn forget(&self, ended_before: Timestamp) -> Option<u64> {
        let forgotten = self.ask(|store| async move { store.forget(ended_before).await }).await;
        told("rows of old sessions are forgotten later", forgotten)
    }

    async fn ask<'a, T, Asking>(
        &'a self,
        call: impl FnOnce(&'a dyn SessionStore) -> Asking,
    ) -> Result<T, RowsError>
    where
        Asking: Future<Output = Result<T, StoreError>>,
    {
        let Some(store) = &self.store else { return Err(RowsError::None) };
        let limited = async {
            match tokio::time::timeout(self.timeout, call(store.as_ref())).await {
                Ok(answer) => answer.map_err(RowsError::from),
                Err(_) => Err(RowsError::Slow(self.timeout)),
            }
        };
        let counts = |error: &RowsError| !matches!(error, RowsError::Store(StoreError::Broken(_)));
        match self.breaker.call_with(counts, limited).await {
            Ok(answer) => Ok(answer),
            Err(recloser::Error::Inner(error)) => Err(error),
            Err(recloser::Error::Rejected) => Err(RowsError::Open),
        }
    }
}

fn told<T>(consequence: &'static str, answer: Result<T, RowsError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        // It was said when the breaker opened, or there is nobody to ask.
        Err(RowsError::Open | RowsError::None) => None,
        Err(error) => {
            tracing::warn!(%error, "{consequence}");
            None
        }
    }
}
