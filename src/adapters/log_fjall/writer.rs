//! The thread that writes: everything that waits becomes one atomic batch, then each is answered.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::{AbstractTree as _, OwnedWriteBatch, PersistMode};
use runcast_actors::entry::{Body, Entry};
use runcast_actors::entry_codec;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::ports::{LogError, Tail};
use tokio::sync::{mpsc, oneshot};

use super::store::{Store, read_error};
use super::{Shared, keys, lock, note_unsynced};

type Reply<Answer> = oneshot::Sender<Result<Answer, LogError>>;

/// One batch takes no more than about this much memory cost of entries.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Keys that one sweep deletes.
const SWEEP_KEYS: usize = 1024;
/// Runs whose state stays in memory; it is read again when needed.
const MAX_KNOWN_RUNS: usize = 4096;
/// How long the store may keep us waiting for its flushes and compactions.
const MAX_STALL: Duration = Duration::from_secs(30);
const STALL_POLL: Duration = Duration::from_millis(2);
/// The store waits without end from 4 sealed memtables or 30 runs on, even if its workers died.
const MAX_SEALED: usize = 1;
const MAX_L0_RUNS: usize = 18;

/// What somebody wants of a run.
pub(super) struct Request {
    pub(super) run: RunKey,
    pub(super) command: Command,
}

/// What the writer does.
pub(super) enum Command {
    /// Puts a new writer in place.
    Fence { epoch: Epoch, reply: Reply<Tail> },
    /// Adds entries.
    Append { epoch: Epoch, batch: Vec<Arc<Entry>>, reply: Reply<()> },
    /// Moves the trim mark.
    Trim { through: Seq, reply: Reply<()> },
    /// Moves the trim mark to the tail.
    TrimAll { reply: Reply<()> },
    /// Deletes a slice below the trim mark and says if there is more; `forget` ends with the run's state.
    Sweep { forget: bool, reply: Reply<bool> },
}

#[derive(Clone, Default)]
struct RunState {
    epoch: Epoch,
    tail: Tail,
    /// Nothing is stored up to here; what a crash left below it goes with the first sweep.
    swept: Seq,
}

/// What is told once the batch is committed.
enum Outcome {
    Fenced(Reply<Tail>, Result<Tail, LogError>),
    Done(Reply<()>, Result<(), LogError>),
    Swept(Reply<bool>, Result<bool, LogError>),
}

/// What memory learns once the batch is committed.
enum Effect {
    Appended { previous: Seq, trimmed: Seq, entries: Vec<Arc<Entry>> },
    Trimmed(Seq),
    Removed,
}

struct Writer {
    shared: Arc<Shared>,
    known: HashMap<RunKey, RunState>,
    known_of: Weak<Store>,
}

/// Starts the thread; it ends when all senders are gone.
pub(super) fn start(
    shared: Arc<Shared>,
    mut requests: mpsc::Receiver<Request>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
        let mut writer = Writer { shared, known: HashMap::new(), known_of: Weak::new() };
        while let Some(first) = requests.blocking_recv() {
            let mut cost = first.cost();
            let mut group = vec![first];
            while cost < MAX_BATCH_BYTES
                && let Ok(next) = requests.try_recv()
            {
                cost += next.cost();
                group.push(next);
            }
            writer.handle(group);
        }
    })
}

impl Request {
    fn cost(&self) -> usize {
        match &self.command {
            Command::Append { batch, .. } => batch.iter().map(|entry| entry.memory_cost()).sum(),
            _ => 0,
        }
    }
}

impl Command {
    fn refuse(self, error: LogError) {
        // A caller that has gone needs no answer.
        match self {
            Self::Fence { reply, .. } => drop(reply.send(Err(error))),
            Self::Append { reply, .. } | Self::Trim { reply, .. } | Self::TrimAll { reply } => {
                drop(reply.send(Err(error)));
            }
            Self::Sweep { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

impl Outcome {
    fn tell(self, failure: Option<&LogError>) {
        fn answer<T>(reply: Reply<T>, result: Result<T, LogError>, failure: Option<&LogError>) {
            let result = match failure {
                Some(error) if result.is_ok() => Err(error.clone()),
                _ => result,
            };
            // A caller that has gone needs no answer.
            drop(reply.send(result));
        }
        match self {
            Self::Fenced(reply, result) => answer(reply, result, failure),
            Self::Done(reply, result) => answer(reply, result, failure),
            Self::Swept(reply, result) => answer(reply, result, failure),
        }
    }
}

impl Writer {
    fn handle(&mut self, group: Vec<Request>) {
        let store = match self.shared.store() {
            Ok(store) => store,
            Err(error) => {
                return group.into_iter().for_each(|request| request.command.refuse(error.clone()));
            }
        };
        if !std::ptr::eq(self.known_of.as_ptr(), Arc::as_ptr(&store)) {
            self.known.clear();
            self.known_of = Arc::downgrade(&store);
        }
        if self.known.len() > MAX_KNOWN_RUNS {
            self.known.clear();
        }
        let mut outcomes = Vec::new();
        let mut effects = Vec::new();
        let mut more_runs = 0;
        // A panic inside the engine is a failed write like any other.
        let committed = catch_unwind(AssertUnwindSafe(|| {
            wait_for_room(&store)?;
            let mut batch = store.database.batch();
            for Request { run, command } in group {
                let before = self.runs_held(&store, &run);
                outcomes.push(self.stage(&store, &mut batch, &mut effects, run.clone(), command));
                more_runs += self.runs_held(&store, &run) - before;
            }
            batch.commit().map_err(|error| error.to_string())
        }));
        let failure = match committed {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some("the engine panicked".to_owned()),
        };
        if let Some(reason) = failure {
            self.known.clear();
            self.shared.fail(&store, &reason);
            // Closed before anyone is told, so that a caller's next call meets the closed door.
            drop(store);
            let error = LogError::Unavailable(reason);
            return outcomes.into_iter().for_each(|outcome| outcome.tell(Some(&error)));
        }
        note_unsynced(&self.shared);
        metrics::gauge!("runcast_log_runs").increment(f64::from(more_runs));
        for (run, effect) in effects {
            self.apply(&run, effect);
        }
        outcomes.into_iter().for_each(|outcome| outcome.tell(None));
    }

    fn stage(
        &mut self,
        store: &Store,
        batch: &mut OwnedWriteBatch,
        effects: &mut Vec<(RunKey, Effect)>,
        run: RunKey,
        command: Command,
    ) -> Outcome {
        match command {
            Command::Fence { epoch, reply } => {
                let fenced = self.state(store, &run).and_then(|state| {
                    check_epoch(state, epoch)?;
                    state.epoch = epoch;
                    put_head(store, batch, &run, state);
                    Ok(state.tail.clone())
                });
                Outcome::Fenced(reply, fenced)
            }
            Command::Append { epoch, batch: entries, reply } => {
                let appended = self.state(store, &run).and_then(|state| {
                    check_epoch(state, epoch)?;
                    stage_append(store, batch, &run, state, epoch, entries)
                });
                Outcome::Done(
                    reply,
                    appended.map(|effect| effects.extend(effect.map(|effect| (run, effect)))),
                )
            }
            Command::Trim { through, reply } => {
                let trimmed = self.state(store, &run).map(|state| {
                    let through = through.max(state.tail.trimmed);
                    stage_trim(store, batch, &run, state, through);
                    effects.push((run, Effect::Trimmed(through)));
                });
                Outcome::Done(reply, trimmed)
            }
            Command::TrimAll { reply } => {
                let trimmed = self.state(store, &run).map(|state| {
                    let through = state.tail.seq;
                    stage_trim(store, batch, &run, state, through);
                    effects.push((run, Effect::Trimmed(through)));
                });
                Outcome::Done(reply, trimmed)
            }
            Command::Sweep { forget, reply } => {
                let swept = self
                    .state(store, &run)
                    .and_then(|state| stage_sweep(store, batch, &run, state, forget));
                if forget && swept == Ok(false) {
                    // Not read again: within this batch the store still shows the old head.
                    self.known.insert(run.clone(), RunState::default());
                    effects.push((run, Effect::Removed));
                }
                Outcome::Swept(reply, swept)
            }
        }
    }

    /// 1 if the log holds something of the run above its trim mark.
    fn runs_held(&mut self, store: &Store, run: &RunKey) -> i32 {
        // What cannot be read now will refuse the command too.
        let state = self.state(store, run).ok();
        state.map_or(0, |state| i32::from(state.tail.seq > state.tail.trimmed))
    }

    fn state(&mut self, store: &Store, run: &RunKey) -> Result<&mut RunState, LogError> {
        if !self.known.contains_key(run) {
            let (epoch, tail) = store.tail(run)?;
            self.known.insert(run.clone(), RunState { epoch, tail, swept: Seq::START });
        }
        Ok(self.known.get_mut(run).expect("it was put there just now"))
    }

    fn apply(&self, run: &RunKey, effect: Effect) {
        let tail = match effect {
            Effect::Appended { previous, trimmed, entries } => {
                let tail = entries.last().map_or(previous, |entry| entry.seq);
                lock(&self.shared.tails).append(run, previous, trimmed, entries);
                tail
            }
            Effect::Trimmed(through) => {
                lock(&self.shared.tails).trim(run, through);
                self.known.get(run).map_or(through, |state| state.tail.seq)
            }
            Effect::Removed => {
                lock(&self.shared.tails).remove(run);
                Seq::START
            }
        };
        self.shared.wake(run, tail);
    }
}

fn check_epoch(state: &RunState, epoch: Epoch) -> Result<(), LogError> {
    if epoch < state.epoch {
        return Err(LogError::Fenced { mine: epoch, current: state.epoch });
    }
    Ok(())
}

fn put_head(store: &Store, batch: &mut OwnedWriteBatch, run: &RunKey, state: &RunState) {
    batch.insert(&store.meta, keys::head(run), keys::encode_head(state.epoch, &state.tail));
}

fn stage_append(
    store: &Store,
    batch: &mut OwnedWriteBatch,
    run: &RunKey,
    state: &mut RunState,
    epoch: Epoch,
    mut entries: Vec<Arc<Entry>>,
) -> Result<Option<Effect>, LogError> {
    let previous = state.tail.seq;
    let mut tail = previous;
    let mut hole = None;
    entries.retain(|entry| {
        if entry.seq <= tail || hole.is_some() {
            return false;
        }
        if !entry.seq.follows(tail) {
            hole = Some(LogError::Behind { tail, first: entry.seq });
            return false;
        }
        tail = entry.seq;
        true
    });
    if let Some(hole) = hole {
        return Err(hole);
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let mut indices = BTreeMap::new();
    for entry in &entries {
        if let Body::Terminal(chunk) = &entry.body {
            indices.insert(chunk.stream_key(), chunk.index);
        }
        batch.insert(&store.entries, keys::entry(run, entry.seq), entry_codec::encode(entry));
    }
    for (stream, index) in indices {
        batch.insert(&store.meta, keys::stream(run, &stream), keys::encode_index(index));
        state.tail.streams.insert(stream, index);
    }
    state.epoch = epoch;
    state.tail.seq = tail;
    put_head(store, batch, run, state);
    Ok(Some(Effect::Appended { previous, trimmed: state.tail.trimmed, entries }))
}

// A mark above the tail moves the tail too: what is known elsewhere need not be here.
fn stage_trim(
    store: &Store,
    batch: &mut OwnedWriteBatch,
    run: &RunKey,
    state: &mut RunState,
    through: Seq,
) {
    state.tail.trimmed = through;
    state.tail.seq = state.tail.seq.max(through);
    put_head(store, batch, run, state);
}

fn stage_sweep(
    store: &Store,
    batch: &mut OwnedWriteBatch,
    run: &RunKey,
    state: &mut RunState,
    forget: bool,
) -> Result<bool, LogError> {
    if state.swept < state.tail.trimmed {
        let range = keys::entry(run, state.swept.next())..=keys::entry(run, state.tail.trimmed);
        let mut deleted = 0;
        for found in store.entries.range(range).take(SWEEP_KEYS) {
            let key = found.key().map_err(|error| read_error(&error))?;
            state.swept = keys::seq(&key).unwrap_or(state.swept);
            batch.remove(&store.entries, key);
            deleted += 1;
        }
        if deleted == SWEEP_KEYS {
            return Ok(true);
        }
        state.swept = state.tail.trimmed;
    }
    if !forget {
        return Ok(false);
    }
    if state.tail.seq > state.tail.trimmed {
        // Somebody appended meanwhile; that goes too.
        let through = state.tail.seq;
        stage_trim(store, batch, run, state, through);
        return Ok(true);
    }
    for stream in state.tail.streams.keys() {
        batch.remove(&store.meta, keys::stream(run, stream));
    }
    batch.remove(&store.meta, keys::head(run));
    Ok(false)
}

// The store's own back pressure sleeps until its workers have caught up, and for ever if they died.
fn wait_for_room(store: &Store) -> Result<(), String> {
    let asked = Instant::now();
    loop {
        let is_busy = [&store.entries, &store.meta].into_iter().any(|keyspace| {
            keyspace.tree.sealed_memtable_count() > MAX_SEALED
                || keyspace.tree.l0_run_count() > MAX_L0_RUNS
        });
        if !is_busy {
            return Ok(());
        }
        // Says if a worker has failed, and else costs next to nothing.
        store.database.persist(PersistMode::Buffer).map_err(|error| error.to_string())?;
        if asked.elapsed() > MAX_STALL {
            return Err("the store does not keep up".to_owned());
        }
        std::thread::park_timeout(STALL_POLL);
    }
}
