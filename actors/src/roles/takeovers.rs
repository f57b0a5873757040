//! When a run may be taken over here again. One whose rows contradict each other, so that no owner brings it to
//! its end, must not be taken over without end: each time costs an epoch and looks at all that it has.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::RunKey;

/// The wait after the first takeover; it doubles …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … up to this.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// A run that was not taken over for so long begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(1800);

/// The takeovers of this instance, by run.
#[derive(Debug, Default)]
pub(super) struct Takeovers(HashMap<RunKey, Taken>);

#[derive(Debug)]
struct Taken {
    last: Instant,
    wait: Duration,
}

impl Takeovers {
    /// How long this run still has to wait.
    pub(super) fn wait(&self, run: &RunKey, now: Instant) -> Duration {
        let taken = self.0.get(run);
        taken.map_or(Duration::ZERO, |taken| (taken.last + taken.wait).duration_since(now))
    }

    /// It is taken over now.
    pub(super) fn note(&mut self, run: &RunKey, now: Instant) {
        self.0.retain(|_, taken| now.duration_since(taken.last) < FORGET_AFTER);
        let wait = self.0.get(run).map_or(FIRST_WAIT, |taken| (taken.wait * 2).min(MAX_WAIT));
        if wait == MAX_WAIT {
            tracing::error!(%run, "the run was taken over again and again and comes to no end");
        }
        self.0.insert(run.clone(), Taken { last: now, wait });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_memory::run_key;

    #[tokio::test(start_paused = true)]
    async fn a_run_that_comes_to_no_end_is_taken_over_less_and_less_often() {
        let (run, mut takeovers) = (run_key("r"), Takeovers::default());
        let mut count = 0;
        for _ in 0..24 * 60 * 60 {
            let now = Instant::now();
            if takeovers.wait(&run, now).is_zero() {
                takeovers.note(&run, now);
                count += 1;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Ten in the first 1023 seconds, then every ten minutes.
        assert_eq!(count, 10 + (24 * 60 * 60 - 1023) / 600 + 1);
        tokio::time::advance(FORGET_AFTER).await;
        assert!(takeovers.wait(&run, Instant::now()).is_zero());
        takeovers.note(&run_key("other"), Instant::now());
        assert_eq!(takeovers.0.len(), 1, "it is forgotten");
    }
}
