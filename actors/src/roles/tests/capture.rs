//! Bytes under permits: exact, bounded, and told when they wait.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Notify;

use super::world::*;
use crate::entry::{Level, ProcessEnd, TraceKind};
use crate::ids::StreamName;
use crate::ports::LogHealth;
use crate::run_view::{NodeStatus, RunStatus};
use crate::testing::runner_scripted::{ScriptedRunner, Step};

/// Bytes in which every place differs from its neighbours.
fn noise(len: usize) -> Bytes {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn flood(len: usize) -> (Bytes, ScriptedRunner) {
    let bytes = noise(len);
    let script = vec![Step::Write(StreamName::Pty, bytes.clone()), Step::Exit(ProcessEnd::Code(0))];
    (bytes, ScriptedRunner::new().with_script(&node("a"), script))
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn bytes_are_exact_and_in_large_chunks_under_load() {
    let (bytes, runner) = flood(8 << 20);
    let world = World::new(&runner);
    let story = world.live(&single()).await;
    assert_eq!(story.output("a"), bytes);
    assert!(!story.exit("a").totals.truncated);
    let chunks = story.chunks("a").len();
    assert!(chunks < bytes.len() / (8 * 1024), "{chunks} chunks for {} bytes", bytes.len());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_streams_of_a_node_without_a_terminal_are_kept_apart() {
    let script = vec![
        Step::Write(StreamName::Stdout, Bytes::from_static(b"out")),
        Step::Write(StreamName::Stderr, Bytes::from_static(b"err")),
        Step::Exit(ProcessEnd::Code(0)),
    ];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let mut document = single();
    document["terminal"] = json!({ "mode": "pipe" });
    let story = world.live(&document).await;
    for (stream, expected) in [(StreamName::Stdout, b"out"), (StreamName::Stderr, b"err")] {
        let chunks = story.chunks("a").into_iter().filter(|chunk| chunk.stream == stream);
        let bytes: Vec<u8> =
            chunks.filter_map(|chunk| chunk.kind.payload()).flatten().copied().collect();
        assert_eq!(bytes, expected);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_program_tells_of_its_progress_and_sets_markers() {
    let script = vec![
        Step::Event(r#"{"type":"progress","message":"half","data":{"percent":50}}"#.into()),
        Step::Event(r#"{"type":"marker","label":"chapter two"}"#.into()),
        Step::Event("no JSON".into()),
        Step::Event(r#"{"type":"progress","level":"error","message":"late"}"#.into()),
        Step::Exit(ProcessEnd::Code(0)),
    ];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::new(&runner);
    let story = world.live(&single()).await;
    assert_eq!(story.kinds("a"), ["resize", "marker chapter two", "exit"]);
    let told: Vec<_> =
        story.traces().filter(|trace| trace.kind == TraceKind::NodeProgress).collect();
    assert_eq!(told.len(), 3);
    assert_eq!((told[0].level, told[0].message.as_str()), (Level::Info, "half"));
    assert_eq!(told[0].data, Some(json!({ "percent": 50 })));
    assert_eq!(told[1].level, Level::Warn);
    assert!(told[1].message.contains("RUNCAST_EVENTS"), "{}", told[1].message);
    assert_eq!((told[2].level, told[2].message.as_str()), (Level::Error, "late"));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_is_read_without_room_while_the_log_acknowledges_nothing() {
    let bytes = noise(8 << 20);
    let script = vec![
        Step::Wait(5 * SEC),
        Step::Write(StreamName::Pty, bytes.clone()),
        Step::Exit(ProcessEnd::Code(0)),
    ];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let limits = Limits::default();
    let world = World::with(&runner, limits);
    let owned = world.begin(&single()).await;
    world.until(|story| story.count(TraceKind::NodeStarted) == 1).await;
    world.log.fail_appends(u32::MAX);
    for _ in 0..60 {
        tokio::time::sleep(SEC).await;
        let held = world.service.budget.in_use();
        assert!(held <= limits.in_flight_bytes, "{held} bytes are held");
    }
    assert!(world.service.budget.in_use() > 0, "it has read what it may");
    assert!(Story::of(world.log.entries(&run())).output("a").is_empty());

    world.log.fail_appends(0);
    let story = world.ended(&owned).await;
    assert_eq!(story.output("a"), bytes);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn many_nodes_share_the_room_of_the_process() {
    let names: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    let bytes = noise(1 << 20);
    let runner = names.iter().fold(ScriptedRunner::new(), |runner, name| {
        let script = vec![Step::Wait(5 * SEC), Step::Write(StreamName::Pty, bytes.clone())];
        runner.with_script(&node(name), script)
    });
    let limits = Limits { capture_bytes: 512 * 1024, ..Limits::default() };
    let world = World::with(&runner, limits);
    let nodes: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let owned = world.begin(&graph(&nodes)).await;
    world.until(|story| story.count(TraceKind::NodeStarted) == names.len()).await;
    world.log.fail_appends(u32::MAX);
    tokio::time::sleep(60 * SEC).await;
    let held = world.service.budget.in_use();
    assert!(held > limits.in_flight_bytes && held <= limits.capture_bytes, "{held}");
    world.log.fail_appends(0);
    let story = world.ended(&owned).await;
    assert!(names.iter().all(|name| story.output(name) == bytes), "nobody lost a byte");
}

/// A node that writes when it is told to, and what opens and closes its terminal.
fn talker(times: usize) -> (ScriptedRunner, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let step =
        [Step::WaitFor(go_on.clone()), Step::Write(StreamName::Pty, Bytes::from_static(b"words "))];
    let script = std::iter::repeat_n(step, times).flatten().collect();
    (ScriptedRunner::new().with_script(&node("a"), script), go_on)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_pause_is_told_when_it_lasts_and_not_too_often() {
    let (runner, go_on) = talker(4);
    let world = World::new(&runner);
    let owned = world.begin(&single()).await;
    world.until(|story| story.count(TraceKind::NodeStarted) == 1).await;
    let pause = async |lasts| {
        world.health.send_replace(LogHealth::Down);
        go_on.notify_one();
        tokio::time::sleep(lasts).await;
        world.health.send_replace(LogHealth::Up);
        tokio::time::sleep(10 * MS).await;
        let story = Story::of(world.log.entries(&run()));
        (story.count(TraceKind::CapturePaused), story.count(TraceKind::CaptureResumed))
    };
    assert_eq!(pause(900 * MS).await, (0, 0), "a short one is not told");
    assert_eq!(pause(1200 * MS).await, (1, 1));
    assert_eq!(pause(1200 * MS).await, (1, 1), "not twice in ten seconds");
    // Ten seconds after the last word it is told all the same: a long pause is never silent.
    assert_eq!(pause(60 * SEC).await, (2, 2));
    let story = world.ended(&owned).await;
    assert_eq!(story.output("a"), b"words words words words ");
    let paused = story.traces().find(|trace| trace.kind == TraceKind::CapturePaused);
    assert_eq!(paused.and_then(|trace| trace.data.clone()), Some(json!({ "reason": "logDown" })));
    let resumed = story.traces().rfind(|trace| trace.kind == TraceKind::CaptureResumed);
    let waited = resumed.and_then(|trace| trace.data.as_ref()?["waitedMs"].as_u64());
    assert_eq!(waited, Some(60_000));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_full_run_is_not_read_but_can_end() {
    let (_, runner) = flood(8 << 20);
    let limits = Limits { max_bytes_per_run: 512 * 1024, ..Limits::default() };
    let world = World::with(&runner, limits);
    world.objects.set_unavailable(true);
    let owned = world.begin(&single()).await;
    world.until(|story| story.count(TraceKind::CapturePaused) == 1).await;
    let before = world.log.entries(&run()).len();
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(world.log.entries(&run()).len(), before, "nothing is read");
    cancel(&owned).await;
    world.until(|story| story.count(TraceKind::RunCancelled) == 1).await;
    world.objects.set_unavailable(false);
    let story = world.ended(&owned).await;
    let read = story.output("a").len();
    assert!(read <= 512 * 1024 + limits.in_flight_bytes, "{read} bytes were read");
    assert!(story.exit("a").totals.truncated, "the rest was left, and that is told");
    assert_eq!(story.run().status, RunStatus::Cancelled);
    assert_eq!(story.node("a").status, NodeStatus::Cancelled);
    let paused = story.traces().find(|trace| trace.kind == TraceKind::CapturePaused);
    assert_eq!(paused.and_then(|trace| trace.data.clone()), Some(json!({ "reason": "logFull" })));
}
