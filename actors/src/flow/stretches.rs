//! How many bytes of a run's log lie between which entries, so that what waits for a follower follows from
//! positions alone: a follower that begins again tells them again, and nothing is counted twice or left over.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::ids::Seq;

/// About so many stretches of a run are told apart.
const STRETCHES: u64 = 1024;

#[derive(Debug)]
struct Stretch {
    /// Its first entry that waits, or the last one before it.
    first: Seq,
    /// Its last entry.
    last: Seq,
    bytes: u64,
    /// Since when it waits, or since when a part of it does not any more.
    since: Instant,
}

/// The bytes of a run behind a position.
#[derive(Debug)]
pub struct Stretches {
    /// Bytes that one stretch gathers.
    grain: u64,
    /// In order.
    waiting: VecDeque<Stretch>,
    /// Everything up to here does not wait any more.
    settled: Seq,
    bytes: u64,
}

impl Stretches {
    /// For about `max_bytes` at once: a thousandth of that is told apart.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            grain: max_bytes / STRETCHES,
            waiting: VecDeque::new(),
            settled: Seq::START,
            bytes: 0,
        }
    }

    /// So many bytes came, the last of them in the entry `through`. True if they wait.
    pub fn add(&mut self, through: Seq, bytes: u64) -> bool {
        if through <= self.settled {
            return false;
        }
        match self.waiting.back_mut() {
            Some(stretch) if stretch.bytes + bytes <= self.grain => {
                stretch.last = through;
                stretch.bytes += bytes;
            }
            _ => self.waiting.push_back(Stretch {
                first: through,
                last: through,
                bytes,
                since: Instant::now(),
            }),
        }
        self.bytes += bytes;
        true
    }

    /// Everything up to this entry does not wait any more. Returns how many bytes did.
    pub fn settle(&mut self, through: Seq) -> u64 {
        self.settled = self.settled.max(through);
        let count = self.waiting.partition_point(|stretch| stretch.last <= through);
        let bytes = self.waiting.drain(..count).map(|stretch| stretch.bytes).sum();
        // What is left of a stretch came later than its beginning.
        if let Some(first) = self.waiting.front_mut()
            && through >= first.first
        {
            first.first = through.next();
            first.since = Instant::now();
        }
        self.bytes -= bytes;
        bytes
    }

    /// Since when the oldest waits; none if nothing does.
    pub fn waits_since(&self) -> Option<Instant> {
        self.waiting.front().map(|stretch| stretch.since)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many stretches are told apart.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }
}
