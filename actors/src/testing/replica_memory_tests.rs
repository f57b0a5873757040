//! The replica in memory does what every replica has to do, and fails as a test asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::{Epoch, Seq};
use crate::ports::{LogError, OwnerCommand, Replica, ReplicaHealth, RunReader as _};
use crate::testing::log_memory::run_key;
use crate::testing::replica_conformance::{batch, chunks, conformance};
use crate::testing::replica_memory::{COMMAND_LIFE, MemoryReplica};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    conformance(|| async { Arc::new(MemoryReplica::new()) as Arc<dyn Replica> }).await;
}

#[tokio::test(start_paused = true)]
async fn fails_as_asked() {
    let (replica, run) = (MemoryReplica::new(), run_key("r"));
    let append = || replica.append(&run, Epoch(0), batch(Seq(0), chunks(0, 1..=1)));
    let mut wake = replica.follow(&run);
    replica.fence(&run, Epoch(0)).await.expect("fenced");
    replica.set_full(true);
    assert!(matches!(append().await, Err(LogError::Unavailable(_))));
    replica.trim(&run, Seq(0)).await.expect("a full one is trimmed");
    replica.set_full(false);
    replica.set_health(ReplicaHealth::Down("told".to_owned()));
    assert!(matches!(replica.trim(&run, Seq(0)).await, Err(LogError::Unavailable(_))));
    assert!(matches!(append().await, Err(LogError::Unavailable(_))));
    replica.set_health(ReplicaHealth::Degraded("told".to_owned()));
    replica.set_delay(Duration::from_secs(5));
    let asked = Instant::now();
    assert_eq!(append().await, Ok(()));
    assert_eq!(asked.elapsed(), Duration::from_secs(5));
    wake.changed().await;
    assert_eq!(replica.entries(&run), chunks(0, 1..=1));
    replica.lose_everything();
    wake.changed().await;
    assert!(matches!(append().await, Err(LogError::Behind { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_command_is_forgotten_after_a_minute() {
    let (replica, run) = (MemoryReplica::new(), run_key("r"));
    replica.send(&run, OwnerCommand::Cancel).await.expect("left");
    let mut feed = replica.commands(&run);
    tokio::time::sleep(COMMAND_LIFE).await;
    let next = tokio::time::timeout(Duration::from_secs(1), feed.next()).await;
    assert!(next.is_err(), "nothing is left");
}
