//! Readers at the moment when what they read is compacted, trimmed, deleted, purged or expires.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::api::{Api, RUN_LIMIT, is_terminal};
use crate::support::archive::{
    ARCHIVES_AT_ONCE, assert_finalised, assert_nothing_left_over, database, directory, objects,
    recordings, unfinished, wait_final,
};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::programs::{cat_raw, log_lines, pty, run_of, ticking};
use crate::support::service::Service;

/// SIGABRT: how a fail point ends the process.
const ABORTED: i32 = 6;
/// The reaper looks every five seconds.
const REAPED: Duration = Duration::from_secs(30);

/// Replays the run from its beginning until it has ended; each time it must be more of the same.
async fn replay_in_a_loop(api: Api, run: String) -> usize {
    let mut before = Collected::new();
    let mut rounds = 0;
    loop {
        let mut client = api.stream(&run).open().await;
        let mut seen = Collected::new();
        while seen.live.is_empty() && seen.done.is_none() {
            seen.push(client.next().await.expect("it goes on"));
        }
        assert!(seen.errors.is_empty(), "{:?}", seen.errors);
        seen.assert_dense();
        assert!(seen.events.len() >= before.events.len(), "round {rounds}: events are missing");
        for (now, then) in seen.events.iter().zip(&before.events) {
            assert_eq!(now, then, "round {rounds}");
        }
        rounds += 1;
        let view = api.run(&run).await;
        let is_final = is_terminal(&view["status"]) && view["recordings"]["live"] == 0;
        if is_final && seen.events.last().map(|event| event.seq) == view["lastSeq"].as_u64() {
            return rounds;
        }
        before = seen;
    }
}

#[tokio::test]
async fn p1_a_reader_meets_no_gap_while_the_archive_changes_under_it() {
    let service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    let api = service.api();
    // One ends after the other, so there is always something to compact and to delete.
    let nodes = (1..=8_u32).map(|end| {
        let node = format!("n{end}");
        pty(&node, &ticking(&node, end * 1200, 8))
    });
    let run = api.submit(&run_of(nodes)).await;
    let readers: Vec<JoinHandle<usize>> =
        (0..3).map(|_| tokio::spawn(replay_in_a_loop(api.clone(), run.clone()))).collect();
    for reader in readers {
        let rounds = reader.await.expect("a reader");
        assert!(rounds > 3, "{rounds} rounds");
    }
    let mut whole = Collected::new();
    whole.read(&mut api.stream(&run).open().await).await;
    whole.assert_complete();
    assert_finalised(&api, &run, &whole).await;
    assert_nothing_left_over(&directory(&service), &database(&service).await).await;
    let log = service.log();
    assert!(!log.contains("cannot be read"), "no piece was ever thought missing");
}

/// A run of two nodes with a recording of several frames each.
async fn recorded(service: &Service) -> String {
    let folder = TempDir::new().expect("a directory");
    let file = folder.path().join("lines");
    std::fs::write(&file, log_lines(1_200_000, 5)).expect("a file");
    let api = service.api();
    let run = api.submit(&run_of(["a", "b"].map(|node| pty(node, &cat_raw(&file))))).await;
    wait_final(&api, &run, 2, RUN_LIMIT).await;
    run
}

/// Asks for everything of the run until it is told to stop; no answer may be a fault.
async fn read_everything(api: Api, run: String, mut stop: tokio::sync::watch::Receiver<bool>) {
    let paths = [
        "",
        "/trace",
        "/recordings",
        "/events?limit=1000",
        "/stream",
        "/stream?from=live",
        "/terminal/a?stream=pty&limit=5000",
        "/terminal/a/screen",
        "/terminal/b/lines?tail=100",
        "/terminal/b/lines?q=ERROR",
        "/terminal/a/index",
        "/terminal/b/cast",
        "/terminal/a/cast?format=raw",
    ];
    while !*stop.borrow_and_update() {
        for path in paths {
            // A download or a stream may be cut off, as its head was sent before.
            let answer = api.try_get(&format!("/api/v1/runs/{run}{path}")).await;
            let Ok(answer) = answer else { continue };
            let body = String::from_utf8_lossy(&answer.body);
            let status = answer.status;
            assert!(matches!(status, 200 | 204 | 410 | 503), "{path}: {status} {body:.500}");
        }
    }
}

/// Readers of everything of a run while something is done to it.
async fn while_reading(service: &Service, run: &str, act: impl AsyncFnOnce()) {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reader = || tokio::spawn(read_everything(service.api(), run.to_owned(), stopped.clone()));
    let readers = [reader(), reader()];
    // A viewer that does not read now.
    let mut slow = service.api().stream(run).open_raw(4096).await;
    act().await;
    stop.send_replace(true);
    for reader in readers {
        reader.await.expect("a reader");
    }
    while slow.read_some(64 * 1024, |_| {}).await {}
    assert!(!service.log().contains("panicked"), "{}", service.log());
}

fn is_empty(service: &Service, run: &str) -> bool {
    let archive = directory(service);
    let folder = format!("recordings/default/{run}/");
    unfinished(&archive) == 0 && !objects(&archive).iter().any(|key| key.starts_with(&folder))
}

#[tokio::test]
async fn a_purge_with_readers_is_no_fault_and_leaves_nothing() {
    let config = format!("{ARCHIVES_AT_ONCE}\n[sse]\nkeep_alive_secs = 1");
    let service = Service::builder().config(&config).start().await;
    let api = service.api();
    let run = recorded(&service).await;
    while_reading(&service, &run, async || {
        wait_for("the run is given back and purged", RUN_LIMIT, async || {
            let reply = api.delete(&format!("/runs/{run}")).await;
            assert!(matches!(reply.status, 204 | 409), "{reply:?}");
            (reply.status == 204).then_some(())
        })
        .await;
    })
    .await;
    api.get(&format!("/runs/{run}")).await.expect(410);
    wait_for("nothing is left", REAPED, async || is_empty(&service, &run).then_some(())).await;
}

#[tokio::test]
async fn a_purge_that_was_cut_off_is_asked_for_again() {
    let mut service = Service::builder()
        .config(ARCHIVES_AT_ONCE)
        .env("RUNCAST_FAIL_POINT", "purge.objects_removed")
        .start()
        .await;
    let run = recorded(&service).await;
    let purged = wait_for("the run is given back", RUN_LIMIT, async || {
        let reply = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("{}/api/v1/runs/{run}", service.url());
        let reply = reply.delete(url).send().await.map(|reply| reply.status().as_u16());
        (!matches!(reply, Ok(409))).then_some(reply)
    })
    .await;
    assert!(purged.is_err(), "{purged:?}");
    let status = service.wait_exit(RUN_LIMIT).await;
    assert_eq!(status.signal(), Some(ABORTED), "{status:?}");
    service.forget_env("RUNCAST_FAIL_POINT");
    service.restart().await;
    let api = service.api();
    api.get(&format!("/runs/{run}")).await.expect(200);
    api.delete(&format!("/runs/{run}")).await.expect(204);
    assert!(is_empty(&service, &run));
}

/// Makes the recordings of a run older than they are.
async fn age(service: &Service, run: &str) {
    let two_days_us: i64 = 2 * 24 * 3600 * 1_000_000;
    let sql = format!(
        "UPDATE workflow_terminal_records SET completed_at = completed_at - {two_days_us} \
         WHERE run_id = '{run}'"
    );
    database(service).await.execute_unprepared(&sql).await.expect("the rows are older");
}

/// Panics unless the recordings of the run are gone, and everything says so.
async fn assert_expired(service: &Service, run: &str) {
    let api = service.api();
    wait_for("the objects are gone", REAPED, async || {
        let rows = recordings(&api, run).await;
        let is_gone = |row: &Value| row["purgedAt"].is_string() && row["fileUrl"].is_null();
        (rows.len() == 2 && rows.iter().all(is_gone) && is_empty(service, run)).then_some(())
    })
    .await;
    let mut seen = Collected::partial();
    seen.read(&mut api.stream(run).open().await).await;
    assert!(seen.done.is_some());
    let gaps: Vec<Value> = seen
        .events
        .iter()
        .filter(|event| event.name == "gap")
        .map(|event| serde_json::from_str(&event.data).expect("JSON"))
        .collect();
    assert!(!gaps.is_empty());
    assert!(gaps.iter().all(|gap| gap["reason"] == "purged"), "{gaps:?}");
    assert!(!seen.events.iter().any(|event| event.name == "terminal"));
    assert_eq!(api.run(run).await["status"], json!("COMPLETED"));
}

#[tokio::test]
async fn recordings_that_expire_with_readers_are_no_fault_and_leave_nothing() {
    let config = format!("{ARCHIVES_AT_ONCE}\nrecordings_days = 1");
    let service = Service::builder().config(&config).start().await;
    let run = recorded(&service).await;
    while_reading(&service, &run, async || {
        age(&service, &run).await;
        wait_for("retention has removed it", REAPED, async || {
            let rows = recordings(&service.api(), &run).await;
            rows.iter().all(|row| row["fileUrl"].is_null()).then_some(())
        })
        .await;
    })
    .await;
    assert_expired(&service, &run).await;
}

/// The service dies at this point of retention; the next start goes on with it.
async fn retention_dies_at(point: &str) {
    let config = format!("{ARCHIVES_AT_ONCE}\nrecordings_days = 1");
    let mut service =
        Service::builder().config(&config).env("RUNCAST_FAIL_POINT", point).start().await;
    let run = recorded(&service).await;
    age(&service, &run).await;
    let status = service.wait_exit(REAPED).await;
    assert_eq!(status.signal(), Some(ABORTED), "{point}: {status:?}");
    service.forget_env("RUNCAST_FAIL_POINT");
    service.restart().await;
    assert_expired(&service, &run).await;
}

#[tokio::test]
async fn retention_that_was_cut_off_goes_on() {
    tokio::join!(
        retention_dies_at("retention.rows_expired"),
        retention_dies_at("retention.objects_removed"),
    );
}
