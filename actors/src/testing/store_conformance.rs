//! What every [`RunStore`] must do, as one suite that each adapter runs against itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::entry::{
    Body, Entry, Level, ProcessIdentity, RunnerKind, StatusChange, TraceEvent, TraceKind,
};
use crate::ids::{Epoch, InstanceId, NodeRef, RunKey, Seq, TenantId};
use crate::moment::Timestamp;
use crate::ports::{
    Annotation, CancelRequest, Purged, RecordBatch, RunQuery, RunStore, StoreError, StoredRun,
    Submission, Submitted, TraceQuery,
};
use crate::run_spec::RunSpec;
use crate::run_view::{NodeStatus, Progress, RunStatus, TerminalMode, TerminalView};

const LEASE: Duration = Duration::from_secs(30);

/// Runs every check, each on a store of its own: `fresh` is called with a number that is new each time.
pub async fn check<F, Made>(fresh: F)
where
    F: Fn(u32) -> Made,
    Made: Future<Output = Arc<dyn RunStore>>,
{
    submission_is_idempotent(&*fresh(1).await).await;
    a_run_is_claimed_once(fresh(2).await).await;
    leases_change_hands(&*fresh(3).await).await;
    recording_is_repeatable_and_fenced(&*fresh(4).await).await;
    lists_are_paged(&*fresh(5).await).await;
    traces_are_filtered(&*fresh(6).await).await;
    cancel_annotate_and_purge(&*fresh(7).await).await;
    cancelled_runs_are_claimed_first_or_alone(&*fresh(8).await).await;
    a_run_that_is_owned_from_the_beginning_is_nobody_elses(&*fresh(9).await).await;
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

/// A key in the default tenant.
pub fn run_key(run: &str) -> RunKey {
    RunKey { tenant: TenantId::default_tenant(), run: name(run) }
}

/// A run of two nodes, `a` and then `b`.
pub fn submission(run: &str, team: &str) -> Submission {
    let document = json!({
        "workflowId": format!("flow-{team}"), "labels": {"team": team, "kind": "test"},
        "metadata": {"branch": "main"}, "terminal": {"cols": 90},
        "nodes": [
            {"ref": "b", "command": ["echo", "b"], "dependsOn": ["a"], "terminal": {"mode": "pipe"}},
            {"ref": "a", "shell": "true", "name": "first"}]
    });
    let spec: RunSpec = serde_json::from_value(document).expect("the document parses");
    let default_terminal = TerminalView { mode: TerminalMode::Pty, cols: 120, rows: 30 };
    Submission { run: run_key(run), spec, default_terminal }
}

async fn created(store: &dyn RunStore, run: &str, team: &str) -> StoredRun {
    match store.submit(submission(run, team)).await.expect("the store answers") {
        Submitted::Created(stored) => *stored,
        other => panic!("not created: {other:?}"),
    }
}

async fn found(store: &dyn RunStore, run: &str) -> StoredRun {
    store.find(&run_key(run)).await.expect("the store answers").expect("the run is there")
}

fn status(seq: Seq, stored: &StoredRun, run: RunStatus, node: NodeStatus) -> Arc<Entry> {
    let mut view = stored.view.without_nodes();
    let mut node_view = stored.view.nodes.as_ref().expect("with nodes")[1].clone();
    node_view.status = node;
    node_view.attempt = 1;
    node_view.streams = node_view.terminal.mode.streams().to_vec();
    node_view.started_at = Some(Timestamp(1_795_000_000_001_000));
    view.status = run;
    view.started_at = Some(Timestamp(1_795_000_000_000_000));
    view.finished_at = run.is_terminal().then_some(Timestamp(1_795_000_000_009_000));
    view.progress = Progress { total: 2, running: 1, pending: 1, ..Progress::default() };
    view.metadata.clear();
    view.last_seq = seq;
    let process = (node == NodeStatus::Running).then_some(ProcessIdentity {
        pid: 42,
        start_ticks: 7,
        boot_id: uuid::Uuid::nil(),
    });
    Arc::new(Entry {
        seq,
        body: Body::Status(Box::new(StatusChange { run: view, node: Some(node_view), process })),
    })
}

/// A run of two nodes as it stands before it begins.
pub(super) fn stored_run(run: &str) -> StoredRun {
    let submission = submission(run, "team");
    let view = submission.queued_view(Timestamp(1_795_000_000_000_000));
    StoredRun { view, spec: submission.spec, purged: false }
}

/// The entry that ends a run.
pub(super) fn ended(seq: Seq, stored: &StoredRun) -> Arc<Entry> {
    status(seq, stored, RunStatus::Completed, NodeStatus::Completed)
}

fn trace(seq: Seq, kind: TraceKind, level: Level, node_ref: Option<&str>) -> Arc<Entry> {
    Arc::new(Entry {
        seq,
        body: Body::Trace(Box::new(TraceEvent {
            node_ref: node_ref.map(name),
            kind,
            level,
            message: format!("entry {seq} ü\0"),
            error: None,
            output_summary: Some("last\nlines".into()),
            data: Some(json!({"n": seq.0, "deep": {"list": [1, 2.5, null]}})),
            timestamp: Timestamp(1_795_000_000_002_000),
        })),
    })
}

async fn submission_is_idempotent(store: &dyn RunStore) {
    let stored = created(store, "one", "x").await;
    let nodes = stored.view.nodes.clone().expect("with nodes");
    assert_eq!(stored.view.status, RunStatus::Queued);
    assert_eq!((stored.view.progress.total, stored.view.progress.pending), (2, 2));
    assert_eq!(nodes[0].node_ref, name::<NodeRef>("b"), "the order of the submission");
    assert_eq!(nodes[0].terminal, TerminalView { mode: TerminalMode::Pipe, cols: 90, rows: 30 });
    assert_eq!((nodes[0].attempt, nodes[0].streams.len()), (0, 0));
    assert_eq!(nodes[1].command, ["/bin/sh", "-c", "true"]);
    assert_eq!(nodes[1].runner_kind, RunnerKind::Local);
    let again = found(store, "one").await;
    assert_eq!((again.view, again.spec), (stored.view.clone(), stored.spec));
    let mut same = submission("one", "x");
    same.spec.run_id = Some(name("one"));
    match store.submit(same).await.expect("the store answers") {
        Submitted::Existing(existing) => assert_eq!(existing.view, stored.view),
        other => panic!("the same document again: {other:?}"),
    }
    let other = store.submit(submission("one", "y")).await.expect("the store answers");
    assert!(matches!(other, Submitted::Conflict), "{other:?}");
    assert!(store.find(&run_key("none")).await.expect("the store answers").is_none());
    store.ping().await.expect("the store answers");
}

async fn a_run_is_claimed_once(store: Arc<dyn RunStore>) {
    let all: BTreeSet<String> = (0..20).map(|number| format!("run-{number:02}")).collect();
    for run in &all {
        created(&*store, run, "x").await;
    }
    let asked = store.request_cancel(&run_key("run-03")).await.expect("the store answers");
    assert_eq!(asked, CancelRequest::Noted(None));
    let claimer = |owner: &'static str| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claims = store.claim(&name(owner), LEASE, 3).await.expect("the store answers");
                assert!(claims.len() <= 3);
                if claims.is_empty() {
                    return mine;
                }
                mine.extend(claims);
            }
        })
    };
    let (left, right) = (claimer("left"), claimer("right"));
    let mut claims = left.await.expect("no panic");
    claims.extend(right.await.expect("no panic"));
    assert_eq!(claims.len(), all.len(), "each run is handed out once");
    let claimed: BTreeSet<String> = claims.iter().map(|claim| claim.run.run.to_string()).collect();
    assert_eq!(claimed, all);
    for claim in &claims {
        assert_eq!((claim.epoch, claim.recorded_through), (Epoch(0), Seq::START));
        assert_eq!(claim.stored.view.nodes.as_ref().map(Vec::len), Some(2));
        assert_eq!(claim.cancel_requested, claim.run.run.as_str() == "run-03");
    }
}

async fn a_run_that_is_owned_from_the_beginning_is_nobody_elses(store: &dyn RunStore) {
    let (mine, other) = (name::<InstanceId>("mine"), name::<InstanceId>("other"));
    let submit = async || store.submit_owned(submission("owned", "t"), &mine, LEASE).await;
    let claim = submit().await.expect("the store answers").expect("it is new");
    assert_eq!((&claim.run, claim.epoch), (&run_key("owned"), Epoch(0)));
    assert_eq!((claim.recorded_through, claim.archived_through), (Seq::START, Seq::START));
    assert_eq!(claim.stored.view.nodes.as_ref().map(Vec::len), Some(2));
    assert!(submit().await.expect("the store answers").is_none(), "its id is taken");
    let claims = store.claim(&other, LEASE, 10).await.expect("the store answers");
    assert!(claims.is_empty(), "nobody else may have it");
    let leases = store.leases().await.expect("the store answers");
    assert_eq!((leases.len(), &leases[0].owner), (1, &Some(mine.clone())));
    let held = [(claim.run.clone(), claim.epoch)];
    let lost = store.renew(&mine, LEASE, &held).await.expect("the store answers");
    assert!(lost.is_empty());
    store.release(&claim.run, claim.epoch).await.expect("it is given back");
}

async fn cancelled_runs_are_claimed_first_or_alone(store: &dyn RunStore) {
    let owner: InstanceId = name("left");
    for run in ["first", "second", "third", "fourth"] {
        created(store, run, "x").await;
    }
    let cancelled = async || {
        let claims = store.claim_cancelled(&owner, LEASE, 10).await.expect("the store answers");
        claims.into_iter().map(|claim| claim.run).collect::<Vec<_>>()
    };
    assert!(cancelled().await.is_empty(), "nobody wants any of them to end");
    store.request_cancel(&run_key("third")).await.expect("the store answers");
    assert_eq!(cancelled().await, [run_key("third")]);
    assert!(cancelled().await.is_empty(), "it is claimed");
    store.request_cancel(&run_key("fourth")).await.expect("the store answers");
    let next = store.claim(&owner, LEASE, 1).await.expect("the store answers");
    assert_eq!((&next[0].run, next[0].cancel_requested), (&run_key("fourth"), true));
    let rest = store.claim(&owner, LEASE, 10).await.expect("the store answers");
    assert_eq!(rest.len(), 2);
}

async fn leases_change_hands(store: &dyn RunStore) {
    let (left, right): (InstanceId, InstanceId) = (name("left"), name("right"));
    created(store, "first", "x").await;
    created(store, "second", "x").await;
    let claims = store.claim(&left, LEASE, 10).await.expect("the store answers");
    let order: Vec<_> = claims.iter().map(|claim| claim.run.run.as_str()).collect();
    assert_eq!(order, ["first", "second"], "oldest first");
    let run = run_key("first");
    let renewed = [(run.clone(), Epoch(0)), (run_key("second"), Epoch(1))];
    let lost = store.renew(&left, LEASE * 2, &renewed).await.expect("the store answers");
    assert_eq!(lost, [run_key("second")], "another epoch is not held");
    let taken =
        store.take_over(&run, Epoch(0).into(), &right, LEASE).await.expect("the store answers");
    assert_eq!(taken.expect("it was free to take").epoch, Epoch(1));
    let late =
        store.take_over(&run, Epoch(0).into(), &left, LEASE).await.expect("the store answers");
    assert!(late.is_none(), "the epoch was raised before");
    let again = store.take_over(&run, Epoch(0).into(), &right, LEASE).await.expect("answers");
    assert_eq!(again.expect("its answer was lost").epoch, Epoch(1));
    let held = async || {
        let leases = store.leases().await.expect("the store answers");
        leases.into_iter().find(|lease| lease.run == run).expect("it is held")
    };
    let seen = held().await;
    store.renew(&right, LEASE * 3, &[(run.clone(), Epoch(1))]).await.expect("the store answers");
    let late = store.take_over(&run, (&seen).into(), &left, LEASE).await.expect("answers");
    assert!(late.is_none(), "it was renewed since");
    let lost = store.renew(&left, LEASE, &[(run.clone(), Epoch(0))]).await.expect("answers");
    assert_eq!(lost, std::slice::from_ref(&run));
    assert!(matches!(store.release(&run, Epoch(0)).await, Err(StoreError::Fenced(_))));
    store.release(&run, Epoch(1)).await.expect("the owner releases");
    let again = store.take_over(&run, Epoch(0).into(), &right, LEASE).await.expect("answers");
    assert!(again.is_none(), "it is not held any more");
    let leases = store.leases().await.expect("the store answers");
    let early = leases.iter().find(|lease| lease.run == run).expect("it has not ended");
    assert_eq!((&early.owner, early.epoch), (&None, Epoch(1)));
    assert_eq!(leases.len(), 2);
    let again = store.claim(&left, LEASE, 10).await.expect("the store answers");
    assert!(again.is_empty(), "what was claimed once is only taken over");
}

async fn recording_is_repeatable_and_fenced(store: &dyn RunStore) {
    let stored = created(store, "rec", "x").await;
    let run = run_key("rec");
    store.claim(&name("left"), LEASE, 1).await.expect("the store answers");
    let entries: Vec<_> = (1..=700)
        .map(|number| match number {
            2 => status(Seq(number), &stored, RunStatus::Running, NodeStatus::Pending),
            3 => status(Seq(number), &stored, RunStatus::Running, NodeStatus::Running),
            _ => trace(Seq(number), TraceKind::NodeProgress, Level::Info, Some("a")),
        })
        .collect();
    let batch = |range: std::ops::Range<usize>, through| RecordBatch {
        entries: entries[range].to_vec(),
        through: Seq(through),
    };
    store.record(&run, Epoch(0), batch(0..10, 12)).await.expect("recorded");
    store.record(&run, Epoch(0), batch(0..10, 12)).await.expect("a repeat changes nothing");
    store.record(&run, Epoch(0), batch(5..5, 5)).await.expect("a checkpoint never goes back");
    let after = found(store, "rec").await;
    assert_eq!((after.view.last_seq, after.view.status), (Seq(12), RunStatus::Running));
    assert_eq!(after.view.metadata, stored.view.metadata, "only annotations change these");
    let Body::Status(change) = &entries[2].body else { panic!("a status entry") };
    let nodes = after.view.nodes.expect("with nodes");
    assert_eq!(Some(&nodes[1]), change.node.as_ref(), "the last status of a node wins");
    assert_eq!(nodes[0], stored.view.nodes.expect("with nodes")[0]);
    store.record(&run, Epoch(0), batch(12..700, 700)).await.expect("a large batch");
    let history = store.history(&run, Seq::START, 1000).await.expect("the store answers");
    let expected: Vec<Entry> =
        entries[..10].iter().chain(&entries[12..]).map(|entry| (**entry).clone()).collect();
    assert_eq!(history, expected, "member for member");
    let part = store.history(&run, Seq(8), 3).await.expect("the store answers");
    assert_eq!(part.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [9, 10, 13]);
    store.take_over(&run, Epoch(0).into(), &name("right"), LEASE).await.expect("taken over");
    let late = store.record(&run, Epoch(0), batch(0..700, 800)).await;
    assert!(matches!(late, Err(StoreError::Fenced(Epoch(0)))), "{late:?}");
    assert_eq!(found(store, "rec").await.view.last_seq, Seq(700));
}

async fn lists_are_paged(store: &dyn RunStore) {
    for number in 0..7 {
        created(store, &format!("run-{number}"), if number % 2 == 0 { "even" } else { "odd" })
            .await;
    }
    let mut query = RunQuery {
        tenant: TenantId::default_tenant(),
        status: Vec::new(),
        workflow_id: None,
        labels: Vec::new(),
        run_id: None,
        limit: 3,
        cursor: None,
    };
    let mut seen = Vec::new();
    loop {
        let page = store.list(&query).await.expect("the store answers");
        assert!(page.runs.len() <= 3 && page.runs.iter().all(|view| view.nodes.is_none()));
        seen.extend(page.runs.iter().map(|view| view.run_id.to_string()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let newest_first: Vec<_> = (0..7).rev().map(|number| format!("run-{number}")).collect();
    assert_eq!(seen, newest_first);
    query.limit = 100;
    let count = async |query: &RunQuery| store.list(query).await.expect("answers").runs.len();
    query.labels = vec![("team".into(), "odd".into()), ("kind".into(), "test".into())];
    assert_eq!(count(&query).await, 3);
    query.workflow_id = Some("flow-even".into());
    assert_eq!(count(&query).await, 0);
    query.labels.clear();
    assert_eq!(count(&query).await, 4);
    query.run_id = Some(name("run-2"));
    assert_eq!(count(&query).await, 1);
    query.status = vec![RunStatus::Running, RunStatus::Failed];
    assert_eq!(count(&query).await, 0);
    query.status.push(RunStatus::Queued);
    assert_eq!(count(&query).await, 1);
    query.tenant = name("another");
    assert_eq!(count(&query).await, 0, "a tenant never sees another's run");
}

async fn traces_are_filtered(store: &dyn RunStore) {
    let stored = created(store, "traced", "x").await;
    let run = run_key("traced");
    let entries = vec![
        trace(Seq(1), TraceKind::RunStarted, Level::Info, None),
        status(Seq(2), &stored, RunStatus::Running, NodeStatus::Running),
        trace(Seq(3), TraceKind::NodeProgress, Level::Debug, Some("a")),
        trace(Seq(4), TraceKind::NodeFailed, Level::Error, Some("a")),
        trace(Seq(5), TraceKind::NodeRetrying, Level::Warn, Some("b")),
    ];
    store.record(&run, Epoch(0), RecordBatch { entries, through: Seq(5) }).await.expect("recorded");
    let all = TraceQuery { limit: 100, ..TraceQuery::default() };
    let cases = [
        (all.clone(), vec![1, 3, 4, 5]),
        (TraceQuery { min_level: Some(Level::Warn), ..all.clone() }, vec![4, 5]),
        (TraceQuery { kind: Some(TraceKind::NodeProgress), ..all.clone() }, vec![3]),
        (TraceQuery { node_ref: Some(name("a")), ..all.clone() }, vec![3, 4]),
        (TraceQuery { after: Seq(1), limit: 2, ..all }, vec![3, 4]),
    ];
    for (query, expected) in cases {
        let traces = store.traces(&run, &query).await.expect("the store answers");
        let seqs: Vec<u64> = traces.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(seqs, expected, "{query:?}");
    }
}

async fn cancel_annotate_and_purge(store: &dyn RunStore) {
    let (run, owner) = (run_key("ends"), name::<InstanceId>("left"));
    let unknown = run_key("none");
    assert_eq!(store.request_cancel(&unknown).await.expect("answers"), CancelRequest::Unknown);
    assert_eq!(store.purge(&unknown).await.expect("answers"), Purged::Unknown);
    assert!(!store.annotate(&unknown, Annotation::default()).await.expect("answers"));
    let stored = created(store, "ends", "x").await;
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Running, "it is queued");
    store.claim(&owner, LEASE, 1).await.expect("the store answers");
    let noted = store.request_cancel(&run).await.expect("the store answers");
    assert_eq!(noted, CancelRequest::Noted(Some(owner.clone())));
    assert_eq!(store.cancel_requests(&owner).await.expect("answers"), std::slice::from_ref(&run));
    let metadata = json!({"branch": "next"}).as_object().expect("an object").clone();
    let annotation = Annotation { metadata: Some(metadata.clone()), links: None };
    assert!(store.annotate(&run, annotation).await.expect("answers"));
    let end = RecordBatch {
        entries: vec![status(Seq(1), &stored, RunStatus::Cancelled, NodeStatus::Cancelled)],
        through: Seq(1),
    };
    store.record(&run, Epoch(0), end).await.expect("recorded");
    let ended = found(store, "ends").await.view;
    assert_eq!((ended.status, ended.metadata), (RunStatus::Cancelled, metadata));
    assert!(store.cancel_requests(&owner).await.expect("answers").is_empty());
    let late = store.request_cancel(&run).await.expect("answers");
    assert_eq!(late, CancelRequest::Finished(RunStatus::Cancelled));
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Running, "it is held");
    store.release(&run, Epoch(0)).await.expect("released");
    assert!(store.leases().await.expect("answers").is_empty());
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Done);
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Already);
    let left = found(store, "ends").await;
    assert!(left.purged && left.spec.nodes.is_empty());
    assert!(left.view.nodes.is_none_or(|nodes| nodes.is_empty()));
    assert!(store.history(&run, Seq::START, 10).await.expect("answers").is_empty());
    let again = store.submit(submission("ends", "x")).await.expect("the store answers");
    assert!(matches!(again, Submitted::Gone), "{again:?}");
    let revived = store.record(&run, Epoch(0), RecordBatch::default()).await;
    assert!(matches!(revived, Err(StoreError::Fenced(_))), "{revived:?}");
}
