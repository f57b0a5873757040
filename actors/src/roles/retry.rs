//! The waits between tries of something that a store refuses for a moment.

use std::fmt::Display;
use std::time::Duration;

use crate::ids::RunKey;

/// Waits that double from a first to a longest one, until a try succeeds.
pub(super) struct Retry {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Retry {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// The next failure is a first one again.
    pub(super) fn succeeded(&mut self) {
        self.next = self.first;
    }

    /// Tells what has failed and why, and waits.
    pub(super) async fn wait(&mut self, run: &RunKey, what: &'static str, error: &dyn Display) {
        let wait_ms = u64::try_from(self.next.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(%run, %error, wait_ms, "{what}");
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.max);
    }
}
