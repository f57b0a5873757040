//! Frames that are known to be missing or damaged: whoever reads on fetches and tells it no more.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::RunKey;
use crate::ports::ObjectKey;

/// Frames that are remembered; of one that was forgotten, the next reader learns again.
const REMEMBERED: usize = 1024;

/// The object of a frame, and its place there.
pub(super) type FrameKey = (ObjectKey, u64);

/// The frames that were found last.
#[derive(Default)]
pub(super) struct DamagedFrames(Mutex<VecDeque<(RunKey, FrameKey)>>);

impl DamagedFrames {
    /// Those of a run.
    pub(super) fn of(&self, run: &RunKey) -> HashSet<FrameKey> {
        let all = self.lock();
        all.iter().filter(|(of, _)| of == run).map(|(_, frame)| frame.clone()).collect()
    }

    /// Remembers one.
    pub(super) fn add(&self, run: &RunKey, frame: FrameKey) {
        let mut all = self.lock();
        all.push_back((run.clone(), frame));
        if all.len() > REMEMBERED {
            all.pop_front();
        }
    }

    /// Those of the run are to be looked at again.
    pub(super) fn forget(&self, run: &RunKey) {
        self.lock().retain(|(of, _)| of != run);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(RunKey, FrameKey)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_memory::run_key;

    #[test]
    fn the_oldest_go_and_runs_are_forgotten_alone() {
        let frames = DamagedFrames::default();
        let object = ObjectKey::stored("recordings/x").expect("a name");
        let (one, other) = (run_key("one"), run_key("other"));
        frames.add(&other, (object.clone(), 7));
        for offset in 1..REMEMBERED as u64 {
            frames.add(&one, (object.clone(), offset));
        }
        assert_eq!(frames.of(&other), HashSet::from([(object.clone(), 7)]));
        frames.add(&one, (object.clone(), 0));
        assert!(frames.of(&other).is_empty(), "it was the oldest");
        assert_eq!(frames.of(&one).len(), REMEMBERED);
        frames.add(&other, (object, 7));
        frames.forget(&one);
        assert!(frames.of(&one).is_empty());
        assert_eq!(frames.of(&other).len(), 1);
    }
}
