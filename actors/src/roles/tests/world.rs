//! A service in memory, and the rules that every log of a run keeps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Addr;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::archive::Archive;
use crate::entry::{Body, Chunk, ChunkKind, Entry, StreamTotals, TraceEvent, TraceKind};
use crate::flow::permits::CaptureBudget;
use crate::flow::sequencer::hex;
use crate::history::{History, Item};
use crate::ids::{InstanceId, NodeRef, RunKey, Seq, StreamKey};
use crate::kernel::{
    ArbiterPool, ChildSpec, ExitStatus, KillSwitch, Observers, RestartPolicy, Supervisor,
};
use crate::messages::run_commands::EndRun;
use crate::ports::{
    Claim, IncompleteReason, LogHealth, ObjectKey, RecordingState, RecordingStore as _, Replica,
    RunLog as _, RunStore as _, Runner, Submission,
};
use crate::roles::archivist::ArchiveSettings;
use crate::roles::node::{CaptureSettings, EndReason};
use crate::roles::owner::{OwnedRun, Replication, RunActor, Service, Succession, own};
use crate::roles::run::Run;
use crate::roles::run_manager::RunManager;
use crate::roles::screens::Screens;
use crate::run_spec::RunSpec;
use crate::run_view::{
    FailureKind, NodeStatus, NodeView, RunStatus, RunView, TerminalMode, TerminalView,
};
use crate::seek::KeyframeLibrary;
use crate::testing::log_memory::{MemoryLog, run_key};
use crate::testing::objects_memory::MemoryObjects;
use crate::testing::replica_memory::MemoryReplica;
use crate::testing::runner_scripted::{ScriptedRunner, Told};
use crate::testing::store_memory::MemoryStore;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SEC: Duration = Duration::from_secs(1);
pub(super) const GRACE: Duration = Duration::from_secs(5);
pub(super) const DRAIN: Duration = Duration::from_millis(500);
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// What differs between the worlds of tests.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub in_flight_bytes: usize,
    pub capture_bytes: usize,
    pub max_bytes_per_run: u64,
    pub max_parallel: usize,
    pub segment_bytes: u64,
    pub hot_min: Duration,
    pub replica_bytes: u64,
    pub max_lag_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_bytes: 128 * 1024,
            capture_bytes: 1024 * 1024,
            max_bytes_per_run: 1 << 30,
            max_parallel: 100,
            segment_bytes: 64 * 1024,
            hot_min: 300 * SEC,
            replica_bytes: 1 << 20,
            max_lag_bytes: None,
        }
    }
}

/// What instances share.
#[derive(Clone)]
pub(super) struct Stores {
    pub store: Arc<MemoryStore>,
    pub objects: Arc<MemoryObjects>,
    /// None for an instance alone.
    pub replica: Option<Arc<MemoryReplica>>,
}

/// How a run comes to a new owner after the old one was lost somewhere.
pub(super) fn lost() -> Succession {
    Succession { previous: Some(instance("here")), cause: FailureKind::Lost }
}

pub(super) struct World {
    pub service: Arc<Service>,
    pub log: Arc<MemoryLog>,
    pub store: Arc<MemoryStore>,
    pub objects: Arc<MemoryObjects>,
    pub runner: ScriptedRunner,
    pub health: watch::Sender<LogHealth>,
    managers: Mutex<Vec<Supervisor>>,
}

impl World {
    pub(super) fn new(runner: &ScriptedRunner) -> Self {
        Self::with(runner, Limits::default())
    }

    pub(super) fn with(runner: &ScriptedRunner, limits: Limits) -> Self {
        Self::with_runner(runner, Arc::new(runner.clone()), limits)
    }

    pub(super) fn with_runner(
        scripted: &ScriptedRunner,
        runner: Arc<dyn Runner>,
        limits: Limits,
    ) -> Self {
        let stores = Stores { store: Arc::default(), objects: Arc::default(), replica: None };
        Self::instance("here", scripted, runner, limits, &stores)
    }

    /// One of several instances over the same stores; each has its own log.
    pub(super) fn instance(
        name: &str,
        scripted: &ScriptedRunner,
        runner: Arc<dyn Runner>,
        limits: Limits,
        stores: &Stores,
    ) -> Self {
        let log = Arc::new(MemoryLog::new());
        let Stores { store, objects, replica } = stores.clone();
        let archive = Archive::new(objects.clone(), store.clone(), 16 * 1024 * 1024);
        let copied = replica.clone().map(|replica| -> Arc<dyn Replica> { replica });
        let history = History::new(log.clone(), copied.clone(), store.clone(), Arc::new(archive));
        let replication = copied.clone().map(|replica| Replication {
            replica,
            max_bytes_per_run: limits.replica_bytes,
            max_lag_bytes: limits.max_lag_bytes,
            hot_ttl: 60 * SEC,
        });
        let arbiters = Arc::new(ArbiterPool::of_this_thread());
        let archivers = arbiters.clone();
        let (observers, root) = (Observers::new(), KillSwitch::new());
        let (health, log_health) = watch::channel(LogHealth::Up);
        let library = KeyframeLibrary::new(history.clone(), arbiters.clone());
        let (threads, watched) = (arbiters.clone(), observers.clone());
        let screens =
            Screens::new(history.clone(), library, threads, watched, root.clone(), copied.clone());
        let service = Arc::new(Service {
            instance: instance(name),
            log: log.clone(),
            store: store.clone(),
            history,
            runner,
            screens,
            arbiters,
            observers,
            root,
            log_health,
            budget: CaptureBudget::new(limits.capture_bytes),
            slots: Arc::new(Semaphore::new(limits.max_parallel)),
            capture: CaptureSettings {
                in_flight_bytes: limits.in_flight_bytes,
                max_chunk_bytes: 32 * 1024,
                flush_after: 8 * MS,
                drain: DRAIN,
                kill_grace: GRACE,
            },
            max_bytes_per_run: limits.max_bytes_per_run,
            lease: LEASE,
            archivers,
            archiving: ArchiveSettings { segment_bytes: limits.segment_bytes, flush_interval: SEC },
            hot_min: limits.hot_min,
            replication,
        });
        Self {
            service,
            log,
            store,
            objects,
            runner: scripted.clone(),
            health,
            managers: Mutex::default(),
        }
    }

    /// Submits a run of these nodes and claims it.
    pub(super) async fn claim(&self, document: &Value) -> Claim {
        self.submit(document).await;
        let mut claims = self.store.claim(&self.service.instance, LEASE, 1).await.unwrap();
        claims.pop().expect("the run is queued")
    }

    pub(super) async fn submit(&self, document: &Value) {
        self.submit_as(&run(), document).await;
    }

    pub(super) async fn submit_as(&self, run: &RunKey, document: &Value) {
        let spec: RunSpec = serde_json::from_value(document.clone()).expect("the document parses");
        let default_terminal = TerminalView { mode: TerminalMode::Pty, cols: 80, rows: 24 };
        let submission = Submission { run: run.clone(), spec, default_terminal };
        self.store.submit(submission).await.unwrap();
    }

    /// A manager with room for so many runs.
    pub(super) async fn manager(&self, max_runs: usize) -> Addr<RunManager> {
        let group = Supervisor::new("service", &self.service.root, self.service.observers.clone());
        let service = self.service.clone();
        let factory = move |child| {
            RunManager::new(service.clone(), max_runs, watch::Sender::default(), child)
        };
        let spec = ChildSpec { name: "RunManager", policy: RestartPolicy::Never, factory };
        let manager = group.spawn_actor(&self.service.arbiters.pick(0), spec);
        let address = manager.ready().await.expect("it starts");
        self.managers.lock().unwrap().push(group);
        address
    }

    /// Submits, claims and begins to own a run.
    pub(super) async fn begin(&self, document: &Value) -> OwnedRun {
        let claim = self.claim(document).await;
        own(&self.service, claim, lost())
    }

    /// Lives a run to its end and returns what it left in the log.
    pub(super) async fn live(&self, document: &Value) -> Story {
        let owned = self.begin(document).await;
        self.ended(&owned).await
    }

    /// Waits for the end of an owned run, which must leave a whole log, rows that say the same, and no lease.
    pub(super) async fn ended(&self, owned: &OwnedRun) -> Story {
        assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
        let story = Story::of(self.log.entries(&run()));
        story.check();
        let stored = self.store.find(&run()).await.unwrap().expect("the run is there");
        assert_eq!(stored.view.status, story.run().status, "the rows follow the log");
        assert_eq!(stored.view.last_seq, story.last());
        assert!(self.store.leases().await.unwrap().is_empty(), "the lease is given back");
        assert_eq!(self.service.budget.in_use(), 0, "every permit came back");
        self.check_recordings(&story).await;
        self.check_history_without_the_log(&story).await;
        story
    }

    /// Every stream has its recording, which is complete if its end says so.
    async fn check_recordings(&self, story: &Story) {
        let recordings = self.store.recordings(&run()).await.unwrap();
        let mut exits = HashMap::new();
        for entry in &story.0 {
            if let Body::Terminal(chunk) = &entry.body
                && let ChunkKind::Exit(exit) = &chunk.kind
            {
                exits.insert(chunk.stream_key(), exit.totals.clone());
            }
        }
        assert_eq!(recordings.len(), exits.len(), "a recording for every stream");
        for recording in recordings {
            let told = &exits[&recording.stream];
            let expected = if told.complete {
                (RecordingState::Complete, None)
            } else {
                (RecordingState::Incomplete, Some(IncompleteReason::Lost))
            };
            assert_eq!((recording.state, recording.reason), expected, "{:?}", recording.stream);
            assert_eq!((recording.chunks, recording.bytes), (told.chunks, told.bytes));
            assert_eq!(recording.sha256.as_ref(), Some(&told.sha256));
            let whole = ObjectKey::recording(&run(), &recording.stream);
            assert_eq!(recording.object, Some(whole));
        }
    }

    /// Once the log is empty, rows and archive give the same entries, wherever a reader begins.
    async fn check_history_without_the_log(&self, story: &Story) {
        self.log.trim(&run(), story.last()).await.unwrap();
        assert!(self.log.entries(&run()).is_empty());
        let starts = [0, story.0.len() / 3, story.0.len().saturating_sub(1)];
        for (start, limit) in starts.into_iter().zip([1, 2000, 1 << 20]) {
            let after = if start == 0 { Seq::START } else { story.0[start - 1].seq };
            assert_eq!(self.history(after, limit).await, story.0[start..], "after {after}");
        }
    }

    /// Every entry after the cursor, as history tells it; there must be no gap.
    pub(super) async fn history(&self, after: Seq, limit: usize) -> Vec<Arc<Entry>> {
        let mut entries = Vec::new();
        for item in self.items(after, limit).await {
            match item {
                Item::Entry(entry) => entries.push(entry),
                Item::Gap(gap) => panic!("{gap:?}"),
            }
        }
        entries
    }

    /// Everything after the cursor, as history tells it.
    pub(super) async fn items(&self, after: Seq, limit: usize) -> Vec<Item> {
        let (mut items, mut cursor) = (Vec::new(), after);
        loop {
            let stretch = self.service.history.read(&run(), cursor, limit).await.unwrap();
            if stretch.items.is_empty() {
                return items;
            }
            assert!(stretch.through > cursor, "it gets on");
            cursor = stretch.through;
            items.extend(stretch.items);
        }
    }

    /// Waits until the log holds this.
    pub(super) async fn until(&self, holds: impl Fn(&Story) -> bool) -> Story {
        soon(async {
            loop {
                let story = Story::of(self.log.entries(&run()));
                if holds(&story) {
                    return story;
                }
                tokio::time::sleep(MS).await;
            }
        })
        .await
    }

    pub(super) async fn told(&self, told: Told) {
        soon(self.runner.wait_told(&told)).await;
    }
}

/// What must come, with a deadline that a paused clock reaches at once.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(3600 * SEC, future).await.expect("it comes before the deadline")
}

pub(super) async fn address(owned: &OwnedRun) -> Addr<Run> {
    let mut published = owned.run.clone();
    let is_here = |actor: &RunActor| actor.address().is_some();
    let actor = soon(published.wait_for(is_here)).await.unwrap();
    actor.address().expect("just waited for")
}

pub(super) async fn cancel(owned: &OwnedRun) {
    address(owned).await.send(EndRun(EndReason::Cancelled)).await.unwrap();
}

pub(super) fn run() -> RunKey {
    run_key("run-1")
}

pub(super) fn instance(name: &str) -> InstanceId {
    name.parse().expect("a valid name")
}

pub(super) fn node(name: &str) -> NodeRef {
    name.parse().expect("a valid name")
}

/// A run of nodes that depend on others: `[("a", &[]), ("b", &["a"])]`.
pub(super) fn graph(nodes: &[(&str, &[&str])]) -> Value {
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|(node, on)| json!({ "ref": node, "command": ["x"], "dependsOn": on }))
        .collect();
    json!({ "nodes": nodes })
}

pub(super) fn single() -> Value {
    graph(&[("a", &[])])
}

/// The log of a run.
pub(super) struct Story(pub Vec<Arc<Entry>>);

impl Story {
    pub(super) fn of(entries: Vec<Arc<Entry>>) -> Self {
        Self(entries)
    }

    pub(super) fn last(&self) -> Seq {
        self.0.last().map_or(Seq::START, |entry| entry.seq)
    }

    /// The run as its last status tells it.
    pub(super) fn run(&self) -> &RunView {
        let statuses = self.0.iter().rev().filter_map(|entry| match &entry.body {
            Body::Status(change) => Some(&change.run),
            _ => None,
        });
        statuses.into_iter().next().expect("a status")
    }

    /// A node as its last status tells it.
    pub(super) fn node(&self, name: &str) -> &NodeView {
        self.try_node(name).unwrap_or_else(|| panic!("a status of `{name}`"))
    }

    pub(super) fn try_node(&self, name: &str) -> Option<&NodeView> {
        let node_ref = node(name);
        self.node_statuses().rfind(|node| node.node_ref == node_ref)
    }

    pub(super) fn failure(&self, name: &str) -> FailureKind {
        self.node(name).failure.as_ref().expect("a failure").kind
    }

    fn node_statuses(&self) -> impl DoubleEndedIterator<Item = &NodeView> {
        self.0.iter().filter_map(|entry| match &entry.body {
            Body::Status(change) => change.node.as_ref(),
            _ => None,
        })
    }

    pub(super) fn traces(&self) -> impl DoubleEndedIterator<Item = &TraceEvent> {
        self.0.iter().filter_map(|entry| match &entry.body {
            Body::Trace(trace) => Some(trace.as_ref()),
            _ => None,
        })
    }

    pub(super) fn count(&self, kind: TraceKind) -> usize {
        self.traces().filter(|trace| trace.kind == kind).count()
    }

    pub(super) fn chunks(&self, name: &str) -> Vec<&Chunk> {
        let node_ref = node(name);
        let chunks = self.0.iter().filter_map(|entry| match &entry.body {
            Body::Terminal(chunk) if chunk.node_ref == node_ref => Some(chunk),
            _ => None,
        });
        chunks.collect()
    }

    pub(super) fn output(&self, name: &str) -> Vec<u8> {
        let chunks = self.chunks(name);
        chunks.iter().filter_map(|chunk| chunk.kind.payload()).flatten().copied().collect()
    }

    /// The end of a node's first stream.
    pub(super) fn exit(&self, name: &str) -> &crate::entry::Exit {
        let mut exits = self.chunks(name).into_iter().filter_map(|chunk| match &chunk.kind {
            ChunkKind::Exit(exit) => Some(exit),
            _ => None,
        });
        exits.next().expect("an exit")
    }

    /// The kinds of a node's chunks, repeats left out.
    pub(super) fn kinds(&self, name: &str) -> Vec<String> {
        let mut kinds: Vec<String> = self
            .chunks(name)
            .into_iter()
            .map(|chunk| match &chunk.kind {
                ChunkKind::Marker(label) => format!("marker {label}"),
                kind => kind.name().to_owned(),
            })
            .collect();
        kinds.dedup();
        kinds
    }

    /// What the log of every run that has ended keeps, whatever happened to the run.
    pub(super) fn check(&self) {
        self.check_numbers();
        self.check_streams();
        self.check_statuses();
    }

    fn check_numbers(&self) {
        let mut before = Seq::START;
        for entry in &self.0 {
            if entry.seq.epoch() == before.epoch() {
                assert_eq!(entry.seq, before.next(), "no hole inside an epoch");
            } else {
                assert!(entry.seq.epoch() > before.epoch());
                assert_eq!(entry.seq.number(), 1, "an epoch begins at one");
                let Body::Trace(trace) = &entry.body else {
                    panic!("an epoch begins with a trace")
                };
                assert_eq!(trace.kind, TraceKind::RunTakenOver);
                assert_eq!(trace.data, Some(json!({ "continuesSeq": before })));
            }
            before = entry.seq;
        }
    }

    fn check_streams(&self) {
        let mut streams: HashMap<StreamKey, (u64, Vec<u8>, Option<StreamTotals>)> = HashMap::new();
        let mut begun = HashSet::new();
        for entry in &self.0 {
            match &entry.body {
                Body::Status(change) => {
                    let node = change.node.as_ref();
                    if let Some(node) = node.filter(|node| node.status == NodeStatus::Running) {
                        begun.insert(node.node_ref.clone());
                    }
                }
                Body::Terminal(chunk) => {
                    assert!(begun.contains(&chunk.node_ref), "the start stands before the output");
                    let key = chunk.stream_key();
                    let (count, bytes, ended) = streams.entry(key.clone()).or_default();
                    assert_eq!(chunk.index.0, *count, "chunks of {key:?} are dense");
                    assert!(ended.is_none(), "nothing of {key:?} after its exit");
                    *count += 1;
                    match &chunk.kind {
                        ChunkKind::Output(payload) => bytes.extend_from_slice(payload),
                        ChunkKind::Exit(exit) => *ended = Some(exit.totals.clone()),
                        _ => {}
                    }
                }
                Body::Trace(_) => {}
            }
        }
        for (key, (count, bytes, ended)) in streams {
            let totals = ended.unwrap_or_else(|| panic!("{key:?} has an exit"));
            assert_eq!((totals.chunks, totals.bytes), (count, bytes.len() as u64));
            assert_eq!(totals.sha256, hex(&Sha256::digest(&bytes)));
        }
    }

    fn check_statuses(&self) {
        let mut ended: BTreeMap<NodeRef, NodeStatus> = BTreeMap::new();
        for node in self.node_statuses() {
            let before = ended.get(&node.node_ref);
            assert_eq!(before, None, "`{}` ends once", node.node_ref);
            if node.status.is_terminal() {
                ended.insert(node.node_ref.clone(), node.status);
            }
        }
        let run = self.run();
        assert!(run.status.is_terminal(), "the run has ended");
        assert_eq!(ended.len(), run.progress.total as usize, "every node has ended");
        assert_eq!(run.last_seq, self.last(), "the end of the run is the last entry");
        let ends = self.0.iter().filter(|entry| match &entry.body {
            Body::Status(change) => change.run.status.is_terminal(),
            _ => false,
        });
        assert_eq!(ends.count(), 1, "the run ends once");
        if run.status == RunStatus::Completed {
            assert!(ended.values().all(|status| *status == NodeStatus::Completed));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its followers would live on in the runtime of the test.
        self.service.root.kill(ExitStatus::Stopped);
    }
}
