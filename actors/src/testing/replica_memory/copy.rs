//! What a replica in memory holds of one run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::entry::{Body, Entry};
use crate::ids::{Epoch, Seq, StreamKey};
use crate::ports::{LogError, Page, ReplicaBatch, Tail};

/// What is held of a run.
#[derive(Debug, Default)]
pub(super) struct Copy {
    pub(super) epoch: Epoch,
    pub(super) tail: Tail,
    pub(super) entries: BTreeMap<Seq, Arc<Entry>>,
    /// Those of `entries` that nobody can read.
    pub(super) damaged: HashSet<Seq>,
    /// Nobody can read where it ends.
    pub(super) is_spoilt: bool,
    pub(super) screens: BTreeMap<StreamKey, Bytes>,
    pub(super) screens_seq: Seq,
    pub(super) expires: Option<Instant>,
}

impl Copy {
    pub(super) fn admit(&self, mine: Epoch) -> Result<(), LogError> {
        if self.is_spoilt {
            return Err(LogError::Corrupt("its end, as a test asked for".to_owned()));
        }
        let current = self.epoch;
        if mine < current { Err(LogError::Fenced { mine, current }) } else { Ok(()) }
    }

    pub(super) fn append(&mut self, batch: ReplicaBatch) -> Result<(), LogError> {
        let mut before = batch.after;
        for entry in batch.entries {
            let seq = entry.seq;
            if seq > self.tail.seq {
                self.join(before, batch.recorded, seq)?;
                if let Body::Terminal(chunk) = &entry.body {
                    self.tail.streams.insert(chunk.stream_key(), chunk.index);
                }
                self.tail.seq = seq;
                self.entries.insert(seq, entry);
            }
            before = seq;
        }
        self.expires = None;
        Ok(())
    }

    /// Makes the copy end at `before`, so that `first` can follow.
    fn join(&mut self, before: Seq, recorded: Seq, first: Seq) -> Result<(), LogError> {
        if self.tail.seq < before {
            if before > recorded {
                return Err(LogError::Behind { tail: self.tail.seq, first });
            }
            self.trim(before);
        }
        // A later owner's log goes on where it still existed; what was replicated beyond that is not of it.
        if self.tail.seq > before {
            drop(self.entries.split_off(&before.next()));
        }
        Ok(())
    }

    pub(super) fn trim(&mut self, through: Seq) {
        self.tail.trimmed = self.tail.trimmed.max(through);
        self.tail.seq = self.tail.seq.max(through);
        self.entries = self.entries.split_off(&through.next());
    }

    pub(super) fn read(&self, after: Seq, limit: usize) -> Result<Page, LogError> {
        let mut page =
            Page { entries: Vec::new(), trimmed: self.tail.trimmed, tail: self.tail.seq };
        let mut cost = 0;
        for (seq, entry) in self.entries.range(after.next()..) {
            cost += entry.memory_cost();
            if cost > limit && !page.entries.is_empty() {
                break;
            }
            if self.damaged.contains(seq) {
                return Err(LogError::Corrupt(format!("entry {seq}, as a test asked for")));
            }
            page.entries.push(entry.clone());
        }
        Ok(page)
    }
}
