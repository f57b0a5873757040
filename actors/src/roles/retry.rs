//! The waits between tries of something that a store refuses for a moment.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::RunKey;

/// How often it is told that something still fails.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Waits that double from a first to a longest one, until a try succeeds.
pub(super) struct Retry {
    first: Duration,
    max: Duration,
    next: Duration,
    told: Option<Instant>,
}

impl Retry {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first, told: None }
    }

    /// The next failure is a first one again.
    pub(super) fn succeeded(&mut self) {
        self.next = self.first;
        self.told = None;
    }

    /// Tells what has failed and why, unless that was told a moment ago, and waits.
    pub(super) async fn wait(&mut self, run: &RunKey, what: &'static str, error: &dyn Display) {
        let wait_ms = u64::try_from(self.next.as_millis()).unwrap_or(u64::MAX);
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(%run, %error, wait_ms, "{what}");
            self.told = Some(Instant::now());
        } else {
            tracing::debug!(%run, %error, wait_ms, "{what}");
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.max);
    }
}
