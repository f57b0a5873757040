//! What every recording holds, whatever was recorded and wherever it was cut.

mod examples;
mod frames;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::entry::{
    Body, Chunk, ChunkKind, Entry, Exit, ProcessEnd, RunnerKind, StreamTotals, TerminalSize,
};
use crate::flow::sequencer::hex;
use crate::ids::{ChunkIndex, Epoch, Seq, StreamKey, StreamName};
use crate::moment::Timestamp;

/// A chunk of a random stream, and what happens around it.
#[derive(Debug, Clone)]
struct Step {
    kind: ChunkKind,
    delta_us: u64,
    /// Time that no delta tells: lost chunks, or a takeover.
    jump_us: u64,
    missing: u64,
    log_bytes: u64,
    origin: u8,
    cuts: bool,
    resumes: bool,
}

fn any_payload() -> impl Strategy<Value = Bytes> {
    let piece = prop_oneof![
        4 => "[ -~]{0,60}".prop_map(String::into_bytes),
        2 => any::<String>().prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        2 => Just("aé世😀\u{1b}[1m".as_bytes().to_vec()),
        1 => Just(vec![0xf0]),
        1 => Just(vec![0x9f, 0x98]),
        1 => Just(vec![0x80]),
        1 => Just(vec![0xe2, 0x82]),
        2 => prop_oneof![Just("\r\n"), Just("\r"), Just("\n"), Just("\r\r\n"), Just("\"\\")]
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| Bytes::from(pieces.concat()))
}

fn any_kind() -> impl Strategy<Value = ChunkKind> {
    prop_oneof![
        16 => any_payload().prop_map(ChunkKind::Output),
        2 => any_payload().prop_map(ChunkKind::Input),
        1 => (1_u16..1000, 1_u16..500)
            .prop_map(|(cols, rows)| ChunkKind::Resize(TerminalSize { cols, rows })),
        1 => any::<String>().prop_map(ChunkKind::Marker),
        1 => prop_oneof![Just(Value::Null), any::<String>().prop_map(|text| json!({ "bytes": text }))]
            .prop_map(ChunkKind::Gap),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let rare = |max: u64| prop_oneof![9 => Just(0), 1 => 1..max];
    let chance = |weight: f64| prop::bool::weighted(weight);
    (
        any_kind(),
        prop_oneof![0_u64..3000, 0_u64..10_000_000],
        (rare(1 << 40), rare(5)),
        0_u64..8_000_000,
        0_u8..2,
        (chance(0.15), chance(0.5)),
    )
        .prop_map(
            |(kind, delta_us, (jump_us, missing), log_bytes, origin, (cuts, resumes))| Step {
                kind,
                delta_us,
                jump_us,
                missing,
                log_bytes,
                origin,
                cuts,
                resumes,
            },
        )
}

fn any_stream() -> impl Strategy<Value = StreamKey> {
    prop_oneof![Just(StreamName::Pty), Just(StreamName::Stdout), Just(StreamName::Stderr)]
        .prop_map(|stream| StreamKey { node_ref: "node-1".parse().expect("a valid name"), stream })
}

/// The entries of the steps, and an end that tells the truth about them.
fn entries_of(stream: &StreamKey, steps: &[Step], end: ProcessEnd) -> Vec<Entry> {
    let (mut number, mut index, mut at_us) = (0, 0, 0);
    let (mut bytes, mut hash) = (0, Sha256::new());
    let mut entry = |step: &Step, kind: ChunkKind| {
        number += 1 + u32::try_from(step.missing).expect("few") * 3;
        index += 1 + step.missing;
        at_us += step.delta_us + step.jump_us;
        let chunk = Chunk {
            node_ref: stream.node_ref.clone(),
            stream: stream.stream,
            index: ChunkIndex(index - 1),
            kind,
            recorded_at: Timestamp(1_795_000_000_000_000 + i64::try_from(at_us).expect("small")),
            delta_us: step.delta_us,
            at_us,
            origin: Arc::from(format!("instance \"{}\"", step.origin)),
            runner_kind: if step.origin == 0 { RunnerKind::Local } else { RunnerKind::Docker },
        };
        Entry { seq: Seq::new(Epoch(7), number), body: Body::Terminal(chunk) }
    };
    let mut entries = Vec::new();
    for step in steps {
        if let ChunkKind::Output(payload) = &step.kind {
            bytes += payload.len() as u64;
            hash.update(payload);
        }
        entries.push(entry(step, step.kind.clone()));
    }
    let chunks = steps.iter().map(|step| 1 + step.missing).sum::<u64>() + 1;
    let sha256 = hex(&hash.finalize());
    let totals = StreamTotals { chunks, bytes, sha256, complete: true, truncated: false };
    let last = Step { jump_us: 0, missing: 0, origin: 0, ..last_step() };
    entries.push(entry(&last, ChunkKind::Exit(Exit { end, totals })));
    entries
}

fn last_step() -> Step {
    Step {
        kind: ChunkKind::Marker(String::new()),
        delta_us: 1499,
        jump_us: 0,
        missing: 0,
        log_bytes: 10,
        origin: 0,
        cuts: false,
        resumes: false,
    }
}

fn chunk_of(entry: &Entry) -> &Chunk {
    match &entry.body {
        Body::Terminal(chunk) => chunk,
        other => panic!("expected a chunk, got {other:?}"),
    }
}

fn header() -> CastHeader {
    CastHeader {
        size: TerminalSize { cols: 100, rows: 20 },
        timestamp: Some(1_795_000_000),
        title: None,
        command: Some("make \"all\"".to_owned()),
    }
}

/// A recorded stream.
struct Recorded {
    entries: Vec<Entry>,
    segments: Vec<EncodedSegment>,
    state: EncoderState,
}

fn record(
    stream: &StreamKey,
    steps: &[Step],
    entries: Vec<Entry>,
    max_frame_text: usize,
) -> Recorded {
    let start = |encoder: StreamEncoder| encoder.with_frames_of(max_frame_text);
    let mut encoder = start(StreamEncoder::new(stream.clone(), header()));
    let mut segments = Vec::new();
    let mut log_bytes = 0;
    let around = steps.iter().cloned().chain(std::iter::once(last_step()));
    for (entry, step) in entries.iter().zip(around) {
        log_bytes += step.log_bytes;
        encoder.push(entry.seq, chunk_of(entry), log_bytes);
        assert!(encoder.buffered() > 0);
        if step.cuts {
            // The chunk before again, as after a restart: it changes nothing.
            encoder.push(entry.seq, chunk_of(entry), log_bytes);
            segments.extend(encoder.cut());
            assert_eq!((encoder.buffered(), encoder.cut()), (0, None));
        }
        if step.cuts && step.resumes {
            let json = encoder.state().to_json();
            let state = EncoderState::from_json(&json).expect("own state");
            assert_eq!(state.to_json(), json);
            encoder = start(StreamEncoder::resume(stream.clone(), state));
        }
    }
    segments.extend(encoder.cut());
    Recorded { entries, segments, state: encoder.state().clone() }
}

/// The frames of a segment or recording, decompressed.
fn texts<'a>(frames: &'a [FrameInfo], bytes: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
    frames.iter().map(|frame| {
        let place = usize::try_from(frame.offset).expect("small");
        let length = usize::try_from(frame.length).expect("small");
        decompress(&bytes[place..place + length], frame.text_length).expect("own frame")
    })
}

fn decoded(text: &[u8], stream: &StreamKey) -> Vec<Entry> {
    let entries = decode_frame(text, stream).expect("own text");
    entries.into_iter().map(Arc::unwrap_or_clone).collect()
}

/// Compares what the frames say of themselves with what is in them, and gives all entries.
fn check_frames(frames: &[(FrameInfo, Vec<u8>)], stream: &StreamKey) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut bytes = 0;
    for (info, text) in frames {
        let entries = decoded(text, stream);
        let last_line = text.rsplit(|byte| *byte == b'\n').nth(1).expect("a line");
        assert!(!last_line.starts_with(b"# {\"at\""), "what tells of a chunk stands in its frame");
        let (first, last) =
            (entries.first().expect("not empty"), entries.last().expect("not empty"));
        let (first_chunk, last_chunk) = (chunk_of(first), chunk_of(last));
        assert_eq!((info.first_seq, info.last_seq), (first.seq, last.seq));
        assert_eq!((info.first_chunk, info.last_chunk), (first_chunk.index, last_chunk.index));
        assert_eq!(info.start_ms, first_chunk.at_us / 1000);
        assert_eq!(info.end_ms, last_chunk.at_us.div_ceil(1000));
        assert_eq!(info.first_byte, bytes);
        bytes += entries
            .iter()
            .filter(|entry| matches!(chunk_of(entry).kind, ChunkKind::Output(_)))
            .map(|entry| entry.payload_len() as u64)
            .sum::<u64>();
        all.extend(entries);
    }
    all
}

/// Reads a file as a stock tool does, and compares codes and times with the entries.
fn check_file(text: &str, entries: &[Entry]) {
    let mut reader = CastReader::new();
    let mut events = Vec::new();
    for line in text.lines() {
        assert!(line.starts_with('#') || serde_json::from_str::<Value>(line).is_ok(), "{line}");
        match reader.push_line(line).expect("a valid file") {
            Some(CastItem::Event(event)) => events.push(event),
            Some(CastItem::Header(header)) => assert_eq!(header.timestamp, Some(1_795_000_000)),
            None => assert!(line.starts_with('#')),
        }
    }
    let shown: Vec<&Chunk> = entries
        .iter()
        .map(chunk_of)
        .filter(|chunk| !matches!(chunk.kind, ChunkKind::Gap(_)))
        .collect();
    assert_eq!(events.len(), shown.len());
    for (event, chunk) in events.iter().zip(shown) {
        let code = match &chunk.kind {
            ChunkKind::Output(_) => "o",
            ChunkKind::Input(_) => "i",
            ChunkKind::Resize(_) => "r",
            ChunkKind::Marker(_) => "m",
            ChunkKind::Exit(_) => "x",
            ChunkKind::Gap(_) => unreachable!("left out"),
        };
        assert_eq!(event.code, code);
        assert!(event.at_us.abs_diff(chunk.at_us) <= 1000, "{event:?} {}", chunk.at_us);
    }
}

fn without_contexts(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).expect("UTF-8");
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("# {\"at\""));
    lines.collect::<String>().into_bytes()
}

fn check(stream: &StreamKey, steps: &[Step], end: ProcessEnd, max_frame_text: usize) {
    let entries = entries_of(stream, steps, end);
    let Recorded { entries, segments, state } = record(stream, steps, entries, max_frame_text);

    // Every frame alone, and all together.
    let mut frames = Vec::new();
    let mut merger = FrameMerger::new();
    let mut merged = Vec::new();
    for segment in &segments {
        let mut offset = 0;
        for (info, text) in segment.frames.iter().zip(texts(&segment.frames, &segment.bytes)) {
            assert_eq!(info.offset, offset);
            let place = usize::try_from(offset).expect("small");
            offset += info.length;
            let end = usize::try_from(offset).expect("small");
            frames.push((*info, text));
            let bytes = segment.bytes.slice(place..end);
            merged.extend(merger.push(*info, bytes).expect("own frames"));
        }
        assert_eq!(offset, segment.bytes.len() as u64);
    }
    merged.extend(merger.finish().expect("own frames"));
    assert_eq!(check_frames(&frames, stream), entries);

    // The same as one recording.
    let recording: Vec<u8> = merged.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let infos: Vec<FrameInfo> = merged.iter().map(|(info, _)| *info).collect();
    let merged: Vec<_> = infos.iter().copied().zip(texts(&infos, &recording)).collect();
    assert_eq!(check_frames(&merged, stream), entries);
    let text = zstd::stream::decode_all(recording.as_slice()).expect("one zstd file");
    assert_eq!(text, frames.concat_texts());
    check_file(std::str::from_utf8(&text).expect("UTF-8"), &entries);

    // A download is the same text without the beginnings of frames.
    let mut writer = CastWriter::new(Format::V3, header(), Streams::One);
    let mut file = Vec::new();
    entries.iter().for_each(|entry| writer.write(entry.seq, chunk_of(entry), &mut file));
    writer.finish(&mut file);
    assert_eq!(without_contexts(&file), without_contexts(&text));
    assert_eq!(decoded(&file, stream), entries);

    // Counts, hash and verdict.
    let Some(Exit { totals, .. }) = state.exit() else { panic!("the end has come") };
    let missing: u64 = steps.iter().map(|step| step.missing).sum();
    assert_eq!((state.bytes(), state.sha256()), (totals.bytes, totals.sha256.clone()));
    assert_eq!(state.chunks() + missing, totals.chunks);
    assert_eq!(state.holes(), steps.iter().filter(|step| step.missing > 0).count() as u64);
    assert_eq!(state.defect().is_none(), missing == 0);
    for source in [&text, &file] {
        let mut verifier = Verifier::new();
        for line in std::str::from_utf8(source).expect("UTF-8").lines() {
            verifier.push_line(line).expect("own file");
        }
        let expected = state.defect().map_or_else(
            || Verdict::Complete {
                chunks: totals.chunks,
                bytes: totals.bytes,
                sha256: totals.sha256.clone(),
            },
            Verdict::Incomplete,
        );
        assert_eq!(verifier.finish(), expected);
    }

    let mut summary = StreamSummary::default();
    entries.iter().for_each(|entry| summary.absorb(entry.seq, chunk_of(entry)));
    assert_eq!(state.summary(), &summary);
    let activity = summary.activity_over(state.at_us().div_ceil(1000));
    assert_eq!((activity.len(), activity.iter().sum()), (summary::SLICES, state.bytes()));
}

trait ConcatTexts {
    fn concat_texts(&self) -> Vec<u8>;
}

impl ConcatTexts for Vec<(FrameInfo, Vec<u8>)> {
    fn concat_texts(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, text)| text.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_recording_gives_back_every_member_of_every_entry(
        stream in any_stream(),
        steps in prop::collection::vec(any_step(), 0..30),
        end in prop_oneof![
            any::<i32>().prop_map(ProcessEnd::Code),
            any::<i32>().prop_map(ProcessEnd::Signal),
            Just(ProcessEnd::Unknown),
        ],
        max_frame_text in 300_usize..5000,
    ) {
        check(&stream, &steps, end, max_frame_text);
    }

    #[test]
    fn any_text_is_a_recording_or_an_error(
        stream in any_stream(),
        lines in prop::collection::vec("(# \\{\"q\":1,\"i\":0,\"t\":1,\"d\":1[,}]|# \\{\"at\":5,\"origin\":\"a\"\\}|\\[0, \"[oirmx]\", \"[^\"]{0,3}\"\\]|.{0,20})", 0..8),
    ) {
        let text = lines.join("\n");
        let _ = decode_frame(text.as_bytes(), &stream);
        let mut verifier = Verifier::new();
        let _ = text.lines().try_for_each(|line| verifier.push_line(line).map(drop));
        let mut reader = CastReader::new();
        let _ = text.lines().try_for_each(|line| reader.push_line(line).map(drop));
    }
}
