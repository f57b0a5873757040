//! Remembers where in a run's history a page of chunks ended, so that the next page need not look from the start.
//!
//! A position only saves work: without it the same page is found by reading from the beginning. Histories only
//! grow and ids are never used again, so a position never becomes wrong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use runcast_actors::ids::{RunKey, Seq, StreamKey};

const MAX_POSITIONS: usize = 1024;

/// The place after a chunk of a stream; −1 is before its first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PageEnd {
    /// Whose.
    pub(crate) run: RunKey,
    /// Which stream.
    pub(crate) stream: StreamKey,
    /// The last chunk before the place.
    pub(crate) chunk: i64,
}

/// What is known of such a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// No later chunk of the stream stands at or below this entry.
    pub(crate) through: Seq,
    /// The stream ended at or before the place; true if with everything kept.
    pub(crate) ended: Option<bool>,
}

/// The newest positions, a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct PositionCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    positions: HashMap<PageEnd, (u64, Position)>,
    clock: u64,
}

impl PositionCache {
    /// The nearest known place that is not behind the one asked for.
    pub(crate) fn nearest(&self, wanted: &PageEnd) -> Option<Position> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let is_before = |end: &PageEnd| {
            end.chunk <= wanted.chunk && end.stream == wanted.stream && end.run == wanted.run
        };
        let (_, (used, position)) = inner
            .positions
            .iter_mut()
            .filter(|(end, _)| is_before(end))
            .max_by_key(|(end, _)| end.chunk)?;
        *used = now;
        Some(*position)
    }

    /// Remembers a place, and forgets the one that was not asked for the longest.
    pub(crate) fn put(&self, end: PageEnd, position: Position) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        inner.positions.insert(end, (now, position));
        if inner.positions.len() > MAX_POSITIONS {
            let oldest = inner.positions.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(end, _)| end.clone()) else { return };
            inner.positions.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use runcast_actors::ids::{StreamName, TenantId};

    use super::*;

    fn end(chunk: i64) -> PageEnd {
        PageEnd {
            run: RunKey { tenant: TenantId::default_tenant(), run: "r".parse().expect("valid") },
            stream: StreamKey { node_ref: "n".parse().expect("valid"), stream: StreamName::Pty },
            chunk,
        }
    }

    #[test]
    fn it_keeps_what_was_used_last_and_stays_bounded() {
        let cache = PositionCache::default();
        let position = |through| Position { through: Seq(through), ended: None };
        cache.put(end(-1), position(7));
        for chunk in 0..3000 {
            cache.put(end(chunk), position(1));
            assert_eq!(cache.nearest(&end(-1)), Some(position(7)));
        }
        assert_eq!(cache.nearest(&end(0)), Some(position(7)));
        assert_eq!(cache.nearest(&end(5000)), Some(position(1)));
        assert_eq!(cache.nearest(&end(-2)), None);
        assert_eq!(cache.0.lock().expect("not poisoned").positions.len(), MAX_POSITIONS);
    }
}
