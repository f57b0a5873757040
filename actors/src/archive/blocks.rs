//! Stretches of history that were put together last, for those who read on from within them.
//!
//! Only what is archived and recorded comes here, which never changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::history::{Item, Stretch};
use crate::ids::{RunKey, Seq};

/// A bounded number of bytes of stretches, the oldest go first.
pub struct BlockCache {
    max_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bytes: usize,
    order: VecDeque<(RunKey, Seq)>,
    runs: HashMap<RunKey, BTreeMap<Seq, Block>>,
}

struct Block {
    stretch: Arc<Stretch>,
    bytes: usize,
}

impl BlockCache {
    /// Holds at most `max_bytes` of memory cost.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, inner: Mutex::default() }
    }

    /// What stands after the cursor, at most `limit` bytes but at least one item; none if it is not here.
    pub fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Option<Stretch> {
        let stretch = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let (_, block) = inner.runs.get(run)?.range(..=after).next_back()?;
            block.stretch.clone()
        };
        if after >= stretch.through {
            return None;
        }
        let first = stretch.items.partition_point(|item| item.through() <= after);
        let rest = &stretch.items[first..];
        // A cursor in the middle of a gap is told of the rest of it by who finds gaps.
        if let Some(Item::Gap(gap)) = rest.first()
            && gap.from <= after
        {
            return None;
        }
        let mut cost = 0;
        let fits = rest.iter().take_while(|item| {
            cost += item.memory_cost();
            cost <= limit
        });
        let count = fits.count().max(1).min(rest.len());
        let items = rest[..count].to_vec();
        let is_all = count == rest.len();
        let last = items.last().map_or(after, Item::through);
        let through = if is_all { stretch.through } else { last };
        // Whether there is more by now, only the log knows: who has read all of this asks it.
        let tail = stretch.tail.max(through.next());
        Some(Stretch { items, through, tail, source: stretch.source })
    }

    /// Takes what stands between a cursor and `stretch.through`.
    pub fn put(&self, run: &RunKey, after: Seq, stretch: Arc<Stretch>) {
        let bytes = stretch.items.iter().map(Item::memory_cost).sum();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = inner.runs.entry(run.clone()).or_default();
        if let Some(old) = blocks.insert(after, Block { stretch, bytes }) {
            inner.bytes -= old.bytes;
        } else {
            inner.order.push_back((run.clone(), after));
        }
        inner.bytes += bytes;
        while inner.bytes > self.max_bytes
            && let Some((run, after)) = inner.order.pop_front()
        {
            inner.remove(&run, after);
        }
    }

    /// What is known of the run is not so any more.
    pub fn forget(&self, run: &RunKey) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = inner.runs.remove(run) {
            inner.bytes -= blocks.values().map(|block| block.bytes).sum::<usize>();
            inner.order.retain(|(of, _)| of != run);
        }
    }
}

impl Inner {
    fn remove(&mut self, run: &RunKey, after: Seq) {
        let Some(blocks) = self.runs.get_mut(run) else { return };
        if let Some(block) = blocks.remove(&after) {
            self.bytes -= block.bytes;
        }
        if blocks.is_empty() {
            self.runs.remove(run);
        }
    }
}
