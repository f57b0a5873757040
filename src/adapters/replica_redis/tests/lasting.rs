//! What becomes of a copy whose server is killed, emptied or robbed of a part.

use runcast_actors::ids::{Epoch, Seq};
use runcast_actors::ports::{LogError, Replica as _, RunReader as _};
use runcast_actors::testing::log_memory::run_key;
use runcast_actors::testing::replica_conformance::{batch, chunks};

use super::server::{OWNER, Server};
use super::writer::{follow, held, replicate};

const IN_MEMORY: [&str; 4] = ["--save", "", "--appendonly", "no"];
const ON_DISK: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// Kills and restarts the server while a run is written and followed.
async fn survives_a_kill(options: &[&str], recorded: u32) -> (Server, super::super::RedisReplica) {
    let mut server = Server::with(options);
    let (owner, other, run) = (server.replica(), server.replica(), run_key("killed"));
    replicate(&owner, &run, 100, recorded).await;
    follow(&other, &run, recorded, 100).await;
    server.kill();
    let away = owner.append(&run, OWNER, batch(Seq(100), chunks(0, 101..=101))).await;
    assert!(matches!(away, Err(LogError::Unavailable(_))), "{away:?}");
    let (writing, following) =
        (replicate(&owner, &run, 300, recorded), follow(&other, &run, 100, 300));
    let restarting = async {
        tokio::task::yield_now().await;
        server.restart();
    };
    tokio::join!(writing, following, restarting);
    (server, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_returns_empty_is_filled_again() {
    let (_server, other) = survives_a_kill(&IN_MEMORY, 40).await;
    let held = held(&other, &run_key("killed")).await;
    assert_eq!(held, chunks(0, 41..=300), "with what is not recorded, and with nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_returns_with_its_disk_goes_on() {
    let (server, other) = survives_a_kill(&ON_DISK, 0).await;
    assert_eq!(held(&other, &run_key("killed")).await, chunks(0, 1..=300));
    assert_eq!(server.cli(&["EXISTS", "meta:{default/killed}"]), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_is_filled_again() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("emptied"));
    for (count, recorded) in [(50, 0), (90, 20), (130, 60)] {
        replicate(&owner, &run, count, recorded).await;
        assert_eq!(held(&owner, &run).await.last(), chunks(0, count..=count).last());
        assert_eq!(server.cli(&["FLUSHALL"]), "OK");
        assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    }
    let behind = owner.append(&run, OWNER, batch(Seq(130), chunks(0, 131..=131))).await;
    assert_eq!(behind, Err(LogError::Behind { tail: Seq(0), first: Seq(131) }));
    replicate(&owner, &run, 131, 60).await;
    assert_eq!(held(&owner, &run).await, chunks(0, 61..=131));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_or_a_meta_that_was_evicted_is_filled_again() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("evicted"));
    for (key, count) in [("terminal:{default/evicted}:n:pty", 30), ("meta:{default/evicted}", 60)] {
        replicate(&owner, &run, count, 10).await;
        // What was trimmed comes again with the rest.
        owner.trim(&run, Seq(20)).await.expect("trimmed");
        assert_eq!(server.cli(&["DEL", key]), "1");
        let next = count + 1;
        let batch = batch(Seq(u64::from(count)), chunks(0, next..=next));
        let behind = owner.append(&run, OWNER, batch).await;
        assert_eq!(behind, Err(LogError::Behind { tail: Seq(0), first: Seq(u64::from(next)) }));
        replicate(&owner, &run, next, 10).await;
        assert_eq!(held(&owner, &run).await, chunks(0, 11..=next));
    }
}

/// A script that fails in the middle leaves what it has written so far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_batch_has_left_is_never_read_nor_doubled() {
    let server = Server::start();
    let (owner, run) = (server.replica(), run_key("torn"));
    let stream = "terminal:{default/torn}:n:pty";
    replicate(&owner, &run, 10, 0).await;
    for seq in 11..=13 {
        let fields = ["i", "0", "k", "output", "t", "0", "d", "0", "p", "torn", "m", "{}"];
        let id = format!("{seq}-0");
        let words = [&["XADD", stream, &id][..], &fields[..]].concat();
        assert_eq!(server.cli(&words), id);
    }
    assert_eq!(held(&owner, &run).await, chunks(0, 1..=10), "meta does not tell of them");
    owner.append(&run, OWNER, batch(Seq(10), chunks(0, 11..=15))).await.expect("appended");
    assert_eq!(server.cli(&["XLEN", stream]), "15", "what is there is skipped");

    assert_eq!(server.cli(&["XADD", stream, "16-0", "p", "torn"]), "16-0");
    let next = Seq::new(Epoch(1), 1);
    let later = batch(Seq(15), chunks(1, 1..=2));
    owner.append(&run, Epoch(1), later.clone()).await.expect("appended");
    let page = owner.read(&run, Seq(14), usize::MAX).await.expect("read");
    let seqs: Vec<Seq> = page.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [Seq(15), next, next.next()], "another owner's log has no 16");
}
