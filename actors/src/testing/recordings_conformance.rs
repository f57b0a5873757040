//! What every [`RecordingStore`] must do, together with the [`RunStore`] of the same rows, as one suite that
//! each adapter runs against itself.

use std::sync::Arc;
use std::time::Duration;

use super::store_conformance::{ended, run_key, submission};
use crate::cast::FrameInfo;
use crate::entry::TerminalSize;
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamKey, StreamName};
use crate::moment::Timestamp;
use crate::ports::{
    ArchiveBatch, IncompleteReason, ObjectKey, Purged, RecordBatch, Recording, RecordingState,
    RecordingStore, RunQuery, RunStore, Segment, StoreError,
};
use crate::run_view::RecordingCounts;

const LEASE: Duration = Duration::from_secs(30);
const BEGAN: Timestamp = Timestamp(1_795_000_000_000_000);

/// Runs every check, each on a store of its own: `fresh` is called with a number that is new each time.
pub async fn check<F, Made, S>(fresh: F)
where
    F: Fn(u32) -> Made,
    Made: Future<Output = Arc<S>>,
    S: RunStore + RecordingStore + 'static,
{
    archiving_is_repeatable_and_fenced(&*fresh(101).await).await;
    segments_are_found_by_place(&*fresh(102).await).await;
    a_whole_recording_takes_the_place_of_segments(&*fresh(103).await).await;
    runs_count_their_recordings(&*fresh(104).await).await;
    what_is_old_expires(&*fresh(105).await).await;
    a_run_is_purged_after_its_recordings_are_final(&*fresh(106).await).await;
    damage_is_noted_once(&*fresh(107).await).await;
    large_batches_fit(&*fresh(108).await).await;
    objects_are_known_until_they_are_gone(&*fresh(109).await).await;
}

fn stream(node_ref: &str, stream: StreamName) -> StreamKey {
    StreamKey { node_ref: node_ref.parse().expect("a valid name"), stream }
}

fn pty() -> StreamKey {
    stream("a", StreamName::Pty)
}

/// A segment of ten chunks; chunk `n` is entry `n + 1`.
fn segment(run: &RunKey, stream: &StreamKey, first: u64) -> Segment {
    let frame = |first: u64| FrameInfo {
        first_seq: Seq(first + 1),
        last_seq: Seq(first + 5),
        first_chunk: ChunkIndex(first),
        last_chunk: ChunkIndex(first + 4),
        start_ms: first * 100,
        end_ms: first * 100 + 50,
        offset: first * 7,
        length: 1 << 20,
        first_byte: first << 33,
        text_length: 3 << 20,
        log_bytes: u64::from(u32::MAX) * 5,
        checksum: u32::MAX - 1,
    };
    let chunks = (ChunkIndex(first), ChunkIndex(first + 9));
    Segment {
        stream: stream.clone(),
        epoch: Epoch(0),
        object: ObjectKey::segment(run, stream, chunks.0, chunks.1, Epoch(0)),
        length: 123_456_789_012,
        frames: vec![frame(first), frame(first + 5)],
    }
}

fn state(chunks: u64) -> String {
    format!("{{\"pending\":\"ü{chunks}\"}}")
}

/// As it stands in lists.
fn listed(recording: Recording) -> Recording {
    Recording { encoder_state: None, ..recording }
}

/// A live recording of which `chunks` chunks are archived.
fn live(stream: &StreamKey, chunks: u64) -> Recording {
    Recording {
        stream: stream.clone(),
        state: RecordingState::Live,
        reason: None,
        object: None,
        first_chunk: Some(ChunkIndex(0)),
        last_chunk: Some(ChunkIndex(chunks - 1)),
        last_seq: Seq(chunks),
        chunks,
        bytes: chunks << 32,
        sha256: None,
        gaps: 1,
        duration_us: chunks * 100_000,
        size: TerminalSize { cols: 120, rows: 30 },
        epoch: Epoch(0),
        encoder_state: Some(state(chunks)),
        created_at: BEGAN,
        updated_at: Timestamp(BEGAN.0 + i64::try_from(chunks).expect("few")),
        completed_at: None,
        purged_at: None,
    }
}

fn complete(run: &RunKey, stream: &StreamKey, chunks: u64, completed_at: Timestamp) -> Recording {
    Recording {
        state: RecordingState::Complete,
        object: Some(ObjectKey::recording(run, stream)),
        sha256: Some("0f".repeat(32)),
        completed_at: Some(completed_at),
        ..live(stream, chunks)
    }
}

fn whole(run: &RunKey, stream: &StreamKey, chunks: u64) -> Segment {
    let mut frames = segment(run, stream, 0).frames;
    frames[1].last_seq = Seq(chunks);
    frames[1].last_chunk = ChunkIndex(chunks - 1);
    let object = ObjectKey::recording(run, stream);
    Segment { stream: stream.clone(), epoch: Epoch(0), object, length: 77, frames }
}

/// One more segment of each stream.
fn batch(run: &RunKey, streams: &[StreamKey], first: u64) -> ArchiveBatch {
    ArchiveBatch {
        segments: streams.iter().map(|stream| segment(run, stream, first)).collect(),
        recordings: streams.iter().map(|stream| live(stream, first + 10)).collect(),
        through: Seq(first + 10),
    }
}

/// A run that is held by `left` in epoch 0.
async fn held<S: RunStore>(store: &S, name: &str) -> RunKey {
    store.submit(submission(name, "x")).await.expect("submitted");
    let owner = "left".parse().expect("a valid name");
    let claims = store.claim(&owner, LEASE, 1).await.expect("the store answers");
    assert_eq!(claims[0].run, run_key(name));
    claims[0].run.clone()
}

/// Writes the end of a run.
async fn end<S: RunStore>(store: &S, run: &RunKey) {
    let stored = store.find(run).await.expect("the store answers").expect("it is there");
    let batch = RecordBatch { entries: vec![ended(Seq(1000), &stored)], through: Seq(1000) };
    store.record(run, Epoch(0), batch).await.expect("recorded");
}

async fn objects<S: RecordingStore>(store: &S, run: &RunKey, after: Seq) -> Vec<String> {
    let (_, found) = store.segments(run, None, after, 100).await.expect("the store answers");
    found.iter().map(|segment| segment.object.name().to_owned()).collect()
}

async fn archiving_is_repeatable_and_fenced<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "rec").await;
    let streams = [stream("b", StreamName::Stderr), pty(), stream("b", StreamName::Stdout)];
    assert_eq!(
        store.segments(&run, None, Seq::START, 100).await.expect("answers"),
        (Seq(0), vec![])
    );
    assert!(store.recordings(&run).await.expect("answers").is_empty());
    store.archive(&run, Epoch(0), batch(&run, &streams, 0)).await.expect("archived");
    store
        .archive(&run, Epoch(0), batch(&run, &streams, 0))
        .await
        .expect("a repeat changes nothing");
    let older = ArchiveBatch { recordings: vec![live(&pty(), 3)], ..batch(&run, &[], 0) };
    store.archive(&run, Epoch(0), older).await.expect("a checkpoint never goes back");
    let found = store.recordings(&run).await.expect("answers");
    let by_node = [pty(), stream("b", StreamName::Stdout), stream("b", StreamName::Stderr)];
    let expected = by_node.clone().map(|stream| listed(live(&stream, 10)));
    assert_eq!(found, expected, "member for member, in order");
    let states = store.encoder_states(&run).await.expect("answers");
    let told = by_node.map(|stream| (stream.clone(), state(10)));
    assert_eq!(states, told.into(), "of all streams");
    assert!(store.encoder_states(&run_key("none")).await.expect("answers").is_empty());
    assert_eq!(store.recording(&run, &pty()).await.expect("answers"), Some(live(&pty(), 10)));
    let unknown = stream("a", StreamName::Stdout);
    assert_eq!(store.recording(&run, &unknown).await.expect("answers"), None);

    let mut next = batch(&run, &[pty()], 10);
    next.recordings[0].created_at = Timestamp(5);
    store.archive(&run, Epoch(0), next).await.expect("archived");
    let grown = store.recording(&run, &pty()).await.expect("answers");
    assert_eq!(grown, Some(live(&pty(), 20)), "it keeps its beginning");

    let without_frames = ArchiveBatch {
        segments: vec![Segment { frames: Vec::new(), ..segment(&run, &pty(), 20) }],
        recordings: vec![live(&pty(), 30)],
        through: Seq(30),
    };
    let refused = store.archive(&run, Epoch(0), without_frames).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    let of_nobody =
        ArchiveBatch { recordings: Vec::new(), ..batch(&run, std::slice::from_ref(&unknown), 20) };
    let refused = store.archive(&run, Epoch(0), of_nobody).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    let (through, _) = store.segments(&run, None, Seq::START, 100).await.expect("answers");
    assert_eq!(through, Seq(20), "what was refused moves nothing");
    let recording = store.recording(&run, &pty()).await.expect("answers");
    assert_eq!(recording, Some(live(&pty(), 20)), "nor does it write anything");

    let right = "right".parse().expect("a valid name");
    let taken = store.take_over(&run, Epoch(0).into(), &right, LEASE).await.expect("answers");
    assert_eq!(taken.expect("taken over").archived_through, Seq(20));
    let late = store.archive(&run, Epoch(0), batch(&run, &streams, 20)).await;
    assert!(matches!(late, Err(StoreError::Fenced(Epoch(0)))), "{late:?}");
    let late = store.finalise(&run, Epoch(0), complete(&run, &pty(), 20, BEGAN), None).await;
    assert!(matches!(late, Err(StoreError::Fenced(Epoch(0)))), "{late:?}");
    assert_eq!(store.recording(&run, &pty()).await.expect("answers"), Some(live(&pty(), 20)));
    store.archive(&run, Epoch(1), batch(&run, &[pty()], 20)).await.expect("the owner archives");
    let unknown = store.archive(&run_key("none"), Epoch(0), batch(&run, &[], 0)).await;
    assert!(matches!(unknown, Err(StoreError::Fenced(_))), "{unknown:?}");
}

async fn segments_are_found_by_place<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "places").await;
    let out = stream("b", StreamName::Stdout);
    // Later ones have names that sort before earlier ones.
    for first in [0, 10, 90, 100] {
        store.archive(&run, Epoch(0), batch(&run, &[pty()], first)).await.expect("archived");
    }
    let mut between = segment(&run, &out, 40);
    between.epoch = Epoch(0);
    let one = ArchiveBatch {
        segments: vec![between.clone()],
        recordings: vec![live(&out, 50)],
        through: Seq(200),
    };
    store.archive(&run, Epoch(0), one).await.expect("archived");
    let all = ["seg-0-9-0", "seg-10-19-0", "seg-40-49-0", "seg-90-99-0", "seg-100-109-0"];
    let all = all.map(|name| format!("{name}.cast.zst"));
    for (after, skipped) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (109, 4), (110, 5)] {
        assert_eq!(objects(store, &run, Seq(after)).await, all[skipped..], "after {after}");
    }
    let found = store.segments(&run, Some(&out), Seq(3), 100).await.expect("answers");
    assert_eq!(found, (Seq(200), vec![between]), "member for member");
    let (_, found) = store.segments(&run, Some(&pty()), Seq(10), 100).await.expect("answers");
    assert_eq!(found, [10, 90, 100].map(|first| segment(&run, &pty(), first)));
    let unknown = store.segments(&run_key("none"), None, Seq::START, 100).await.expect("answers");
    assert_eq!(unknown, (Seq::START, vec![]));
}

async fn a_whole_recording_takes_the_place_of_segments<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "whole").await;
    let out = stream("b", StreamName::Stdout);
    for first in [0, 10] {
        let both = batch(&run, &[pty(), out.clone()], first);
        store.archive(&run, Epoch(0), both).await.expect("archived");
    }
    let before = Timestamp::now();
    let done = complete(&run, &pty(), 20, before);
    for _ in 0..2 {
        let compacted = Some(whole(&run, &pty(), 20));
        store.finalise(&run, Epoch(0), done.clone(), compacted).await.expect("finalised");
        assert_eq!(store.recording(&run, &pty()).await.expect("answers"), Some(done.clone()));
        let (through, of_pty) =
            store.segments(&run, Some(&pty()), Seq::START, 100).await.expect("answers");
        assert_eq!((through, of_pty), (Seq(20), vec![whole(&run, &pty(), 20)]));
        let of_out = store.segments(&run, Some(&out), Seq::START, 100).await.expect("answers").1;
        assert_eq!(of_out.len(), 2, "other streams keep their segments");
    }
    let early = Timestamp(before.0 - 1);
    assert!(store.superseded(early, 10).await.expect("answers").is_empty());
    let now = Timestamp::now().plus(LEASE);
    let old = store.superseded(now, 10).await.expect("answers");
    let mut expected = [0, 10].map(|first| segment(&run, &pty(), first).object);
    expected.sort();
    assert_eq!(old, expected, "the whole recording is not among them");
    assert_eq!(store.superseded(now, 1).await.expect("answers").len(), 1);
    let counts = segment(&run, &out, 0).object;
    let some = [old[0].clone(), counts];
    store.forget_superseded(&some).await.expect("forgotten");
    store.forget_superseded(&some).await.expect("forgotten before");
    assert_eq!(store.superseded(now, 10).await.expect("answers"), old[1..]);
    assert_eq!(objects(store, &run, Seq::START).await.len(), 3, "what counts is not forgotten");

    // Without an object for the whole, the segments go on counting.
    let lost = Recording {
        state: RecordingState::Incomplete,
        reason: Some(IncompleteReason::Archive),
        completed_at: Some(before),
        ..live(&out, 20)
    };
    store.finalise(&run, Epoch(0), lost.clone(), None).await.expect("finalised");
    assert_eq!(store.recording(&run, &out).await.expect("answers"), Some(lost));
    assert_eq!(objects(store, &run, Seq::START).await.len(), 3);
}

async fn runs_count_their_recordings<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "run-1").await;
    let other = held(store, "run-2").await;
    store.submit(submission("run-3", "x")).await.expect("submitted");
    let streams = [pty(), stream("b", StreamName::Stdout), stream("b", StreamName::Stderr)];
    store.archive(&run, Epoch(0), batch(&run, &streams, 0)).await.expect("archived");
    store.archive(&other, Epoch(0), batch(&other, &[pty()], 0)).await.expect("archived");
    store.finalise(&run, Epoch(0), complete(&run, &pty(), 10, BEGAN), None).await.expect("done");
    let mut gap = complete(&run, &streams[1], 10, BEGAN);
    (gap.state, gap.reason) = (RecordingState::Incomplete, Some(IncompleteReason::Gap));
    store.finalise(&run, Epoch(0), gap, None).await.expect("finalised");
    let counts = |live, complete, incomplete| RecordingCounts { live, complete, incomplete };
    let expected = [counts(0, 0, 0), counts(1, 0, 0), counts(1, 1, 1)];
    let stored = store.find(&run).await.expect("answers").expect("it is there");
    assert_eq!(stored.view.recordings, expected[2]);
    let query = RunQuery {
        tenant: run.tenant.clone(),
        status: Vec::new(),
        workflow_id: None,
        labels: Vec::new(),
        run_id: None,
        limit: 10,
        cursor: None,
    };
    let listed = store.list(&query).await.expect("answers").runs;
    let counted: Vec<_> = listed.iter().map(|view| view.recordings).collect();
    assert_eq!(counted, expected, "newest first");
}

async fn what_is_old_expires<S: RunStore + RecordingStore>(store: &S) {
    let (old, young, mixed) =
        (held(store, "old").await, held(store, "young").await, held(store, "mixed").await);
    let after = |secs: u64| BEGAN.plus(Duration::from_secs(secs));
    let out = stream("b", StreamName::Stdout);
    for (run, completed) in [(&old, [10, 20]), (&young, [30, 40]), (&mixed, [5, 50])] {
        let streams = [pty(), out.clone()];
        store.archive(run, Epoch(0), batch(run, &streams, 0)).await.expect("archived");
        for (stream, secs) in streams.iter().zip(completed) {
            let done = complete(run, stream, 10, after(secs));
            store.finalise(run, Epoch(0), done, None).await.expect("finalised");
        }
    }
    let expired = async |secs: u64| store.expired(after(secs), 10).await.expect("answers");
    assert!(expired(100).await.is_empty(), "none has ended");
    for run in [&old, &young, &mixed] {
        end(store, run).await;
    }
    assert!(expired(100).await.is_empty(), "all are held");
    for run in [&old, &young, &mixed] {
        store.release(run, Epoch(0)).await.expect("released");
    }
    assert!(expired(19).await.is_empty(), "its last recording is younger");
    assert_eq!(expired(20).await, std::slice::from_ref(&old));
    assert_eq!(expired(45).await, [old.clone(), young.clone()]);
    assert_eq!(expired(50).await, [mixed.clone(), old.clone(), young.clone()]);
    assert_eq!(store.expired(after(50), 2).await.expect("answers").len(), 2);
    store.expire(&old).await.expect("noted");
    let noted = store.recordings(&old).await.expect("answers");
    assert!(noted.iter().all(|row| row.purged_at.is_some()), "{noted:?}");
    let objects_left = noted.iter().any(|row| row.object.is_some());
    assert_eq!(expired(20).await.contains(&old), objects_left, "its objects may still be there");
    store.forget_objects(&old).await.expect("noted");
    let noted = store.recordings(&old).await.expect("answers");
    assert!(noted.iter().all(|row| row.object.is_none()), "{noted:?}");
    assert!(expired(20).await.is_empty());
    assert_eq!(noted[0].state, RecordingState::Complete, "the row says what it was");
    let left = store.segments(&old, None, Seq::START, 100).await.expect("answers");
    assert_eq!(left, (Seq(10), vec![]), "the checkpoint stays");
    store.expire(&old).await.expect("a repeat changes nothing");
    assert_eq!(store.recordings(&old).await.expect("answers"), noted);
    assert_eq!(expired(45).await, std::slice::from_ref(&young));
    let late = complete(&old, &pty(), 10, after(10));
    let again = Some(whole(&old, &pty(), 10));
    store.finalise(&old, Epoch(0), late, again).await.expect("answers");
    assert_eq!(store.recordings(&old).await.expect("answers"), noted, "it is not revived");
    assert!(objects(store, &old, Seq::START).await.is_empty());
    let stored = store.find(&old).await.expect("answers").expect("the run stays");
    assert_eq!(stored.view.recordings.complete, 2);
}

async fn a_run_is_purged_after_its_recordings_are_final<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "ends").await;
    store.archive(&run, Epoch(0), batch(&run, &[pty()], 0)).await.expect("archived");
    end(store, &run).await;
    let leases = store.leases().await.expect("answers");
    assert_eq!(leases.len(), 1, "it has ended and is still held");
    assert_eq!(leases[0].owner.as_ref().map(ToString::to_string).as_deref(), Some("left"));
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Running, "it is held");
    store.release(&run, Epoch(0)).await.expect("released");
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Running, "a recording is live");
    let leases = store.leases().await.expect("answers");
    let early = leases.first().expect("somebody must bring its recordings to their end");
    assert_eq!((&early.run, &early.owner), (&run, &None));
    let done = complete(&run, &pty(), 10, BEGAN);
    let compacted = Some(whole(&run, &pty(), 10));
    store.finalise(&run, Epoch(0), done.clone(), compacted).await.expect("finalised");
    assert!(store.leases().await.expect("answers").is_empty());
    assert_eq!(store.purge(&run).await.expect("answers"), Purged::Done);
    assert!(store.recordings(&run).await.expect("answers").is_empty());
    assert_eq!(store.recording(&run, &pty()).await.expect("answers"), None);
    let left = store.segments(&run, None, Seq::START, 100).await.expect("answers");
    assert_eq!(left, (Seq::START, vec![]));
    let now = Timestamp::now().plus(LEASE);
    assert!(store.superseded(now, 10).await.expect("answers").is_empty());
    assert!(store.expired(now, 10).await.expect("answers").is_empty());
    store.expire(&run).await.expect("nothing is left");
    let late = store.archive(&run, Epoch(0), batch(&run, &[pty()], 50)).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let late = store.finalise(&run, Epoch(0), done, None).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let stored = store.find(&run).await.expect("answers").expect("its id stays");
    assert_eq!(stored.view.recordings, RecordingCounts::default());
}

async fn objects_are_known_until_they_are_gone<S: RunStore + RecordingStore>(store: &S) {
    let has_objects = async || store.has_objects().await.expect("the store answers");
    assert!(!has_objects().await, "nothing was ever archived");
    let run = held(store, "objects").await;
    assert!(!has_objects().await);
    store.archive(&run, Epoch(0), batch(&run, &[pty()], 0)).await.expect("archived");
    assert!(has_objects().await, "a segment");
    let done = complete(&run, &pty(), 10, BEGAN);
    store.finalise(&run, Epoch(0), done, Some(whole(&run, &pty(), 10))).await.expect("finalised");
    store.expire(&run).await.expect("noted");
    assert!(has_objects().await, "a recording that retention is removing");
    store.forget_objects(&run).await.expect("noted");
    assert!(!has_objects().await);
}

async fn damage_is_noted_once<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "damaged").await;
    let out = stream("b", StreamName::Stdout);
    let batch = batch(&run, &[pty(), out.clone()], 0);
    let named: Vec<ObjectKey> =
        batch.segments.iter().map(|segment| segment.object.clone()).collect();
    store.archive(&run, Epoch(0), batch).await.expect("archived");
    let never = ObjectKey::segment(&run, &out, ChunkIndex(77), ChunkIndex(78), Epoch(0));
    let asked: Vec<ObjectKey> = named.iter().cloned().chain([never.clone()]).collect();
    assert_eq!(store.unknown(&asked).await.expect("answers"), [never]);

    let done = complete(&run, &pty(), 10, BEGAN);
    store.finalise(&run, Epoch(0), done, None).await.expect("finalised");
    for damaged in [&pty(), &out] {
        store.mark_damaged(&run, damaged).await.expect("noted");
    }
    let of = async |stream: &StreamKey| {
        store.recording(&run, stream).await.expect("answers").expect("it has a row")
    };
    let noted = of(&pty()).await;
    assert_eq!(noted.state, RecordingState::Incomplete);
    assert_eq!(noted.reason, Some(IncompleteReason::Archive));
    assert_eq!(of(&out).await.state, RecordingState::Live, "its owner will see for itself");
}

async fn large_batches_fit<S: RunStore + RecordingStore>(store: &S) {
    let run = held(store, "large").await;
    let streams: Vec<StreamKey> =
        (0..1200).map(|number| stream(&format!("n{number:04}"), StreamName::Pty)).collect();
    let mut all = batch(&run, &streams, 0);
    for (segment, number) in all.segments.iter_mut().zip(0..) {
        segment.frames[0].first_seq = Seq(number);
    }
    store.archive(&run, Epoch(0), all.clone()).await.expect("archived");
    let all_listed: Vec<Recording> = all.recordings.into_iter().map(listed).collect();
    assert_eq!(store.recordings(&run).await.expect("answers"), all_listed);
    let states = store.encoder_states(&run).await.expect("answers");
    assert_eq!(states.len(), streams.len());
    let (_, found) = store.segments(&run, None, Seq::START, 2000).await.expect("answers");
    assert_eq!(found, all.segments);
    let objects: Vec<ObjectKey> = found.into_iter().map(|segment| segment.object).collect();
    store.forget_superseded(&objects).await.expect("none of them is superseded");
    let (_, found) = store.segments(&run, None, Seq::START, 2000).await.expect("answers");
    assert_eq!(found.len(), streams.len());
    let (_, first) = store.segments(&run, None, Seq::START, 7).await.expect("answers");
    assert_eq!(first, found[..7], "the first ones, in order");
}
