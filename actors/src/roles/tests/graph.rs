//! The order of nodes, what a failure does to others, and further attempts.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Notify;

use super::world::*;
use crate::entry::{ProcessEnd, TraceKind};
use crate::ids::StreamName;
use crate::run_view::{FailureKind, NodeStatus, RunStatus};
use crate::testing::runner_scripted::{ScriptedRunner, Step, Told};

fn say(text: &'static str) -> Step {
    Step::Write(StreamName::Pty, Bytes::from_static(text.as_bytes()))
}

fn fail(code: i32) -> Step {
    Step::Exit(ProcessEnd::Code(code))
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nodes_start_when_all_they_depend_on_has_completed_and_not_earlier() {
    let [first, left, right] = [(); 3].map(|()| Arc::new(Notify::new()));
    let runner = ScriptedRunner::new()
        .with_script(&node("first"), vec![Step::WaitFor(first.clone())])
        .with_script(&node("left"), vec![Step::WaitFor(left.clone())])
        .with_script(&node("right"), vec![Step::WaitFor(right.clone())]);
    let world = World::new(&runner);
    // The graph is given backwards: its order in the document means nothing.
    let document = graph(&[
        ("last", &["left", "right"]),
        ("right", &["first"]),
        ("left", &["first"]),
        ("first", &[]),
    ]);
    let owned = world.begin(&document).await;
    let started = |name: &str| Told::Start(node(name), 1);
    world.told(started("first")).await;
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(runner.told(), [started("first")]);

    first.notify_one();
    world.told(started("left")).await;
    world.told(started("right")).await;
    left.notify_one();
    world.until(|story| story.count(TraceKind::NodeCompleted) == 2).await;
    tokio::time::sleep(60 * SEC).await;
    assert!(!runner.told().contains(&started("last")), "one of two is not enough");

    right.notify_one();
    let story = world.ended(&owned).await;
    assert_eq!(story.run().status, RunStatus::Completed);
    assert_eq!(story.run().progress.completed, 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn no_more_nodes_run_than_there_are_slots() {
    let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
    let runner = names.iter().fold(ScriptedRunner::new(), |runner, name| {
        runner.with_script(&node(name), vec![Step::Wait(10 * SEC)])
    });
    let world = World::with(&runner, Limits { max_parallel: 3, ..Limits::default() });
    let nodes: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let began = tokio::time::Instant::now();
    let story = world.live(&graph(&nodes)).await;
    let rounds = began.elapsed().as_secs() / 10;
    assert_eq!(rounds, 4, "twelve nodes of ten seconds in three slots");
    let most = story.0.iter().filter_map(|entry| match &entry.body {
        crate::entry::Body::Status(change) => Some(change.run.progress.running),
        _ => None,
    });
    assert_eq!(most.max(), Some(3));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_depends_on_a_failed_node_is_skipped_and_the_rest_goes_on() {
    let runner = ScriptedRunner::new().with_script(&node("bad"), vec![say("oh no\r\n"), fail(3)]);
    let world = World::new(&runner);
    let document =
        graph(&[("bad", &[]), ("child", &["bad"]), ("grandchild", &["child"]), ("other", &[])]);
    let story = world.live(&document).await;
    assert_eq!(story.node("bad").status, NodeStatus::Failed);
    assert_eq!(
        (story.failure("bad"), story.node("bad").exit_code),
        (FailureKind::ExitCode, Some(3))
    );
    for skipped in ["child", "grandchild"] {
        assert_eq!(story.node(skipped).status, NodeStatus::Skipped);
        assert_eq!(story.failure(skipped), FailureKind::Dependency);
        assert!(story.chunks(skipped).is_empty(), "a node that never started has no stream");
    }
    assert_eq!(story.node("other").status, NodeStatus::Completed);
    let failure = story.run().failure.clone().expect("the run has failed");
    assert_eq!((story.run().status, failure.kind), (RunStatus::Failed, FailureKind::ExitCode));
    assert!(failure.message.contains("`bad`"), "{}", failure.message);
    let failed = story.traces().find(|trace| trace.kind == TraceKind::NodeFailed);
    assert_eq!(failed.and_then(|trace| trace.output_summary.as_deref()), Some("oh no"));
    assert!(!runner.told().contains(&Told::Start(node("child"), 1)));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn attempts_share_one_stream_with_markers_and_one_exit() {
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), vec![say("one"), fail(1)])
        .with_script(&node("a"), vec![say("two"), fail(2)])
        .with_script(&node("a"), vec![say("three"), fail(0)]);
    let world = World::new(&runner);
    let document = json!({ "nodes": [{ "ref": "a", "command": ["x"], "retries": 5 }] });
    let story = world.live(&document).await;
    let kinds = ["resize", "output", "marker attempt 2", "output", "marker attempt 3", "output"];
    assert_eq!(story.kinds("a"), [&kinds[..], &["exit"]].concat());
    assert_eq!(story.output("a"), b"onetwothree");
    assert_eq!(story.exit("a").end, ProcessEnd::Code(0));
    assert_eq!(story.count(TraceKind::NodeRetrying), 2);
    assert_eq!(story.count(TraceKind::NodeStarted), 3);
    assert_eq!((story.node("a").status, story.node("a").attempt), (NodeStatus::Completed, 3));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_last_attempt_decides() {
    let runner = ScriptedRunner::new().with_script(&node("a"), vec![fail(7)]);
    let world = World::new(&runner);
    let document = json!({ "nodes": [{ "ref": "a", "command": ["x"], "retries": 2 }] });
    let story = world.live(&document).await;
    assert_eq!(story.count(TraceKind::NodeStarted), 3);
    assert_eq!(story.node("a").exit_code, Some(7));
    assert_eq!(story.run().status, RunStatus::Failed);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_node_that_cannot_be_started_fails_without_a_stream() {
    let runner = ScriptedRunner::new().with_start_error(&node("a"), "no such program");
    let world = World::new(&runner);
    let story = world.live(&single()).await;
    assert_eq!(story.failure("a"), FailureKind::Spawn);
    let failure = story.node("a").failure.as_ref().expect("a failure");
    assert!(failure.message.contains("no such program"), "{}", failure.message);
    assert!(story.chunks("a").is_empty());
    assert_eq!(story.count(TraceKind::NodeStarted), 0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_failed_start_is_tried_again_like_any_failure() {
    let runner = ScriptedRunner::new()
        .with_start_error(&node("a"), "busy")
        .with_script(&node("a"), vec![say("yes"), fail(0)]);
    let world = World::new(&runner);
    let document = json!({ "nodes": [{ "ref": "a", "command": ["x"], "retries": 1 }] });
    let story = world.live(&document).await;
    assert_eq!(story.node("a").status, NodeStatus::Completed);
    assert_eq!(story.kinds("a"), ["resize", "output", "exit"]);
    assert_eq!(story.count(TraceKind::NodeRetrying), 1);
}
