//! The log of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::entry::Entry;
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamKey};

/// What a follower sees of a run's log.
#[async_trait]
pub trait RunReader: Send + Sync {
    /// Entries after `after` in order, at most `limit` bytes of memory cost but at least one if there
    /// is one, with the trim mark and the tail as of the same moment. A run without entries has tail 0.
    async fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError>;

    /// Wakes when the run has grown, was trimmed or removed. Register first, then read, then wait.
    fn follow(&self, run: &RunKey) -> Wake;
}

/// The owner's log. One writer a run.
#[async_trait]
pub trait RunLog: RunReader {
    /// From now on `epoch` is the only writer; a lower one than the log has seen is `Fenced`.
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError>;

    /// The epoch of the last writer, the one that fenced last; none if the log does not know the run.
    async fn epoch(&self, run: &RunKey) -> Result<Option<Epoch>, LogError>;

    /// Appends entries that carry their seq, in order; entries the log has are skipped.
    /// When it returns `Ok`, they survive the death of the process.
    async fn append(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: Vec<Arc<Entry>>,
    ) -> Result<(), LogError>;

    /// Forgets everything up to and including `through`.
    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError>;

    /// Every run of which the log holds entries that are not trimmed.
    async fn runs(&self) -> Result<Vec<RunKey>, LogError>;

    /// Forgets the run.
    async fn remove(&self, run: &RunKey) -> Result<(), LogError>;

    /// How the log is, for health checks and for the gate of the capture.
    fn health(&self) -> LogHealth;
}

/// A stretch of a run's log.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Arc<Entry>>,
    /// Everything up to here was trimmed.
    pub trimmed: Seq,
    /// The last entry of the log.
    pub tail: Seq,
}

/// Where a log ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// The last entry.
    pub seq: Seq,
    /// Everything up to here was trimmed.
    pub trimmed: Seq,
    /// The last chunk of each stream.
    pub streams: BTreeMap<StreamKey, ChunkIndex>,
}

/// Why a log did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Another owner writes now.
    #[error("epoch {mine} is fenced: the log belongs to epoch {current}")]
    Fenced {
        /// The epoch that asked.
        mine: Epoch,
        /// The epoch the log has seen.
        current: Epoch,
    },
    /// The batch leaves out entries.
    #[error("the log ends at {tail}, but the batch begins at {first}")]
    Behind {
        /// The last entry there is.
        tail: Seq,
        /// The first entry of the batch that is not there.
        first: Seq,
    },
    /// The log cannot be used at this moment; the same call may work later.
    #[error("the log is away: {0}")]
    Unavailable(String),
    /// What was stored cannot be read.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
}

/// How a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogHealth {
    /// It takes everything.
    Up,
    /// It takes what was read, but terminals should not be read: its disk is nearly full.
    LowOnDisk,
    /// It takes nothing.
    Down,
}

/// A follower's ear at one run: completes when there may be more to read.
#[derive(Debug, Clone)]
pub struct Wake {
    tail: watch::Receiver<Seq>,
    /// Another place where the run may grow.
    elsewhere: Option<watch::Receiver<Seq>>,
    /// Completes at least this often, for what nobody tells.
    every: Option<Duration>,
}

impl Wake {
    /// An ear at this channel, which carries the tail of the run.
    pub fn new(tail: watch::Receiver<Seq>) -> Self {
        Self { tail, elsewhere: None, every: None }
    }

    /// An ear at two places, which also looks up at least this often.
    #[must_use]
    pub fn or(self, elsewhere: Self, every: Duration) -> Self {
        Self { tail: self.tail, elsewhere: Some(elsewhere.tail), every: Some(every) }
    }

    /// Waits until something has happened since the last call, or since `follow`.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = grown(Some(&mut self.tail)) => {}
            () = grown(self.elsewhere.as_mut()) => {}
            () = passed(self.every) => {}
        }
    }
}

async fn grown(tail: Option<&mut watch::Receiver<Seq>>) {
    if let Some(tail) = tail
        && tail.changed().await.is_ok()
    {
        return;
    }
    // The log is gone; nothing will ever happen. The caller has its own way to stop.
    std::future::pending::<()>().await;
}

async fn passed(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}
