//! Who follows is told: over one connection, and also when notifications are lost.

use std::time::{Duration, Instant};

use runcast_actors::ids::Seq;
use runcast_actors::ports::{Replica as _, ReplicaBatch, RunReader as _, Wake};
use runcast_actors::testing::log_memory::{chunk_entry, run_key};
use runcast_actors::testing::replica_conformance::{batch, chunks};

use super::server::{DEADLINE, OWNER, Server, wait_for};
use super::writer::follow;

async fn wakes(wake: &mut Wake, what: &str) {
    let woken = tokio::time::timeout(DEADLINE, wake.changed()).await;
    assert!(woken.is_ok(), "not woken: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_are_followed_over_one_connection() {
    const RUNS: usize = 200;
    let server = Server::start();
    let (owner, other) = (server.replica(), server.replica());
    let runs: Vec<_> = (0..RUNS).map(|number| run_key(&format!("r{number}"))).collect();
    for run in &runs {
        owner.fence(run, OWNER).await.expect("fenced");
    }
    let following = runs.iter().map(|run| follow(&other, run, 0, 10));
    let following = futures_util::future::join_all(following);
    let writing = async {
        for number in 1..=10 {
            for run in &runs {
                let batch = batch(Seq(u64::from(number) - 1), chunks(0, number..=number));
                owner.append(run, OWNER, batch).await.expect("appended");
            }
        }
    };
    let mut wakes_of: Vec<Wake> = runs.iter().map(|run| other.follow(run)).collect();
    tokio::join!(following, writing);
    let listening = server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    assert_eq!(listening.lines().count(), 1, "{listening}");
    let channels = || server.cli(&["PUBSUB", "CHANNELS", "runcast:tail:*"]).lines().count();
    assert_eq!(channels(), RUNS);
    wakes_of.truncate(1);
    wait_for("the others are forgotten", async || (channels() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_notification_tells_is_found() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("silent"));
    owner.fence(&run, OWNER).await.expect("fenced");
    let mut wake = owner.follow(&run);
    // The subscription itself, and the first poll.
    wakes(&mut wake, "to look for the first time").await;
    wait_for("it is quiet", async || {
        let quiet = Duration::from_millis(2500);
        tokio::time::timeout(quiet, wake.changed()).await.is_err().then_some(())
    })
    .await;
    assert_eq!(server.cli(&["HSET", "meta:{default/silent}", "seq", "7"]), "0");
    wakes(&mut wake, "the poll is the net").await;
    assert_eq!(server.cli(&["DEL", "meta:{default/silent}"]), "1");
    wakes(&mut wake, "it was removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_go_on_after_their_connection_was_lost() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("again"));
    owner.fence(&run, OWNER).await.expect("fenced");
    let mut wake = owner.follow(&run);
    wakes(&mut wake, "to look for the first time").await;
    for number in 1_u32..=5 {
        let channels = || server.cli(&["PUBSUB", "CHANNELS", "runcast:tail:*"]).lines().count();
        wait_for("it listens", async || (channels() == 1).then_some(())).await;
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let after = Seq(u64::from(number) - 1);
        let batch = batch(after, chunks(0, number..=number));
        owner.append(&run, OWNER, batch).await.expect("appended");
        wakes(&mut wake, "whatever was lost").await;
        let page = owner.read(&run, after, usize::MAX).await.expect("read");
        assert_eq!(page.entries.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_do_not_wait_for_the_poll() {
    const ROUNDS: u32 = 200;
    let server = Server::start();
    let (owner, other, run) = (server.replica(), server.replica(), run_key("quick"));
    owner.fence(&run, OWNER).await.expect("fenced");
    let mut wake = other.follow(&run);
    wakes(&mut wake, "to look for the first time").await;
    let mut waited = Vec::new();
    for number in 1..=ROUNDS {
        let after = Seq(u64::from(number) - 1);
        let begun = Instant::now();
        owner
            .append(&run, OWNER, batch(after, chunks(0, number..=number)))
            .await
            .expect("appended");
        while other.read(&run, after, 1).await.expect("read").entries.is_empty() {
            wakes(&mut wake, "of what was appended").await;
        }
        waited.push(begun.elapsed());
        // The next one is waited for anew, not found by a look that was under way.
        while tokio::time::timeout(Duration::from_millis(5), wake.changed()).await.is_ok() {}
    }
    waited.sort_unstable();
    let (median, late) = (waited[waited.len() / 2], waited[waited.len() * 99 / 100]);
    println!("from append to read: median {median:?}, p99 {late:?}");
    assert!(median < Duration::from_millis(300), "{median:?}: that is the poll");
}

/// Not a bound, but a figure to look at: `cargo test --release … -- --nocapture a_large_run`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_run_passes_whole() {
    const CHUNK: usize = 32 * 1024;
    const CHUNKS: u32 = 2048;
    const IN_BATCH: usize = 16;
    let server = Server::start();
    let (owner, other, run) = (server.replica(), server.replica(), run_key("large"));
    owner.fence(&run, OWNER).await.expect("fenced");
    let chunk = |number: u32| chunk_entry(Seq(u64::from(number)), u64::from(number) - 1, CHUNK);
    let entries: Vec<_> = (1..=CHUNKS).map(chunk).collect();
    let rate = |begun: Instant| {
        let micros = begun.elapsed().as_micros().max(1);
        u128::from(CHUNKS) * CHUNK as u128 / micros
    };

    let begun = Instant::now();
    for entries in entries.chunks(IN_BATCH) {
        let after = Seq(entries[0].seq.0 - 1);
        let batch = ReplicaBatch { after, recorded: Seq::START, entries: entries.to_vec() };
        owner.append(&run, OWNER, batch).await.expect("appended");
    }
    println!("appended {} MB/s", rate(begun));
    let begun = Instant::now();
    let mut read = Vec::with_capacity(entries.len());
    while read.len() < entries.len() {
        let page = other.read(&run, Seq(read.len() as u64), 512 * 1024).await.expect("read");
        read.extend(page.entries);
    }
    println!("read {} MB/s", rate(begun));
    assert!(read == entries, "as they were appended");
}
