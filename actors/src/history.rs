//! The history of a run behind one function with one cursor, wherever its pieces are kept.

use std::sync::Arc;

use serde_json::Value;

use crate::entry::Entry;
use crate::ids::{RunKey, Seq};
use crate::ports::{LogError, RunLog, RunStore, StoreError, StoredRun, Wake};

/// Reads runs.
#[derive(Clone)]
pub struct History {
    #[expect(dead_code)]
    log: Arc<dyn RunLog>,
    #[expect(dead_code)]
    store: Arc<dyn RunStore>,
}

/// A stretch of a run's history.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// What stands there, in order.
    pub items: Vec<Item>,
    /// The cursor behind the last item (the one given, if there is none).
    pub through: Seq,
    /// The last entry there was at that moment.
    pub tail: Seq,
}

/// One thing in the history.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry.
    Entry(Arc<Entry>),
    /// Entries that exist nowhere any more.
    Gap(Gap),
}

/// Entries that exist nowhere any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
    /// `lost` or `purged`.
    pub reason: &'static str,
    /// For machines.
    pub data: Option<Value>,
}

/// Why a run could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The log is away or damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl History {
    /// Over this log and these rows.
    pub fn new(log: Arc<dyn RunLog>, store: Arc<dyn RunStore>) -> Self {
        Self { log, store }
    }

    /// The run as of the tail of its log; `view.last_seq` says up to which entry it is true.
    #[expect(clippy::unused_async)]
    pub async fn run(&self, _run: &RunKey) -> Result<Option<StoredRun>, HistoryError> {
        unimplemented!()
    }

    /// What stands after the cursor, at most `limit` bytes of memory cost, but at least one item if there is one.
    #[expect(clippy::unused_async)]
    pub async fn read(
        &self,
        _run: &RunKey,
        _after: Seq,
        _limit: usize,
    ) -> Result<Stretch, HistoryError> {
        unimplemented!()
    }

    /// Wakes when the run has grown. Register first, then read, then wait.
    pub fn follow(&self, _run: &RunKey) -> Wake {
        unimplemented!()
    }
}
