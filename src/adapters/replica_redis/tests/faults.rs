//! A server that refuses: its memory is used up, its configuration loses data.

use std::time::Duration;

use runcast_actors::entry::Entry;
use runcast_actors::ids::{Epoch, RunKey, Seq, StreamKey, StreamName};
use runcast_actors::ports::{
    LogError, OwnerCommand, Replica as _, ReplicaHealth, ReplicaScreens, RunReader as _,
};
use runcast_actors::testing::log_memory::{chunk_entry, run_key};
use runcast_actors::testing::replica_conformance::{batch, chunks};

use super::super::RedisReplica;
use super::server::{OWNER, Server, wait_for};

fn large(number: u32) -> std::sync::Arc<Entry> {
    chunk_entry(Seq(u64::from(number)), u64::from(number) - 1, 30_000)
}

fn screens(len: usize) -> ReplicaScreens {
    let stream = StreamKey { node_ref: "n".parse().expect("a name"), stream: StreamName::Pty };
    ReplicaScreens { seq: Seq(1), streams: vec![(stream, vec![b'x'; len].into())] }
}

/// Appends large chunks until the server refuses; gives the last that it took.
async fn fill(owner: &RedisReplica, run: &RunKey, mut number: u32) -> u32 {
    loop {
        let batch = batch(Seq(u64::from(number)), vec![large(number + 1)]);
        match owner.append(run, OWNER, batch).await {
            Ok(()) => number += 1,
            Err(LogError::Unavailable(told)) => {
                assert!(told.contains("OOM"), "{told}");
                return number;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(number < 5000, "its memory is never used up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_trimmed_and_goes_on() {
    let options = ["--save", "", "--maxmemory", "12mb", "--maxmemory-policy", "noeviction"];
    let server = Server::with(&options);
    let (owner, run) = (server.replica(), run_key("full"));
    owner.fence(&run, OWNER).await.expect("fenced");
    let first = fill(&owner, &run, 0).await;
    assert!(first > 50, "{first} chunks");
    assert!(matches!(owner.health(), ReplicaHealth::Degraded(_)), "{:?}", owner.health());

    let epoch = Epoch(1);
    owner.fence(&run, epoch).await.expect("a new owner can fence a full server");
    owner.fence(&run_key("new"), OWNER).await.expect("and another run");
    owner.trim(&run_key("new"), Seq(5)).await.expect("of which nothing was replicated");
    owner.expire(&run_key("new"), Duration::from_secs(1)).await.expect("or let one go");
    let refused = owner.put_screens(&run, epoch, Seq::START, screens(1024 * 1024)).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    let through = Seq(u64::from(first - 5));
    owner.trim(&run, through).await.expect("trimmed");
    let page = owner.read(&run, Seq::START, usize::MAX).await.expect("read");
    let expected: Vec<_> = (first - 4..=first).map(large).collect();
    assert_eq!((page.trimmed, page.entries), (through, expected));
    let later = batch(Seq(u64::from(first)), chunks(1, 1..=3));
    owner.append(&run, epoch, later).await.expect("there is room again");
    assert!(!matches!(owner.health(), ReplicaHealth::Down(_)));
    assert_eq!(owner.read(&run, through, usize::MAX).await.map(|page| page.entries.len()), Ok(8));
    owner.remove(&run).await.expect("removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_loses_data_is_told() {
    let told = async |server: &Server, wanted: &str| {
        let replica = server.replica();
        wait_for(wanted, async || match replica.health() {
            ReplicaHealth::Degraded(told) if told.contains(wanted) => Some(()),
            _ => None,
        })
        .await;
    };
    let mut server = Server::start();
    told(&server, "no persistence").await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    told(&server, "allkeys-lru").await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    let replica = server.replica();
    replica.announce_queued().await.expect("it is there");
    assert_eq!(replica.health(), ReplicaHealth::Up);
    server.kill();
    let is = async |wanted: fn(&ReplicaHealth) -> bool| {
        wait_for("its state", async || wanted(&replica.health()).then_some(())).await;
    };
    is(|health| matches!(health, ReplicaHealth::Down(_))).await;
    server.restart();
    is(|health| !matches!(health, ReplicaHealth::Down(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_bounded_and_every_key_has_a_life_time() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("lives"));
    owner.fence(&run, OWNER).await.expect("fenced");
    owner.append(&run, OWNER, batch(Seq(0), chunks(0, 1..=5))).await.expect("appended");
    owner.trim(&run, Seq(9)).await.expect("trimmed");
    owner.put_screens(&run, OWNER, Seq::START, screens(1)).await.expect("put");
    for _ in 0..super::super::inbox::MAX_COMMANDS {
        owner.send(&run, OwnerCommand::Cancel).await.expect("left");
    }
    let refused = owner.send(&run, OwnerCommand::Cancel).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    let keys = server.cli(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 4, "{keys}");
    for key in keys.lines() {
        let life_ms: i64 = server.cli(&["PTTL", key]).parse().expect("a number");
        assert!((1..=24 * 60 * 60 * 1000).contains(&life_ms), "{key} lives {life_ms} ms");
    }
}
