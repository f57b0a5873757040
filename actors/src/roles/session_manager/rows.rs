//! The rows of sessions, as far as the database answers.
//!
//! A call that takes too long or finds the database away opens a breaker: for a few seconds nobody asks, so that
//! people wait once for a database that is away and not each time. What could not be written is written by the
//! next round of the upkeep that gets through.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use recloser::{AsyncRecloser, Recloser};
use tokio::sync::Mutex;
use tokio::time::Instant;

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
    /// Since when it has answered without a failure.
    reached: std::sync::Mutex<Option<Instant>>,
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
        // A failure opens it, a success closes it; the first answer after that does not count.
        let breaker = Recloser::custom()
            .error_rate(0.5)
            .closed_len(1)
            .half_open_len(1)
            .open_wait(pause)
            .build();
        Self {
            store,
            breaker: breaker.into(),
            timeout,
            writing: Mutex::new(()),
            reached: std::sync::Mutex::default(),
        }
    }

    /// Takes the key of a new session; none if the database does not say.
    pub(super) async fn claim(&self, row: &SessionRow) -> Option<SessionClaim> {
        let claimed = self.ask(async |store: &dyn SessionStore| store.claim(row).await).await;
        told("a session is kept in memory until the database is back", claimed)
    }

    /// The row of a session that this instance does not hold.
    pub async fn find(
        &self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, RowsError> {
        self.ask(async |store: &dyn SessionStore| store.find(tenant, id).await).await
    }

    /// Rows that match, newest first.
    pub async fn list(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, RowsError> {
        self.ask(async |store: &dyn SessionStore| store.list(query).await).await
    }

    /// Writes the rows of these sessions as they are now, and tells them whether it could.
    /// Returns whether it could.
    pub(super) async fn save(&self, sessions: &[Arc<SessionHandle>]) -> bool {
        let _turn = self.writing.lock().await;
        for some in sessions.chunks(ROWS_AT_ONCE) {
            // Painting screens costs more than asking whether anybody takes them.
            let put = async |store: &dyn SessionStore| {
                let mut rows = Vec::with_capacity(some.len());
                for session in some {
                    rows.push(session.row());
                    tokio::task::yield_now().await;
                }
                store.put(&rows).await
            };
            let saved = self.ask(put).await;
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

    /// Writes one row.
    pub(super) async fn put(&self, row: &SessionRow) {
        let _turn = self.writing.lock().await;
        let rows = std::slice::from_ref(row);
        let put = self.ask(async |store: &dyn SessionStore| store.put(rows).await).await;
        told("the row of a session that has ended is written later", put);
    }

    /// Ends the rows of earlier lives of this instance, and those of instances that are gone.
    pub(super) async fn end_lost(
        &self,
        instance: &InstanceId,
        born: Timestamp,
        absent_for: Duration,
    ) -> Option<u64> {
        // While the database was away nobody could tell of itself.
        let is_known = self.reached_for().is_some_and(|reached| reached >= absent_for);
        let absent_for = if is_known { absent_for } else { Duration::MAX };
        let ended = self
            .ask(async |store: &dyn SessionStore| store.end_lost(instance, born, absent_for).await)
            .await;
        let ended = told("rows of lost sessions are ended later", ended);
        if let Some(sessions) = ended.filter(|count| *count > 0) {
            tracing::info!(sessions, "sessions behind which nothing runs have ended");
        }
        ended
    }

    /// Forgets what ended before this time.
    pub(super) async fn forget(&self, ended_before: Timestamp) -> Option<u64> {
        let forgotten =
            self.ask(async |store: &dyn SessionStore| store.forget(ended_before).await).await;
        told("rows of old sessions are forgotten later", forgotten)
    }

    /// For how long the database has answered without a failure.
    fn reached_for(&self) -> Option<Duration> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(&dyn SessionStore) -> Result<T, StoreError>,
    ) -> Result<T, RowsError> {
        let Some(store) = &self.store else { return Err(RowsError::None) };
        let limited = async {
            match tokio::time::timeout(self.timeout, call(store.as_ref())).await {
                Ok(answer) => answer.map_err(RowsError::from),
                Err(_) => Err(RowsError::Slow(self.timeout)),
            }
        };
        let counts = |error: &RowsError| !matches!(error, RowsError::Store(StoreError::Broken(_)));
        let answer = match self.breaker.call_with(counts, limited).await {
            Ok(answer) => Ok(answer),
            Err(recloser::Error::Inner(error)) => Err(error),
            Err(recloser::Error::Rejected) => Err(RowsError::Open),
        };
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = match (&answer, *reached) {
            (Ok(_), since) => Some(since.unwrap_or_else(Instant::now)),
            (Err(_), _) => None,
        };
        drop(reached);
        answer
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
