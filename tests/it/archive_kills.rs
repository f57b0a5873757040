//! kill -9 at every step of the archive and at any moment: what was acknowledged is served again, every
//! recording gets its state, nothing is stored twice, nothing is left over.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::faults::{GUARD_LIMIT, check_after_restart, is_soak, watch, with_mark};
use crate::support::api::RUN_LIMIT;
use crate::support::archive::{
    ARCHIVES_AT_ONCE, assert_finalised, assert_nothing_left_over, database, directory,
};
use crate::support::collect::Collected;
use crate::support::processes::wait_gone;
use crate::support::programs::{pipe, pty, run_of, ticking};
use crate::support::service::Service;

/// SIGABRT: how a fail point ends the process.
const ABORTED: i32 = 6;

/// Two pipes that are written in turns, so many lines of each.
fn two_pipes(lines: u32) -> String {
    format!(
        "exec perl -e '$|=1; for $i (1..{lines}) {{ print \"out $i\\n\"; print STDERR \"err $i\\n\"; \
         select undef, undef, undef, 0.005 if $i % 10 == 0 }}'"
    )
}

/// Nodes that end after several segments.
fn ending(mark: &str) -> Vec<Value> {
    let nodes = [
        pty("quick", "echo one; echo two"),
        pty("short", &ticking("short", 1200, 5)),
        pipe("pipes", &two_pipes(1200)),
    ];
    nodes.map(|node| with_mark(node, mark)).into()
}

/// These and others that do not end.
fn going(mark: &str) -> Vec<Value> {
    let nodes = [
        pty("ticker", &ticking("ticker", 1_000_000, 5)),
        pipe("flow", &two_pipes(1_000_000)),
        // Two megabytes a second.
        pty(
            "flood",
            "perl -e '$|=1; while (1) { print \"a line of many\\n\" x 1400; select undef, undef, undef, 0.01 }'",
        ),
    ];
    let mut all = ending(mark);
    all.extend(nodes.map(|node| with_mark(node, mark)));
    all
}

async fn check(service: &Service, run: &str, seen: &Collected) {
    let whole = check_after_restart(service, run, seen).await;
    for ((node, stream), seen) in &seen.streams {
        let has_ended = seen.exit.as_ref().is_some_and(|exit| exit["complete"] == true);
        let served = whole.stream(node, stream);
        assert!(!has_ended || served.exit == seen.exit, "{node}/{stream}");
    }
    assert_finalised(&service.api(), run, &whole).await;
    // As the reader of another day gets it: nothing of it is in a log any more.
    let mut again = Collected::new();
    again.read(&mut service.api().stream(run).open().await).await;
    again.assert_same(&whole);
}

/// Runs nodes until the service dies at this point, and looks at what there is after a restart.
async fn dies_at(point: &str, nodes: fn(&str) -> Vec<Value>) {
    let mut service =
        Service::builder().config(ARCHIVES_AT_ONCE).env("RUNCAST_FAIL_POINT", point).start().await;
    let mark = format!("{point}-{}", std::process::id());
    let run = service.api().submit(&run_of(nodes(&mark))).await;
    let watching = watch(&service, &run).await;
    let status = service.wait_exit(RUN_LIMIT).await;
    assert_eq!(status.signal(), Some(ABORTED), "{point}: {status:?}");
    let seen = watching.await.expect("a viewer");
    assert!(!seen.events.is_empty(), "{point}: something was acknowledged");
    wait_gone(&mark, GUARD_LIMIT).await;

    service.forget_env("RUNCAST_FAIL_POINT");
    service.restart().await;
    check(&service, &run, &seen).await;
    assert_nothing_left_over(&directory(&service), &database(&service).await).await;
}

// Most of their time is waiting, so several go on at once.

#[tokio::test]
async fn p6_it_dies_at_each_step_of_a_flush() {
    tokio::join!(
        dies_at("archive.segment_written:8", going),
        dies_at("archive.objects_written:4", going),
        dies_at("archive.rows_written:4", going),
        dies_at("recorder.rows_written:9", going),
        dies_at("archive.trimmed:2", going),
    );
}

#[tokio::test]
async fn p6_it_dies_at_each_step_of_a_compaction() {
    tokio::join!(
        dies_at("archive.compacting:2", going),
        dies_at("archive.recording_written:3", going),
        dies_at("archive.compacted:2", going),
        dies_at("archive.finalised:2", going),
    );
}

#[tokio::test]
async fn p6_it_dies_at_each_step_of_the_end() {
    tokio::join!(
        dies_at("archive.finalised:4", ending),
        dies_at("owner.trimmed", ending),
        dies_at("archive.segment_deleted:5", going),
    );
}

#[tokio::test]
async fn p6_kill_9_at_random_moments_of_the_archive() {
    let kills = if is_soak() { 50 } else { 5 };
    let seed = rand::rng().next_u64();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    for round in 0..kills {
        let mark = format!("archive-kill-{}-{round}-{seed}", std::process::id());
        let run = service.api().submit(&run_of(going(&mark))).await;
        service.api().wait_node_running(&run, "flood").await;
        let watching = watch(&service, &run).await;
        // The moment of the kill is what the test is about.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        service.kill9();
        wait_gone(&mark, GUARD_LIMIT).await;
        let seen = watching.await.expect("a viewer");
        service.restart().await;
        check(&service, &run, &seen).await;
    }
    assert_nothing_left_over(&directory(&service), &database(&service).await).await;
}
