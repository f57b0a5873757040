//! Frames of the real size, and what is bounded.

use super::examples::{chunk, output};
use super::*;

const PTY: StreamName = StreamName::Pty;

fn stream() -> StreamKey {
    chunk(PTY, 0, output(b"")).stream_key()
}

/// Pushes outputs; `log_step` is how much the log of the run grows with each.
fn encode(payloads: &[Vec<u8>], log_step: u64, cuts: bool) -> Vec<EncodedSegment> {
    let mut encoder = StreamEncoder::new(stream(), header());
    let mut segments = Vec::new();
    for (payload, index) in payloads.iter().zip(0..) {
        let log_bytes = log_step * (index + 1);
        encoder.push(Seq(index + 1), &chunk(PTY, index, output(payload)), log_bytes);
        if cuts {
            segments.extend(encoder.cut());
        }
    }
    segments.extend(encoder.cut());
    segments
}

fn payloads_of(segments: &[EncodedSegment]) -> Vec<Vec<u8>> {
    let payload = |entry: Entry| chunk_of(&entry).kind.payload().expect("an output").to_vec();
    segments
        .iter()
        .flat_map(|segment| texts(&segment.frames, &segment.bytes).collect::<Vec<_>>())
        .flat_map(|text| decoded(&text, &stream()))
        .map(payload)
        .collect()
}

fn merge(segments: &[EncodedSegment]) -> Vec<(FrameInfo, Bytes)> {
    let mut merger = FrameMerger::new();
    let mut merged = Vec::new();
    for segment in segments {
        for frame in &segment.frames {
            let from = usize::try_from(frame.offset).expect("small");
            let to = from + usize::try_from(frame.length).expect("small");
            merged.extend(merger.push(*frame, segment.bytes.slice(from..to)).expect("own frames"));
        }
    }
    merged.extend(merger.finish().expect("own frames"));
    merged
}

#[test]
fn frames_end_before_a_mebibyte() {
    let payloads: Vec<Vec<u8>> = (0..100).map(|_| b"line of a log\r\n".repeat(2000)).collect();
    let segments = encode(&payloads, 30_000, false);
    let [segment] = segments.as_slice() else { panic!("one cut, one segment") };
    assert_eq!(segment.frames.len(), 4);
    for frame in &segment.frames[..3] {
        let room = MAX_FRAME_TEXT as u64 - frame.text_length;
        assert!(room < 40_000, "{frame:?}");
    }
    assert_eq!(payloads_of(&segments), payloads);
}

#[test]
fn the_worst_chunk_has_a_frame_of_its_own_that_can_be_read() {
    let mut worst = vec![1; 1024 * 1024];
    worst[0] = 0xff;
    let payloads = vec![b"a".to_vec(), worst, b"b".to_vec()];
    let segments = encode(&payloads, 1, false);
    let [segment] = segments.as_slice() else { panic!("one cut, one segment") };
    let chunks: Vec<u64> = segment.frames.iter().map(|frame| frame.first_chunk.0).collect();
    assert_eq!(chunks, [0, 1, 2]);
    assert!(segment.frames[1].text_length > 7 * 1024 * 1024);
    assert_eq!(payloads_of(&segments), payloads);
}

#[test]
fn large_frames_are_passed_through_and_small_ones_are_joined() {
    let small = || b"0123456789".repeat(1000);
    let large = b"x".repeat(700 * 1024);
    let mut payloads = vec![small(), small(), large.clone(), small()];
    payloads.extend((0..300).map(|_| small()));
    let segments = encode(&payloads, 10_000, true);
    assert_eq!(segments.len(), payloads.len());
    let merged = merge(&segments);
    let chunks: Vec<u64> = merged.iter().map(|(info, _)| info.first_chunk.0).collect();
    // Some 104 frames of 10 KB are a mebibyte.
    assert_eq!((merged.len(), &chunks[..3]), (5, &[0, 2, 3][..]));
    assert_eq!(merged[1].1, segments[2].bytes);
    assert!(merged.iter().all(|(info, _)| info.text_length <= MAX_FRAME_TEXT as u64));
    let mut offset = 0;
    for (info, bytes) in &merged {
        assert_eq!((info.offset, info.length), (offset, bytes.len() as u64));
        offset += info.length;
    }
}

#[test]
fn frames_that_are_far_apart_in_the_run_are_not_joined() {
    let payloads: Vec<Vec<u8>> = (0..10).map(|_| b"tick\r\n".to_vec()).collect();
    let merged = merge(&encode(&payloads, 6 * 1024 * 1024, true));
    let joined: Vec<u64> =
        merged.iter().map(|(info, _)| info.last_chunk.0 - info.first_chunk.0 + 1).collect();
    assert_eq!(joined, [3, 3, 3, 1]);
}

#[test]
fn a_damaged_frame_is_not_merged() {
    let segments = encode(&[b"a".to_vec(), b"b".to_vec()], 1, true);
    let mut merger = FrameMerger::new();
    for segment in &segments {
        let mut bytes = segment.bytes.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let ready = merger.push(segment.frames[0], Bytes::from(bytes)).expect("not read yet");
        assert!(ready.is_empty());
    }
    assert!(matches!(merger.finish(), Err(CastError::Frame(_))));
}

#[test]
fn a_summary_is_bounded_and_its_slices_widen() {
    let mut summary = StreamSummary::default();
    for index in 0..3000 {
        let marker = ChunkKind::Marker("ä".repeat(1000));
        summary.absorb(Seq(index + 1), &chunk(PTY, index, marker));
    }
    assert_eq!((summary.markers.len(), summary.marker_count), (1000, 3000));
    assert_eq!(summary.markers[999].label.chars().count(), summary::MAX_LABEL_CHARS);
    assert_eq!(
        (summary.markers[999].chunk, summary.markers[999].at_us),
        (ChunkIndex(999), 1_500_000)
    );

    // A byte in each of 1,000 seconds, then nothing up to 2,000.
    let mut summary = StreamSummary::default();
    for index in 0..=1000 {
        let kind = if index < 1000 { output(b"x") } else { ChunkKind::Marker(String::new()) };
        let at_us = if index < 1000 { index * 1_000_000 } else { 2_000_000_000 };
        summary.absorb(Seq(index + 1), &Chunk { at_us, ..chunk(PTY, index, kind) });
    }
    assert_eq!(summary.duration_us, 2_000_000_000);
    let activity = summary.activity_over(2_000_000);
    assert_eq!((activity.len(), activity.iter().sum::<u64>()), (500, 1000));
    assert!(activity[..249].iter().all(|bytes| (3..=5).contains(bytes)), "{activity:?}");
    assert!(activity[251..].iter().all(|bytes| *bytes == 0), "{activity:?}");
    assert_eq!(summary.activity_over(1000).last(), Some(&999));
    assert_eq!(StreamSummary::default().activity_over(0), vec![0; 500]);
}
