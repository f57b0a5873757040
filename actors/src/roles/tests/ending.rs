//! How runs and nodes are ended from outside, and how their processes are.

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::world::*;
use crate::entry::{ProcessEnd, TraceKind};
use crate::ids::StreamName;
use crate::kernel::ExitStatus;
use crate::ports::{CancelRequest, RunStore as _};
use crate::run_view::{FailureKind, NodeStatus, RunStatus};
use crate::testing::runner_scripted::{ScriptedRunner, Step, Told};

const TERM: i32 = 15;
const KILL: i32 = 9;

fn say(text: &'static str) -> Step {
    Step::Write(StreamName::Pty, Bytes::from_static(text.as_bytes()))
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_cancelled_run_ends_what_runs_and_starts_nothing_more() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![say("hello"), Step::Hang]);
    let world = World::new(&runner);
    let owned = world.begin(&graph(&[("a", &[]), ("b", &["a"])])).await;
    world.until(|story| story.output("a") == b"hello").await;
    cancel(&owned).await;
    let story = world.ended(&owned).await;
    assert_eq!(story.run().status, RunStatus::Cancelled);
    assert_eq!(story.node("a").status, NodeStatus::Cancelled);
    assert_eq!(story.node("a").signal, Some(TERM));
    assert_eq!(story.exit("a").end, ProcessEnd::Signal(TERM));
    assert_eq!(story.output("a"), b"hello");
    assert_eq!(story.node("b").status, NodeStatus::Cancelled);
    assert_eq!(story.failure("b"), FailureKind::Cancelled);
    let a = node("a");
    let expected = [Told::Start(a.clone(), 1), Told::Terminate(a.clone()), Told::Drop(a)];
    assert_eq!(runner.told(), expected);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_node_that_waits_for_a_slot_is_cancelled_without_a_start() {
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), vec![Step::Hang])
        .with_script(&node("b"), vec![Step::Hang]);
    let world = World::with(&runner, Limits { max_parallel: 1, ..Limits::default() });
    let owned = world.begin(&graph(&[("a", &[]), ("b", &[])])).await;
    world.told(Told::Start(node("a"), 1)).await;
    cancel(&owned).await;
    let story = world.ended(&owned).await;
    assert_eq!(story.node("b").status, NodeStatus::Cancelled);
    assert!(story.chunks("b").is_empty());
    assert!(!runner.told().contains(&Told::Start(node("b"), 1)));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_that_was_cancelled_while_queued_starts_nothing() {
    let runner = ScriptedRunner::new();
    let world = World::new(&runner);
    world.submit(&graph(&[("a", &[]), ("b", &["a"])])).await;
    let noted = world.store.request_cancel(&run()).await.unwrap();
    assert_eq!(noted, CancelRequest::Noted(None));
    let claim = world.store.claim(&world.service.instance, LEASE, 1).await.unwrap().remove(0);
    let owned = crate::roles::owner::own(&world.service, claim, lost());
    let story = world.ended(&owned).await;
    assert_eq!(story.run().status, RunStatus::Cancelled);
    assert_eq!(story.run().progress.cancelled, 2);
    assert_eq!(runner.told(), []);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_node_that_takes_too_long_is_timed_out_and_may_be_tried_again() {
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), vec![Step::Hang])
        .with_script(&node("a"), vec![say("second"), Step::Exit(ProcessEnd::Code(0))]);
    let world = World::new(&runner);
    let document =
        json!({ "nodes": [{ "ref": "a", "command": ["x"], "timeoutSecs": 7, "retries": 1 }] });
    let began = Instant::now();
    let story = world.live(&document).await;
    assert_eq!(began.elapsed().as_secs(), 7);
    assert_eq!(story.node("a").status, NodeStatus::Completed);
    assert_eq!(story.output("a"), b"second");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_timeout_of_a_node_fails_its_run() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = World::new(&runner);
    let document = json!({ "nodes": [
        { "ref": "a", "command": ["x"], "timeoutSecs": 7 },
        { "ref": "b", "command": ["x"], "dependsOn": ["a"] },
    ] });
    let story = world.live(&document).await;
    assert_eq!(story.node("a").status, NodeStatus::TimedOut);
    assert_eq!(story.failure("a"), FailureKind::Timeout);
    assert_eq!(story.node("b").status, NodeStatus::Skipped);
    assert_eq!(story.run().status, RunStatus::Failed);
    assert_eq!(story.count(TraceKind::NodeTimedOut), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_timeout_of_a_run_ends_all_of_it() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![Step::Hang]);
    let world = World::new(&runner);
    let mut document = graph(&[("a", &[]), ("b", &["a"])]);
    document["timeoutSecs"] = json!(30);
    let began = Instant::now();
    let story = world.live(&document).await;
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(story.run().status, RunStatus::TimedOut);
    assert_eq!(story.node("a").status, NodeStatus::TimedOut);
    assert_eq!(story.node("b").status, NodeStatus::Cancelled);
    assert_eq!(story.failure("b"), FailureKind::Timeout);
    assert_eq!(story.count(TraceKind::RunTimedOut), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_ignores_the_request_to_end_is_killed_after_the_grace() {
    let script = vec![Step::IgnoreTerminate, say("stubborn"), Step::Hang];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let owned = world.begin(&single()).await;
    world.until(|story| story.output("a") == b"stubborn").await;
    let asked = Instant::now();
    cancel(&owned).await;
    world.told(Told::Kill(node("a"))).await;
    assert_eq!(asked.elapsed().as_secs(), GRACE.as_secs());
    let story = world.ended(&owned).await;
    assert_eq!(story.exit("a").end, ProcessEnd::Signal(KILL));
    assert_eq!(story.node("a").status, NodeStatus::Cancelled);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_a_grandchild_writes_is_kept_until_it_is_silent() {
    let script = vec![
        say("child "),
        Step::Exit(ProcessEnd::Code(0)),
        Step::Wait(DRAIN / 2),
        say("grandchild"),
        Step::Hang,
    ];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let began = Instant::now();
    let story = world.live(&single()).await;
    assert_eq!(story.output("a"), b"child grandchild");
    assert_eq!(story.node("a").status, NodeStatus::Completed);
    assert!(began.elapsed() < 2 * DRAIN, "silence is enough: {:?}", began.elapsed());
    assert!(runner.told().contains(&Told::Drop(node("a"))), "what is left goes with the node");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_grandchild_that_never_falls_silent_is_left_and_that_is_told() {
    let chatter = std::iter::repeat_n([Step::Wait(DRAIN / 5), say("again ")], 10_000).flatten();
    let script = [Step::Exit(ProcessEnd::Code(0))].into_iter().chain(chatter).collect();
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let story = world.live(&single()).await;
    assert!(story.exit("a").totals.truncated);
    assert!(story.exit("a").totals.complete, "its owner wrote the end");
    assert_eq!(story.node("a").status, NodeStatus::Completed);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_one_attempt_left_unread_is_told_at_the_end_of_the_stream() {
    let chatter = std::iter::repeat_n([Step::Wait(DRAIN / 5), say("again ")], 10_000).flatten();
    let script = [Step::Exit(ProcessEnd::Code(1))].into_iter().chain(chatter).collect();
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), script)
        .with_script(&node("a"), vec![say("fine"), Step::Exit(ProcessEnd::Code(0))]);
    let world = World::new(&runner);
    let document = json!({ "nodes": [{ "ref": "a", "command": ["x"], "retries": 1 }] });
    let story = world.live(&document).await;
    assert!(story.exit("a").totals.truncated, "the stream lacks bytes of the first attempt");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_end_of_the_group_is_the_end_of_the_processes() {
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), vec![Step::IgnoreTerminate, say("x"), Step::Hang]);
    let world = World::new(&runner);
    let owned = world.begin(&single()).await;
    world.until(|story| story.output("a") == b"x").await;
    owned.group.kill_switch().kill(ExitStatus::Stopped);
    soon(owned.group.ended()).await;
    world.told(Told::Drop(node("a"))).await;
}
