//! Instances without a replica stay alone on their database.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::world::{LEASE, SEC};
use crate::kernel::ExitStatus;
use crate::ports::{Instance, InstanceStore as _};
use crate::roles::presence::{EnterError, Presence};
use crate::testing::instances_conformance::instance;
use crate::testing::store_memory::MemoryStore;

struct Started {
    presence: Arc<Presence>,
    kept: JoinHandle<ExitStatus>,
}

fn presence(store: &Arc<MemoryStore>, me: Instance) -> Arc<Presence> {
    Arc::new(Presence::new(me, store.clone(), LEASE))
}

async fn start(store: &Arc<MemoryStore>, me: Instance) -> Result<Started, EnterError> {
    let presence = presence(store, me);
    presence.enter().await?;
    let kept = tokio::spawn(presence.clone().keep(crate::kernel::ChildContext::of_test()));
    Ok(Started { presence, kept })
}

fn with_replica(id: &str) -> Instance {
    Instance { has_replica: true, ..instance(id) }
}

#[tokio::test(start_paused = true)]
async fn a_second_instance_without_a_replica_is_refused_while_the_first_lives() {
    let store = Arc::new(MemoryStore::new());
    let first = start(&store, instance("first")).await.expect("it is alone");
    tokio::time::sleep(100 * LEASE).await;
    let asked = Instant::now();
    let refused = start(&store, instance("second")).await.err().expect("it is not alone");
    assert!(asked.elapsed() <= LEASE, "{:?}", asked.elapsed());
    let message = refused.to_string();
    assert!(message.contains("redis.url") && message.contains("first"), "{message}");
    assert_eq!(store.instances().await.unwrap().len(), 1, "it has left nothing");
    assert!(!*first.presence.lacks_replica().borrow());
    // Whatever the first one has.
    first.kept.abort();
    first.presence.leave().await;
    let _first = start(&store, with_replica("first")).await.expect("it may have company");
    assert!(start(&store, instance("second")).await.is_err());
    start(&store, with_replica("third")).await.expect("it may have company");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_killed_instance_has_left_is_waited_for_and_no_longer() {
    let store = Arc::new(MemoryStore::new());
    let first = start(&store, instance("first")).await.expect("it is alone");
    tokio::time::sleep(100 * SEC).await;
    first.kept.abort();
    let asked = Instant::now();
    let same = start(&store, instance("first")).await.expect("the same never waits");
    assert_eq!(asked.elapsed(), Duration::ZERO);
    same.kept.abort();
    let second = start(&store, instance("second")).await.expect("the first is dead");
    assert!((LEASE..LEASE * 2).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    second.kept.abort();
    // Who has left, or was silent for long, is not waited for.
    let asked = Instant::now();
    second.presence.leave().await;
    tokio::time::sleep(3 * LEASE).await;
    start(&store, instance("third")).await.expect("it is alone");
    assert_eq!(asked.elapsed(), 3 * LEASE);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_start_at_the_same_time_one_stays() {
    let store = Arc::new(MemoryStore::new());
    // Both wait for a third one, which is dead.
    start(&store, instance("killed")).await.expect("it is alone").kept.abort();
    let later = async {
        tokio::time::sleep(SEC).await;
        start(&store, instance("other")).await
    };
    let (one, other) = tokio::join!(start(&store, instance("one")), later);
    assert!(other.is_err());
    // Also if it does not find out at once.
    one.expect("it was the first").kept.abort();
    let later = async {
        tokio::time::sleep(SEC).await;
        store.enter(&instance("other")).await.unwrap();
        loop {
            tokio::time::sleep(SEC / 2).await;
            store.announce(&instance("other")).await.unwrap();
        }
    };
    tokio::select! {
        next = start(&store, instance("next")) => assert!(next.is_ok(), "it was the first"),
        () = later => {}
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_replica_tells_while_another_lives() {
    let store = Arc::new(MemoryStore::new());
    let first = start(&store, instance("first")).await.expect("it is alone");
    let lacks_replica = first.presence.lacks_replica();
    let second = start(&store, with_replica("second")).await.expect("it may have company");
    tokio::time::sleep(LEASE).await;
    for _ in 0..100 {
        assert!(*lacks_replica.borrow());
        tokio::time::sleep(SEC).await;
    }
    second.kept.abort();
    tokio::time::sleep(2 * LEASE).await;
    assert!(!*lacks_replica.borrow());
}

#[tokio::test(start_paused = true)]
async fn it_tells_whether_it_can_write() {
    let store = Arc::new(MemoryStore::new());
    let first = start(&store, instance("first")).await.expect("it is alone");
    let can_write = first.presence.can_write();
    for is_away in [true, false, true] {
        store.set_unavailable(is_away);
        tokio::time::sleep(LEASE / 2).await;
        assert_eq!(*can_write.borrow(), !is_away);
    }
}
