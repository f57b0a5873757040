//! A replica in memory with the rules of a real one, and with faults that a test asks for.

mod copy;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::ids::{Epoch, RunKey, Seq};
use crate::ports::{
    CommandFeed, LogError, OwnerCommand, Page, Replica, ReplicaBatch, ReplicaHealth,
    ReplicaScreens, RunReader, Tail, Wake,
};

use self::copy::Copy;

/// How long a command waits for an owner.
pub(super) const COMMAND_LIFE: Duration = Duration::from_secs(60);

/// A replica that several instances of a test share. Clones share what it holds; it lives as long as the
/// last of them. Times of life go by the clock of tokio.
#[derive(Debug, Clone)]
pub struct MemoryReplica {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Moves when there may be a command to take.
    commands: watch::Sender<u64>,
    queued: watch::Sender<Seq>,
}

#[derive(Debug)]
struct Inner {
    copies: HashMap<RunKey, Copy>,
    commands: HashMap<RunKey, VecDeque<(Instant, OwnerCommand)>>,
    watchers: HashMap<RunKey, watch::Sender<Seq>>,
    health: ReplicaHealth,
    is_full: bool,
    delay: Duration,
}

impl Default for MemoryReplica {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryReplica {
    /// An empty replica.
    pub fn new() -> Self {
        let inner = Inner {
            copies: HashMap::new(),
            commands: HashMap::new(),
            watchers: HashMap::new(),
            health: ReplicaHealth::Up,
            is_full: false,
            delay: Duration::ZERO,
        };
        let shared = Shared {
            inner: Mutex::new(inner),
            commands: watch::Sender::new(0),
            queued: watch::Sender::new(Seq::START),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What [`Replica::health`] says from now on. While it is `Down`, every call answers `Unavailable` and
    /// changes nothing, and commands wait; when it is not any more, every follower wakes.
    pub fn set_health(&self, health: ReplicaHealth) {
        let mut inner = self.lock();
        inner.health = health;
        inner.wake_all();
        self.shared.wake_commands();
    }

    /// Loses everything, fences too, as a server that was flushed. Every follower wakes.
    pub fn lose_everything(&self) {
        let mut inner = self.lock();
        inner.copies.clear();
        inner.commands.clear();
        inner.wake_all();
    }

    /// Loses this entry alone, as a server that evicts keys.
    pub fn lose(&self, run: &RunKey, seq: Seq) {
        let mut inner = self.lock();
        if let Some(copy) = inner.copy(run) {
            copy.entries.remove(&seq);
        }
    }

    /// From now on nobody can read this entry: a read that comes to it is `Corrupt`.
    pub fn damage(&self, run: &RunKey, seq: Seq) {
        let mut inner = self.lock();
        if let Some(copy) = inner.copy(run) {
            copy.damaged.insert(seq);
        }
    }

    /// From now on nobody can read where the copy of a run ends: an owner gets `Corrupt` until it is removed.
    pub fn spoil(&self, run: &RunKey) {
        let mut inner = self.lock();
        if let Some(copy) = inner.copy(run) {
            copy.is_spoilt = true;
        }
    }

    /// While true, appends and screens answer `Unavailable`, as on a server whose memory is used up.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Every call takes this long from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Everything that is held of a run.
    pub fn entries(&self, run: &RunKey) -> Vec<Arc<Entry>> {
        let mut inner = self.lock();
        inner.copy(run).map_or_else(Vec::new, |copy| copy.entries.values().cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }

    /// The state, after the delay, if it can be used.
    async fn serve(&self) -> Result<MutexGuard<'_, Inner>, LogError> {
        let delay = self.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let inner = self.lock();
        match &inner.health {
            ReplicaHealth::Down(reason) => Err(LogError::Unavailable(reason.clone())),
            ReplicaHealth::Up | ReplicaHealth::Degraded(_) => Ok(inner),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_commands(&self) {
        self.commands.send_modify(|count| *count += 1);
    }

    /// The oldest command that is left for the owner, if there is one and the replica can be used.
    fn take_command(&self, run: &RunKey) -> Option<OwnerCommand> {
        let mut inner = self.lock();
        if matches!(inner.health, ReplicaHealth::Down(_)) {
            return None;
        }
        let left = inner.commands.get_mut(run)?;
        left.retain(|(sent, _)| sent.elapsed() < COMMAND_LIFE);
        left.pop_front().map(|(_, command)| command)
    }
}

impl Inner {
    /// What is held of a run, unless its time is over.
    fn copy(&mut self, run: &RunKey) -> Option<&mut Copy> {
        let expires = self.copies.get(run)?.expires;
        if expires.is_some_and(|expires| expires <= Instant::now()) {
            self.copies.remove(run);
        }
        self.copies.get_mut(run)
    }

    fn refuse_if_full(&self) -> Result<(), LogError> {
        if self.is_full {
            return Err(LogError::Unavailable("the replica is full".to_owned()));
        }
        Ok(())
    }

    fn wake(&self, run: &RunKey) {
        if let Some(watcher) = self.watchers.get(run) {
            watcher.send_replace(self.copies.get(run).map_or(Seq::START, |copy| copy.tail.seq));
        }
    }

    fn wake_all(&self) {
        self.watchers.keys().for_each(|run| self.wake(run));
    }
}

#[async_trait]
impl RunReader for MemoryReplica {
    async fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        let mut inner = self.serve().await?;
        let Some(copy) = inner.copy(run) else { return Ok(Page::default()) };
        copy.read(after, limit)
    }

    fn follow(&self, run: &RunKey) -> Wake {
        let mut inner = self.lock();
        let tail = inner.copy(run).map_or(Seq::START, |copy| copy.tail.seq);
        let watcher = inner.watchers.entry(run.clone()).or_insert_with(|| watch::Sender::new(tail));
        Wake::new(watcher.subscribe())
    }
}

#[async_trait]
impl Replica for MemoryReplica {
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError> {
        let mut inner = self.serve().await?;
        if inner.copy(run).is_none() {
            inner.copies.insert(run.clone(), Copy::default());
        }
        let copy = inner.copies.entry(run.clone()).or_default();
        copy.admit(epoch)?;
        copy.epoch = epoch;
        copy.expires = None;
        Ok(copy.tail.clone())
    }

    async fn append(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ReplicaBatch,
    ) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        inner.refuse_if_full()?;
        let Some(copy) = inner.copy(run) else {
            let first = batch.entries.first().map_or(batch.after.next(), |entry| entry.seq);
            return Err(LogError::Behind { tail: Seq::START, first });
        };
        copy.admit(epoch)?;
        copy.append(batch)?;
        copy.epoch = epoch;
        inner.wake(run);
        Ok(())
    }

    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        if let Some(copy) = inner.copy(run) {
            copy.trim(through);
        }
        inner.wake(run);
        Ok(())
    }

    async fn expire(&self, run: &RunKey, after: Duration) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        if let Some(copy) = inner.copy(run) {
            copy.expires = Some(Instant::now() + after);
        }
        Ok(())
    }

    async fn remove(&self, run: &RunKey) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        inner.copies.remove(run);
        inner.commands.remove(run);
        inner.wake(run);
        Ok(())
    }

    async fn put_screens(
        &self,
        run: &RunKey,
        epoch: Epoch,
        after: Seq,
        screens: ReplicaScreens,
    ) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        inner.refuse_if_full()?;
        let Some(copy) = inner.copy(run) else {
            return Err(LogError::Behind { tail: Seq::START, first: screens.seq });
        };
        copy.admit(epoch)?;
        if after == Seq::START {
            copy.screens.clear();
        } else if copy.screens_seq != after {
            return Err(LogError::Behind { tail: copy.screens_seq, first: screens.seq });
        }
        copy.screens.extend(screens.streams);
        copy.screens_seq = screens.seq;
        Ok(())
    }

    async fn screens(&self, run: &RunKey) -> Result<ReplicaScreens, LogError> {
        let mut inner = self.serve().await?;
        let Some(copy) = inner.copy(run) else { return Ok(ReplicaScreens::default()) };
        let streams = copy.screens.clone().into_iter().collect();
        Ok(ReplicaScreens { seq: copy.screens_seq, streams })
    }

    async fn send(&self, run: &RunKey, command: OwnerCommand) -> Result<(), LogError> {
        let mut inner = self.serve().await?;
        let left = inner.commands.entry(run.clone()).or_default();
        left.push_back((Instant::now(), command));
        self.shared.wake_commands();
        Ok(())
    }

    fn commands(&self, run: &RunKey) -> Box<dyn CommandFeed> {
        let changed = self.shared.commands.subscribe();
        Box::new(MemoryFeed { shared: self.shared.clone(), run: run.clone(), changed })
    }

    async fn announce_queued(&self) -> Result<(), LogError> {
        let _usable = self.serve().await?;
        self.shared.queued.send_modify(|count| *count = count.next());
        Ok(())
    }

    fn queued(&self) -> Wake {
        Wake::new(self.shared.queued.subscribe())
    }

    fn health(&self) -> ReplicaHealth {
        self.lock().health.clone()
    }
}

struct MemoryFeed {
    shared: Arc<Shared>,
    run: RunKey,
    changed: watch::Receiver<u64>,
}

#[async_trait]
impl CommandFeed for MemoryFeed {
    async fn next(&mut self) -> OwnerCommand {
        loop {
            self.changed.mark_unchanged();
            if let Some(command) = self.shared.take_command(&self.run) {
                return command;
            }
            // The sender is in `shared`, which is held here.
            let _ = self.changed.changed().await;
        }
    }
}
