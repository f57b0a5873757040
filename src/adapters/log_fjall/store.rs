//! The opened store: how it is tuned, opened and read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::{
    CompressionType, Database, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable,
};
use runcast_actors::entry_codec;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{LogError, Page, Tail};

use super::keys;

const MIB: u64 = 1024 * 1024;
const CACHE_BYTES: u64 = 16 * MIB;
const MAX_JOURNAL_BYTES: u64 = 128 * MIB;
/// The writer lets one sealed memtable wait, so at most three of these and a batch are in memory.
const ENTRIES_MEMTABLE_BYTES: u64 = 16 * MIB;
const META_MEMTABLE_BYTES: u64 = 2 * MIB;
/// Values above this are written once and never moved by a compaction.
const SEPARATED_VALUE_BYTES: u32 = 4 * 1024;

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FjallOpenError {
    /// The store does not open, and not because it is damaged.
    #[error("the log does not open: {0}")]
    Store(fjall::Error),
    /// The damaged store could not be moved aside.
    #[error("the damaged log cannot be moved to {to}: {error}")]
    MoveAside {
        /// Where it was to go.
        to: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// No thread could be started.
    #[error("no thread for the log: {0}")]
    Thread(std::io::Error),
}

/// An opened store.
pub(super) struct Store {
    pub(super) database: Database,
    pub(super) entries: fjall::Keyspace,
    pub(super) meta: fjall::Keyspace,
}

/// Opens the store; if it is damaged, it is moved aside and a fresh one is opened.
pub(super) fn open_or_move_aside(
    directory: &Path,
) -> Result<(Store, Option<PathBuf>), FjallOpenError> {
    let error = match open(directory) {
        Ok(store) => return Ok((store, None)),
        Err(error) => error,
    };
    if !is_damage(&error) {
        return Err(FjallOpenError::Store(error));
    }
    let stamp = Timestamp::now().to_string().replace([':', '-', '.'], "");
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(format!(".damaged-{stamp}"));
    let to = directory.with_file_name(name);
    tracing::error!(%error, to = %to.display(), "the log is damaged and is moved aside");
    std::fs::rename(directory, &to)
        .map_err(|error| FjallOpenError::MoveAside { to: to.clone(), error })?;
    let store = open(directory).map_err(FjallOpenError::Store)?;
    Ok((store, Some(to)))
}

/// Opens the store. A panic of the engine over damaged files counts as damage.
pub(super) fn open(directory: &Path) -> Result<Store, fjall::Error> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .max_journaling_size(MAX_JOURNAL_BYTES)
            // With a second one, the first spins as long as the second compacts.
            .worker_threads(1)
            .open()?;
        let entries = database.keyspace("entries", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(ENTRIES_MEMTABLE_BYTES)
                .with_kv_separation(Some(
                    KvSeparationOptions::default().separation_threshold(SEPARATED_VALUE_BYTES),
                ))
        })?;
        let meta = database.keyspace("meta", || {
            KeyspaceCreateOptions::default().max_memtable_size(META_MEMTABLE_BYTES)
        })?;
        database.persist(PersistMode::SyncAll)?;
        Ok(Store { database, entries, meta })
    }));
    opened.unwrap_or(Err(fjall::Error::Unrecoverable))
}

/// True if the files are wrong, false if the system does not let us at them now.
fn is_damage(error: &fjall::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, InvalidData, NotFound, UnexpectedEof};

    match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => {
            matches!(io.kind(), AlreadyExists | InvalidData | NotFound | UnexpectedEof)
        }
        // A store of another version is whole; it wants another program.
        fjall::Error::Locked | fjall::Error::Poisoned | fjall::Error::InvalidVersion(_) => false,
        _ => true,
    }
}

/// What a failed read means to the caller.
pub(super) fn read_error(error: &fjall::Error) -> LogError {
    if is_damage(error) {
        LogError::Corrupt(error.to_string())
    } else {
        LogError::Unavailable(error.to_string())
    }
}

impl Store {
    /// Entries after `after` and the trim mark, as of one moment.
    pub(super) fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        let snapshot = self.database.snapshot();
        let head = snapshot.get(&self.meta, keys::head(run)).map_err(|e| read_error(&e))?;
        let Some(head) = head else { return Ok(Page::default()) };
        let (_, tail, trimmed) = decode_head(run, &head)?;
        let mut page = Page { entries: Vec::new(), trimmed, tail };
        let previous = after.max(trimmed);
        if previous >= tail {
            return Ok(page);
        }
        let mut cost = 0;
        let range = keys::entry(run, previous.next())..=keys::entry(run, tail);
        for found in snapshot.range(&self.entries, range) {
            let (key, value) = found.into_inner().map_err(|e| read_error(&e))?;
            let damaged = |what: &str| LogError::Corrupt(format!("run {run}: {what}"));
            let seq = keys::seq(&key).ok_or_else(|| damaged("a key without a seq"))?;
            // What is damaged is left out: the hole in the numbers tells every reader.
            let entry = match entry_codec::decode(seq, &Bytes::copy_from_slice(&value)) {
                Ok(entry) => entry,
                Err(error) => {
                    tracing::error!(%run, %seq, %error, "an entry of the log is damaged");
                    continue;
                }
            };
            cost += entry.memory_cost();
            if cost > limit && !page.entries.is_empty() {
                break;
            }
            page.entries.push(entry.into());
        }
        Ok(page)
    }

    /// Every run with entries above its trim mark.
    pub(super) fn runs(&self) -> Result<Vec<RunKey>, LogError> {
        let mut runs = Vec::new();
        for found in self.meta.iter() {
            let (key, value) = found.into_inner().map_err(|e| read_error(&e))?;
            let Some(run) = keys::parse_head(&key) else { continue };
            let (_, tail, trimmed) = decode_head(&run, &value)?;
            if tail > trimmed {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// Shows how many runs there are; from then on the writer counts.
    pub(super) fn show_runs(&self) {
        match self.runs() {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of runs")]
            Ok(runs) => metrics::gauge!("runcast_log_runs").set(runs.len() as f64),
            Err(error) => tracing::warn!(%error, "the runs of the log were not counted"),
        }
    }

    /// The epoch of a run as it is stored; none if there is no such run.
    pub(super) fn epoch(&self, run: &RunKey) -> Result<Option<Epoch>, LogError> {
        let head = self.meta.get(keys::head(run)).map_err(|e| read_error(&e))?;
        head.map(|head| decode_head(run, &head).map(|(epoch, ..)| epoch)).transpose()
    }

    /// The epoch and the tail of a run as they are stored; the beginning if there is no such run.
    pub(super) fn tail(&self, run: &RunKey) -> Result<(Epoch, Tail), LogError> {
        let head = self.meta.get(keys::head(run)).map_err(|e| read_error(&e))?;
        let Some(head) = head else { return Ok(<(Epoch, Tail)>::default()) };
        let (epoch, seq, trimmed) = decode_head(run, &head)?;
        let mut tail = Tail { seq, trimmed, ..Tail::default() };
        let prefix = keys::prefix(run);
        for found in self.meta.prefix(&prefix) {
            let (key, value) = found.into_inner().map_err(|e| read_error(&e))?;
            let Some(stream) = keys::parse_stream(&key[prefix.len()..]) else { continue };
            let index = keys::decode_index(&value)
                .ok_or_else(|| LogError::Corrupt(format!("run {run}: a stream's index")))?;
            tail.streams.insert(stream, index);
        }
        Ok((epoch, tail))
    }
}

fn decode_head(run: &RunKey, value: &[u8]) -> Result<(Epoch, Seq, Seq), LogError> {
    keys::decode_head(value).ok_or_else(|| LogError::Corrupt(format!("run {run}: its head")))
}
