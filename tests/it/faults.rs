//! kill -9 at any moment: what a viewer had seen is there after the restart, every run comes to its
//! end, and no process of a node is left.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::collect::Collected;
use crate::support::processes::{MARK, marked, wait_gone};
use crate::support::programs::{pipe, pty, run_of, ticking};
use crate::support::service::Service;

/// How long what a killed service leaves may live: the grace of the guard and its rounds.
pub(crate) const GUARD_LIMIT: Duration = Duration::from_secs(10);

/// True for the long form of the tests.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("RUNCAST_SOAK").is_some_and(|value| value == "1")
}

/// A node whose processes can be found.
pub(crate) fn with_mark(mut node: Value, mark: &str) -> Value {
    node["env"] = json!({ MARK: mark });
    node
}

/// Nodes that end in every way and nodes that do not want to end.
fn mixed_load(mark: &str) -> Value {
    let nodes = [
        pty("quick", "echo one; echo two"),
        pty("ticker", &ticking("ticker", 4000, 5)),
        pipe(
            "pipes",
            "i=0; while [ $i -lt 400 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done",
        ),
        pty("flood", "exec yes 'a line of a program that writes as fast as it may'"),
        pty("stubborn", "trap '' HUP TERM; while :; do echo still here; sleep 0.05; done"),
        pty(
            "jobs",
            "set -m; sleep 600 & sleep 601 & (trap '' HUP TERM; sleep 602) & echo jobs; wait",
        ),
        pty(
            "daemon",
            "perl -e '$SIG{HUP}=$SIG{TERM}=\"IGNORE\"; fork and exit; sleep 603'; echo forked; \
             sleep 604",
        ),
    ];
    run_of(nodes.map(|node| with_mark(node, mark)))
}

/// A viewer that collects what it gets until it is cut off.
pub(crate) async fn watch(service: &Service, run: &str) -> JoinHandle<Collected> {
    let mut client = service.api().stream(run).open().await;
    tokio::spawn(async move {
        let mut seen = Collected::new();
        seen.read(&mut client).await;
        seen
    })
}

/// Panics unless everything that was seen is served again, as it was.
#[track_caller]
fn assert_begins_with(whole: &Collected, seen: &Collected) {
    assert!(whole.events.len() >= seen.events.len(), "events are missing");
    for (served, seen) in whole.events.iter().zip(&seen.events) {
        assert_eq!(served, seen);
    }
}

/// Panics unless the run has come to its end and everything that was seen is served again; gives all of it.
pub(crate) async fn check_after_restart(
    service: &Service,
    run: &str,
    seen: &Collected,
) -> Collected {
    let view = service.api().wait_ended(run).await;
    match view["status"].as_str() {
        Some("COMPLETED") => {}
        Some("FAILED") => assert_eq!(view["failure"]["kind"], "LOST", "{view}"),
        other => panic!("{other:?}: {view}"),
    }
    let mut whole = Collected::new();
    whole.read(&mut service.api().stream(run).open().await).await;
    whole.assert_complete();
    assert_begins_with(&whole, seen);
    if let Some(cursor) = seen.cursor.filter(|_| seen.done.is_none()) {
        let mut rest = Collected::partial();
        rest.read(&mut service.api().stream(run).last_event_id(Some(cursor)).open().await).await;
        let seqs = |events: &[crate::support::collect::Logged]| -> Vec<u64> {
            events.iter().map(|event| event.seq).collect()
        };
        let expected = seqs(&whole.events[seen.events.len()..]);
        assert_eq!(seqs(&rest.events), expected, "a cursor goes on over the restart");
    }
    whole
}

#[tokio::test]
async fn p6_kill_9_at_random_moments_loses_nothing_and_leaves_no_process() {
    let kills = if is_soak() { 100 } else { 10 };
    let seed = rand::rng().next_u64();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut service = Service::start().await;
    for round in 0..kills {
        let mark = format!("kill-{}-{round}-{seed}", std::process::id());
        let first = service.api().submit(&mixed_load(&mark)).await;
        let watching = watch(&service, &first).await;
        // The moment of the kill is what the test is about.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1200))).await;
        let second = service.api().submit(&mixed_load(&mark)).await;
        let watching_second = watch(&service, &second).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        service.kill9();
        wait_gone(&mark, GUARD_LIMIT).await;
        let seen = [watching.await.expect("a viewer"), watching_second.await.expect("a viewer")];
        service.restart().await;
        for (run, seen) in [&first, &second].into_iter().zip(&seen) {
            // A run of which nothing was written before the kill is run now; it is ended by a cancel.
            let view = service.api().run(run).await;
            let was_queued = seen.events.is_empty() && view["status"] != "FAILED";
            if was_queued {
                let _ = service.api().post(&format!("/runs/{run}/cancel"), &Value::Null).await;
                let ended = service.api().wait_ended(run).await;
                assert!(ended["status"] == "CANCELLED" || ended["status"] == "FAILED", "{ended}");
                continue;
            }
            check_after_restart(&service, run, seen).await;
        }
        wait_gone(&mark, GUARD_LIMIT).await;
    }
}

#[tokio::test]
async fn a_stop_ends_what_runs_and_a_start_finds_nothing_to_mend() {
    let config = "[server]\ndrain_secs = 1\n[runners.local]\nkill_grace_secs = 1";
    let mut service = Service::builder().config(config).start().await;
    let mark = format!("stop-{}", std::process::id());
    let run = service.api().submit(&mixed_load(&mark)).await;
    service.api().wait_node_running(&run, "stubborn").await;
    let watching = watch(&service, &run).await;
    assert!(service.stop().await.success());
    assert!(marked(&mark).is_empty(), "{:?}", marked(&mark));
    let seen = watching.await.expect("a viewer");
    service.restart().await;
    let view = service.api().run(&run).await;
    assert_eq!(view["status"], "CANCELLED", "{view}");
    assert_eq!(view["epoch"], 0, "nobody had to take it over");
    let mut whole = Collected::new();
    whole.read(&mut service.api().stream(&run).open().await).await;
    whole.assert_complete();
    assert_begins_with(&whole, &seen);
}
