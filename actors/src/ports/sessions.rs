//! The rows of interactive terminals.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::entry::TerminalSize;
use crate::ids::{InstanceId, ProjectId, TenantId};
use crate::moment::Timestamp;
use crate::sessions::{SessionId, SessionKey, SessionView};

/// The rows of interactive terminals. Of those that live, each key has one.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Takes a key for a new session, if no other has it, and writes its row.
    async fn claim(&self, row: &SessionRow) -> Result<SessionClaim, StoreError>;

    /// Writes rows as they are now. One whose key belongs to another session by now is kept without it.
    async fn put(&self, rows: &[SessionRow]) -> Result<(), StoreError>;

    /// One session of a tenant.
    async fn find(
        &self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, StoreError>;

    /// Sessions that match, newest first, at most `limit`.
    async fn list(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, StoreError>;

    /// Ends the rows that say they live and behind which nothing runs: of this instance those that were made before
    /// its present life began, and all of instances that have not told of themselves for so long. Returns how many
    /// there were.
    async fn end_lost(
        &self,
        instance: &InstanceId,
        born: Timestamp,
        absent_for: Duration,
    ) -> Result<u64, StoreError>;

    /// Forgets sessions that ended before this time. Returns how many there were.
    async fn forget(&self, ended_before: Timestamp) -> Result<u64, StoreError>;
}

/// One session as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// What clients see of it.
    pub view: SessionView,
    /// What was on its screen last.
    pub screen: Option<StoredScreen>,
}

impl SessionRow {
    /// What makes another request mean this session.
    pub fn key(&self) -> SessionKey {
        SessionKey {
            tenant: self.tenant.clone(),
            project: self.view.project_id.clone(),
            profile: self.view.profile.clone(),
            tab_name: self.view.tab_name.clone(),
            user: self.view.user_id.clone(),
        }
    }
}

/// A screen that outlives its terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredScreen {
    /// Output before this offset is on it.
    pub offset: u64,
    /// Its size.
    pub size: TerminalSize,
    /// The bytes that show it on a fresh terminal of that size.
    pub payload: Vec<u8>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionClaim {
    /// The key is the new session's.
    Taken {
        /// The session that had the key last, if it is still known; not one that failed.
        before: Option<Box<SessionRow>>,
    },
    /// This session has it, and lives.
    Held(Box<SessionRow>),
}

/// Which sessions are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuery {
    /// Whose; none: everybody's.
    pub tenant: Option<TenantId>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only those that live (`true`) or have ended (`false`).
    pub active: Option<bool>,
    /// At most so many.
    pub limit: u32,
}
