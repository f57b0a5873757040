//! Two instances over the same rows, archive and replica, each with a log of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::world::*;
use crate::entry::{Body, Entry, TraceKind};
use crate::history::Item;
use crate::ids::{Epoch, Seq, StreamName};
use crate::instance_run_control::InstanceRunControl;
use crate::kernel::ExitStatus;
use crate::messages::run_control::RunControl as _;
use crate::ports::{
    Annotation, Lease, OwnerCommand, Replica as _, ReplicaBatch, ReplicaHealth, RunReader as _,
    RunStore as _,
};
use crate::roles::lease_watch::TakeOver;
use crate::roles::owner::{Succession, own};
use crate::run_view::{FailureKind, RunStatus};
use crate::testing::log_memory::chunk_entry;
use crate::testing::replica_memory::MemoryReplica;
use crate::testing::runner_scripted::{ScriptedRunner, Step};

struct Two {
    here: World,
    there: World,
    replica: Arc<MemoryReplica>,
}

fn two(runner: &ScriptedRunner, limits: Limits) -> Two {
    let replica = Arc::new(MemoryReplica::new());
    let stores =
        Stores { store: Arc::default(), objects: Arc::default(), replica: Some(replica.clone()) };
    let world = |name| World::instance(name, runner, Arc::new(runner.clone()), limits, &stores);
    Two { here: world("here"), there: world("there"), replica }
}

fn writing(pieces: usize, bytes: usize) -> ScriptedRunner {
    let piece = Bytes::from(vec![b'x'; bytes]);
    let script = vec![Step::Write(StreamName::Pty, piece), Step::Wait(10 * MS)];
    let script = std::iter::repeat_n(script, pieces).flatten().collect();
    ScriptedRunner::new().with_script(&node("a"), script)
}

impl Two {
    /// Follows the run on the instance that does not own it, from the first entry to its end.
    async fn follow_there(&self, page_bytes: usize) -> Vec<Arc<Entry>> {
        let history = &self.there.service.history;
        let mut wake = history.follow(&run());
        let (mut cursor, mut seen) = (Seq::START, Vec::new());
        loop {
            let Ok(stretch) = history.read(&run(), cursor, page_bytes).await else {
                tokio::time::sleep(SEC).await;
                continue;
            };
            cursor = stretch.through;
            for item in &stretch.items {
                match item {
                    Item::Entry(entry) => seen.push(entry.clone()),
                    Item::Gap(gap) => panic!("a gap: {gap:?}"),
                }
            }
            let is_end = |entry: &Arc<Entry>| match &entry.body {
                Body::Status(change) => change.node.is_none() && change.run.status.is_terminal(),
                _ => false,
            };
            if seen.last().is_some_and(is_end) {
                return seen;
            }
            if stretch.items.is_empty() {
                wake.changed().await;
            }
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p1_another_instance_reads_what_the_owner_wrote_member_for_member() {
    for page_bytes in [1, 10_000, usize::MAX] {
        let world = two(&writing(300, 1000), Limits::default());
        let owned = world.here.begin(&single()).await;
        let (seen, story) = tokio::join!(world.follow_there(page_bytes), world.here.ended(&owned));
        assert_eq!(seen, story.0);
        // Also when the replica has gone, as it does after a while.
        world.replica.lose_everything();
        assert_eq!(world.follow_there(page_bytes).await, story.0);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p1_a_replica_that_is_lost_or_away_is_filled_again_and_leaves_no_gap() {
    let world = two(&writing(2000, 1000), Limits::default());
    let owned = world.here.begin(&single()).await;
    let trouble = async {
        for _ in 0..4 {
            tokio::time::sleep(2 * SEC).await;
            world.replica.lose_everything();
            tokio::time::sleep(2 * SEC).await;
            world.replica.set_health(ReplicaHealth::Down("a test asked for it".to_owned()));
            tokio::time::sleep(SEC).await;
            world.replica.set_health(ReplicaHealth::Up);
        }
    };
    let (seen, story, ()) =
        tokio::join!(world.follow_there(50_000), world.here.ended(&owned), trouble);
    assert_eq!(seen, story.0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p5_what_the_replica_has_goes_on_while_the_database_is_away() {
    let world = two(&writing(800, 1000), Limits::default());
    let owned = world.here.begin(&single()).await;
    tokio::time::sleep(SEC).await;
    world.here.store.set_unavailable(true);
    let (mut cursor, mut longest) = (Seq::START, Duration::ZERO);
    let begun = Instant::now();
    while begun.elapsed() < 4 * SEC {
        let asked = Instant::now();
        let stretch = world.there.service.history.read(&run(), cursor, 50_000).await;
        cursor = stretch.expect("it goes on").through;
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(10 * MS).await;
    }
    assert!(cursor > Seq(300) && longest < SEC, "{cursor:?} after {longest:?}");
    world.here.store.set_unavailable(false);
    world.here.ended(&owned).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p3_a_replica_that_is_damaged_begins_anew_and_one_without_memory_gives_up_what_is_recorded()
{
    let world = two(&writing(2000, 1000), Limits::default());
    let owned = world.here.begin(&single()).await;
    let trouble = async {
        for _ in 0..3 {
            tokio::time::sleep(2 * SEC).await;
            world.replica.spoil(&run());
        }
        tokio::time::sleep(2 * SEC).await;
        let first = || world.replica.entries(&run()).first().map(|entry| entry.seq);
        assert!(first().is_some(), "it was filled again");
        let before = first();
        world.replica.set_full(true);
        tokio::time::sleep(2 * SEC).await;
        assert_ne!(first(), before, "what is recorded has gone");
        world.replica.set_full(false);
    };
    let (seen, story, ()) =
        tokio::join!(world.follow_there(50_000), world.here.ended(&owned), trouble);
    assert_eq!(seen, story.0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p3_a_replica_holds_no_more_than_its_bound_and_a_late_reader_gets_everything() {
    let limits = Limits { replica_bytes: 200_000, hot_min: SEC, ..Limits::default() };
    let world = two(&writing(3000, 1000), limits);
    let owned = world.here.begin(&single()).await;
    // Whoever comes back to it also counts what the log has trimmed meanwhile.
    let trouble = async {
        for _ in 0..8 {
            tokio::time::sleep(2 * SEC).await;
            world.replica.set_health(ReplicaHealth::Down("a test asked for it".to_owned()));
            tokio::time::sleep(SEC).await;
            world.replica.set_health(ReplicaHealth::Up);
        }
    };
    let watch = async {
        let mut most = 0;
        loop {
            tokio::time::sleep(50 * MS).await;
            let held = world.replica.entries(&run());
            most = most.max(held.iter().map(|entry| entry.memory_cost()).sum());
            if world.here.store.find(&run()).await.unwrap().unwrap().view.status.is_terminal() {
                return most;
            }
        }
    };
    let (ended, most, ()) = tokio::join!(soon(owned.group.ended()), watch, trouble);
    assert_eq!(ended, ExitStatus::Finished);
    assert!(most > 50_000 && most <= 200_000, "{most} bytes");
    let story = Story::of(world.follow_there(100_000).await);
    story.check();
    assert_eq!(story.output("a").len(), 3_000_000);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p3_a_terminal_waits_for_a_replica_that_is_behind_if_it_should() {
    for (max_lag_bytes, waits) in [(Some(100_000), true), (None, false)] {
        let limits = Limits { max_lag_bytes, ..Limits::default() };
        let world = two(&writing(1000, 1000), limits);
        let owned = world.here.begin(&single()).await;
        world.here.until(|story| story.output("a").len() > 10_000).await;
        world.replica.set_health(ReplicaHealth::Down("a test asked for it".to_owned()));
        tokio::time::sleep(60 * SEC).await;
        let written = Story::of(world.here.log.entries(&run())).output("a").len();
        assert_eq!(written < 300_000, waits, "{written} bytes");
        world.replica.set_health(ReplicaHealth::Up);
        let story = world.here.ended(&owned).await;
        assert_eq!(story.output("a").len(), 1_000_000);
        assert_eq!(world.follow_there(100_000).await, story.0);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p6_another_instance_brings_the_run_of_a_dead_one_to_its_end_with_all_that_was_replicated()
{
    let world = two(&writing(10_000, 10_000), Limits::default());
    let owned = world.here.begin(&single()).await;
    world.here.until(|story| story.output("a").len() > 500_000).await;
    // It dies as a machine does: nothing of it is seen any more.
    owned.group.kill_switch().kill(ExitStatus::Stopped);
    soon(owned.group.ended()).await;
    let replicated = world.replica.read(&run(), Seq::MAX, 1).await.unwrap().tail;
    let claim = world
        .there
        .store
        .take_over(&run(), Epoch(0).into(), &instance("there"), LEASE)
        .await
        .unwrap();
    let succession = Succession { previous: Some(instance("here")), cause: FailureKind::Lost };
    let taken = own(&world.there.service, claim.expect("it can be taken"), succession);
    assert_eq!(soon(taken.group.ended()).await, ExitStatus::Finished);
    let seen = world.follow_there(100_000).await;
    let story = Story::of(seen.clone());
    story.check();
    assert_eq!(story.run().status, RunStatus::Failed);
    assert_eq!(story.failure("a"), FailureKind::Lost);
    assert_eq!(story.count(TraceKind::RunTakenOver), 1);
    let before = world.here.log.entries(&run());
    let kept: Vec<_> = before.into_iter().filter(|entry| entry.seq <= replicated).collect();
    assert_eq!(seen[..kept.len()], kept[..], "all that was replicated");
    // The dead one comes back, finds itself fenced, and reads the same from the others.
    let here = &world.here.service.history;
    let last = here.read(&run(), seen[seen.len() - 2].seq, usize::MAX).await.unwrap();
    assert_eq!(last.through, story.last());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_owner_obeys_what_another_instance_asks() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = two(&runner, Limits::default());
    let owned = world.here.begin(&single()).await;
    world.here.until(|story| story.count(TraceKind::NodeStarted) == 1).await;
    let marker = OwnerCommand::AddMarker { node_ref: node("a"), label: "look here".to_owned() };
    world.replica.send(&run(), marker).await.unwrap();
    world
        .here
        .until(|story| story.0.iter().any(|entry| format!("{entry:?}").contains("look here")))
        .await;
    world.replica.send(&run(), OwnerCommand::Cancel).await.unwrap();
    let story = world.here.ended(&owned).await;
    assert_eq!(story.run().status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p5_who_joins_on_another_instance_sees_the_same_screen() {
    let world = two(&writing(1000, 100), Limits::default());
    let owned = world.here.begin(&single()).await;
    world.here.until(|story| story.output("a").len() > 50_000).await;
    tokio::time::sleep(3 * SEC).await;
    let copied = world.replica.screens(&run()).await.unwrap();
    assert!(copied.seq > Seq(200) && copied.streams.len() == 1, "{}", copied.seq);
    let joined = world.there.service.screens.snapshot(&run(), |_| true, 0).await.unwrap();
    assert!(joined.seq >= copied.seq);
    let story = world.here.ended(&owned).await;
    assert_eq!(story.output("a").len(), 100_000);
    let mut ends = Vec::new();
    for instance in [&world.here, &world.there] {
        let end = instance.service.screens.snapshot(&run(), |_| true, 0).await.unwrap();
        ends.push((end.seq, end.terminals[0].payload.clone(), end.terminals[0].chunk_index));
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p2_what_the_replica_lacks_for_a_moment_is_no_gap() {
    let world = two(&ScriptedRunner::new(), Limits::default());
    world.here.submit(&single()).await;
    let entries = |numbers: &[u32]| -> Vec<Arc<Entry>> {
        let entry = |n: &u32| chunk_entry(Seq::new(Epoch(0), *n), u64::from(*n) - 1, 10);
        numbers.iter().map(entry).collect()
    };
    let append = async |numbers: &[u32]| {
        world.replica.fence(&run(), Epoch(0)).await.unwrap();
        let batch = ReplicaBatch { entries: entries(numbers), ..ReplicaBatch::default() };
        world.replica.append(&run(), Epoch(0), batch).await.unwrap();
    };
    let read = async |after: u64| {
        let history = &world.there.service.history;
        let stretch = history.read(&run(), Seq(after), usize::MAX).await.unwrap();
        let seq = |item: &Item| match item {
            Item::Entry(entry) => entry.seq.0,
            Item::Gap(gap) => panic!("a gap: {gap:?}"),
        };
        stretch.items.iter().map(seq).collect::<Vec<_>>()
    };
    append(&[1, 2, 3, 6, 7]).await;
    assert_eq!(read(0).await, [1, 2, 3]);
    assert!(read(3).await.is_empty(), "it waits");
    world.replica.lose_everything();
    append(&[1, 2, 3, 4, 5, 6, 7]).await;
    assert_eq!(read(3).await, [4, 5, 6, 7]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p3_a_run_begins_and_ends_while_the_replica_is_away() {
    let world = two(&writing(10, 100), Limits::default());
    world.replica.set_health(ReplicaHealth::Down("a test asked for it".to_owned()));
    let story = world.here.live(&single()).await;
    assert_eq!(story.run().status, RunStatus::Completed);
    world.replica.set_health(ReplicaHealth::Up);
    assert_eq!(world.follow_there(100_000).await, story.0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p5_a_replica_that_does_not_answer_keeps_no_screen_of_its_owner_waiting() {
    let world = two(&writing(3000, 100), Limits::default());
    let owned = world.here.begin(&single()).await;
    world.here.until(|story| story.output("a").len() > 10_000).await;
    world.replica.set_delay(60 * SEC);
    for _ in 0..8 {
        tokio::time::sleep(SEC).await;
        let asked = Instant::now();
        world.here.service.screens.snapshot(&run(), |_| true, 0).await.unwrap();
        assert!(asked.elapsed() < 100 * MS, "{:?}", asked.elapsed());
    }
    world.replica.set_delay(Duration::ZERO);
    world.here.ended(&owned).await;
}

fn metadata(value: u32) -> Map<String, serde_json::Value> {
    json!({ "value": value }).as_object().expect("an object").clone()
}

fn annotation(value: u32) -> Annotation {
    Annotation { metadata: Some(metadata(value)), links: None }
}

/// The metadata that this instance, which owns the run, shows.
fn shown(world: &World) -> Option<Map<String, serde_json::Value>> {
    world.service.history.live().get(&run()).map(|stored| stored.view.metadata)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_owner_whose_run_has_ended_shows_what_other_instances_annotate() {
    let world = two(&writing(1, 10), Limits::default());
    world.here.objects.set_unavailable(true);
    let owned = world.here.begin(&single()).await;
    tokio::time::sleep(30 * SEC).await;
    let label = "too late".to_owned();
    let marker = OwnerCommand::AddMarker { node_ref: node("a"), label };
    world.replica.send(&run(), marker).await.unwrap();
    world.replica.send(&run(), OwnerCommand::Annotated(annotation(1))).await.unwrap();
    tokio::time::sleep(5 * SEC).await;
    assert_eq!(shown(&world.here), Some(metadata(1)));
    world.here.objects.set_unavailable(false);
    world.here.ended(&owned).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_annotated_while_a_run_is_prepared_is_not_forgotten() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = two(&runner, Limits::default());
    let manager = world.here.manager(1).await;
    let draining = watch::channel(false).1;
    let control = InstanceRunControl::new(manager.clone(), world.here.service.clone(), draining);
    // Its first owner died before it began; the next one waits for the replica.
    world.there.claim(&single()).await;
    world.replica.set_health(ReplicaHealth::Down("a test asked for it".to_owned()));
    let leases: Vec<Lease> = world.here.store.leases().await.unwrap();
    manager.send(TakeOver(leases)).await.unwrap();
    tokio::time::sleep(SEC).await;
    for value in 1..=3 {
        world.here.store.annotate(&run(), annotation(value)).await.unwrap();
        control.run_annotated(&run(), annotation(value));
    }
    tokio::time::sleep(SEC).await;
    world.replica.set_health(ReplicaHealth::Up);
    let begun = |story: &Story| story.count(TraceKind::NodeStarted) == 1;
    world.here.until(begun).await;
    tokio::time::sleep(SEC).await;
    assert_eq!(shown(&world.here), Some(metadata(3)));
    let story = Story::of(world.here.log.entries(&run()));
    assert_eq!(story.run().metadata, metadata(3), "viewers are told");
    control.cancel(&run()).await.unwrap();
    world.here.until(|story| story.run().status == RunStatus::Cancelled).await;
}
