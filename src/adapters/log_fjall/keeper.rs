//! The thread beside the writer: syncs to the disk and opens a store that failed again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Shared, lock, store};

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(2);
/// How soon a failed store is noticed.
const MAX_TICK: Duration = Duration::from_millis(250);

/// The running thread; dropping this stops it and waits for it.
pub(super) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<Keeper> {
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new().name("log-keeper".to_owned()).spawn(move || {
        let tick = Duration::from_millis(shared.settings.sync_ms.max(1)).min(MAX_TICK);
        let (mut pause, mut backoff) = (tick, FIRST_BACKOFF);
        let mut since_sync = Duration::ZERO;
        while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            if lock(&shared.store).is_none() {
                let opened = reopen(&shared);
                pause = if opened { tick } else { backoff };
                backoff = if opened { FIRST_BACKOFF } else { (backoff * 2).min(LAST_BACKOFF) };
                continue;
            }
            since_sync += pause;
            if since_sync >= Duration::from_millis(shared.settings.sync_ms) {
                since_sync = Duration::ZERO;
                look_after(&shared);
            }
        }
        look_after(&shared);
    })?;
    Ok(Keeper { stop: Some(stop), thread: Some(thread) })
}

fn look_after(shared: &Arc<Shared>) {
    let Ok(store) = shared.store() else { return };
    if shared.unsynced.swap(false, Ordering::AcqRel)
        && let Err(error) = sync_journal(&shared.settings.directory)
    {
        shared.fail(&store, &format!("sync failed: {error}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes on disk")]
    if let Ok(bytes) = store.database.disk_space() {
        metrics::gauge!("runcast_log_bytes").set(bytes as f64);
    }
}

// Synced through a descriptor of our own: the store's own sync holds the lock that commits need.
// Journals before the newest one were synced by the store when it began the next.
fn sync_journal(directory: &Path) -> std::io::Result<()> {
    match newest_journal(directory)? {
        Some(journal) => match File::open(journal) {
            Ok(file) => file.sync_data(),
            // It was deleted just now, because all of it is in synced tables.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        },
        None => Ok(()),
    }
}

/// The journal that is written now.
pub(super) fn newest_journal(directory: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut newest = None;
    for found in std::fs::read_dir(directory)? {
        let path = found?.path();
        let number = path.file_name().and_then(|name| name.to_str());
        let number = number.and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

fn reopen(shared: &Arc<Shared>) -> bool {
    let store = match store::open(&shared.settings.directory) {
        Ok(store) => store,
        Err(error) => {
            tracing::warn!(%error, "the log's store does not open yet");
            return false;
        }
    };
    metrics::counter!("runcast_log_reopens_total").increment(1);
    tracing::info!("the log's store is open again");
    store.show_runs();
    // An append of unknown outcome may be there now, so nothing in memory is the tail any more.
    lock(&shared.tails).clear();
    *lock(&shared.store) = Some(Arc::new(store));
    for watcher in lock(&shared.watchers).values() {
        watcher.send_modify(|_| {});
    }
    true
}
