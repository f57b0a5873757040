//! How many bytes of a run's log lie between which entries, so that what waits for a follower follows from
//! positions alone: a follower that begins again tells them again, and nothing is counted twice or left over.

use std::collections::VecDeque;

use crate::ids::Seq;

/// About so many stretches of a run are told apart.
const STRETCHES: u64 = 1024;

/// The bytes of a run behind a position.
#[derive(Debug)]
pub struct Stretches {
    /// Bytes that one stretch gathers.
    grain: u64,
    /// The last entry and the bytes of each, in order.
    waiting: VecDeque<(Seq, u64)>,
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
            Some((last, held)) if *held + bytes <= self.grain => {
                *last = through;
                *held += bytes;
            }
            _ => self.waiting.push_back((through, bytes)),
        }
        self.bytes += bytes;
        true
    }

    /// Everything up to this entry does not wait any more. Returns how many bytes did.
    pub fn settle(&mut self, through: Seq) -> u64 {
        self.settled = self.settled.max(through);
        let count = self.waiting.partition_point(|(last, _)| *last <= through);
        let bytes = self.waiting.drain(..count).map(|(_, bytes)| bytes).sum();
        self.bytes -= bytes;
        bytes
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
