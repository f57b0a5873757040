//! How many bytes of a run's log lie between which entries, so that what waits for a follower follows from
//! positions alone: a follower that begins again tells them again, and nothing is counted twice or left over.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::Seq;

/// About so many stretches of a run are told apart.
const STRETCHES: u32 = 1024;
/// What came within this time may be one.
const MIN_APART: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Stretch {
    /// Its last entry.
    last: Seq,
    bytes: u64,
    /// Since when it waits.
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
            grain: max_bytes / u64::from(STRETCHES),
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
        // What came at quite another time is told apart, too, or a replica that follows closely would seem to lag.
        let oldest = self.waits_since().map_or(Duration::ZERO, |since| since.elapsed());
        let apart = MIN_APART.max(oldest / STRETCHES);
        match self.waiting.back_mut() {
            Some(stretch)
                if stretch.bytes + bytes <= self.grain && stretch.since.elapsed() < apart =>
            {
                stretch.last = through;
                stretch.bytes += bytes;
            }
            _ => self.waiting.push_back(Stretch { last: through, bytes, since: Instant::now() }),
        }
        self.bytes += bytes;
        true
    }

    /// Everything up to this entry does not wait any more. Returns how many bytes did.
    pub fn settle(&mut self, through: Seq) -> u64 {
        self.settled = self.settled.max(through);
        let count = self.waiting.partition_point(|stretch| stretch.last <= through);
        let bytes = self.waiting.drain(..count).map(|stretch| stretch.bytes).sum();
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
