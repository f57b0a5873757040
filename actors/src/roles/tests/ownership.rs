//! Which runs a manager takes, and which it leaves to others.

use std::sync::Arc;
use std::time::Duration;

use super::world::*;
use crate::ids::{Epoch, RunKey};
use crate::ports::{Lease, RunLog as _, RunStore as _};
use crate::roles::lease_keeper::LeaseKeeper;
use crate::roles::lease_watch::TakeOver;
use crate::roles::run_manager::CancelRun;
use crate::run_view::RunStatus;
use crate::testing::log_memory::run_key;
use crate::testing::runner_scripted::{ScriptedRunner, Step};

async fn status(world: &World, run: &RunKey) -> RunStatus {
    world.store.find(run).await.unwrap().expect("the run is there").view.status
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_instance_without_room_takes_a_queued_run_only_to_end_it() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = World::new(&runner);
    let runs = ["run-1", "run-2", "run-3"].map(run_key);
    for run in &runs {
        world.submit_as(run, &single()).await;
    }
    let manager = world.manager(0).await;
    // It runs elsewhere: whoever is told of the wish finds nothing to do.
    let elsewhere = world.store.claim(&instance("there"), LEASE, 1).await.unwrap();
    assert_eq!(elsewhere[0].run, runs[0]);
    world.store.request_cancel(&runs[0]).await.unwrap();
    manager.send(CancelRun(runs[0].clone())).await.unwrap();
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(status(&world, &runs[1]).await, RunStatus::Queued);
    assert_eq!(status(&world, &runs[2]).await, RunStatus::Queued);
    // One that waits is ended, also if the database is away at first.
    world.store.request_cancel(&runs[2]).await.unwrap();
    world.store.set_unavailable(true);
    manager.send(CancelRun(runs[2].clone())).await.unwrap();
    tokio::time::sleep(5 * SEC).await;
    world.store.set_unavailable(false);
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(status(&world, &runs[2]).await, RunStatus::Cancelled);
    assert_eq!(status(&world, &runs[1]).await, RunStatus::Queued);
    assert!(world.runner.told().is_empty(), "nothing was started");
}

async fn lease(world: &World) -> Lease {
    let mut leases = world.store.leases().await.unwrap();
    leases.pop().expect("somebody holds it")
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_takeover_that_an_outage_has_stopped_is_not_carried_out_after_it() {
    let world = World::new(&ScriptedRunner::new());
    let manager = world.manager(1).await;
    world.submit(&single()).await;
    let there = instance("there");
    world.store.claim(&there, LEASE, 1).await.unwrap();
    let seen = lease(&world).await;
    world.store.set_unavailable(true);
    manager.send(TakeOver(vec![seen.clone()])).await.unwrap();
    tokio::time::sleep(5 * SEC).await;
    world.store.set_unavailable(false);
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(lease(&world).await, seen, "whoever saw it looks again first");
    // Nor is one that was decided before the lease was renewed.
    world.store.renew(&there, 2 * LEASE, &[(run(), Epoch(0))]).await.unwrap();
    manager.send(TakeOver(vec![seen])).await.unwrap();
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(lease(&world).await.owner, Some(there));
    // It still is as it was seen now.
    let seen = lease(&world).await;
    manager.send(TakeOver(vec![seen])).await.unwrap();
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(status(&world, &run()).await, RunStatus::Completed);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_that_breaks_whoever_takes_it_over_is_left_alone_in_the_end() {
    let world = World::new(&ScriptedRunner::new());
    // The rows are of an earlier time than the log, as after a restored database.
    world.log.fence(&run(), Epoch(1_000_000)).await.unwrap();
    world.submit(&single()).await;
    let manager = world.manager(1).await;
    let tell = async |times: u32| {
        for _ in 0..times {
            // As who watches the leases does as long as nobody holds the run.
            manager.send(TakeOver(vec![lease(&world).await])).await.unwrap();
            tokio::time::sleep(LEASE).await;
        }
        lease(&world).await.epoch.0
    };
    tokio::time::sleep(10 * SEC).await;
    assert!(lease(&world).await.epoch >= Epoch(2), "it is tried again");
    let tried = tell(1000).await;
    assert!((10..=16).contains(&tried), "{tried} epochs");
    assert_eq!(tell(1000).await, tried);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_renewal_that_hangs_or_is_slow_does_not_cost_the_lease() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = World::new(&runner);
    world.submit(&single()).await;
    let manager = world.manager(1).await;
    let keeper = LeaseKeeper {
        instance: instance("here"),
        store: world.store.clone(),
        manager,
        lease: LEASE,
    };
    tokio::time::sleep(SEC).await;
    let first = lease(&world).await.lease_until;
    world.store.set_renewal(3600 * SEC);
    tokio::task::spawn_local(Arc::new(keeper).keep(crate::kernel::ChildContext::of_test()));
    tokio::time::sleep(SEC).await;
    // It answers again, but not to what was asked before.
    world.store.set_renewal(Duration::ZERO);
    tokio::time::sleep(LEASE / 2).await;
    let second = lease(&world).await.lease_until;
    assert!(second > first);
    // Each takes longer than the time between two of them.
    world.store.set_renewal(LEASE * 2 / 5);
    tokio::time::sleep(LEASE * 2).await;
    let mut last = lease(&world).await.lease_until;
    for _ in 0..10 {
        tokio::time::sleep(LEASE / 2).await;
        let next = lease(&world).await.lease_until;
        assert!(next > last);
        last = next;
    }
}
