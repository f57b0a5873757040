//! An owner as it should be: it tries again what failed, and fills again what was lost.

use std::time::Duration;

use runcast_actors::entry::Entry;
use runcast_actors::ids::{RunKey, Seq};
use runcast_actors::ports::{LogError, Replica, ReplicaBatch};
use runcast_actors::testing::replica_conformance::chunks;

use super::server::{DEADLINE, OWNER};

/// Replicates the chunks `1..=count` in batches of up to 7, of which the first `recorded` are recorded.
pub(super) async fn replicate(replica: &dyn Replica, run: &RunKey, count: u32, recorded: u32) {
    let writing = async {
        let mut cursor = None;
        loop {
            match step(replica, run, cursor, count, recorded).await {
                Ok(next) if next >= count => return,
                Ok(next) => cursor = Some(next),
                Err(LogError::Behind { .. }) => cursor = None,
                Err(LogError::Unavailable(_)) => {
                    cursor = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, writing).await.expect("it gets there in the end");
}

async fn step(
    replica: &dyn Replica,
    run: &RunKey,
    cursor: Option<u32>,
    count: u32,
    recorded: u32,
) -> Result<u32, LogError> {
    let Some(cursor) = cursor else {
        let tail = replica.fence(run, OWNER).await?;
        return Ok(tail.seq.number().max(recorded));
    };
    let last = (cursor + 1 + cursor % 7).min(count);
    let batch = ReplicaBatch {
        after: Seq(u64::from(cursor)),
        recorded: Seq(u64::from(recorded)),
        entries: chunks(0, cursor + 1..=last),
    };
    replica.append(run, OWNER, batch).await?;
    Ok(last)
}

/// Follows the run from the cursor until `count` is there; every entry once, in order, as it was appended.
pub(super) async fn follow(replica: &dyn Replica, run: &RunKey, mut cursor: u32, count: u32) {
    let expected = chunks(0, 1..=count);
    let following = async {
        let mut wake = replica.follow(run);
        while cursor < count {
            let page = replica.read(run, Seq(u64::from(cursor)), 4096).await;
            let entries = page.map(|page| page.entries).unwrap_or_default();
            for entry in &entries {
                assert_eq!(*entry, expected[cursor as usize], "after {cursor}");
                cursor += 1;
            }
            if entries.is_empty() {
                wake.changed().await;
            }
        }
    };
    tokio::time::timeout(DEADLINE, following).await.expect("it comes");
}

/// Everything that the replica has of the run.
pub(super) async fn held(replica: &dyn Replica, run: &RunKey) -> Vec<std::sync::Arc<Entry>> {
    replica.read(run, Seq::START, usize::MAX).await.expect("it can be read").entries
}
