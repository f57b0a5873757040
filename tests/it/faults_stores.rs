//! A disk that is full, a log that is damaged, a database that is locked: told, survived, nothing silent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::Value;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::collect::{Collected, Logged};
use crate::support::deadline::wait_for;
use crate::support::disk::SmallDisk;
use crate::support::programs::{pty, run_of, ticking};
use crate::support::service::Service;

const MIB: u64 = 1024 * 1024;

async fn ready(api: &Api) -> Value {
    api.try_get("/readyz").await.expect("an answer").json()
}

#[tokio::test]
async fn p2_a_full_disk_pauses_the_terminals_and_loses_nothing() {
    let disk = SmallDisk::mount(400);
    let config = format!("[log]\nmin_free_bytes = {}", 64 * MIB);
    let data_dir = disk.path().join("data");
    let service = Service::builder().config(&config).data_dir(&data_dir).start().await;
    let api = service.api();
    let count = 3000;
    let run = api.submit(&run_of([pty("a", &ticking("a", count, 20))])).await;
    let mut viewer = api.stream(&run).query("types", "terminal,trace").open().await;
    viewer.find("terminal").await;

    disk.leave_free(32 * MIB);
    wait_for("the log says that its disk is low", RUN_LIMIT, async || {
        (ready(&api).await["stores"]["log"]["state"] == "degraded").then_some(())
    })
    .await;
    let paused = loop {
        let trace = viewer.find("trace").await.json();
        if trace["type"] == "CAPTURE_PAUSED" {
            break trace;
        }
    };
    assert_eq!(paused["data"]["reason"], "diskLow", "{paused}");
    let status = api.try_get("/readyz").await.expect("an answer").status;
    assert_eq!(status, 200, "it serves, degraded");
    assert_eq!(api.run(&run).await["status"], "RUNNING");
    let page =
        api.get(&format!("/runs/{run}/terminal/a?stream=pty&limit=1")).await.expect(200).json();
    assert!(page["chunks"][0].is_object(), "what is there is served: {page}");

    disk.give_back();
    while viewer.find("trace").await.json()["type"] != "CAPTURE_RESUMED" {}
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    wait_for("the log is well again", RUN_LIMIT, async || {
        (ready(&api).await["stores"]["log"]["state"] == "up").then_some(())
    })
    .await;
    assert_exact(&api, &run, count).await;
}

#[tokio::test]
async fn p2_a_disk_without_a_byte_stops_nothing_for_good() {
    let disk = SmallDisk::mount(400);
    // The limit is far below one block of the log, so it is met only by failed writes.
    let config = format!("[log]\nmin_free_bytes = {MIB}");
    let data_dir = disk.path().join("data");
    let service = Service::builder().config(&config).data_dir(&data_dir).start().await;
    let api = service.api();
    let count = 3000;
    let run = api.submit(&run_of([pty("a", &ticking("a", count, 20))])).await;
    let mut viewer = api.stream(&run).open().await;
    viewer.find("terminal").await;
    disk.leave_free(0);
    wait_for("the log tells of its disk", RUN_LIMIT, async || {
        (ready(&api).await["stores"]["log"]["state"] != "up").then_some(())
    })
    .await;
    assert_eq!(api.try_get("/healthz").await.expect("an answer").status, 200);
    disk.give_back();
    wait_for("the service is ready again", RUN_LIMIT, async || {
        let ready = ready(&api).await;
        (ready["ready"] == true && ready["stores"]["log"]["state"] == "up").then_some(())
    })
    .await;
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    assert_exact(&api, &run, count).await;
}

/// Panics unless the console of `ticking("a", count, …)` is there to the last byte.
async fn assert_exact(api: &Api, run: &str, count: u32) {
    let mut seen = Collected::new();
    seen.read(&mut api.stream(run).open().await).await;
    seen.assert_complete();
    let lines = (1..=count).map(|line| format!("a {line} \x1b[31mok\x1b[0m\r\n"));
    let expected: String = lines.collect();
    let output = String::from_utf8_lossy(&seen.stream("a", "pty").output).into_owned();
    assert!(output == expected, "{} bytes instead of {}", output.len(), expected.len());
}

fn newest_journal(data_dir: &Path) -> PathBuf {
    let found = std::fs::read_dir(data_dir.join("log")).expect("the log").flatten();
    let journals = found.map(|entry| entry.path()).filter_map(|path| {
        let number: u64 = path.file_name()?.to_str()?.strip_suffix(".jnl")?.parse().ok()?;
        Some((number, path))
    });
    journals.max().expect("a journal").1
}

/// Where the written part of a journal ends: it may be longer than what was written.
fn written_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

type Damage = fn(&mut Vec<u8>);

/// Panics unless every number up to the last event was seen or is told as lost.
#[track_caller]
fn assert_nothing_silent(events: &[Logged]) {
    let mut known = 0;
    for event in events {
        let first = if event.name == "gap" {
            let gap: Value = serde_json::from_str(&event.data).expect("JSON");
            assert_eq!(gap["toSeq"], event.seq, "{gap}");
            assert!(matches!(gap["reason"].as_str(), Some("lost" | "purged")), "{gap}");
            gap["fromSeq"].as_u64().expect("fromSeq")
        } else {
            event.seq
        };
        let is_next = first == known + 1;
        // A later epoch begins at one and says itself how far the one before was kept.
        let is_new_epoch = event.seq >> 32 > known >> 32 && first & 0xffff_ffff == 1;
        assert!(is_next || is_new_epoch, "after {known} comes {first} ({})", event.name);
        known = event.seq;
    }
}

async fn damaged_log(what: &str, damage: Damage) {
    let mut service = Service::start().await;
    let finished = service.api().submit(&run_of([pty("a", "seq 2000")])).await;
    service.api().wait_ended(&finished).await;
    let going = service.api().submit(&run_of([pty("a", &ticking("a", 100_000, 5))])).await;
    let mut client = service.api().stream(&going).open().await;
    let mut seen = Collected::new();
    while seen.events.len() < 200 {
        seen.push(client.next().await.expect("it goes on"));
    }
    service.kill9();
    let journal = newest_journal(service.data_dir());
    let mut bytes = std::fs::read(&journal).expect("the journal");
    damage(&mut bytes);
    std::fs::write(&journal, bytes).expect("the journal");

    service.restart().await;
    let api = service.api();
    let ready = ready(&api).await;
    let moved = service.log().contains("moved aside");
    assert_eq!(ready["logMovedAside"].is_string(), moved, "{what}: {ready}");
    if moved {
        assert_eq!(ready["stores"]["log"]["state"], "degraded", "{what}: {ready}");
        let path = ready["logMovedAside"].as_str().expect("a path");
        assert!(Path::new(path).exists(), "{what}: {path}");
    }
    let view = api.wait_ended(&going).await;
    assert_eq!(view["status"], "FAILED", "{what}: {view}");
    assert_eq!(view["failure"]["kind"], "LOST", "{what}: {view}");
    assert_eq!(api.run(&finished).await["status"], "COMPLETED", "{what}");

    for run in [&finished, &going] {
        let mut whole = Collected::partial();
        whole.read(&mut api.stream(run).open().await).await;
        assert!(whole.done.is_some(), "{what}: the stream of {run} ends");
        assert_nothing_silent(&whole.events);
    }
    // The viewer that had seen more than is left is told so.
    let cursor = seen.cursor.expect("a cursor");
    let mut rest = Collected::partial();
    rest.read(&mut api.stream(&going).last_event_id(Some(cursor)).open().await).await;
    let first = rest.events.first().unwrap_or_else(|| panic!("{what}: something follows"));
    let continued = seen.events.iter().any(|event| event.seq == cursor)
        && (first.seq == cursor + 1 || first.name == "gap" || continues(first, cursor));
    assert!(continued, "{what}: after {cursor} comes {first:?}");
    // A new run is not harmed by what happened to others.
    let fresh = api.submit(&run_of([pty("a", "echo fresh")])).await;
    assert_eq!(api.wait_ended(&fresh).await["status"], "COMPLETED", "{what}");
    let mut whole = Collected::new();
    whole.read(&mut api.stream(&fresh).open().await).await;
    whole.assert_complete();
}

fn continues(event: &Logged, cursor: u64) -> bool {
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    data["type"] == "RUN_TAKEN_OVER" && data["data"]["continuesSeq"] == cursor
}

#[tokio::test]
async fn a_log_whose_last_bytes_are_missing_is_opened_and_the_loss_is_told() {
    damaged_log("cut", |bytes| {
        let end = written_end(bytes);
        bytes.truncate(end.saturating_sub(3000));
    })
    .await;
}

#[tokio::test]
async fn a_log_whose_last_bytes_are_others_is_opened_and_the_loss_is_told() {
    damaged_log("flipped at the end", |bytes| {
        let end = written_end(bytes);
        for place in (end.saturating_sub(2000)..end.saturating_sub(1000)).step_by(7) {
            bytes[place] ^= 0x55;
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_damaged_in_its_middle_is_opened_or_moved_aside_and_the_loss_is_told() {
    damaged_log("flipped in the middle", |bytes| {
        let middle = written_end(bytes) / 2;
        bytes[middle..middle + 500].iter_mut().for_each(|byte| *byte ^= 0xaa);
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_all_noise_is_opened_or_moved_aside_and_the_loss_is_told() {
    damaged_log("noise", |bytes| {
        let end = written_end(bytes);
        let noise = (0_u32..).map(|place| (place * 31 % 251).to_le_bytes()[0]);
        bytes[..end].iter_mut().zip(noise).for_each(|(byte, noise)| *byte = noise);
    })
    .await;
}

async fn connect(data_dir: &Path) -> DatabaseConnection {
    let url = format!("sqlite://{}", data_dir.join("runcast.db").display());
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("a second connection")
}

#[tokio::test]
async fn a_locked_database_stops_submissions_and_no_run() {
    let service = Service::start().await;
    let api = service.api();
    let count = 2000;
    let run = api.submit(&run_of([pty("a", &ticking("a", count, 20))])).await;
    let mut viewer = api.stream(&run).open().await;
    let mut seen = Collected::new();
    while seen.events.len() < 20 {
        seen.push(viewer.next().await.expect("it goes on"));
    }
    let other = connect(service.data_dir()).await;
    other.execute_unprepared("BEGIN EXCLUSIVE").await.expect("the lock");
    let refused = api.post("/runs", &run_of([pty("b", "true")])).await;
    let retry_after = refused.headers.contains_key("Retry-After");
    let refused = refused.expect(503).json();
    assert_eq!(refused["error"]["code"], "UNAVAILABLE", "{refused}");
    assert!(retry_after, "a passing condition says when to come back");
    let before = seen.events.len();
    while seen.events.len() < before + 50 {
        seen.push(viewer.next().await.expect("the run goes on"));
    }
    other.execute_unprepared("ROLLBACK").await.expect("the lock is given back");
    let next = wait_for("runs are taken again", Duration::from_secs(30), async || {
        let reply = api.post("/runs", &run_of([pty("b", "true")])).await;
        (reply.status == 201).then(|| reply.json()["runId"].as_str().expect("an id").to_owned())
    })
    .await;
    assert_eq!(api.wait_ended(&next).await["status"], "COMPLETED");
    assert_eq!(api.wait_ended(&run).await["status"], "COMPLETED");
    seen.read(&mut viewer).await;
    seen.assert_complete();
    assert_exact(&api, &run, count).await;
}
