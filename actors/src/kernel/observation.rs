//! What every child is doing now: a registry that an admin page prints.
//!
//! A child is in it from its spawn to its end, under its kind (the name of the child) and its group.
//! The totals of a kind stay; there are as many as there are names in the code.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::ExitStatus;

/// Gives what a child shows. Called by whoever asks, on their thread: it reads shared state and does not wait.
type StateFn = Arc<dyn Fn() -> Shown + Send + Sync>;

/// What a child shows of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    queue_depth: Option<u64>,
    state: Value,
}

impl Shown {
    /// A small state of its own.
    pub fn new(state: impl Serialize) -> Self {
        let state =
            serde_json::to_value(state).unwrap_or_else(|error| Value::String(error.to_string()));
        Self { queue_depth: None, state }
    }

    /// So much waits for it: messages, requests or entries.
    #[must_use]
    pub fn with_queue(mut self, depth: u64) -> Self {
        self.queue_depth = Some(depth);
        self
    }
}

/// The registry. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Observers(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    last_serial: u64,
    children: BTreeMap<Key, Record>,
    kinds: BTreeMap<&'static str, KindTotals>,
}

/// The serial keeps two children of the same name apart, as when one is not quite gone yet.
type Key = (&'static str, Arc<str>, u64);

#[derive(Default)]
struct Record {
    incarnation: u32,
    is_running: bool,
    last_exit: Option<ExitStatus>,
    handled: Arc<AtomicU64>,
    state: Option<StateFn>,
}

/// One child as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The name of the child.
    pub kind: &'static str,
    /// The id of its group.
    pub group: Arc<str>,
    /// Which incarnation this is, from 1; 0 before the first.
    pub incarnation: u32,
    /// How often it was restarted.
    pub restarts: u32,
    /// Whether an incarnation runs; if not, it waits for its restart.
    pub is_running: bool,
    /// How the previous incarnation ended.
    pub last_exit: Option<ExitStatus>,
    /// What waits for it; none if that cannot be told, as of the mailbox of an actor.
    pub queue_depth: Option<u64>,
    /// What it has handled.
    pub messages: u64,
    /// What the running incarnation shows of itself.
    pub state: Option<Value>,
}

/// All children of one name, also those that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindTotals {
    /// How many there are now.
    pub instances: u64,
    /// How many there were since the start of the process.
    pub spawned: u64,
    /// Their restarts since the start of the process.
    pub restarts: u64,
    /// What they have handled since the start of the process.
    pub messages: u64,
    /// How the last incarnation that ended did.
    pub last_exit: Option<ExitStatus>,
}

impl Observers {
    /// A registry of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every child, by kind and group.
    pub fn snapshot(&self) -> Vec<Observation> {
        // States are asked for outside of the lock: their code is not ours.
        let mut states = Vec::new();
        let mut observations = Vec::new();
        for ((kind, group, _), record) in &self.lock().children {
            states.push(record.state.clone());
            observations.push(Observation {
                kind,
                group: Arc::clone(group),
                incarnation: record.incarnation,
                restarts: record.incarnation.saturating_sub(1),
                is_running: record.is_running,
                last_exit: record.last_exit.clone(),
                queue_depth: None,
                messages: record.handled.load(Ordering::Relaxed),
                state: None,
            });
        }
        for (observation, state) in observations.iter_mut().zip(states) {
            let Some(shown) = state.map(|state| state()) else { continue };
            observation.queue_depth = shown.queue_depth;
            observation.state = Some(shown.state);
        }
        observations
    }

    /// The totals of each kind.
    pub fn kinds(&self) -> BTreeMap<&'static str, KindTotals> {
        let registry = self.lock();
        let mut kinds = registry.kinds.clone();
        for ((kind, ..), record) in &registry.children {
            let totals = kinds.entry(kind).or_default();
            totals.messages += record.handled.load(Ordering::Relaxed);
        }
        kinds
    }

    /// Adds a task that its parent begins and ends itself. It is shown until the answer is dropped.
    pub fn observe(&self, kind: &'static str, group: impl Into<Arc<str>>) -> Observed {
        let observed = self.register(kind, group.into());
        observed.0.started(1);
        observed
    }

    /// Adds a child, which stays until the guard is dropped.
    pub(super) fn register(&self, kind: &'static str, group: Arc<str>) -> Observed {
        let mut registry = self.lock();
        registry.last_serial += 1;
        let key = (kind, group, registry.last_serial);
        let handled = Arc::default();
        let record = Record { handled: Arc::clone(&handled), ..Record::default() };
        registry.children.insert(key.clone(), record);
        let totals = registry.kinds.entry(kind).or_default();
        totals.instances += 1;
        totals.spawned += 1;
        drop(registry);
        Observed(Observer { observers: self.clone(), key, handled })
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.lock().children.keys()).finish()
    }
}

/// The entry of a child; removes it when dropped.
#[derive(Debug)]
pub struct Observed(Observer);

/// Writes into the entry of a child, as long as there is one.
#[derive(Debug, Clone)]
pub(super) struct Observer {
    observers: Observers,
    key: Key,
    handled: Arc<AtomicU64>,
}

impl Observed {
    /// Shows this from now on; `state` reads shared state and does not wait.
    pub fn show(&self, state: impl Fn() -> Shown + Send + Sync + 'static) {
        self.0.show(Arc::new(state));
    }

    /// It has handled so much more.
    pub fn handled(&self, count: u64) {
        self.0.handled(count);
    }

    pub(super) fn observer(&self) -> Observer {
        self.0.clone()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let mut registry = self.0.observers.lock();
        let removed = registry.children.remove(&self.0.key);
        if let Some(totals) = registry.kinds.get_mut(self.0.key.0) {
            totals.instances = totals.instances.saturating_sub(1);
            totals.messages += self.0.handled.load(Ordering::Relaxed);
        }
        drop(registry);
        // What the state holds on to may have a drop of its own: not under the lock.
        drop(removed);
    }
}

impl Observer {
    /// An incarnation starts, counted from 1.
    pub(super) fn started(&self, incarnation: u32) {
        let mut registry = self.observers.lock();
        if let Some(record) = registry.children.get_mut(&self.key) {
            record.incarnation = incarnation;
            record.is_running = true;
        }
        if let Some(totals) = registry.kinds.get_mut(self.key.0) {
            totals.restarts += u64::from(incarnation > 1);
        }
    }

    /// The incarnation has ended. Its state is let go: it may hold what the incarnation owned.
    pub(super) fn exited(&self, status: &ExitStatus) {
        let mut registry = self.observers.lock();
        let state = registry.children.get_mut(&self.key).and_then(|record| {
            record.is_running = false;
            record.last_exit = Some(status.clone());
            record.state.take()
        });
        if let Some(totals) = registry.kinds.get_mut(self.key.0) {
            totals.last_exit = Some(status.clone());
        }
        drop(registry);
        drop(state);
    }

    /// It has handled so much more.
    pub(super) fn handled(&self, count: u64) {
        self.handled.fetch_add(count, Ordering::Relaxed);
    }

    /// What the running incarnation shows from now on.
    pub(super) fn show(&self, state: StateFn) {
        let mut registry = self.observers.lock();
        let previous =
            registry.children.get_mut(&self.key).and_then(|record| record.state.replace(state));
        drop(registry);
        drop(previous);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_child_is_shown_while_it_lives() {
        let observers = Observers::new();
        let observed = observers.register("archivist", "acme/run-1".into());
        let observer = observed.observer();
        observer.started(1);
        observer.show(Arc::new(|| Shown::new(json!({ "segments": 3 }))));
        observer.handled(2);
        observer.exited(&ExitStatus::failed("disk full"));
        observer.started(2);
        observer.show(Arc::new(|| Shown::new(json!({ "segments": 4 })).with_queue(7)));
        observer.handled(3);
        assert_eq!(observers.kinds()["archivist"].messages, 5);

        assert_eq!(
            serde_json::to_value(observers.snapshot()).ok(),
            Some(json!([{
                "kind": "archivist",
                "group": "acme/run-1",
                "incarnation": 2,
                "restarts": 1,
                "isRunning": true,
                "lastExit": "failed: disk full",
                "queueDepth": 7,
                "messages": 5,
                "state": { "segments": 4 },
            }]))
        );

        drop(observed);
        observer.show(Arc::new(|| Shown::new("too late")));
        assert_eq!(observers.snapshot(), []);
        let totals = KindTotals {
            instances: 0,
            spawned: 1,
            restarts: 1,
            messages: 5,
            last_exit: Some(ExitStatus::failed("disk full")),
        };
        assert_eq!(observers.kinds(), BTreeMap::from([("archivist", totals)]));
    }

    #[test]
    fn the_end_of_an_incarnation_lets_its_state_go() {
        let observers = Observers::new();
        let observed = observers.register("screen", "acme/run-1".into());
        let cells = Arc::new(());
        let shown = Arc::clone(&cells);
        observed.observer().show(Arc::new(move || Shown::new(Arc::strong_count(&shown))));
        assert_eq!(Arc::strong_count(&cells), 2);
        observed.observer().exited(&ExitStatus::Finished);
        assert_eq!(Arc::strong_count(&cells), 1);
    }

    #[test]
    fn namesakes_do_not_remove_each_other() {
        let observers = Observers::new();
        let old = observers.register("broker", "acme/run-1".into());
        let _new = observers.register("broker", "acme/run-1".into());
        drop(old);
        assert_eq!(observers.snapshot().len(), 1);
        assert_eq!(observers.kinds()["broker"].instances, 1);
    }
}
