//! A log in memory with the rules of a real one, and with faults that a test asks for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::entry::{Body, Chunk, ChunkKind, Entry, RunnerKind};
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamName, TenantId};
use crate::moment::Timestamp;
use crate::ports::{LogError, LogHealth, Page, RunLog, RunReader, Tail, Wake};

/// A log that lives as long as the value.
#[derive(Debug)]
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    runs: HashMap<RunKey, MemoryRun>,
    watchers: HashMap<RunKey, watch::Sender<Seq>>,
    failing_appends: u32,
    health: LogHealth,
}

#[derive(Debug, Default)]
struct MemoryRun {
    epoch: Epoch,
    tail: Tail,
    entries: BTreeMap<Seq, Arc<Entry>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                runs: HashMap::new(),
                watchers: HashMap::new(),
                failing_appends: 0,
                health: LogHealth::Up,
            }),
        }
    }

    /// The next `count` appends are answered `Unavailable` and change nothing.
    pub fn fail_appends(&self, count: u32) {
        self.lock().failing_appends = count;
    }

    /// What [`RunLog::health`] says from now on; appends are taken all the same.
    pub fn set_health(&self, health: LogHealth) {
        self.lock().health = health;
    }

    /// Everything the log holds of a run.
    pub fn entries(&self, run: &RunKey) -> Vec<Arc<Entry>> {
        self.lock()
            .runs
            .get(run)
            .map_or_else(Vec::new, |run| run.entries.values().cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake(&self, run: &RunKey) {
        if let Some(watcher) = self.watchers.get(run) {
            watcher.send_replace(self.runs.get(run).map_or(Seq::START, |run| run.tail.seq));
        }
    }
}

#[async_trait]
impl RunReader for MemoryLog {
    async fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        let inner = self.lock();
        let Some(state) = inner.runs.get(run) else { return Ok(Page::default()) };
        let mut page =
            Page { entries: Vec::new(), trimmed: state.tail.trimmed, tail: state.tail.seq };
        let mut cost = 0;
        for entry in state.entries.range(after.next()..).map(|(_, entry)| entry) {
            cost += entry.memory_cost();
            if cost > limit && !page.entries.is_empty() {
                break;
            }
            page.entries.push(entry.clone());
        }
        Ok(page)
    }

    fn follow(&self, run: &RunKey) -> Wake {
        let mut inner = self.lock();
        let tail = inner.runs.get(run).map_or(Seq::START, |run| run.tail.seq);
        let watcher = inner.watchers.entry(run.clone()).or_insert_with(|| watch::Sender::new(tail));
        Wake::new(watcher.subscribe())
    }
}

#[async_trait]
impl RunLog for MemoryLog {
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError> {
        let mut inner = self.lock();
        let state = inner.runs.entry(run.clone()).or_default();
        if epoch < state.epoch {
            return Err(LogError::Fenced { mine: epoch, current: state.epoch });
        }
        state.epoch = epoch;
        Ok(state.tail.clone())
    }

    async fn epoch(&self, run: &RunKey) -> Result<Option<Epoch>, LogError> {
        Ok(self.lock().runs.get(run).map(|state| state.epoch))
    }

    async fn append(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: Vec<Arc<Entry>>,
    ) -> Result<(), LogError> {
        let mut inner = self.lock();
        if inner.failing_appends > 0 {
            inner.failing_appends -= 1;
            return Err(LogError::Unavailable("a test asked for it".to_owned()));
        }
        let state = inner.runs.entry(run.clone()).or_default();
        if epoch < state.epoch {
            return Err(LogError::Fenced { mine: epoch, current: state.epoch });
        }
        let mut tail = state.tail.seq;
        for entry in batch.iter().filter(|entry| entry.seq > state.tail.seq) {
            if entry.seq > tail && !entry.seq.follows(tail) {
                return Err(LogError::Behind { tail, first: entry.seq });
            }
            tail = tail.max(entry.seq);
        }
        state.epoch = epoch;
        for entry in batch {
            if entry.seq <= state.tail.seq {
                continue;
            }
            if let Body::Terminal(chunk) = &entry.body {
                state.tail.streams.insert(chunk.stream_key(), chunk.index);
            }
            state.tail.seq = entry.seq;
            state.entries.insert(entry.seq, entry);
        }
        inner.wake(run);
        Ok(())
    }

    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError> {
        let mut inner = self.lock();
        let state = inner.runs.entry(run.clone()).or_default();
        state.tail.trimmed = state.tail.trimmed.max(through);
        state.tail.seq = state.tail.seq.max(through);
        state.entries = state.entries.split_off(&through.next());
        inner.wake(run);
        Ok(())
    }

    async fn runs(&self) -> Result<Vec<RunKey>, LogError> {
        let inner = self.lock();
        let held = inner.runs.iter().filter(|(_, state)| state.tail.seq > state.tail.trimmed);
        Ok(held.map(|(run, _)| run.clone()).collect())
    }

    async fn remove(&self, run: &RunKey) -> Result<(), LogError> {
        let mut inner = self.lock();
        inner.runs.remove(run);
        inner.wake(run);
        Ok(())
    }

    fn health(&self) -> LogHealth {
        self.lock().health
    }
}

/// A run of the default tenant, for tests.
pub fn run_key(run: &str) -> RunKey {
    let run = run.parse().expect("tests name runs by the rule");
    RunKey { tenant: TenantId::default_tenant(), run }
}

/// A chunk of `len` bytes on the `pty` of node `n`, for tests.
pub fn chunk_entry(seq: Seq, index: u64, len: usize) -> Arc<Entry> {
    let payload: Vec<u8> = seq.0.to_le_bytes().into_iter().cycle().take(len).collect();
    Arc::new(Entry {
        seq,
        body: Body::Terminal(Chunk {
            node_ref: "n".parse().expect("a valid name"),
            stream: StreamName::Pty,
            index: ChunkIndex(index),
            kind: ChunkKind::Output(payload.into()),
            recorded_at: Timestamp(1_795_000_000_000_000),
            delta_us: 1,
            at_us: seq.0,
            origin: "test".into(),
            runner_kind: RunnerKind::Local,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::log_conformance::conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn conforms() {
        conformance(|| async { Arc::new(MemoryLog::new()) as Arc<dyn RunLog> }).await;
    }

    #[tokio::test]
    async fn fails_as_often_as_asked() {
        let (log, run) = (MemoryLog::new(), run_key("r"));
        log.fail_appends(1);
        let batch = vec![chunk_entry(Seq(1), 0, 5)];
        let failed = log.append(&run, Epoch(0), batch.clone()).await;
        assert!(matches!(failed, Err(LogError::Unavailable(_))));
        assert_eq!(log.append(&run, Epoch(0), batch).await, Ok(()));
        log.set_health(LogHealth::LowOnDisk);
        assert_eq!(log.health(), LogHealth::LowOnDisk);
    }
}
