//! The instances that share a database.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::ids::InstanceId;
use crate::moment::Timestamp;

/// The rows of the instances on one database: who is there, and since when. All times are those of its clock.
#[async_trait]
pub trait InstanceStore: Send + Sync {
    /// Notes that this instance starts now. Rows that nobody has renewed for a week go.
    async fn enter(&self, me: &Instance) -> Result<(), StoreError>;

    /// Notes that this instance is there.
    async fn announce(&self, me: &Instance) -> Result<(), StoreError>;

    /// Everybody who has a row, in the order in which they started.
    async fn instances(&self) -> Result<Vec<SeenInstance>, StoreError>;

    /// Forgets this instance: it has ended.
    async fn leave(&self, me: &InstanceId) -> Result<(), StoreError>;
}

/// One instance, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The id of its data directory.
    pub id: InstanceId,
    /// What it is called in the configuration, if it is.
    pub name: Option<String>,
    /// Which parts of the service it runs, as it stands in the configuration.
    pub role: String,
    /// Where clients reach it.
    pub url: String,
    /// It follows, and copies its runs to, the replica.
    pub has_replica: bool,
}

/// An instance as its row tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenInstance {
    /// Who.
    pub instance: Instance,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it told last.
    pub seen_at: Timestamp,
    /// How long ago that was.
    pub unseen_for: Duration,
}
