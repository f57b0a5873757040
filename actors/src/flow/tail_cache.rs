//! The newest acknowledged entries of all runs, in memory, bounded in bytes over the process.
//!
//! The oldest entry goes first, whichever run it belongs to. A read is answered only if everything
//! between its cursor and the tail is here; otherwise the caller asks the store. No clock, no I/O.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::entry::Entry;
use crate::ids::{RunKey, Seq};
use crate::ports::Page;

/// The newest entries of all runs.
#[derive(Debug)]
pub struct TailCache {
    max_bytes: usize,
    bytes: usize,
    next_ticket: u64,
    /// Whose entry came when: the first is the oldest of the process.
    order: BTreeMap<u64, RunKey>,
    runs: HashMap<RunKey, RunPart>,
}

/// What is here of one run; never without entries.
#[derive(Debug)]
struct RunPart {
    /// Everything above this and up to the tail is in `entries`.
    floor: Seq,
    trimmed: Seq,
    tail: Seq,
    entries: VecDeque<(u64, Arc<Entry>)>,
}

impl TailCache {
    /// Holds entries of at most `max_bytes` of [`Entry::memory_cost`].
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, bytes: 0, next_ticket: 0, order: BTreeMap::new(), runs: HashMap::new() }
    }

    /// The memory cost of what it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the entries that follow `previous` in the log of the run, in order.
    /// What is here of the run is dropped first if it does not end at `previous`.
    pub fn append(
        &mut self,
        run: &RunKey,
        previous: Seq,
        trimmed: Seq,
        entries: impl IntoIterator<Item = Arc<Entry>>,
    ) {
        if self.runs.get(run).is_some_and(|part| part.tail != previous) {
            self.remove(run);
        }
        let part = self.runs.entry(run.clone()).or_insert_with(|| RunPart {
            floor: previous,
            trimmed,
            tail: previous,
            entries: VecDeque::new(),
        });
        for entry in entries {
            part.tail = entry.seq;
            self.bytes += entry.memory_cost();
            self.order.insert(self.next_ticket, run.clone());
            part.entries.push_back((self.next_ticket, entry));
            self.next_ticket += 1;
        }
        if part.entries.is_empty() {
            self.runs.remove(run);
        }
        while self.bytes > self.max_bytes && self.evict_oldest() {}
    }

    /// Entries after `after`, at most `limit` bytes of memory cost but at least one if there is one;
    /// `None` if not everything up to the tail is here.
    pub fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Option<Page> {
        let part = self.runs.get(run)?;
        let start = after.max(part.trimmed);
        if start < part.floor {
            return None;
        }
        let first = part.entries.partition_point(|(_, entry)| entry.seq <= start);
        let mut entries = Vec::new();
        let mut cost = 0;
        for (_, entry) in part.entries.range(first..) {
            cost += entry.memory_cost();
            if cost > limit && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Some(Page { entries, trimmed: part.trimmed, tail: part.tail })
    }

    /// Forgets the entries of a run up to and including `through`.
    pub fn trim(&mut self, run: &RunKey, through: Seq) {
        let Some(part) = self.runs.get_mut(run) else { return };
        part.trimmed = part.trimmed.max(through);
        part.floor = part.floor.max(through);
        while part.entries.front().is_some_and(|(_, entry)| entry.seq <= through) {
            if let Some((ticket, entry)) = part.entries.pop_front() {
                self.order.remove(&ticket);
                self.bytes -= entry.memory_cost();
            }
        }
        if part.entries.is_empty() {
            self.runs.remove(run);
        }
    }

    /// Forgets a run.
    pub fn remove(&mut self, run: &RunKey) {
        let Some(part) = self.runs.remove(run) else { return };
        for (ticket, entry) in part.entries {
            self.order.remove(&ticket);
            self.bytes -= entry.memory_cost();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes = 0;
        self.order.clear();
        self.runs.clear();
    }

    fn evict_oldest(&mut self) -> bool {
        let Some((_, run)) = self.order.pop_first() else { return false };
        let Some(part) = self.runs.get_mut(&run) else { return true };
        if let Some((_, entry)) = part.entries.pop_front() {
            part.floor = entry.seq;
            self.bytes -= entry.memory_cost();
        }
        if part.entries.is_empty() {
            self.runs.remove(&run);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::log_memory::{chunk_entry, run_key};

    #[derive(Debug, Clone)]
    enum Action {
        Append { run: u8, sizes: Vec<usize> },
        Trim { run: u8, back: u64 },
        Remove { run: u8 },
        Read { run: u8, after: u64, limit: usize },
    }

    fn any_action() -> impl Strategy<Value = Action> {
        prop_oneof![
            5 => (0_u8..4, prop::collection::vec(0_usize..400, 1..5))
                .prop_map(|(run, sizes)| Action::Append { run, sizes }),
            1 => (0_u8..4, 0_u64..6).prop_map(|(run, back)| Action::Trim { run, back }),
            1 => (0_u8..4).prop_map(|run| Action::Remove { run }),
            5 => (0_u8..4, 0_u64..40, 0_usize..3000)
                .prop_map(|(run, after, limit)| Action::Read { run, after, limit }),
        ]
    }

    /// All entries in their order over the process; what is cached is its newest part that fits.
    #[derive(Default)]
    struct Model {
        held: Vec<(u8, Arc<Entry>)>,
        logs: HashMap<u8, (Seq, Seq)>,
    }

    impl Model {
        fn evict(&mut self, max_bytes: usize) {
            while self.held.iter().map(|(_, entry)| entry.memory_cost()).sum::<usize>() > max_bytes
            {
                self.held.remove(0);
            }
        }

        /// What the cache has to answer: everything up to the tail or nothing.
        fn expected(&self, run: u8, after: Seq) -> Option<Vec<Seq>> {
            let (trimmed, tail) = *self.logs.get(&run)?;
            let held: Vec<Seq> =
                self.held.iter().filter(|(of, _)| *of == run).map(|(_, e)| e.seq).collect();
            let start = after.max(trimmed);
            let first = held.first()?;
            if start.next() < *first {
                return None;
            }
            assert_eq!(held.last(), Some(&tail), "what is held reaches the tail");
            Some(held.into_iter().filter(|seq| *seq > start).collect())
        }
    }

    proptest! {
        #[test]
        fn answers_like_the_model(actions in prop::collection::vec(any_action(), 1..80)) {
            const MAX_BYTES: usize = 4000;
            let mut cache = TailCache::new(MAX_BYTES);
            let mut model = Model::default();
            for action in actions {
                match action {
                    Action::Append { run, sizes } => {
                        let (trimmed, previous) = model.logs.get(&run).copied().unwrap_or_default();
                        let mut tail = previous;
                        let mut batch = Vec::new();
                        for size in sizes {
                            tail = tail.next();
                            batch.push(chunk_entry(tail, tail.0, size));
                        }
                        model.logs.insert(run, (trimmed, tail));
                        model.held.extend(batch.iter().map(|entry| (run, entry.clone())));
                        model.evict(MAX_BYTES);
                        cache.append(&run_key(&format!("r{run}")), previous, trimmed, batch);
                    }
                    Action::Trim { run, back } => {
                        let Some(log) = model.logs.get_mut(&run) else { continue };
                        let through = Seq(log.1.0.saturating_sub(back)).max(log.0);
                        log.0 = through;
                        model.held.retain(|(of, entry)| *of != run || entry.seq > through);
                        cache.trim(&run_key(&format!("r{run}")), through);
                    }
                    Action::Remove { run } => {
                        model.logs.remove(&run);
                        model.held.retain(|(of, _)| *of != run);
                        cache.remove(&run_key(&format!("r{run}")));
                    }
                    Action::Read { run, after, limit } => {
                        let page = cache.read(&run_key(&format!("r{run}")), Seq(after), limit);
                        let expected = model.expected(run, Seq(after));
                        prop_assert_eq!(page.is_some(), expected.is_some());
                        let (Some(page), Some(expected)) = (page, expected) else { continue };
                        let seqs: Vec<Seq> = page.entries.iter().map(|entry| entry.seq).collect();
                        prop_assert_eq!(&seqs[..], &expected[..seqs.len()]);
                        prop_assert_eq!((page.trimmed, page.tail), model.logs[&run]);
                        let cost: usize = page.entries.iter().map(|entry| entry.memory_cost()).sum();
                        prop_assert!(cost <= limit || seqs.len() == 1);
                        prop_assert!(!seqs.is_empty() || expected.is_empty());
                    }
                }
                let held: usize = model.held.iter().map(|(_, entry)| entry.memory_cost()).sum();
                prop_assert_eq!(cache.bytes(), held);
            }
        }
    }

    #[test]
    fn a_part_that_does_not_fit_is_dropped() {
        let mut cache = TailCache::new(10_000);
        let run = run_key("r");
        cache.append(&run, Seq(0), Seq(0), [chunk_entry(Seq(1), 0, 10)]);
        cache.append(&run, Seq(7), Seq(0), [chunk_entry(Seq(8), 7, 10)]);
        assert!(cache.read(&run, Seq(0), 1000).is_none());
        assert_eq!(cache.read(&run, Seq(7), 1000).map(|page| page.entries.len()), Some(1));
    }
}
