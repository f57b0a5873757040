//! How much has come of late, in a second.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Whole seconds that are looked back.
pub const LOOK_BACK_SECS: u64 = 10;
const SLOTS: usize = 12;

/// What came in each of the last seconds.
#[derive(Debug)]
pub struct RecentFlow {
    began: Instant,
    slots: Mutex<[Slot; SLOTS]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    chunks: u64,
    bytes: u64,
}

/// A mean over the last [`LOOK_BACK_SECS`] whole seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FlowRate {
    /// Chunks in a second.
    pub chunks_per_second: f64,
    /// Bytes of output in a second.
    pub bytes_per_second: f64,
}

impl Default for RecentFlow {
    fn default() -> Self {
        Self { began: Instant::now(), slots: Mutex::default() }
    }
}

impl RecentFlow {
    /// So much has come now.
    pub fn add(&self, chunks: u64, bytes: u64) {
        let second = self.second();
        let place = usize::try_from(second).unwrap_or_default() % SLOTS;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[place];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot.chunks += chunks;
        slot.bytes += bytes;
    }

    /// How much came of late.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    pub fn rate(&self) -> FlowRate {
        let slots = *self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Later than every slot.
        let now = self.second();
        let counted = slots
            .iter()
            .filter(|slot| (1..=LOOK_BACK_SECS).contains(&now.saturating_sub(slot.second)));
        let (chunks, bytes) = counted
            .fold((0, 0), |(chunks, bytes), slot| (chunks + slot.chunks, bytes + slot.bytes));
        let seconds = now.clamp(1, LOOK_BACK_SECS) as f64;
        FlowRate {
            chunks_per_second: chunks as f64 / seconds,
            bytes_per_second: bytes as f64 / seconds,
        }
    }

    fn second(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_the_last_ten_whole_seconds() {
        let flow = RecentFlow::default();
        assert_eq!(flow.rate(), FlowRate::default());
        for _ in 0..30 {
            flow.add(2, 100);
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        let busy = FlowRate { chunks_per_second: 4.0, bytes_per_second: 200.0 };
        assert_eq!(flow.rate(), busy);
        flow.add(1000, 1000);
        assert_eq!(flow.rate(), busy, "the second is not over");
        tokio::time::advance(Duration::from_secs(5)).await;
        // Five of the seconds before, and the one that was not over.
        let mixed = FlowRate { chunks_per_second: 102.0, bytes_per_second: 200.0 };
        assert_eq!(flow.rate(), mixed);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(flow.rate(), FlowRate::default());
    }
}
