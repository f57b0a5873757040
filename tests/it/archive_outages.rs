//! An archive that cannot be written, is full, or is not there: captures go on to the limit of the log, and
//! everything is archived once it is mended.

use std::time::Duration;

use crate::archive_faults::replay;
use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::{
    ARCHIVES_AT_ONCE, assert_finalised, assert_nothing_left_over, database, directory, recording,
    wait_final,
};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::disk::SmallDisk;
use crate::support::programs::{pipe, pty, run_of};
use crate::support::service::Service;

async fn archive_state(api: &Api) -> String {
    let ready = api.try_get("/readyz").await.expect("an answer");
    assert_eq!(ready.status, 200, "it serves without the archive");
    ready.json()["stores"]["archive"]["state"].as_str().expect("a state").to_owned()
}

/// An archive on a disk of its own that something happens to while a run goes on, until it is mended.
async fn outage(breaks: impl AsyncFn(&SmallDisk), mends: impl AsyncFn(&SmallDisk)) {
    let disk = SmallDisk::mount(16);
    let archive = disk.path().join("archive");
    let config = format!(
        "[archive]\ndirectory = \"{}\"\nsegment_bytes = 65536\nflush_interval_ms = 100\n\
         delete_after_secs = 0\n[retention]\nhot_min_secs = 0\n[log]\nmax_bytes_per_run = 1048576",
        archive.display()
    );
    let service = Service::builder().config(&config).start().await;
    let api = service.api();
    let script = "exec perl -e '$|=1; for $i (1..1500) { print \"line $i of many \", \"x\" x 2000, \"\\n\"; \
         select undef, undef, undef, 0.002 }'";
    let run = api.submit(&run_of([pty("a", script), pipe("b", script)])).await;
    let mut viewer = api.stream(&run).open().await;
    let mut seen = Collected::new();
    while seen.events.len() < 20 {
        seen.push(viewer.next().await.expect("it goes on"));
    }
    breaks(&disk).await;
    wait_for("the archive is told to be away", RUN_LIMIT, async || {
        (archive_state(&api).await == "down").then_some(())
    })
    .await;
    let paused = |seen: &Collected| {
        seen.events.iter().any(|event| event.data.contains("\"CAPTURE_PAUSED\""))
    };
    while !paused(&seen) {
        seen.push(viewer.next().await.expect("it goes on"));
    }
    assert_eq!(api.run(&run).await["status"], "RUNNING", "it waits");

    mends(&disk).await;
    seen.read(&mut viewer).await;
    seen.assert_complete();
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    wait_for("the archive is told to be there", RUN_LIMIT, async || {
        (archive_state(&api).await == "up").then_some(())
    })
    .await;
    wait_final(&api, &run, 3, RUN_LIMIT).await;
    assert_finalised(&api, &run, &seen).await;
    let again = replay(&api, &run).await;
    assert_eq!(again.events, seen.events, "it is served from the archive as it was seen");
    assert_nothing_left_over(&archive, &database(&service).await).await;
}

#[tokio::test]
async fn p3_an_archive_that_is_full_or_cannot_be_written_pauses_the_terminal_and_loses_nothing() {
    let forbid = async |disk: &SmallDisk| {
        let is_free = async || disk.remount("ro").then_some(());
        wait_for("nothing is open for writing", RUN_LIMIT, is_free).await;
    };
    let allow = async |disk: &SmallDisk| assert!(disk.remount("rw"), "it is writable again");
    tokio::join!(
        outage(forbid, allow),
        outage(async |disk| disk.leave_free(0), async |disk| disk.give_back()),
    );
}

#[tokio::test]
async fn p2_an_archive_that_is_not_there_is_no_loss() {
    let mut service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    let run = service.api().submit(&run_of([pty("a", "seq 3000")])).await;
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&run).open().await).await;
    wait_final(&service.api(), &run, 1, RUN_LIMIT).await;
    // Nothing of it stays in memory, nor in the log.
    assert!(service.stop().await.success());
    service.restart().await;
    let api = service.api();
    let (archive, aside) = (directory(&service), service.data_dir().join("aside"));
    std::fs::rename(&archive, &aside).expect("it is moved");
    // What stands in its place is no archive.
    std::fs::write(&archive, "").expect("a file");

    let next = api.submit(&run_of([pty("a", "seq 3000")])).await;
    assert_eq!(api.wait_ended(&next).await["status"], "COMPLETED");
    let error = api.stream(&run).open().await.find("error").await.json();
    assert_eq!(error["retryable"], true, "{error}");
    let status = api.get(&format!("/runs/{run}/terminal/a?stream=pty")).await.status;
    assert_eq!(status, 503);
    wait_for("the archive is told to be away", RUN_LIMIT, async || {
        (archive_state(&api).await == "down").then_some(())
    })
    .await;
    assert_eq!(recording(&api, &run, "a", "pty").await["state"], "complete", "nothing is lost");

    std::fs::remove_file(&archive).expect("the file");
    std::fs::rename(&aside, &archive).expect("it is back");
    let rows = wait_final(&api, &next, 1, Duration::from_secs(30)).await;
    assert_eq!(rows[0]["state"], "complete", "{rows:?}");
    let again = replay(&api, &run).await;
    assert_eq!(again.events, seen.events);
}

#[tokio::test]
async fn p2_an_archive_that_is_not_mounted_at_the_start_is_no_loss() {
    let mut service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    let run = service.api().submit(&run_of([pty("a", "seq 3000")])).await;
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&run).open().await).await;
    wait_final(&service.api(), &run, 1, RUN_LIMIT).await;
    assert!(service.stop().await.success());
    let (archive, aside) = (directory(&service), service.data_dir().join("aside"));
    std::fs::rename(&archive, &aside).expect("it is moved");
    std::fs::create_dir(&archive).expect("the mount point");

    service.restart().await;
    let api = service.api();
    assert_eq!(archive_state(&api).await, "down");
    assert!(service.log().contains("is not the archive: mount it"), "{}", service.log());
    let error = api.stream(&run).open().await.find("error").await.json();
    assert_eq!(error["retryable"], true, "{error}");
    assert_eq!(recording(&api, &run, "a", "pty").await["state"], "complete", "nothing is lost");
    let made = std::fs::read_dir(&archive).expect("the mount point").count();
    assert_eq!(made, 0, "it stays empty");

    std::fs::remove_dir(&archive).expect("the mount point");
    std::fs::rename(&aside, &archive).expect("it is mounted");
    wait_for("the archive is told to be there", RUN_LIMIT, async || {
        (archive_state(&api).await == "up").then_some(())
    })
    .await;
    let again = replay(&api, &run).await;
    assert_eq!(again.events, seen.events, "without a start");
}
