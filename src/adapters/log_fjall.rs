//! The log of all runs in an embedded store: the port [`RunLog`] over fjall.
//!
//! One thread writes; what gathered while it was writing becomes its next batch. Acknowledged means
//! handed to the operating system; another thread syncs every `sync_ms`. Reads at the tail cost no
//! store; others go to a bounded number of blocking threads. The store refuses everything after a
//! failed write: it is then closed and opened again, and callers get `Unavailable` meanwhile.

mod keeper;
mod keys;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use runcast_actors::entry::Entry;
use runcast_actors::flow::tail_cache::TailCache;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::ports::{LogError, LogHealth, Page, RunLog, RunReader, Tail, Wake};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use self::store::FjallOpenError;
use self::store::Store;
use self::writer::{Command, Request};

/// Commands that wait for the writer; their bytes are bounded by the permits of the callers.
const QUEUE_LEN: usize = 256;
/// Reads of the store that run at the same time.
const PARALLEL_READS: usize = 4;
/// How old the figure of the free disk may be.
const DISK_SAMPLE_AGE: Duration = Duration::from_millis(250);

/// Where the log is, and its bounds.
#[derive(Debug, Clone)]
pub struct FjallLogSettings {
    /// The directory of the store; made if it is not there.
    pub directory: PathBuf,
    /// Bytes of the newest entries that stay in memory, over all runs.
    pub tail_bytes: usize,
    /// Milliseconds between two syncs to the disk.
    pub sync_ms: u64,
    /// Below this many free bytes the log says [`LogHealth::LowOnDisk`].
    pub min_free_bytes: u64,
}

/// The log of all runs of this instance. Dropping it closes the store.
pub struct FjallLog {
    shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Request>>,
    writer: Option<std::thread::JoinHandle<()>>,
    keeper: Option<keeper::Keeper>,
    reads: Arc<Semaphore>,
    moved_aside: Option<PathBuf>,
}

/// What the log's threads and callers share.
struct Shared {
    settings: FjallLogSettings,
    /// None while the store is being opened again.
    store: Mutex<Option<Arc<Store>>>,
    tails: Mutex<TailCache>,
    watchers: Mutex<HashMap<RunKey, watch::Sender<Seq>>>,
    unsynced: AtomicBool,
    disk: Mutex<Option<(Instant, bool)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FjallLog {
    /// Opens the log, blocking. A store that is damaged is moved aside and a fresh one is opened;
    /// one that is locked or on a disk that does not work is an error.
    pub fn open(settings: FjallLogSettings) -> Result<Self, FjallOpenError> {
        let (store, moved_aside) = store::open_or_move_aside(&settings.directory)?;
        store.show_runs();
        let shared = Arc::new(Shared {
            tails: Mutex::new(TailCache::new(settings.tail_bytes)),
            store: Mutex::new(Some(Arc::new(store))),
            watchers: Mutex::default(),
            unsynced: AtomicBool::new(false),
            disk: Mutex::new(None),
            settings,
        });
        let (commands, requests) = mpsc::channel(QUEUE_LEN);
        let keeper = keeper::start(shared.clone()).map_err(FjallOpenError::Thread)?;
        let writer = writer::start(shared.clone(), requests).map_err(FjallOpenError::Thread)?;
        Ok(Self {
            shared,
            commands: Some(commands),
            writer: Some(writer),
            keeper: Some(keeper),
            reads: Arc::new(Semaphore::new(PARALLEL_READS)),
            moved_aside,
        })
    }

    /// Bytes of the newest entries that are in memory.
    pub fn tail_bytes(&self) -> usize {
        lock(&self.shared.tails).bytes()
    }

    /// Where the damaged store was moved at start, if it was.
    pub fn moved_aside(&self) -> Option<PathBuf> {
        self.moved_aside.clone()
    }

    async fn ask<Answer>(
        &self,
        run: &RunKey,
        command: impl FnOnce(oneshot::Sender<Result<Answer, LogError>>) -> Command,
    ) -> Result<Answer, LogError> {
        let closed = || LogError::Unavailable("the log is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let request = Request { run: run.clone(), command: command(reply) };
        let commands = self.commands.as_ref().ok_or_else(closed)?;
        commands.send(request).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Reads from the store on a blocking thread.
    async fn look<Answer: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<Answer, LogError> + Send + 'static,
    ) -> Result<Answer, LogError> {
        let stopped = |_| LogError::Unavailable("the log is closed".to_owned());
        let permit = self.reads.clone().acquire_owned().await.map_err(stopped)?;
        let shared = self.shared.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let answer = read(&*shared.store()?);
            drop(permit);
            answer
        });
        reading.await.map_err(|error| LogError::Unavailable(format!("the read failed: {error}")))?
    }

    /// Deletes what the trim mark covers, slice by slice, so that appends of others come between.
    async fn sweep(&self, run: &RunKey, forget: bool) -> Result<(), LogError> {
        while self.ask(run, |reply| Command::Sweep { forget, reply }).await? {}
        Ok(())
    }
}

impl Drop for FjallLog {
    fn drop(&mut self) {
        // The writer ends when its queue does; the keeper when its handle goes.
        self.commands = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.keeper = None;
        lock(&self.shared.store).take();
    }
}

impl Shared {
    fn store(&self) -> Result<Arc<Store>, LogError> {
        let away = || LogError::Unavailable("the store is being opened again".to_owned());
        lock(&self.store).clone().ok_or_else(away)
    }

    /// Closes this store for good; the keeper opens it again.
    fn fail(&self, failed: &Arc<Store>, reason: &str) {
        let mut store = lock(&self.store);
        if store.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            tracing::error!(reason, "the log's store failed and is closed");
            *store = None;
        }
    }

    fn wake(&self, run: &RunKey, tail: Seq) {
        let mut watchers = lock(&self.watchers);
        let Some(watcher) = watchers.get(run) else { return };
        if watcher.receiver_count() == 0 {
            watchers.remove(run);
        } else {
            watcher.send_replace(tail);
        }
    }

    fn is_low_on_disk(&self) -> bool {
        let mut sample = lock(&self.disk);
        if let Some((at, low)) = *sample
            && at.elapsed() < DISK_SAMPLE_AGE
        {
            return low;
        }
        let low = rustix::fs::statvfs(&self.settings.directory).is_ok_and(|disk| {
            disk.f_bavail.saturating_mul(disk.f_frsize) < self.settings.min_free_bytes
        });
        *sample = Some((Instant::now(), low));
        low
    }
}

#[async_trait]
impl RunReader for FjallLog {
    async fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        if let Some(page) = lock(&self.shared.tails).read(run, after, limit) {
            return Ok(page);
        }
        let run = run.clone();
        self.look(move |store| store.read(&run, after, limit)).await
    }

    fn follow(&self, run: &RunKey) -> Wake {
        let mut watchers = lock(&self.shared.watchers);
        if watchers.len().is_power_of_two() {
            watchers.retain(|_, watcher| watcher.receiver_count() > 0);
        }
        let watcher = watchers.entry(run.clone()).or_insert_with(|| watch::Sender::new(Seq::START));
        Wake::new(watcher.subscribe())
    }
}

#[async_trait]
impl RunLog for FjallLog {
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError> {
        self.ask(run, |reply| Command::Fence { epoch, reply }).await
    }

    async fn epoch(&self, run: &RunKey) -> Result<Option<Epoch>, LogError> {
        let run = run.clone();
        self.look(move |store| store.epoch(&run)).await
    }

    async fn append(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: Vec<Arc<Entry>>,
    ) -> Result<(), LogError> {
        let asked = Instant::now();
        let done = self.ask(run, |reply| Command::Append { epoch, batch, reply }).await;
        metrics::histogram!("runcast_log_append_seconds").record(asked.elapsed());
        done
    }

    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError> {
        self.ask(run, |reply| Command::Trim { through, reply }).await?;
        self.sweep(run, false).await
    }

    async fn runs(&self) -> Result<Vec<RunKey>, LogError> {
        self.look(Store::runs).await
    }

    async fn remove(&self, run: &RunKey) -> Result<(), LogError> {
        // Everything is below the mark first, so a removal that is cut short leaves an empty run.
        self.ask(run, |reply| Command::TrimAll { reply }).await?;
        self.sweep(run, true).await
    }

    fn health(&self) -> LogHealth {
        if lock(&self.shared.store).is_none() {
            return LogHealth::Down;
        }
        if self.shared.is_low_on_disk() { LogHealth::LowOnDisk } else { LogHealth::Up }
    }
}

fn note_unsynced(shared: &Shared) {
    shared.unsynced.store(true, Ordering::Release);
}
