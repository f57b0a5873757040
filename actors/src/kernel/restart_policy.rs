//! When a child that faulted runs again: a pure value, no clock and no dice of its own.

use std::time::Duration;

use tokio::time::Instant;

/// What follows a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RestartPolicy {
    /// The first fault is the group's.
    Never,
    /// Restart after a growing delay, until there are too many faults in a while.
    OnFault(Backoff),
}

/// Capped exponential delays and a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Delay after the first fault of a window; each further one doubles it.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// How much of a delay chance may take away, 0 to 1; so children that fell together do not return
    /// together, and no delay is longer than said.
    pub jitter: f64,
    /// How many faults of one window are answered with a restart; one more escalates.
    pub max_restarts: u32,
    /// How long a fault counts.
    pub window: Duration,
}

impl Default for Backoff {
    /// 100 ms doubling to 10 s, a fifth of it chance, ten restarts in two minutes.
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(10),
            jitter: 0.2,
            max_restarts: 10,
            window: Duration::from_mins(2),
        }
    }
}

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Run again after this.
    Delay(Duration),
    /// It is the group's fault now.
    Escalate,
}

impl RestartPolicy {
    /// Decides about a fault at `now`, and notes it in `faults`, the earlier ones of this child.
    /// Those that no longer count are forgotten, so at most `max_restarts + 1` are kept.
    /// `chance` is drawn evenly from 0 to 1.
    pub fn decide(&self, faults: &mut Vec<Instant>, now: Instant, chance: f64) -> Decision {
        let Self::OnFault(backoff) = self else { return Decision::Escalate };
        faults.retain(|fault| now.saturating_duration_since(*fault) < backoff.window);
        faults.push(now);
        let count = u32::try_from(faults.len()).unwrap_or(u32::MAX);
        if count > backoff.max_restarts {
            return Decision::Escalate;
        }
        Decision::Delay(backoff.delay(count, chance))
    }
}

impl Backoff {
    /// The delay after the `count`th fault of a window, counted from 1.
    fn delay(&self, count: u32, chance: f64) -> Duration {
        let factor = 2_u32.saturating_pow(count.saturating_sub(1));
        let full = self.initial.saturating_mul(factor).min(self.max);
        let taken = self.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0);
        full.mul_f64(1.0 - taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn policy(max_restarts: u32) -> RestartPolicy {
        RestartPolicy::OnFault(Backoff {
            initial: 100 * MS,
            max: 350 * MS,
            jitter: 0.5,
            max_restarts,
            window: 1000 * MS,
        })
    }

    #[test]
    fn delays_double_to_the_cap_and_then_escalate() {
        let start = Instant::now();
        let mut faults = Vec::new();
        let decisions: Vec<_> = (0..5).map(|_| policy(4).decide(&mut faults, start, 0.0)).collect();
        assert_eq!(
            decisions,
            [
                Decision::Delay(100 * MS),
                Decision::Delay(200 * MS),
                Decision::Delay(350 * MS),
                Decision::Delay(350 * MS),
                Decision::Escalate,
            ]
        );
    }

    #[test]
    fn faults_are_forgotten_after_the_window() {
        let start = Instant::now();
        let mut faults = Vec::new();
        let mut decide = |after| policy(1).decide(&mut faults, start + after, 0.0);
        assert_eq!(decide(Duration::ZERO), Decision::Delay(100 * MS));
        assert_eq!(decide(1000 * MS), Decision::Delay(100 * MS));
        assert_eq!(decide(1999 * MS), Decision::Escalate);
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn chance_only_shortens() {
        let decide = |chance| policy(4).decide(&mut Vec::new(), Instant::now(), chance);
        assert_eq!(decide(0.5), Decision::Delay(75 * MS));
        assert_eq!(decide(1.0), Decision::Delay(50 * MS));
    }

    #[test]
    fn a_huge_count_stays_at_the_cap() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        assert_eq!(backoff.delay(u32::MAX, 0.0), backoff.max);
    }

    #[test]
    fn never_escalates_at_once() {
        let decision = RestartPolicy::Never.decide(&mut Vec::new(), Instant::now(), 0.0);
        assert_eq!(decision, Decision::Escalate);
    }
}
