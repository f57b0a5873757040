//! Database and archive on other machines that go away under a run and come back: the run goes on, nothing is
//! lost, and the state is told.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::archive_faults::replay;
use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::{ARCHIVES_AT_ONCE, assert_finalised, wait_final};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::programs::{cat_raw, pipe, pty, run_of, ticking};
use crate::support::servers::{BUCKET, Postgres, SeaweedFs};
use crate::support::service::{Keeping, Service};
use crate::support::sse::SseClient;

/// Lines of the run, ten in 20 milliseconds.
const LINES: u32 = 5000;
/// How long the database is away, in lines: five seconds, several lease times.
const LINES_AWAY: u32 = 2500;

/// What `/readyz` says of a store.
async fn state(api: &Api, store: &str) -> (u16, String) {
    let ready = api.try_get("/readyz").await.expect("an answer");
    let state = ready.json()["stores"][store]["state"].as_str().expect("a state").to_owned();
    (ready.status, state)
}

async fn wait_state(api: &Api, store: &str, status: u16, expected: &str) {
    let expected = (status, expected.to_owned());
    wait_for("the state is told", RUN_LIMIT, async || {
        (state(api, store).await == expected).then_some(())
    })
    .await;
}

/// Reads so many more events.
async fn more(seen: &mut Collected, viewer: &mut SseClient, count: usize) {
    let enough = seen.events.len() + count;
    while seen.events.len() < enough {
        seen.push(viewer.next().await.expect("it goes on"));
    }
}

/// Reads until this line of the node `a` was shown.
async fn until_line(seen: &mut Collected, viewer: &mut SseClient, line: u32) {
    let shown = format!("\r\na {line} ").into_bytes();
    let is_shown = |seen: &Collected| {
        let output = seen.streams.get(&("a".to_owned(), "pty".to_owned())).map(|a| &a.output);
        output.is_some_and(|output| output.windows(shown.len()).any(|part| part == shown))
    };
    while !is_shown(seen) {
        more(seen, viewer, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_database_that_is_away_for_seconds_stops_no_run() {
    let mut server = Postgres::start().await;
    let config = format!("{ARCHIVES_AT_ONCE}\n[lease]\nttl_secs = 1");
    let service = Service::builder().config(&config).postgres(&server).await.start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", &ticking("a", LINES, 20)), pipe("b", "seq 50")])).await;
    let mut viewer = api.stream(&run).open().await;
    let mut seen = Collected::new();
    until_line(&mut seen, &mut viewer, 500).await;

    server.stop().await;
    tokio::join!(
        wait_state(&api, "database", 503, "down"),
        until_line(&mut seen, &mut viewer, 500 + LINES_AWAY),
    );
    let refused = api.post("/runs", &run_of([pty("b", "true")])).await.expect(503).json();
    assert_eq!(refused["error"]["code"], "UNAVAILABLE", "{refused}");
    assert_eq!(api.try_get("/healthz").await.expect("an answer").status, 200);

    server.restart().await;
    wait_state(&api, "database", 200, "up").await;
    seen.read(&mut viewer).await;
    seen.assert_complete();
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    assert_eq!(view["epoch"], 0, "nobody was declared dead: {view}");
    assert_finalised(&api, &run, &seen).await;
    assert_eq!(replay(&api, &run).await.events, seen.events, "rows and archive have it all");
    let next = api.submit(&run_of([pty("b", "true")])).await;
    assert_eq!(api.wait_ended(&next).await["status"], "COMPLETED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_an_object_store_that_is_away_pauses_the_terminal_and_loses_nothing() {
    let mut server = SeaweedFs::start().await;
    let config = format!("{ARCHIVES_AT_ONCE}\n[log]\nmax_bytes_per_run = 1048576");
    let service = Service::builder().config(&config).s3(&server).start().await;
    let api = service.api();
    let script = "exec perl -e '$|=1; for $i (1..1500) { print \"line $i of many \", \"x\" x 2000, \"\\n\"; \
         select undef, undef, undef, 0.002 }'";
    let run = api.submit(&run_of([pty("a", script), pipe("b", script)])).await;
    let mut viewer = api.stream(&run).open().await;
    let mut seen = Collected::new();
    more(&mut seen, &mut viewer, 20).await;

    server.kill().await;
    wait_state(&api, "archive", 200, "down").await;
    while !seen.events.iter().any(|event| event.data.contains("\"CAPTURE_PAUSED\"")) {
        more(&mut seen, &mut viewer, 1).await;
    }
    assert_eq!(api.run(&run).await["status"], "RUNNING", "it waits");

    server.restart().await;
    seen.read(&mut viewer).await;
    seen.assert_complete();
    assert_eq!(api.wait_ended(&run).await["status"], "COMPLETED");
    wait_state(&api, "archive", 200, "up").await;
    wait_final(&api, &run, 3, RUN_LIMIT).await;
    assert_finalised(&api, &run, &seen).await;
    assert_eq!(replay(&api, &run).await.events, seen.events, "as it was seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_that_is_away_at_the_start_is_used_once_it_is_there() {
    let mut server = SeaweedFs::start().await;
    let builder = Service::builder().config(ARCHIVES_AT_ONCE).s3(&server);
    server.kill().await;
    let service = builder.start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", "seq 3000")])).await;
    assert_eq!(api.wait_ended(&run).await["status"], "COMPLETED");
    wait_state(&api, "archive", 200, "down").await;
    wait_for("the log says so", Duration::from_secs(30), async || {
        service.log().contains("recordings can be neither read nor written").then_some(())
    })
    .await;
    server.restart().await;
    wait_state(&api, "archive", 200, "up").await;
    let rows = wait_final(&api, &run, 1, RUN_LIMIT).await;
    assert_eq!(rows[0]["state"], "complete", "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_an_upload_that_a_kill_has_cut_off_is_made_anew_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a directory");
    // What cannot be compressed makes the recording as long as the output, which is several parts.
    let mut noise = vec![0; 16 << 20];
    StdRng::seed_from_u64(5).fill_bytes(&mut noise);
    let file = folder.path().join("noise");
    std::fs::write(&file, &noise).expect("a file");
    let mut service = Service::builder()
        .keeping(Keeping::Cold)
        .postgres(Postgres::shared().await)
        .await
        .s3(SeaweedFs::shared().await)
        .env("RUNCAST_FAIL_POINT", "archive.compacting:24")
        .start()
        .await;
    let run = service.api().submit(&run_of([pty("a", &cat_raw(&file))])).await;
    let status = service.wait_exit(RUN_LIMIT).await;
    assert!(!status.success(), "{status:?}");
    let prefix = service.variable("RUNCAST__ARCHIVE__S3__PREFIX").expect("a prefix").to_owned();
    let client = SeaweedFs::shared().await.client();
    let uploads = async || {
        let listed = client.list_multipart_uploads().bucket(BUCKET).prefix(&prefix).send().await;
        listed.expect("uploads are listed").uploads().len()
    };
    assert_eq!(uploads().await, 1, "it was cut off in the middle of an upload");

    service.forget_env("RUNCAST_FAIL_POINT");
    service.restart().await;
    let api = service.api();
    let rows = wait_final(&api, &run, 1, RUN_LIMIT).await;
    let row = &rows[0];
    assert_eq!((&row["state"], &row["byteCount"]), (&"complete".into(), &noise.len().into()));
    assert_eq!(uploads().await, 0, "what was left is aborted");
    service.wait_log_empty().await;
    let path = format!("/runs/{run}/terminal/a/cast?format=raw");
    let body = api.get(&path).await.expect(200).body;
    assert!(body == noise, "{} bytes", body.len());
}
