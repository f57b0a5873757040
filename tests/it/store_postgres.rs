//! The rows in a real PostgreSQL: the contracts of the ports, the schema, and what happens while the server
//! is away, busy or slow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use runcast::adapters::store_sql::{SqlStore, SqlStoreSettings};
use runcast_actors::ids::{Epoch, InstanceId, Seq, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{
    ArchiveBatch, ObjectKey, RecordingStore as _, RunQuery, RunStore, StoreError, Submitted,
    TraceQuery,
};
use runcast_actors::run_view::RunStatus;
use runcast_actors::testing::store_conformance::{run_key, submission};
use runcast_actors::testing::{
    instances_conformance, recordings_conformance, sessions_conformance, store_conformance,
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, QueryResult, Statement};

use crate::support::deadline::wait_for;
use crate::support::proxy::{Proxy, Way};
use crate::support::servers::Postgres;

/// How soon it is used again when it is back.
const BACK_LIMIT: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(30);

fn settings(url: String) -> SqlStoreSettings {
    SqlStoreSettings {
        url,
        max_connections: 6,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(20),
    }
}

async fn connected(settings: SqlStoreSettings) -> SqlStore {
    let store = SqlStore::connect(settings).await.expect("connected");
    store.migrate_up().await.expect("migrated");
    store
}

async fn fresh() -> SqlStore {
    connected(settings(Postgres::shared().await.database().await)).await
}

async fn applied(store: &SqlStore) -> usize {
    let steps = store.migrate_status().await.expect("the status is told");
    steps.iter().filter(|step| step.applied).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_the_port() {
    store_conformance::check(|_| async { Arc::new(fresh().await) as Arc<dyn RunStore> }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_recordings() {
    recordings_conformance::check(|_| async { Arc::new(fresh().await) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_sessions() {
    sessions_conformance::check(|_| async { Arc::new(fresh().await) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_instances() {
    instances_conformance::check(Arc::new(fresh().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_goes_up_and_down_and_up() {
    let url = Postgres::shared().await.database().await;
    // Both schemes are customary.
    let url = url.replacen("postgres://", "postgresql://", 1);
    let store = SqlStore::connect(settings(url)).await.expect("connected");
    assert_eq!(applied(&store).await, 0);
    store.migrate_up().await.expect("up");
    let all = store.migrate_status().await.expect("the status is told").len();
    assert_eq!(applied(&store).await, all);
    store.migrate_down(1).await.expect("one down");
    assert_eq!(applied(&store).await, all - 1);
    store.migrate_down(u32::try_from(all).expect("few")).await.expect("all down");
    assert_eq!(applied(&store).await, 0);
    assert!(matches!(store.find(&run_key("a")).await, Err(StoreError::Broken(_))));
    store.migrate_up().await.expect("up again");
    let again = store.submit(submission("a", "x")).await.expect("submitted");
    assert!(matches!(again, Submitted::Created(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_start_together_make_the_schema_once() {
    let url = Postgres::shared().await.database().await;
    let starting: Vec<_> = (0..6).map(|_| tokio::spawn(connected(settings(url.clone())))).collect();
    for (number, store) in starting.into_iter().enumerate() {
        let store = store.await.expect("no panic");
        let run = format!("run-{number}");
        let made = store.submit(submission(&run, "x")).await.expect("submitted");
        assert!(matches!(made, Submitted::Created(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_and_comes_back_is_used_again() {
    let mut server = Postgres::start().await;
    let acquire_timeout = Duration::from_secs(1);
    let patient = settings(server.database().await);
    let store = connected(SqlStoreSettings { acquire_timeout, ..patient }).await;
    // Every connection of the pool is open.
    let pings: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.ping().await })
        })
        .collect();
    for ping in pings {
        ping.await.expect("no panic").expect("it answers");
    }
    store.submit(submission("before", "x")).await.expect("submitted");

    server.stop().await;
    let asked = Instant::now();
    let away = [
        store.ping().await,
        store.submit(submission("during", "x")).await.map(drop),
        store.find(&run_key("before")).await.map(drop),
        store.claim(&"me".parse().expect("a name"), LEASE, 1).await.map(drop),
        store.leases().await.map(drop),
        store.recordings(&run_key("before")).await.map(drop),
    ];
    for answer in away {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(asked.elapsed() < acquire_timeout * 20, "{:?}", asked.elapsed());

    server.restart().await;
    wait_for("it answers again", BACK_LIMIT, async || store.ping().await.ok()).await;
    assert!(store.find(&run_key("before")).await.expect("it answers").is_some());
    store.submit(submission("after", "x")).await.expect("submitted");
}

/// Another client of the same database.
async fn other(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("connected")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_lock_stops_what_needs_it_in_time_and_nothing_else() {
    let url = Postgres::shared().await.database().await;
    let limit = Duration::from_secs(1);
    let short = SqlStoreSettings { statement_timeout: limit, ..settings(url.clone()) };
    let store = connected(short).await;
    let me: InstanceId = "me".parse().expect("a name");
    store.submit(submission("locked", "x")).await.expect("submitted");
    store.submit(submission("free", "x")).await.expect("submitted");
    let other = other(&url).await;
    other.execute_unprepared("BEGIN").await.expect("begun");
    let lock = "SELECT 1 FROM runs WHERE run_id = 'locked' FOR UPDATE";
    other.execute_unprepared(lock).await.expect("locked");

    // A claim takes what is free and does not wait for the rest.
    let claimed = store.claim(&me, LEASE, 10).await.expect("it answers");
    let claimed: Vec<_> = claimed.iter().map(|claim| claim.run.run.to_string()).collect();
    assert_eq!(claimed, ["free"]);
    let asked = Instant::now();
    // More than there are connections: each of them comes back.
    for _ in 0..6 {
        let refused = store.take_over(&run_key("locked"), Epoch(0).into(), &me, LEASE).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert!(asked.elapsed() < limit * 18, "{:?}", asked.elapsed());
    assert!(store.find(&run_key("locked")).await.expect("reads go on").is_some());
    store.release(&run_key("free"), Epoch(0)).await.expect("other rows are free");
    other.execute_unprepared("ROLLBACK").await.expect("given back");
    let taken = wait_for("it is free", BACK_LIMIT, async || {
        store.take_over(&run_key("locked"), Epoch(0).into(), &me, LEASE).await.ok()
    })
    .await;
    assert_eq!(taken.expect("it is as it was seen").epoch, Epoch(1), "none of the six was done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_renewed_whatever_else_waits_and_what_an_owner_writes_renews_too() {
    let url = Postgres::shared().await.database().await;
    let store = connected(settings(url.clone())).await;
    let me: InstanceId = "me".parse().expect("a name");
    for run in ["locked", "free"] {
        store.submit(submission(run, "x")).await.expect("submitted");
    }
    let held = store.claim(&me, Duration::from_secs(1), 10).await.expect("it answers");
    let held: Vec<_> = held.into_iter().map(|claim| (claim.run, claim.epoch)).collect();
    let watching = other(&url).await;
    let until = async |run: &str| {
        let sql = format!("SELECT lease_until FROM runs WHERE run_id = '{run}'");
        let statement = Statement::from_string(watching.get_database_backend(), sql);
        let row = watching.query_one_raw(statement).await.expect("the row").expect("it is there");
        row.try_get::<i64>("", "lease_until").expect("it is held")
    };
    let (locked, free) = (until("locked").await, until("free").await);
    let other = other(&url).await;
    let lock = "BEGIN; SELECT 1 FROM runs WHERE run_id = 'locked' FOR UPDATE";
    other.execute_unprepared(lock).await.expect("locked");
    // As many as there are connections wait for that lock, and two more.
    let writing: Vec<_> = (0..5)
        .map(|_| {
            let store = store.clone();
            let batch = ArchiveBatch { through: Seq(1), ..ArchiveBatch::default() };
            tokio::spawn(async move { store.archive(&run_key("locked"), Epoch(0), batch).await })
        })
        .collect();
    let asked = Instant::now();
    assert_eq!(store.renew(&me, LEASE, &held).await.expect("it answers"), []);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(until("free").await > free);
    assert_eq!(until("locked").await, locked, "left out");
    other.execute_unprepared("ROLLBACK").await.expect("given back");
    for written in writing {
        written.await.expect("no panic").expect("written");
    }
    assert!(until("locked").await > locked, "it lives, as it writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_for_a_while_is_away_and_no_connection_stays_with_it() {
    let url = Postgres::shared().await.database().await;
    let store = connected(settings(url.clone())).await;
    store.submit(submission("before", "x")).await.expect("submitted");
    let other = other(&url).await;
    // As on a standby: it answers, and writes nothing, to whoever connects from now on.
    let name = url.rsplit('/').next().expect("a name");
    let read_only = |is| format!("ALTER DATABASE {name} SET default_transaction_read_only = {is}");
    other.execute_unprepared(&read_only("on")).await.expect("set");
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    other.execute_unprepared(cut).await.expect("cut");
    wait_for("it is asked by new connections alone", BACK_LIMIT, async || {
        let refused = store.submit(submission("during", "x")).await;
        let Err(StoreError::Unavailable(reason)) = refused else { panic!("{refused:?}") };
        reason.contains("read-only").then_some(())
    })
    .await;
    store.find(&run_key("before")).await.expect("it can be read");
    other.execute_unprepared(&read_only("off")).await.expect("set");
    store.submit(submission("after", "x")).await.expect("no connection of before is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_takes_no_connection_for_good() {
    const ASKED_AT_ONCE: u32 = 4;
    let server = Postgres::shared().await;
    let proxy = Proxy::to(server.port()).await;
    let direct = server.database().await;
    let way = |port: u16| format!(":{port}/");
    let url = direct.replace(&way(server.port()), &way(proxy.port()));
    // Long enough that all are asked before the first is given up.
    let limit = Duration::from_secs(5);
    let (statement_timeout, acquire_timeout) = (limit, limit);
    // Two of them are for leases alone.
    let max_connections = 2 + ASKED_AT_ONCE;
    let short =
        SqlStoreSettings { statement_timeout, acquire_timeout, max_connections, ..settings(url) };
    let store = connected(short).await;
    store.submit(submission("locked", "x")).await.expect("submitted");
    let (locking, watching) = (other(&direct).await, other(&direct).await);
    locking.execute_unprepared("BEGIN; SELECT 1 FROM runs FOR UPDATE").await.expect("locked");
    // All connections are in the middle of something when nothing gets through any more.
    let asking: Vec<_> = (0..ASKED_AT_ONCE)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.release(&run_key("locked"), Epoch(0)).await })
        })
        .collect();
    wait_for("all of them wait", BACK_LIMIT, async || {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock'";
        let statement = Statement::from_string(watching.get_database_backend(), sql);
        let waiting = watching.query_all_raw(statement).await.expect("the connections");
        (waiting.len() == ASKED_AT_ONCE as usize).then_some(())
    })
    .await;
    proxy.set(Way::Swallowed);
    for asked in asking {
        let answer = asked.await.expect("no panic");
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    let asked = Instant::now();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(asked.elapsed() < limit * 3, "{:?}", asked.elapsed());
    locking.execute_unprepared("ROLLBACK").await.expect("given back");
    proxy.set(Way::Open);
    wait_for("it answers again", BACK_LIMIT, async || store.ping().await.ok()).await;
    store.submit(submission("after", "x")).await.expect("submitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_leaves_no_transaction_open() {
    let alone = settings(Postgres::shared().await.database().await);
    let store = connected(SqlStoreSettings { max_connections: 1, ..alone }).await;
    let key = run_key("a");
    store.submit(submission("a", "x")).await.expect("submitted");
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..300 {
        // Viewers go away in the middle of a question.
        let most = Duration::from_micros(random.random_range(0..1000));
        let _ = tokio::time::timeout(most, store.find(&key)).await;
        store.ping().await.expect("the only connection is given back");
        store.find(&key).await.expect("nothing was asked before in the same transaction");
    }
}

#[test]
fn connections_outlast_the_threads_that_call() {
    let clients = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let clients = clients.expect("a runtime");
    let store = clients.block_on(fresh());
    for turn in 0..6 {
        let store = store.clone();
        let caller = std::thread::spawn(move || {
            // It has neither sockets nor timers of its own.
            let caller = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            caller.block_on(async {
                let name = format!("run-{turn}");
                store.submit(submission(&name, "x")).await.expect("submitted");
                let run = run_key(&name);
                // One that is given up in its middle gives its connection back, too.
                let mut given_up = store.find(&run);
                let _ = futures_util::poll!(&mut given_up);
            });
        });
        caller.join().expect("no panic");
    }
}

/// How often each table was read from its beginning to its end, by connections that have ended.
async fn whole_reads(database: &DatabaseConnection) -> Vec<(String, i64)> {
    let sql = "SELECT relname::text AS name, seq_scan FROM pg_stat_user_tables ORDER BY relname";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.expect("statistics");
    let count = |row: &QueryResult| {
        let name = row.try_get("", "name").expect("a name");
        (name, row.try_get("", "seq_scan").expect("a count"))
    };
    rows.iter().map(count).collect()
}

/// Waits until every connection of the service has ended, so that it has told what it has read.
async fn wait_disconnected(database: &DatabaseConnection) {
    let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'runcast'";
    wait_for("the connections are closed", BACK_LIMIT, async || {
        let statement = Statement::from_string(database.get_database_backend(), sql);
        let rows = database.query_all_raw(statement).await.expect("the connections");
        rows.is_empty().then_some(())
    })
    .await;
}

/// Many runs that have ended with what belongs to them, some that wait, some that run.
const MANY_RUNS: [&str; 7] = [
    "INSERT INTO runs (tenant_id, run_id, spec, spec_hash, workflow_id, labels, metadata, links, \
         status, created_at, progress, owner, claimed_at) \
     SELECT tenant_id, 'copy-' || number, spec, spec_hash, 'flow-' || number % 100, labels, \
         metadata, links, CASE WHEN number % 1000 = 0 THEN 'QUEUED' \
             WHEN number % 1000 = 1 THEN 'RUNNING' ELSE 'COMPLETED' END, \
         created_at + number, progress, CASE WHEN number % 1000 = 1 THEN 'me' END, \
         CASE WHEN number % 1000 = 0 THEN NULL ELSE 1 END \
     FROM runs, generate_series(1, 30000) number",
    "INSERT INTO nodes (tenant_id, run_id, node_ref, position, command, status, attempt, depends_on, \
         runner_kind, terminal_mode, terminal_cols, terminal_rows, streams, totals) \
     SELECT runs.tenant_id, runs.run_id, node_ref, position, command, nodes.status, attempt, \
         depends_on, runner_kind, terminal_mode, terminal_cols, terminal_rows, streams, totals \
     FROM runs, nodes WHERE runs.run_id <> 'first'",
    "INSERT INTO run_labels (tenant_id, run_id, name, value) \
     SELECT tenant_id, run_id, 'number', 'label-' || created_at % 300 FROM runs \
     WHERE run_id <> 'first'",
    "INSERT INTO workflow_terminal_records (id, tenant_id, run_id, node_ref, stream, state, \
         last_seq, chunk_count, byte_count, gap_count, duration_us, cols, rows, epoch, created_at, \
         updated_at, completed_at) \
     SELECT run_id, tenant_id, run_id, 'a', 'pty', 'complete', 9, 9, 9, 0, 9, 80, 24, 0, 1, 1, \
         1000000 + created_at FROM runs WHERE status = 'COMPLETED'",
    "INSERT INTO archive_segments (object, tenant_id, run_id, node_ref, stream, epoch, \
         first_chunk, last_chunk, first_seq, last_seq, start_ms, end_ms, length, frames) \
     SELECT 'recordings/' || run_id, tenant_id, run_id, 'a', 'pty', 0, 0, 8, 1, 9, 0, 1, 9, '[]' \
     FROM workflow_terminal_records",
    "INSERT INTO workflow_traces (tenant_id, run_id, sequence, kind, body) \
     SELECT tenant_id, run_id, sequence, 'status', '{}' FROM runs, generate_series(1, 3) sequence",
    "VACUUM ANALYZE",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_all_the_time_reads_no_table_as_a_whole() {
    let url = Postgres::shared().await.database().await;
    let store = connected(settings(url.clone())).await;
    store.submit(submission("first", "x")).await.expect("submitted");
    store.close().await.expect("closed");
    let database = other(&url).await;
    for sql in MANY_RUNS {
        database.execute_unprepared(sql).await.expect(sql);
    }
    // A tidy moment at which only what is asked below is counted.
    let database = {
        database.close().await.expect("closed");
        other(&url).await
    };
    wait_disconnected(&database).await;

    let me: InstanceId = "me".parse().expect("a name");
    let copy = run_key("copy-7");
    let all = RunQuery {
        tenant: TenantId::default_tenant(),
        status: Vec::new(),
        workflow_id: None,
        labels: Vec::new(),
        run_id: None,
        limit: 20,
        cursor: None,
    };
    let of_status = RunQuery { status: vec![RunStatus::Running], ..all.clone() };
    let of_workflow = RunQuery { workflow_id: Some("flow-7".to_owned()), ..all.clone() };
    let label = ("number".to_owned(), "label-7".to_owned());
    let of_label = RunQuery { labels: vec![label], ..all.clone() };
    let held = (0..30).map(|number| (run_key(&format!("copy-{}", number * 1000 + 1)), Epoch(0)));
    let held: Vec<_> = held.collect();

    macro_rules! asks {
        ($what:literal, |$store:ident| $call:expr) => {{
            let before = whole_reads(&database).await;
            let $store = SqlStore::connect(settings(url.clone())).await.expect("connected");
            let answer = $call.await.expect($what);
            $store.close().await.expect("closed");
            wait_disconnected(&database).await;
            assert_eq!(whole_reads(&database).await, before, "{} read a whole table", $what);
            answer
        }};
    }
    let page = asks!("list", |store| store.list(&all));
    assert_eq!(page.runs.len(), 20);
    let next = RunQuery { cursor: page.next, ..all.clone() };
    assert_eq!(asks!("the next page", |store| store.list(&next)).runs.len(), 20);
    assert_eq!(asks!("list by status", |store| store.list(&of_status)).runs.len(), 20);
    assert_eq!(asks!("list by workflow", |store| store.list(&of_workflow)).runs.len(), 20);
    assert_eq!(asks!("list by label", |store| store.list(&of_label)).runs.len(), 20);
    assert_eq!(asks!("claim", |store| store.claim(&me, LEASE, 5)).len(), 5);
    assert!(asks!("claim cancelled", |store| store.claim_cancelled(&me, LEASE, 5)).is_empty());
    assert_eq!(asks!("leases", |store| store.leases()).len(), 35);
    assert_eq!(asks!("renew", |store| store.renew(&me, LEASE, &held)), []);
    assert_eq!(asks!("cancel requests", |store| store.cancel_requests(&me)), []);
    assert!(asks!("find", |store| store.find(&copy)).is_some());
    assert!(asks!("history", |store| store.history(&copy, Seq(3), 100)).is_empty());
    let no_traces = TraceQuery { limit: 10, ..TraceQuery::default() };
    assert!(asks!("traces", |store| store.traces(&copy, &no_traces)).is_empty());
    assert_eq!(asks!("recordings", |store| store.recordings(&copy)).len(), 1);
    assert!(asks!("segments", |store| store.segments(&copy, None, Seq(9), 10)).1.is_empty());
    let none: Vec<ObjectKey> = Vec::new();
    let object = vec![ObjectKey::stored("recordings/copy-7").expect("a key")];
    assert_eq!(asks!("unknown", |store| store.unknown(&object)), none);
    assert_eq!(asks!("superseded", |store| store.superseded(Timestamp::now(), 100)), none);
    assert_eq!(asks!("expired", |store| store.expired(Timestamp(0), 100)), []);
}
