//! How fast requests of late were answered, and how many failed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use utoipa::ToSchema;

/// What is looked back …
const LOOK_BACK: Duration = Duration::from_secs(5 * 60);
/// … in slots of this length.
const SLOT: Duration = Duration::from_secs(10);
/// Longer times count as this, in microseconds.
const MAX_MICROS: u64 = 10 * 60 * 1_000_000;
/// Digits of a time that are exact.
const DIGITS: u8 = 2;

/// How requests were answered in the last five minutes, without streams and WebSockets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Performance {
    /// How many there were.
    requests: u64,
    /// In milliseconds; 0 if there were none.
    average_response_time: f64,
    /// In milliseconds; 0 if there were none.
    p95_response_time: f64,
    /// The share of answers with a status of 500 and above, 0 to 1.
    error_rate: f64,
}

/// The requests of the last five minutes.
pub(crate) struct RecentRequests {
    began: Instant,
    slots: Mutex<VecDeque<Slot>>,
}

struct Slot {
    number: u128,
    micros: Histogram<u32>,
    errors: u64,
}

impl Default for RecentRequests {
    fn default() -> Self {
        Self { began: Instant::now(), slots: Mutex::default() }
    }
}

impl RecentRequests {
    /// A request was answered.
    pub(crate) fn add(&self, elapsed: Duration, is_error: bool) {
        self.add_at(self.began.elapsed(), elapsed, is_error);
    }

    /// How requests were answered of late.
    pub(crate) fn now(&self) -> Performance {
        self.at(self.began.elapsed())
    }

    fn add_at(&self, at: Duration, elapsed: Duration, is_error: bool) {
        let number = at.as_millis() / SLOT.as_millis();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut slots, number);
        if slots.back().is_none_or(|slot| slot.number < number) {
            slots.push_back(Slot { number, micros: histogram(), errors: 0 });
        }
        let Some(slot) = slots.back_mut() else { return };
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        slot.micros.saturating_record(micros.clamp(1, MAX_MICROS));
        slot.errors += u64::from(is_error);
    }

    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    fn at(&self, at: Duration) -> Performance {
        let (mut all, mut errors) = (histogram(), 0);
        {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            forget_old(&mut slots, at.as_millis() / SLOT.as_millis());
            for slot in &*slots {
                // All have the same bounds.
                let _ = all.add(&slot.micros);
                errors += slot.errors;
            }
        }
        let requests = all.len();
        if requests == 0 {
            return Performance {
                requests,
                average_response_time: 0.0,
                p95_response_time: 0.0,
                error_rate: 0.0,
            };
        }
        Performance {
            requests,
            average_response_time: all.mean() / 1000.0,
            p95_response_time: all.value_at_quantile(0.95) as f64 / 1000.0,
            error_rate: errors as f64 / requests as f64,
        }
    }
}

fn forget_old(slots: &mut VecDeque<Slot>, now: u128) {
    let kept = LOOK_BACK.as_millis() / SLOT.as_millis();
    while slots.front().is_some_and(|slot| slot.number + kept <= now) {
        slots.pop_front();
    }
}

fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, MAX_MICROS, DIGITS).expect("the bounds are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_looked_back() {
        let requests = RecentRequests::default();
        assert_eq!(requests.now().requests, 0);
        let (millisecond, at) = (Duration::from_millis(1), Duration::from_secs);
        for _ in 0..90 {
            requests.add_at(at(3), millisecond, false);
        }
        for _ in 0..10 {
            requests.add_at(at(15), millisecond * 100, true);
        }
        let now = requests.at(at(16));
        assert_eq!((now.requests, now.error_rate), (100, 0.1));
        assert!((10.8..11.1).contains(&now.average_response_time), "{now:?}");
        assert!((98.0..102.0).contains(&now.p95_response_time), "{now:?}");
        // The first slot is over, and then the second.
        assert_eq!(requests.at(at(300)).requests, 10);
        assert_eq!(requests.at(at(310)).requests, 0);
        requests.add_at(at(400), Duration::from_secs(3600), false);
        assert!(requests.at(at(400)).p95_response_time < 610_000.0);
    }
}
