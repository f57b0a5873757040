//! What history gives: stretches of entries and gaps, and places in streams.

use std::sync::Arc;

use crate::archive::ArchiveError;
use crate::entry::Entry;
use crate::ids::{ChunkIndex, Seq};
use crate::ports::{LogError, ObjectError, StoreError};

/// A stretch of a run's history.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// What stands there, in order.
    pub items: Vec<Item>,
    /// The cursor behind the last item (the one given, if there is none).
    pub through: Seq,
    /// The last entry there was at that moment.
    pub tail: Seq,
    /// Where the items were kept.
    pub source: Source,
}

/// Where something was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// In the log.
    #[default]
    Log,
    /// In rows and the archive.
    Archive,
}

/// One thing in the history.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry.
    Entry(Arc<Entry>),
    /// Entries that exist nowhere any more.
    Gap(Gap),
}

impl Item {
    /// The last entry it tells of.
    pub fn through(&self) -> Seq {
        match self {
            Self::Entry(entry) => entry.seq,
            Self::Gap(gap) => gap.to,
        }
    }

    /// What it is charged in memory.
    pub fn memory_cost(&self) -> usize {
        const GAP_COST: usize = 64;
        match self {
            Self::Entry(entry) => entry.memory_cost(),
            Self::Gap(_) => GAP_COST,
        }
    }
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
}

/// A place in a stream that somebody looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This chunk.
    Chunk(ChunkIndex),
    /// The last chunk at or before this time since the node started, in microseconds.
    Time(u64),
    /// The chunk that holds this byte of the output, counted from 0.
    Byte(u64),
}

/// A place in a stream: read on from it with [`super::History::read_stream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPlace {
    /// The cursor.
    pub after: Seq,
    /// Chunks of the stream before the place.
    pub chunks: u64,
    /// Output bytes before the place.
    pub bytes: u64,
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
    /// The archive is away.
    #[error(transparent)]
    Archive(ObjectError),
}

impl From<ArchiveError> for HistoryError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => Self::Store(error),
            ArchiveError::Objects(error) => Self::Archive(error),
        }
    }
}
