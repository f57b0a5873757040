//! What a takeover keeps of a run of which the log is elsewhere, in part or as a whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::world::*;
use crate::entry::{Entry, TraceKind};
use crate::ids::{Epoch, Seq, StreamName};
use crate::kernel::ExitStatus;
use crate::ports::{
    RecordBatch, Replica as _, ReplicaBatch, ReplicaHealth, RunLog as _, RunStore as _,
};
use crate::roles::owner::{OwnedRun, own};
use crate::run_view::RunStatus;
use crate::testing::replica_memory::MemoryReplica;
use crate::testing::runner_scripted::{ScriptedRunner, Step};

/// Instances with logs of their own over the same stores, and a run of which nothing is recorded.
struct Instances {
    here: World,
    there: World,
    replica: Arc<MemoryReplica>,
    /// What a run leaves that comes to its end.
    whole: Vec<Arc<Entry>>,
}

impl Instances {
    async fn new() -> Self {
        let say = Step::Write(StreamName::Pty, Bytes::from_static(b"something"));
        let script = std::iter::repeat_n([say, Step::Wait(10 * MS)], 20).flatten().collect();
        let runner = ScriptedRunner::new().with_script(&node("a"), script);
        let whole = World::new(&runner).live(&single()).await.0;
        let replica = Arc::new(MemoryReplica::new());
        let (store, objects) = (Arc::default(), Arc::default());
        let stores = Stores { store, objects, replica: Some(replica.clone()) };
        let world = |name| {
            let scripted = Arc::new(runner.clone());
            World::instance(name, &runner, scripted, Limits::default(), &stores)
        };
        let instances = Self { here: world("here"), there: world("there"), replica, whole };
        instances.here.claim(&single()).await;
        instances
    }

    /// The first `count` entries, which this instance has written, and the replica up to another one.
    async fn left_by(&self, world: &World, count: usize, replicated: usize) {
        world.log.fence(&run(), Epoch(0)).await.unwrap();
        world.log.append(&run(), Epoch(0), self.whole[..count].to_vec()).await.unwrap();
        self.replica.fence(&run(), Epoch(0)).await.unwrap();
        let entries = self.whole[..replicated].to_vec();
        let batch = ReplicaBatch { entries, ..ReplicaBatch::default() };
        self.replica.append(&run(), Epoch(0), batch).await.unwrap();
    }

    fn set_replica_away(&self, is_away: bool) {
        let away = ReplicaHealth::Down("a test asked for it".to_owned());
        self.replica.set_health(if is_away { away } else { ReplicaHealth::Up });
    }
}

/// Takes the run over from whoever has it under the epoch `seen`.
async fn take(world: &World, seen: u32) -> OwnedRun {
    let me = &world.service.instance;
    let claim = world.store.take_over(&run(), Epoch(seen).into(), me, LEASE).await.unwrap();
    own(&world.service, claim.expect("it can be taken"), lost())
}

/// It dies as a process does: at once, and what it has in its log stays there.
async fn die(owned: OwnedRun) {
    owned.group.kill_switch().kill(ExitStatus::Stopped);
    soon(owned.group.ended()).await;
}

/// The entries of the first owner that are still there at the end, which all others follow.
async fn kept(world: &World, owned: &OwnedRun) -> usize {
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
    let story = Story::of(world.log.entries(&run()));
    story.check();
    assert_eq!(story.count(TraceKind::RunTakenOver), 1, "no entries of those who came to nothing");
    story.0.iter().filter(|entry| entry.seq.epoch() == Epoch(0)).count()
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_stands_before_a_hole_of_the_replica_is_kept() {
    for place in 0..15 {
        for is_damaged in [true, false] {
            let instances = Instances::new().await;
            instances.left_by(&instances.here, 15, 15).await;
            let seq = instances.whole[place].seq;
            if is_damaged {
                instances.replica.damage(&run(), seq);
            } else {
                instances.replica.lose(&run(), seq);
            }
            let started = instances.there.runner.told().len();
            let taken = take(&instances.there, 0).await;
            assert_eq!(soon(taken.group.ended()).await, ExitStatus::Finished, "at {place}");
            let entries = instances.there.log.entries(&run());
            if place == 0 {
                // Nothing is left, but it had begun: it does not begin again.
                assert_eq!(instances.there.runner.told().len(), started, "nothing was started");
                assert_eq!(Story::of(entries).run().status, RunStatus::Failed);
                continue;
            }
            assert_eq!(entries[..place], instances.whole[..place]);
            assert_eq!(entries[place].seq, Seq::new(Epoch(1), 1), "it goes on behind");
            Story::of(entries).check();
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn who_began_to_take_over_and_was_restarted_has_not_the_log_of_the_run() {
    let instances = Instances::new().await;
    instances.left_by(&instances.here, 15, 15).await;
    instances.set_replica_away(true);
    die_waiting(&instances.there, 0).await;
    // Nor if it came half-way, before the replica went.
    instances.set_replica_away(false);
    instances.replica.damage(&run(), instances.whole[8].seq);
    instances.replica.set_delay(SEC);
    let taken = take(&instances.there, 1).await;
    until_log(&instances.there, 8).await;
    instances.set_replica_away(true);
    die(taken).await;
    instances.replica.set_delay(Duration::ZERO);
    die_waiting(&instances.there, 2).await;
}

/// Takes over while the replica is away, waits for it in vain, and dies.
async fn die_waiting(world: &World, seen: u32) {
    let taken = take(world, seen).await;
    tokio::time::sleep(60 * SEC).await;
    assert!(taken.group.kill_switch().status().is_none(), "it waits");
    die(taken).await;
}

async fn until_log(world: &World, count: usize) {
    soon(async {
        while world.log.entries(&run()).len() < count {
            tokio::time::sleep(MS).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_log_of_an_earlier_time_is_not_kept_where_others_went_on() {
    let instances = Instances::new().await;
    // What the first owner had beyond the replica is of no use any more: the second went on without it.
    instances.left_by(&instances.here, 15, 10).await;
    let second = Instances::new().await;
    second.left_by(&second.here, 10, 10).await;
    let taken = take(&second.there, 0).await;
    assert_eq!(kept(&second.there, &taken).await, 10);
    let later = second.there.log.entries(&run())[10..13].to_vec();
    instances.replica.fence(&run(), Epoch(1)).await.unwrap();
    let after = instances.whole[9].seq;
    let batch = ReplicaBatch { after, entries: later.clone(), ..ReplicaBatch::default() };
    instances.replica.append(&run(), Epoch(1), batch).await.unwrap();
    let there = instance("there");
    instances.there.store.take_over(&run(), Epoch(0).into(), &there, LEASE).await.unwrap();
    // Then it died before anything was recorded, and the first one takes over again.
    let taken = take(&instances.here, 1).await;
    assert_eq!(soon(taken.group.ended()).await, ExitStatus::Finished);
    let story = Story::of(instances.here.log.entries(&run()));
    story.check();
    assert_eq!(story.0[..10], instances.whole[..10]);
    assert_eq!(story.0[10..13], later);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_own_log_goes_on_though_a_takeover_came_to_nothing() {
    let instances = Instances::new().await;
    instances.left_by(&instances.here, 15, 10).await;
    // The database raised the epoch, but the answer was lost with the process.
    let me = instance("here");
    instances.here.store.take_over(&run(), Epoch(0).into(), &me, LEASE).await.unwrap();
    let taken = take(&instances.here, 1).await;
    assert_eq!(kept(&instances.here, &taken).await, 15, "nobody wrote after it");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_own_log_that_lost_its_end_waits_a_moment_for_the_replica() {
    // A power cut took the last entries, and the replica is still being loaded.
    let instances = Instances::new().await;
    instances.left_by(&instances.here, 7, 15).await;
    instances.set_replica_away(true);
    let taken = take(&instances.here, 0).await;
    tokio::time::sleep(5 * SEC).await;
    instances.set_replica_away(false);
    assert_eq!(kept(&instances.here, &taken).await, 15);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_own_log_does_without_a_replica_that_stays_away() {
    let instances = Instances::new().await;
    instances.left_by(&instances.here, 15, 10).await;
    instances.set_replica_away(true);
    let asked = Instant::now();
    let taken = take(&instances.here, 0).await;
    assert_eq!(kept(&instances.here, &taken).await, 15);
    assert!(asked.elapsed() < 30 * SEC, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_log_that_was_moved_aside_waits_for_the_replica_as_long_as_it_takes() {
    let instances = Instances::new().await;
    instances.left_by(&instances.here, 15, 15).await;
    instances.here.log.remove(&run()).await.unwrap();
    let rows =
        RecordBatch { entries: instances.whole[..2].to_vec(), through: instances.whole[1].seq };
    instances.here.store.record(&run(), Epoch(0), rows).await.unwrap();
    instances.set_replica_away(true);
    let taken = take(&instances.here, 0).await;
    tokio::time::sleep(600 * SEC).await;
    instances.set_replica_away(false);
    assert_eq!(kept(&instances.here, &taken).await, 15);
}
