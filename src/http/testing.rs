//! What the tests of this layer share: a service over a store, a log and a control that do as they are told.

mod control;
mod peers;
mod sessions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use runcast_actors::archive::Archive;
use runcast_actors::entry::{
    Body, Chunk, ChunkKind, Entry, Exit, Level, ProcessEnd, RunnerKind, StreamTotals, TraceEvent,
    TraceKind,
};
use runcast_actors::event_json::event_data;
use runcast_actors::history::History;
use runcast_actors::ids::{
    ChunkIndex, Epoch, InstanceId, RunKey, Seq, StreamKey, StreamName, TenantId,
};
use runcast_actors::kernel::{ArbiterPool, KillSwitch, Observers};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{
    Annotation, ArchiveBatch, CancelRequest, Claim, EncoderStates, Lease, LogError, LogHealth,
    ObjectKey, Page, Purged, RecordBatch, Recording, RecordingStore, RunList, RunLog, RunQuery,
    RunReader, RunStore, Seen, Segment, StoreError, StoredRun, Submission, Submitted, Tail,
    TraceQuery, Wake,
};
use runcast_actors::roles::broker::Brokers;
use runcast_actors::run_spec::{RunSpec, TerminalSpec};
use runcast_actors::run_view::{
    Failure, FailureKind, Link, NodeStatus, NodeView, Progress, RecordingCounts, RunStatus,
    RunView, StreamFinal, TerminalMode, TerminalView,
};
use runcast_actors::seek::{KeyframeLibrary, Seeker};
use runcast_actors::testing::objects_memory::MemoryObjects;
use runcast_actors::testing::store_memory::MemoryStore;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::access::{Access, AccessMode, AccessSettings, Scope, TokenEntry};
use crate::http::api::{Api, ApiParts};
use crate::http::page::WebPage;

use self::control::FakeControl;
use self::peers::NoPeers;
pub(crate) use self::sessions::full_session;

pub(crate) const TERMINAL: TerminalView =
    TerminalView { mode: TerminalMode::Pty, cols: 120, rows: 30 };
/// Downloads that the service of a fixture has room for.
pub(crate) const MAX_DOWNLOADS: usize = 2;

pub(crate) fn run_key(run: &str) -> RunKey {
    RunKey { tenant: TenantId::default_tenant(), run: run.parse().expect("a valid id") }
}

pub(crate) fn stream_key(node: &str) -> StreamKey {
    StreamKey { node_ref: node.parse().expect("a valid name"), stream: StreamName::Pty }
}

fn chunk_entry(seq: u64, node: &str, index: u64, kind: ChunkKind) -> Entry {
    let body = Body::Terminal(Chunk {
        node_ref: node.parse().expect("a valid name"),
        stream: StreamName::Pty,
        index: ChunkIndex(index),
        kind,
        recorded_at: Timestamp(0),
        delta_us: 1000,
        at_us: 1000 * index,
        origin: "i".into(),
        runner_kind: RunnerKind::Local,
    });
    Entry { seq: Seq(seq), body }
}

pub(crate) fn output_entry(seq: u64, node: &str, index: u64, bytes: &[u8]) -> Entry {
    chunk_entry(seq, node, index, ChunkKind::Output(Bytes::copy_from_slice(bytes)))
}

pub(crate) fn exit_entry(seq: u64, node: &str, index: u64, complete: bool) -> Entry {
    let totals = StreamTotals {
        chunks: index + 1,
        bytes: 0,
        sha256: "00".repeat(32),
        complete,
        truncated: false,
    };
    chunk_entry(seq, node, index, ChunkKind::Exit(Exit { end: ProcessEnd::Code(0), totals }))
}

pub(crate) fn trace_entry(seq: u64, level: Level) -> Entry {
    let body = Body::Trace(Box::new(TraceEvent {
        node_ref: Some("n".parse().expect("a valid name")),
        kind: TraceKind::NodeFailed,
        level,
        message: "it failed".into(),
        error: Some(failure()),
        output_summary: Some("last words".into()),
        data: Some(json!({ "a": 1 })),
        timestamp: Timestamp(0),
    }));
    Entry { seq: Seq(seq), body }
}

/// The data of a trace event with every member.
pub(crate) fn full_trace_event() -> Value {
    let data = event_data(&"r".parse().expect("valid"), &trace_entry(1, Level::Error));
    serde_json::from_slice(&data).expect("JSON")
}

fn failure() -> Failure {
    Failure { kind: FailureKind::ExitCode, message: "code 1".into() }
}

/// A run with every member.
pub(crate) fn full_run() -> RunView {
    let node = NodeView {
        node_ref: "n".parse().expect("valid"),
        name: Some("N".into()),
        command: vec!["true".into()],
        status: NodeStatus::Failed,
        attempt: 1,
        depends_on: Vec::new(),
        runner_kind: RunnerKind::Local,
        terminal: TERMINAL,
        streams: vec![StreamName::Pty],
        started_at: Some(Timestamp(0)),
        finished_at: Some(Timestamp(0)),
        exit_code: Some(1),
        signal: Some(9),
        failure: Some(failure()),
        totals: vec![StreamFinal {
            stream: StreamName::Pty,
            totals: StreamTotals {
                chunks: 3,
                bytes: 2,
                sha256: "00".repeat(32),
                complete: true,
                truncated: true,
            },
        }],
    };
    RunView {
        run_id: "r".parse().expect("valid"),
        tenant: TenantId::default_tenant(),
        workflow_id: Some("w".into()),
        name: Some("R".into()),
        labels: BTreeMap::new(),
        metadata: serde_json::Map::new(),
        links: vec![Link { rel: "a".into(), label: "b".into(), url: "https://c".into() }],
        status: RunStatus::Failed,
        created_at: Timestamp(0),
        started_at: Some(Timestamp(0)),
        finished_at: Some(Timestamp(0)),
        failure: Some(failure()),
        progress: Progress::default(),
        last_seq: Seq(9),
        epoch: Epoch(0),
        recordings: RecordingCounts::default(),
        nodes: Some(vec![node]),
    }
}

/// A submission with every member, as the domain writes it.
pub(crate) fn full_spec() -> Value {
    let terminal = json!({ "mode": "pty", "cols": 80, "rows": 24 });
    let spec = json!({
        "runId": "r", "workflowId": "w", "name": "R", "labels": { "a": "b" }, "timeoutSecs": 5,
        "inputs": { "a": 1 }, "metadata": { "a": 1 },
        "links": [{ "rel": "a", "label": "b", "url": "https://c" }],
        "terminal": terminal,
        "nodes": [{
            "ref": "n", "name": "N", "command": ["true"], "shell": "true", "env": { "A": "b" },
            "cwd": "w", "dependsOn": ["m"], "retries": 1, "timeoutSecs": 5, "terminal": terminal,
            "runner": { "kind": "local" },
        }],
    });
    let spec: RunSpec = serde_json::from_value(spec).expect("the members are known");
    serde_json::to_value(spec).expect("JSON")
}

/// Runs in memory, and a record of what was asked.
#[derive(Default)]
pub(crate) struct FakeStore {
    runs: Mutex<BTreeMap<RunKey, StoredRun>>,
    pub(crate) queries: Mutex<Vec<RunQuery>>,
    pub(crate) recordings: Mutex<Vec<Recording>>,
    pub(crate) is_away: AtomicBool,
}

impl FakeStore {
    pub(crate) fn mark_purged(&self, run: &RunKey) {
        if let Some(stored) = self.runs.lock().expect("not poisoned").get_mut(run) {
            stored.purged = true;
        }
    }

    fn look(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("secret address".into()));
        }
        Ok(())
    }
}

fn view_of(submission: &Submission) -> RunView {
    let spec = &submission.spec;
    let nodes = spec.nodes.iter().map(|node| NodeView {
        node_ref: node.node_ref.clone(),
        name: node.name.clone(),
        command: node.argv(),
        status: NodeStatus::Pending,
        attempt: 0,
        depends_on: node.depends_on.clone(),
        runner_kind: node.runner_kind(),
        terminal: TerminalSpec::resolve(node.terminal, spec.terminal, submission.default_terminal),
        streams: Vec::new(),
        started_at: None,
        finished_at: None,
        exit_code: None,
        signal: None,
        failure: None,
        totals: Vec::new(),
    });
    RunView {
        run_id: submission.run.run.clone(),
        tenant: submission.run.tenant.clone(),
        status: RunStatus::Queued,
        last_seq: Seq(0),
        nodes: Some(nodes.collect()),
        ..full_run()
    }
}

#[async_trait]
impl RunStore for FakeStore {
    async fn submit_owned(
        &self,
        _: Submission,
        _: &InstanceId,
        _: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        unreachable!("no route owns runs")
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, StoreError> {
        self.look()?;
        let mut runs = self.runs.lock().expect("not poisoned");
        let stored = StoredRun { view: view_of(&submission), spec: submission.spec, purged: false };
        match runs.get(&submission.run) {
            Some(known) if known.purged => Ok(Submitted::Gone),
            Some(known) if known.spec == stored.spec => {
                Ok(Submitted::Existing(Box::new(known.clone())))
            }
            Some(_) => Ok(Submitted::Conflict),
            None => {
                runs.insert(submission.run, stored.clone());
                Ok(Submitted::Created(Box::new(stored)))
            }
        }
    }

    async fn find(&self, run: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        self.look()?;
        Ok(self.runs.lock().expect("not poisoned").get(run).cloned())
    }

    async fn list(&self, query: &RunQuery) -> Result<RunList, StoreError> {
        self.look()?;
        self.queries.lock().expect("not poisoned").push(query.clone());
        let runs = self.runs.lock().expect("not poisoned");
        let mine = runs.iter().filter(|(key, _)| key.tenant == query.tenant);
        let shown = mine.filter(|(key, _)| query.run_id.as_ref().is_none_or(|id| *id == key.run));
        let runs = shown.map(|(_, stored)| stored.view.without_nodes()).collect();
        Ok(RunList { runs, next: None })
    }

    async fn annotate(&self, run: &RunKey, _: Annotation) -> Result<bool, StoreError> {
        Ok(self.runs.lock().expect("not poisoned").contains_key(run))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.look()
    }

    async fn history(&self, _: &RunKey, _: Seq, _: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn traces(&self, _: &RunKey, _: &TraceQuery) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn claim(&self, _: &InstanceId, _: Duration, _: u32) -> Result<Vec<Claim>, StoreError> {
        unreachable!("no route claims runs")
    }

    async fn claim_cancelled(
        &self,
        _: &InstanceId,
        _: Duration,
        _: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        unreachable!("no route claims runs")
    }

    async fn renew(
        &self,
        _: &InstanceId,
        _: Duration,
        _: &[(RunKey, Epoch)],
    ) -> Result<Vec<RunKey>, StoreError> {
        unreachable!("no route renews leases")
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        unreachable!("no route reads leases")
    }

    async fn take_over(
        &self,
        _: &RunKey,
        _: Seen,
        _: &InstanceId,
        _: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        unreachable!("no route takes runs over")
    }

    async fn release(&self, _: &RunKey, _: Epoch) -> Result<(), StoreError> {
        unreachable!("no route releases runs")
    }

    async fn record(&self, _: &RunKey, _: Epoch, _: RecordBatch) -> Result<(), StoreError> {
        unreachable!("no route records")
    }

    async fn request_cancel(&self, _: &RunKey) -> Result<CancelRequest, StoreError> {
        unreachable!("routes cancel through the control")
    }

    async fn cancel_requests(&self, _: &InstanceId) -> Result<Vec<RunKey>, StoreError> {
        unreachable!("no route looks for wishes")
    }

    async fn purge(&self, _: &RunKey) -> Result<Purged, StoreError> {
        unreachable!("routes purge through the control")
    }
}

#[async_trait]
impl RecordingStore for FakeStore {
    async fn has_objects(&self) -> Result<bool, StoreError> {
        unreachable!("no route opens the archive")
    }

    async fn recordings(&self, _: &RunKey) -> Result<Vec<Recording>, StoreError> {
        self.look()?;
        Ok(self.recordings.lock().expect("not poisoned").clone())
    }

    async fn encoder_states(&self, _: &RunKey) -> Result<EncoderStates, StoreError> {
        unreachable!("no route archives")
    }

    async fn recording(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<Recording>, StoreError> {
        Ok(self.recordings(run).await?.into_iter().find(|row| row.stream == *stream))
    }

    async fn segments(
        &self,
        _: &RunKey,
        _: Option<&StreamKey>,
        _: Seq,
        _: u32,
    ) -> Result<(Seq, Vec<Segment>), StoreError> {
        Ok((Seq::START, Vec::new()))
    }

    async fn archive(&self, _: &RunKey, _: Epoch, _: ArchiveBatch) -> Result<(), StoreError> {
        unreachable!("no route archives")
    }

    async fn finalise(
        &self,
        _: &RunKey,
        _: Epoch,
        _: Recording,
        _: Option<Segment>,
    ) -> Result<(), StoreError> {
        unreachable!("no route finalises")
    }

    async fn unknown(&self, _: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        unreachable!("no route cleans up")
    }

    async fn mark_damaged(&self, _: &RunKey, _: &StreamKey) -> Result<(), StoreError> {
        unreachable!("nothing is archived")
    }

    async fn forget_objects(&self, _: &RunKey) -> Result<(), StoreError> {
        unreachable!("no route cleans up")
    }

    async fn superseded(&self, _: Timestamp, _: u32) -> Result<Vec<ObjectKey>, StoreError> {
        unreachable!("no route cleans up")
    }

    async fn forget_superseded(&self, _: &[ObjectKey]) -> Result<(), StoreError> {
        unreachable!("no route cleans up")
    }

    async fn expired(&self, _: Timestamp, _: u32) -> Result<Vec<RunKey>, StoreError> {
        unreachable!("no route expires")
    }

    async fn expire(&self, _: &RunKey) -> Result<(), StoreError> {
        unreachable!("no route expires")
    }
}

/// One run's entries, the same for whoever asks, and how often they were read.
pub(crate) struct FakeLog {
    health: LogHealth,
    pub(crate) entries: Mutex<Vec<Arc<Entry>>>,
    pub(crate) reads_after: Mutex<Vec<Seq>>,
}

#[async_trait]
impl RunReader for FakeLog {
    async fn read(&self, _: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        self.reads_after.lock().expect("not poisoned").push(after);
        let all = self.entries.lock().expect("not poisoned");
        let tail = all.last().map(|entry| entry.seq).unwrap_or_default();
        let mut left = limit;
        let later = all.iter().filter(|entry| entry.seq > after);
        let fitting = later.enumerate().take_while(|(place, entry)| {
            let fits = *place == 0 || entry.memory_cost() <= left;
            left = left.saturating_sub(entry.memory_cost());
            fits
        });
        let entries = fitting.map(|(_, entry)| entry.clone()).collect();
        Ok(Page { entries, trimmed: Seq::START, tail })
    }

    fn follow(&self, _: &RunKey) -> Wake {
        Wake::new(tokio::sync::watch::channel(Seq::START).1)
    }
}

#[async_trait]
impl RunLog for FakeLog {
    async fn fence(&self, _: &RunKey, _: Epoch) -> Result<Tail, LogError> {
        unreachable!("no route writes")
    }

    async fn epoch(&self, _: &RunKey) -> Result<Option<Epoch>, LogError> {
        unreachable!("no route writes")
    }

    async fn append(&self, _: &RunKey, _: Epoch, _: Vec<Arc<Entry>>) -> Result<(), LogError> {
        unreachable!("no route writes")
    }

    async fn trim(&self, _: &RunKey, _: Seq) -> Result<(), LogError> {
        unreachable!("no route writes")
    }

    async fn runs(&self) -> Result<Vec<RunKey>, LogError> {
        unreachable!("no route lists the log")
    }

    async fn remove(&self, _: &RunKey) -> Result<(), LogError> {
        unreachable!("no route writes")
    }

    fn health(&self) -> LogHealth {
        self.health
    }
}

/// A service, and the fakes behind it.
pub(crate) struct Fixture {
    pub(crate) api: actix_web::web::Data<Api>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) log: Arc<FakeLog>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) draining: Arc<AtomicBool>,
}

/// A service with the tokens `full` and `reader` of the default tenant, `other` of tenant `b` and `service`.
pub(crate) fn fixture(mode: AccessMode, log: LogHealth) -> Fixture {
    fixture_with(WebPage::default(), mode, log)
}

/// The same with a page.
pub(crate) fn fixture_with(page: WebPage, mode: AccessMode, log: LogHealth) -> Fixture {
    let entry = |token: &str, tenant: &str, scopes: &[Scope]| TokenEntry {
        sha256: Sha256::digest(token).into(),
        tenant: tenant.parse().expect("valid"),
        scopes: scopes.iter().copied().collect(),
        user: None,
        projects: Vec::new(),
    };
    let tokens = vec![
        entry("full", "default", &Scope::ALL),
        entry("reader", "default", &[Scope::RunsRead]),
        entry("other", "b", &Scope::ALL),
        entry("service", "*", &Scope::ALL),
    ];
    let access = Access::new(AccessSettings {
        mode,
        tokens,
        signing_key: Vec::new(),
        cors_origins: vec!["https://page.example".into()],
        public_url: None,
    });
    let (store, control) = (Arc::new(FakeStore::default()), Arc::new(FakeControl::default()));
    let log =
        Arc::new(FakeLog { health: log, entries: Mutex::default(), reads_after: Mutex::default() });
    let draining = Arc::new(AtomicBool::new(false));
    let objects = Arc::new(MemoryObjects::new());
    let archive = Arc::new(Archive::new(objects, store.clone(), 1024 * 1024));
    let history = History::new(log.clone(), None, store.clone(), archive);
    let threads = Arc::new(ArbiterPool::new(1, "seek").expect("a thread"));
    let sessions = sessions::echoing();
    let (observers, root) = (Observers::new(), KillSwitch::new());
    let brokers = Brokers::new(history.clone(), threads.clone(), observers.clone(), root, 1024, 2);
    let api = Api::new(ApiParts {
        store: store.clone(),
        log: log.clone(),
        seeker: Seeker::new(history.clone(), KeyframeLibrary::new(history.clone(), threads)),
        history,
        control: control.clone(),
        access,
        default_terminal: TERMINAL,
        max_downloads: MAX_DOWNLOADS,
        governor: sessions::governor(&sessions),
        sessions,
        instances: Arc::new(MemoryStore::new()),
        peers: Arc::new(NoPeers),
        brokers,
        observers,
        sockets: Arc::new(tokio::sync::Semaphore::new(2)),
        public_url: None,
        replica: None,
        lacks_replica: tokio::sync::watch::channel(false).1,
        instance: "instance-1".parse().expect("valid"),
        draining: draining.clone(),
        log_moved_aside: None,
        page,
        prometheus: Box::new(|| "runcast_up 1\n".to_owned()),
    });
    Fixture { api: actix_web::web::Data::new(api), store, log, control, draining }
}
