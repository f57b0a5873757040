//! Which runs are being taken over, and how often each was lately: one that comes back again and again waits
//! longer each time, and is left alone in the end. No clock of its own.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::RunKey;

/// The wait before the second takeover of a run; it doubles …
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// So many in a row, which take more than an hour; then it is for people to find out why.
const MAX_IN_A_ROW: u32 = 16;
/// A takeover after so long is a first one again.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The takeovers of an instance.
#[derive(Debug, Default)]
pub(super) struct Takeovers(HashMap<RunKey, Repeated>);

#[derive(Debug)]
struct Repeated {
    /// How often it was taken over in a row.
    count: u32,
    /// When it was tried last.
    last: Instant,
    is_under_way: bool,
    /// It is known that it is left alone.
    is_told: bool,
}

/// What to do about a run that should be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Take it over after this.
    After(Duration),
    /// It is being taken over.
    UnderWay,
    /// It was taken over too often; true the first time that this is the answer.
    LeftAlone(bool),
}

impl Takeovers {
    /// Decides, and notes that a takeover is under way.
    pub(super) fn begin(&mut self, run: &RunKey, now: Instant) -> Decision {
        self.0.retain(|_, known| {
            let is_old = now.saturating_duration_since(known.last) >= FORGOTTEN_AFTER;
            known.is_under_way || !is_old || known.count >= MAX_IN_A_ROW
        });
        let fresh = Repeated { count: 0, last: now, is_under_way: false, is_told: false };
        let known = self.0.entry(run.clone()).or_insert(fresh);
        if known.is_under_way {
            return Decision::UnderWay;
        }
        if known.count >= MAX_IN_A_ROW {
            let is_new = !std::mem::replace(&mut known.is_told, true);
            return Decision::LeftAlone(is_new);
        }
        known.is_under_way = true;
        let doubled = 2_u32.saturating_pow(known.count.saturating_sub(1));
        let wait = if known.count == 0 { Duration::ZERO } else { WAIT_FIRST * doubled };
        Decision::After(wait.min(WAIT_MAX))
    }

    /// The run was taken over.
    pub(super) fn taken(&mut self, run: &RunKey, now: Instant) {
        self.given_up(run, now);
        if let Some(known) = self.0.get_mut(run) {
            known.count += 1;
        }
    }

    /// The run was not to be had.
    pub(super) fn given_up(&mut self, run: &RunKey, now: Instant) {
        if let Some(known) = self.0.get_mut(run) {
            known.is_under_way = false;
            known.last = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_memory::run_key;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_and_it_ends() {
        let (mut takeovers, run) = (Takeovers::default(), run_key("r"));
        let mut now = Instant::now();
        let mut waits = Vec::new();
        while let Decision::After(wait) = takeovers.begin(&run, now) {
            assert_eq!(takeovers.begin(&run, now), Decision::UnderWay);
            waits.push(wait.as_secs());
            now += wait;
            takeovers.taken(&run, now);
        }
        let expected = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600, 600];
        assert_eq!(waits, expected);
        assert_eq!(takeovers.begin(&run, now), Decision::LeftAlone(false), "told once");
        now += 1000 * FORGOTTEN_AFTER;
        assert_eq!(takeovers.begin(&run, now), Decision::LeftAlone(false), "for good");
        assert_eq!(takeovers.begin(&run_key("other"), now), Decision::After(Duration::ZERO));
    }

    #[test]
    fn what_goes_well_for_an_hour_is_forgotten() {
        let (mut takeovers, run) = (Takeovers::default(), run_key("r"));
        let mut now = Instant::now();
        for _ in 0..100 {
            assert_eq!(takeovers.begin(&run, now), Decision::After(Duration::ZERO));
            takeovers.given_up(&run, now);
            assert_eq!(takeovers.begin(&run, now), Decision::After(Duration::ZERO));
            takeovers.taken(&run, now);
            assert_eq!(takeovers.begin(&run, now), Decision::After(SEC));
            takeovers.taken(&run, now);
            now += FORGOTTEN_AFTER;
        }
    }
}
