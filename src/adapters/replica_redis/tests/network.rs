//! A network between the service and the server that cuts and stalls.

use std::time::{Duration, Instant};

use runcast_actors::ids::Seq;
use runcast_actors::ports::{LogError, OwnerCommand, Replica as _, RunReader as _};
use runcast_actors::testing::log_memory::run_key;
use runcast_actors::testing::replica_conformance::chunks;

use super::proxy::{Proxy, Way};
use super::server::{DEADLINE, OWNER, Server, replica_at, wait_for};
use super::writer::{follow, held, replicate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_lose_and_double_nothing() {
    const COUNT: u32 = 3000;
    let server = Server::start();
    let proxy = Proxy::before(server.port).await;
    let (owner, other) = (replica_at(&proxy.url()), replica_at(&proxy.url()));
    let run = run_key("cut");
    let cutting = async {
        // Each cut comes when something has passed since the one before.
        for seen in (100..COUNT).step_by(300) {
            let direct = server.replica();
            wait_for("it goes on", async || {
                let tail = direct.read(&run, Seq::MAX, 1).await.map(|page| page.tail);
                (tail.unwrap_or_default() >= Seq(u64::from(seen))).then_some(())
            })
            .await;
            assert!(proxy.cut() > 0, "nothing was cut at {seen}");
        }
    };
    tokio::join!(replicate(&owner, &run, COUNT, 0), follow(&other, &run, 0, COUNT), cutting);
    assert_eq!(held(&server.replica(), &run).await, chunks(0, 1..=COUNT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_server_is_not_waited_for() {
    let server = Server::start();
    let proxy = Proxy::before(server.port).await;
    let (owner, run) = (replica_at(&proxy.url()), run_key("stalled"));
    replicate(&owner, &run, 20, 0).await;
    let mut feed = owner.commands(&run);
    proxy.set(Way::Stalled);
    let begun = Instant::now();
    let read = owner.read(&run, Seq::START, 1).await.map(|_| ());
    let fence = owner.fence(&run, OWNER).await.map(|_| ());
    for answer in [read, fence] {
        assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    proxy.set(Way::Open);
    replicate(&owner, &run, 40, 0).await;
    assert_eq!(held(&owner, &run).await, chunks(0, 1..=40));
    server.replica().send(&run, OwnerCommand::Cancel).await.expect("left");
    let next = tokio::time::timeout(DEADLINE, feed.next()).await;
    assert_eq!(next, Ok(OwnerCommand::Cancel), "commands come after an outage");
}
