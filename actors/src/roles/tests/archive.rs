//! What is archived of a run, while stores fail and objects go missing.

use std::time::Duration;

use bytes::Bytes;

use super::world::*;
use crate::archive::compaction::compact;
use crate::entry::{Body, ProcessEnd, TraceKind};
use crate::history::{History, Item};
use crate::ids::{Epoch, Seq, StreamKey, StreamName};
use crate::kernel::ExitStatus;
use crate::ports::{
    IncompleteReason, ObjectKey, ObjectStore as _, Recording, RecordingState, RecordingStore as _,
    RunLog as _, RunStore as _,
};
use crate::roles::owner::own;
use crate::testing::runner_scripted::{ScriptedRunner, Step};

fn stream(name: &str, stream: StreamName) -> StreamKey {
    StreamKey { node_ref: node(name), stream }
}

/// Writes so many times 10 KiB, with a pause after each.
fn talker(times: usize) -> Vec<Step> {
    let write = |index: usize| {
        let text = format!("{index} ").repeat(10_000);
        [Step::Write(StreamName::Pty, Bytes::from(text)), Step::Wait(10 * MS)]
    };
    let mut steps: Vec<Step> = (0..times).flat_map(write).collect();
    steps.push(Step::Exit(ProcessEnd::Code(0)));
    steps
}

async fn recording(world: &World, name: &str) -> Recording {
    let key = stream(name, StreamName::Pty);
    world.store.recording(&run(), &key).await.unwrap().expect("it has a row")
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_of_many_segments_is_read_back_whole_and_leaves_nothing_behind() {
    let runner = ScriptedRunner::new()
        .with_script(&node("a"), talker(60))
        .with_script(&node("b"), talker(30));
    let limits = Limits { segment_bytes: 128 * 1024, hot_min: Duration::ZERO, ..Limits::default() };
    let world = World::with(&runner, limits);
    let owned = world.begin(&graph(&[("a", &[]), ("b", &[])])).await;
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
    assert!(world.log.entries(&run()).is_empty(), "nothing is kept that is archived");

    let story = Story::of(world.history(Seq::START, 64 * 1024).await);
    story.check();
    for name in ["a", "b"] {
        assert_eq!(recording(&world, name).await.state, RecordingState::Complete);
    }
    let (_, segments) = world.store.segments(&run(), None, Seq::START, 100).await.unwrap();
    assert_eq!(segments.len(), 2, "one object for each stream counts");
    let superseded = world.store.superseded(crate::moment::Timestamp::now(), 100).await.unwrap();
    assert!(superseded.len() >= 4, "{} segments were written", superseded.len());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p3_an_archive_that_is_away_pauses_the_terminal_at_the_limit_and_loses_nothing() {
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(100));
    let limits =
        Limits { segment_bytes: 64 * 1024, max_bytes_per_run: 512 * 1024, ..Limits::default() };
    let world = World::with(&runner, limits);
    world.objects.set_unavailable(true);
    let owned = world.begin(&single()).await;
    tokio::time::sleep(60 * SEC).await;
    let held: usize = world.log.entries(&run()).iter().map(|entry| entry.memory_cost()).sum();
    assert!((512 * 1024..1024 * 1024).contains(&held), "the log holds {held} bytes");
    world.objects.set_unavailable(false);
    let story = world.ended(&owned).await;
    assert_eq!(story.exit("a").totals.bytes, story.output("a").len() as u64);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p6_a_run_left_after_any_flush_is_finalised_by_the_next_owner() {
    for after_ms in (0..1500).step_by(70) {
        let script = vec![
            Step::Write(StreamName::Pty, Bytes::from("x".repeat(50_000))),
            Step::Wait(100 * MS),
        ];
        let script = std::iter::repeat_n(script, 100).flatten().collect();
        let runner = ScriptedRunner::new().with_script(&node("a"), script);
        let limits =
            Limits { segment_bytes: 100_000, hot_min: Duration::ZERO, ..Limits::default() };
        let world = World::with(&runner, limits);
        let old = world.begin(&single()).await;
        tokio::time::sleep(after_ms * MS).await;
        old.group.kill_switch().kill(ExitStatus::Stopped);
        soon(old.group.ended()).await;
        let before = world.history(Seq::START, 1 << 20).await;
        let claim = world.store.take_over(&run(), Epoch(0).into(), &instance("new"), LEASE).await;
        let claim = claim.unwrap().expect("it can be taken");
        let new = own(&world.service, claim, lost());
        assert_eq!(soon(new.group.ended()).await, ExitStatus::Finished);

        let story = Story::of(world.history(Seq::START, 1 << 20).await);
        story.check();
        assert_eq!(story.0[..before.len()], before, "after {after_ms} ms");
        if before.iter().any(|entry| matches!(entry.body, Body::Terminal(_))) {
            let recording = recording(&world, "a").await;
            assert_eq!(recording.reason, Some(IncompleteReason::Lost));
            assert_eq!(recording.bytes, story.output("a").len() as u64);
        }
        let left: Vec<ObjectKey> = world.objects.keys();
        let (_, counted) = world.store.segments(&run(), None, Seq::START, 100).await.unwrap();
        let superseded =
            world.store.superseded(crate::moment::Timestamp::now(), 100).await.unwrap();
        for key in left.iter().filter(|key| key.name().starts_with("seg-")) {
            assert!(
                superseded.contains(key) || counted.iter().any(|segment| segment.object == *key),
                "{key} is a left-over"
            );
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_recording_that_is_there_is_never_replaced() {
    let key = stream("a", StreamName::Pty);
    let usual = ObjectKey::recording(&run(), &key);
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(20));
    let limits = Limits { segment_bytes: 64 * 1024, ..Limits::default() };
    let world = World::with(&runner, limits);
    // As another version wrote it, who is not the owner any more.
    let left = Bytes::from_static(b"another recording");
    world.objects.put(&usual, left.clone()).await.expect("put");
    let owned = world.begin(&single()).await;
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);

    assert_eq!(world.objects.read(&usual, 0..left.len() as u64).await, Ok(left), "it stays");
    let recording = recording(&world, "a").await;
    let own = ObjectKey::recording_of_epoch(&run(), &key, Epoch(0));
    assert_eq!((recording.state, recording.object), (RecordingState::Complete, Some(own.clone())));
    assert!(world.objects.keys().contains(&ObjectKey::index(&own)));
    Story::of(world.history(Seq::START, 1 << 20).await).check();

    // A try that has not come to its row is taken by the next one, which finds the same.
    world.objects.lose(&usual);
    for _ in 0..2 {
        let written = compact(world.service.history.archive(), &run(), &key, Epoch(7), None).await;
        let whole = written.expect("it is written").whole.expect("all is there");
        assert_eq!(whole.object, usual);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p2_a_segment_that_is_lost_is_a_gap_with_exact_bounds() {
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(40));
    let limits = Limits { segment_bytes: 100_000, hot_min: Duration::ZERO, ..Limits::default() };
    let world = World::with(&runner, limits);
    let owned = world.begin(&single()).await;
    let lost = soon(async {
        loop {
            let (_, segments) = world.store.segments(&run(), None, Seq::START, 10).await.unwrap();
            if segments.len() >= 3 {
                break segments[1].clone();
            }
            tokio::time::sleep(MS).await;
        }
    })
    .await;
    assert!(world.objects.lose(&lost.object));
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);

    let recording = recording(&world, "a").await;
    assert_eq!(recording.state, RecordingState::Incomplete);
    assert_eq!(recording.reason, Some(IncompleteReason::Archive));
    let gaps: Vec<(Seq, Seq)> = world
        .items(Seq::START, 64 * 1024)
        .await
        .into_iter()
        .filter_map(|item| match item {
            Item::Gap(gap) => Some((gap.from, gap.to)),
            Item::Entry(_) => None,
        })
        .collect();
    assert_eq!(gaps, [(lost.first_seq(), lost.last_seq())]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_recording_that_is_damaged_later_is_not_complete_any_more() {
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(20));
    let limits = Limits { hot_min: Duration::ZERO, ..Limits::default() };
    let world = World::with(&runner, limits);
    let owned = world.begin(&single()).await;
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
    assert_eq!(recording(&world, "a").await.state, RecordingState::Complete);
    let whole = ObjectKey::recording(&run(), &stream("a", StreamName::Pty));
    assert!(world.objects.truncate(&whole, 100));
    let items = world.items(Seq::START, 1 << 20).await;
    assert!(items.iter().any(|item| matches!(item, Item::Gap(gap) if gap.reason == "lost")));
    let recording = recording(&world, "a").await;
    assert_eq!(recording.reason, Some(IncompleteReason::Archive));
    assert_eq!(recording.state, RecordingState::Incomplete);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_damaged_frame_is_looked_at_once_until_it_is_forgotten() {
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(20));
    let limits = Limits { hot_min: Duration::ZERO, ..Limits::default() };
    let world = World::with(&runner, limits);
    let owned = world.begin(&single()).await;
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
    let whole = ObjectKey::recording(&run(), &stream("a", StreamName::Pty));
    let length = world.objects.length(&whole).await.unwrap();
    let good = world.objects.read(&whole, 0..length).await.unwrap();
    assert!(world.objects.truncate(&whole, 100));
    let archive = world.service.history.archive();
    let read = async || {
        let found = archive.read(&run(), None, Seq::START, Seq::MAX, usize::MAX).await;
        found.unwrap().entries.len()
    };
    let left = read().await;
    assert_eq!(recording(&world, "a").await.state, RecordingState::Incomplete);
    world.objects.put(&whole, good).await.unwrap();
    assert_eq!(read().await, left, "it is not read again");
    archive.forget(&run());
    assert!(read().await > left, "now it is");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stream_is_read_on_where_the_archive_ends_and_the_log_begins() {
    // The second node says nothing before the log is trimmed for the first time.
    let late = vec![
        Step::Wait(2 * SEC),
        Step::Write(StreamName::Pty, Bytes::from_static(b"late")),
        Step::Wait(60 * SEC),
        Step::Exit(ProcessEnd::Code(0)),
    ];
    let runner =
        ScriptedRunner::new().with_script(&node("a"), talker(100)).with_script(&node("b"), late);
    let limits = Limits { segment_bytes: 100_000, hot_min: Duration::ZERO, ..Limits::default() };
    let world = World::with(&runner, limits);
    let owned = world.begin(&graph(&[("a", &[]), ("b", &[])])).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let history = &world.service.history;
    for (name, expected) in [("a", 100), ("b", 1)] {
        let key = stream(name, StreamName::Pty);
        let (mut outputs, mut cursor) = (0, Seq::START);
        loop {
            let stretch = history.read_stream(&run(), &key, cursor, 64 * 1024).await.unwrap();
            for item in &stretch.items {
                let Item::Entry(entry) = item else { panic!("{item:?}") };
                let Body::Terminal(chunk) = &entry.body else { panic!("{entry:?}") };
                outputs += usize::from(chunk.kind.payload().is_some());
            }
            if stretch.items.is_empty() {
                break;
            }
            cursor = stretch.through;
        }
        assert!(outputs >= expected, "{outputs} outputs of {name}");
    }
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn p6_a_run_whose_log_was_lost_before_it_was_archived_still_comes_to_its_end() {
    let runner = ScriptedRunner::new().with_script(&node("a"), talker(30));
    let limits = Limits { segment_bytes: 64 * 1024, ..Limits::default() };
    for keeps_first_part in [false, true] {
        let world = World::with(&runner, limits);
        let owned = world.begin(&single()).await;
        if keeps_first_part {
            soon(async {
                while world.store.segments(&run(), None, Seq::START, 1).await.unwrap().1.is_empty()
                {
                    tokio::time::sleep(MS).await;
                }
            })
            .await;
        }
        world.objects.set_unavailable(true);
        world.until(|story| story.count(TraceKind::RunCompleted) == 1).await;
        tokio::time::sleep(60 * SEC).await;
        owned.group.kill_switch().kill(ExitStatus::Stopped);
        soon(owned.group.ended()).await;
        // The rows know of the end, and the log is gone.
        world.log.remove(&run()).await.unwrap();
        world.objects.set_unavailable(false);
        let claim = world.store.take_over(&run(), Epoch(0).into(), &instance("new"), LEASE).await;
        let new = own(&world.service, claim.unwrap().expect("it can be taken"), lost());
        assert_eq!(soon(new.group.ended()).await, ExitStatus::Finished);
        assert!(world.store.leases().await.unwrap().is_empty(), "nobody has to look at it again");
        let recordings = world.store.recordings(&run()).await.unwrap();
        assert_eq!(recordings.len(), usize::from(keeps_first_part));
        for recording in recordings {
            assert_eq!(recording.state, RecordingState::Incomplete);
            assert_eq!(recording.reason, Some(IncompleteReason::Lost));
        }
        // As another process reads it, which has never seen the log.
        let archive = world.service.history.archive().clone();
        let history = History::new(world.log.clone(), None, world.store.clone(), archive);
        let items = history.read(&run(), Seq::START, 1 << 20).await.unwrap().items;
        assert!(items.iter().any(|item| matches!(item, Item::Gap(gap) if gap.reason == "lost")));
        let last = items.last().map(Item::through);
        assert_eq!(last, Some(history.tail(&run()).await.unwrap()), "it is told to the end");
    }
}
