//! A run that its owner left at any of its entries is brought to its end by the next one.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::world::*;
use crate::entry::{Body, Entry, ProcessEnd, TraceKind};
use crate::ids::{Epoch, InstanceId, Seq, StreamName};
use crate::kernel::ExitStatus;
use crate::ports::{RecordBatch, RunLog as _, RunStore as _};
use crate::roles::owner::own;
use crate::run_view::{FailureKind, NodeStatus, RunStatus};
use crate::testing::runner_scripted::{ScriptedRunner, Step};

fn document() -> Value {
    json!({ "nodes": [
        { "ref": "a", "command": ["x"], "retries": 1 },
        { "ref": "b", "command": ["x"], "dependsOn": ["a"], "terminal": { "mode": "pipe" } },
        { "ref": "c", "command": ["x"], "dependsOn": ["a"] },
        { "ref": "d", "command": ["x"], "dependsOn": ["c"] },
    ] })
}

fn runner() -> ScriptedRunner {
    let say = |stream, text: &'static str| Step::Write(stream, Bytes::from_static(text.as_bytes()));
    let exit = |code| Step::Exit(ProcessEnd::Code(code));
    ScriptedRunner::new()
        .with_script(&node("a"), vec![say(StreamName::Pty, "first"), exit(1)])
        .with_script(&node("a"), vec![say(StreamName::Pty, "second"), exit(0)])
        .with_script(
            &node("b"),
            vec![say(StreamName::Stdout, "out"), say(StreamName::Stderr, "err"), exit(0)],
        )
        .with_script(&node("c"), vec![say(StreamName::Pty, "no"), exit(4)])
}

/// A world in which an owner has left the run after these entries, of which it had recorded some.
async fn left(document: &Value, entries: &[Arc<Entry>], recorded: usize) -> World {
    let world = World::new(&runner());
    world.claim(document).await;
    world.log.fence(&run(), Epoch(0)).await.unwrap();
    for entry in entries {
        world.log.append(&run(), entry.seq.epoch(), vec![entry.clone()]).await.unwrap();
    }
    let rows: Vec<Arc<Entry>> = entries[..recorded].to_vec();
    let through = rows.last().map_or(Seq::START, |entry| entry.seq);
    let no_terminal = |entry: &Arc<Entry>| !matches!(entry.body, Body::Terminal(_));
    let rows = rows.into_iter().filter(no_terminal).collect();
    let batch = RecordBatch { entries: rows, through };
    world.store.record(&run(), Epoch(0), batch).await.unwrap();
    world
}

/// What the log holds after another owner has taken over.
async fn taken_over(world: &World, seen: u32, by: &str) -> Story {
    let by: InstanceId = instance(by);
    let claim = world.store.take_over(&run(), Epoch(seen).into(), &by, LEASE).await.unwrap();
    let owned = own(&world.service, claim.expect("it can be taken"), lost());
    world.ended(&owned).await
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p6_a_run_left_at_any_entry_comes_to_its_end() {
    let whole = World::new(&runner()).live(&document()).await;
    assert_eq!(whole.run().status, RunStatus::Failed);
    assert!(whole.0.len() > 30, "there are {} places to leave it", whole.0.len());
    for cut in 0..=whole.0.len() {
        for recorded in [0, cut / 2, cut] {
            let world = left(&document(), &whole.0[..cut], recorded).await;
            let story = taken_over(&world, 0, "other").await;
            assert_eq!(story.0[..cut], whole.0[..cut], "what was there stays");
            if cut == whole.0.len() {
                assert_eq!(story.0.len(), cut, "nothing follows an end");
                continue;
            }
            assert_eq!(story.count(TraceKind::RunTakenOver), 1);
            let failure = story.run().failure.clone().expect("it has failed");
            let known = [FailureKind::Lost, FailureKind::ExitCode];
            assert!(known.contains(&failure.kind), "cut at {cut}: {failure:?}");
            let began = cut > 0;
            assert_eq!(world.runner.told().is_empty(), began, "cut at {cut}: nothing starts twice");
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p6_an_owner_that_dies_while_it_closes_a_run_is_followed_by_another() {
    let whole = World::new(&runner()).live(&document()).await;
    for cut in (1..whole.0.len()).step_by(3) {
        let world = left(&document(), &whole.0[..cut], cut).await;
        let second = taken_over(&world, 0, "second").await;
        for again in cut + 1..second.0.len() {
            let world = left(&document(), &second.0[..again], cut).await;
            let claim =
                world.store.take_over(&run(), Epoch(0).into(), &instance("second"), LEASE).await;
            assert_eq!(claim.unwrap().expect("it can be taken").epoch, Epoch(1));
            let third = taken_over(&world, 1, "third").await;
            assert_eq!(third.0[..again], second.0[..again]);
            assert_eq!(third.run().status, RunStatus::Failed);
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_that_was_being_cancelled_is_never_called_completed() {
    let script = vec![Step::Hang];
    let hanging = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&hanging);
    let document = graph(&[("a", &[]), ("b", &["a"])]);
    let owned = world.begin(&document).await;
    world.until(|story| story.count(TraceKind::NodeStarted) == 1).await;
    cancel(&owned).await;
    let whole = world.ended(&owned).await;
    for cut in 1..whole.0.len() {
        let world = left(&document, &whole.0[..cut], cut).await;
        let story = taken_over(&world, 0, "other").await;
        let all_cancelled = ["a", "b"].iter().all(|name| {
            let known = Story::of(whole.0[..cut].to_vec());
            known.try_node(name).is_some_and(|node| node.status == NodeStatus::Cancelled)
        });
        let status = story.run().status;
        assert_ne!(status, RunStatus::Completed, "cut at {cut}");
        assert!(!all_cancelled || status == RunStatus::Cancelled, "cut at {cut}: {status:?}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_that_was_timed_out_stays_so() {
    let hanging = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = World::new(&hanging);
    let mut document = graph(&[("a", &[]), ("b", &["a"])]);
    document["timeoutSecs"] = json!(5);
    let whole = world.live(&document).await;
    let cut = whole.0.len() - 2;
    let world = left(&document, &whole.0[..cut], cut).await;
    let story = taken_over(&world, 0, "other").await;
    assert_eq!(story.run().status, RunStatus::TimedOut);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_old_owner_of_a_run_that_was_taken_is_stopped_and_adds_nothing() {
    let script = vec![Step::Write(StreamName::Pty, Bytes::from_static(b"x")), Step::Wait(SEC)];
    let script = std::iter::repeat_n(script, 1000).flatten().collect();
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let old = world.begin(&single()).await;
    world.until(|story| story.output("a").len() > 3).await;
    let claim =
        world.store.take_over(&run(), Epoch(0).into(), &instance("other"), LEASE).await.unwrap();
    let new = own(&world.service, claim.expect("it can be taken"), lost());
    assert_eq!(soon(new.group.ended()).await, ExitStatus::Finished);
    assert!(soon(old.group.ended()).await.is_fault());
    tokio::time::sleep(60 * SEC).await;
    let story = Story::of(world.log.entries(&run()));
    story.check();
    assert_eq!(story.failure("a"), FailureKind::Lost);
    assert_eq!(story.exit("a").end, ProcessEnd::Unknown);
    assert!(!story.exit("a").totals.complete, "nobody knows whether it is whole");
}
