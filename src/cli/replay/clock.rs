//! When each event of a recording is shown.
//!
//! Times are absolute: what one event is late does not delay the next.

use std::time::{Duration, Instant};

/// The time axis of a recording on that of the viewer.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    speed: f64,
    idle_limit: Option<Duration>,
    /// At this moment…
    anchor: Instant,
    /// …the replay was here.
    played: Duration,
    is_paused: bool,
    /// The last event: its place in the recording, and in the replay.
    last: (Duration, Duration),
}

impl Clock {
    /// Begins to play at `from`, now. Silence longer than `idle_limit` is cut to it.
    pub(super) fn new(
        speed: f64,
        idle_limit: Option<Duration>,
        from: Duration,
        now: Instant,
    ) -> Self {
        Self {
            speed,
            idle_limit,
            anchor: now,
            played: Duration::ZERO,
            is_paused: false,
            last: (from, Duration::ZERO),
        }
    }

    /// Where an event stands in the replay. Events come in the order of the recording.
    pub(super) fn place(&mut self, at: Duration) -> Duration {
        let silence = at.saturating_sub(self.last.0);
        let silence = self.idle_limit.map_or(silence, |limit| silence.min(limit));
        self.last = (at.max(self.last.0), self.last.1 + silence);
        self.last.1
    }

    /// When that place is reached; never while paused.
    pub(super) fn due(&self, place: Duration) -> Option<Instant> {
        let ahead = place.saturating_sub(self.played).div_f64(self.speed);
        (!self.is_paused).then(|| self.anchor + ahead)
    }

    /// True while it stands still.
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Stands still, or goes on.
    pub(super) fn toggle_pause(&mut self, now: Instant) {
        if !self.is_paused {
            self.played += now.saturating_duration_since(self.anchor).mul_f64(self.speed);
        }
        self.anchor = now;
        self.is_paused = !self.is_paused;
    }

    /// Goes to a place at once.
    pub(super) fn jump(&mut self, place: Duration, now: Instant) {
        self.played = place;
        self.anchor = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn events_are_due_on_an_absolute_schedule() {
        let begin = Instant::now();
        let mut clock = Clock::new(2.0, None, Duration::ZERO, begin);
        for at in [0.5, 1.0, 1.0, 9.0] {
            let place = clock.place(secs(at));
            assert_eq!(clock.due(place), Some(begin + secs(at / 2.0)), "{at}");
        }
    }

    #[test]
    fn silence_is_cut_and_the_beginning_may_be_later() {
        let begin = Instant::now();
        let mut clock = Clock::new(1.0, Some(secs(1.0)), secs(10.0), begin);
        for (at, due) in [(10.5, 0.5), (60.0, 1.5), (60.25, 1.75), (60.0, 1.75)] {
            let place = clock.place(secs(at));
            assert_eq!(clock.due(place), Some(begin + secs(due)), "{at}");
        }
    }

    #[test]
    fn a_pause_moves_everything_that_follows() {
        let begin = Instant::now();
        let mut clock = Clock::new(2.0, None, Duration::ZERO, begin);
        let place = clock.place(secs(4.0));
        clock.toggle_pause(begin + secs(1.0));
        assert_eq!(clock.due(place), None);
        clock.toggle_pause(begin + secs(100.0));
        assert_eq!(clock.due(place), Some(begin + secs(101.0)));
        // A step shows it at once, and what follows comes as long after it as it was recorded.
        clock.toggle_pause(begin + secs(100.5));
        clock.jump(place, begin + secs(200.0));
        let next = clock.place(secs(5.0));
        assert_eq!(clock.due(next), None);
        clock.toggle_pause(begin + secs(300.0));
        assert_eq!(clock.due(next), Some(begin + secs(300.5)));
    }
}
