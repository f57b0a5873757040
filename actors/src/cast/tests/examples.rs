//! What stands in the files, by example.

use super::*;

fn stream(name: StreamName) -> StreamKey {
    StreamKey { node_ref: "node-1".parse().expect("a valid name"), stream: name }
}

/// The chunk with this index, one and a half milliseconds after the one before it.
pub(super) fn chunk(stream: StreamName, index: u64, kind: ChunkKind) -> Chunk {
    Chunk {
        node_ref: "node-1".parse().expect("a valid name"),
        stream,
        index: ChunkIndex(index),
        kind,
        recorded_at: Timestamp(1_795_000_000_000_000 + i64::try_from(index).expect("small") * 1500),
        delta_us: 1500,
        at_us: (index + 1) * 1500,
        origin: Arc::from("here"),
        runner_kind: RunnerKind::Local,
    }
}

pub(super) fn output(bytes: &[u8]) -> ChunkKind {
    ChunkKind::Output(Bytes::copy_from_slice(bytes))
}

fn exit(end: ProcessEnd, chunks: u64, output: &[u8]) -> ChunkKind {
    let sha256 = hex(&Sha256::digest(output));
    let bytes = output.len() as u64;
    ChunkKind::Exit(Exit {
        end,
        totals: StreamTotals { chunks, bytes, sha256, complete: true, truncated: false },
    })
}

fn file(writer: CastWriter, chunks: &[Chunk]) -> String {
    let mut writer = writer;
    let mut out = Vec::new();
    for (chunk, number) in chunks.iter().zip(1..) {
        writer.write(Seq(number), chunk, &mut out);
    }
    writer.finish(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn exact(chunks: &[Chunk]) -> String {
    file(CastWriter::new(Format::V3, header(), Streams::One), chunks)
}

fn verdict(text: &str) -> Result<Verdict, CastError> {
    let mut verifier = Verifier::new();
    for line in text.lines() {
        verifier.push_line(line)?;
    }
    Ok(verifier.finish())
}

fn terminal() -> Vec<Chunk> {
    let kinds = [
        ChunkKind::Resize(TerminalSize { cols: 80, rows: 24 }),
        output(b"\x1b[1ma\"\r\n\xf0\x9f"),
        ChunkKind::Marker("half".to_owned()),
        output(b"\x98\x80b"),
        output(b"\xff."),
        ChunkKind::Gap(json!({ "bytes": 3 })),
        exit(ProcessEnd::Signal(9), 7, b"\x1b[1ma\"\r\n\xf0\x9f\x98\x80b\xff."),
    ];
    kinds.into_iter().zip(0..).map(|(kind, index)| chunk(StreamName::Pty, index, kind)).collect()
}

#[test]
fn the_text_of_a_recording_is_this() {
    let sha256 = hex(&Sha256::digest(b"\x1b[1ma\"\r\n\xf0\x9f\x98\x80b\xff."));
    let expected = [
        r#"{"version":3,"term":{"cols":80,"rows":24,"type":"xterm-256color"},"timestamp":1795000000,"command":"make \"all\""}"#,
        r#"# {"at":1500,"origin":"here","runnerKind":"local","stream":"pty"}"#,
        r#"# {"q":1,"i":0,"t":1795000000000000,"d":1500}"#,
        r#"[0.002, "r", "80x24"]"#,
        r#"# {"q":2,"i":1,"t":1795000000001500,"d":1500,"u":"8J8="}"#,
        r#"[0.001, "o", "\u001b[1ma\"\r\n"]"#,
        r#"# {"q":3,"i":2,"t":1795000000003000,"d":1500}"#,
        r#"[0.002, "m", "half"]"#,
        r#"# {"q":4,"i":3,"t":1795000000004500,"d":1500,"s":2}"#,
        r#"[0.001, "o", "😀b"]"#,
        r#"# {"q":5,"i":4,"t":1795000000006000,"d":1500,"b":"/y4="}"#,
        "[0.002, \"o\", \"\u{fffd}.\"]",
        r#"# {"q":6,"i":5,"t":1795000000007500,"d":1500,"gap":{"bytes":3}}"#,
        &format!(
            r#"# {{"q":7,"i":6,"t":1795000000009000,"d":1500,"m":{{"signal":9,"final":{{"chunks":7,"bytes":15,"sha256":"{sha256}","complete":true}}}}}}"#
        ),
        r#"[0.003, "x", "137"]"#,
        "",
    ];
    let text = exact(&terminal());
    assert_eq!(text, expected.join("\n"));
    assert_eq!(verdict(&text), Ok(Verdict::Complete { chunks: 7, bytes: 15, sha256 }));
}

#[test]
fn a_hole_and_another_owner_are_told() {
    let stream = stream(StreamName::Pty);
    let mut encoder = StreamEncoder::new(stream.clone(), header());
    encoder.push(Seq(4), &chunk(StreamName::Pty, 0, output(b"a")), 0);
    let state = EncoderState::from_json(&encoder.state().to_json()).expect("own state");
    assert_eq!((state.gaps(), state.last_chunk()), (0, Some(ChunkIndex(0))));
    encoder.cut().expect("a segment");
    let mut encoder = StreamEncoder::resume(stream.clone(), state);
    let late = Chunk { origin: Arc::from("there"), ..chunk(StreamName::Pty, 3, output(b"b")) };
    encoder.push(Seq(9), &late, 0);
    assert_eq!((encoder.state().gaps(), encoder.state().chunks()), (1, 2));
    let segment = encoder.cut().expect("a segment");
    let text = texts(&segment.frames, &segment.bytes).next().expect("a frame");
    let expected = [
        r#"# {"at":6000,"origin":"there","runnerKind":"local","stream":"pty"}"#,
        r#"# {"gap":{"fromChunk":1,"toChunk":2,"afterSeq":4}}"#,
        r#"# {"q":9,"i":3,"t":1795000000004500,"d":1500}"#,
        r#"[0.004, "o", "b"]"#,
        "",
    ];
    assert_eq!(String::from_utf8(text).expect("UTF-8"), expected.join("\n"));
    let missing = Defect::Missing { first: ChunkIndex(1), last: ChunkIndex(2), others: 0 };
    assert_eq!(encoder.state().defect(), Some(missing.clone()));
    assert_eq!(missing.to_string(), "chunks 1 to 2 are missing");
}

#[test]
fn version_2_has_absolute_times_and_no_end() {
    let text = file(CastWriter::new(Format::V2, header(), Streams::One), &terminal());
    let expected = [
        r#"{"version":2,"width":80,"height":24,"timestamp":1795000000,"command":"make \"all\"","env":{"TERM":"xterm-256color"}}"#,
        r#"[0.002, "r", "80x24"]"#,
        r#"[0.003, "o", "\u001b[1ma\"\r\n"]"#,
        r#"[0.005, "m", "half"]"#,
        r#"[0.006, "o", "😀b"]"#,
        "[0.008, \"o\", \"\u{fffd}.\"]",
        "",
    ];
    assert_eq!(text, expected.join("\n"));
    assert_eq!(verdict(&text), Ok(Verdict::NotOurs));
}

#[test]
fn merged_streams_have_one_axis_and_one_end() {
    let chunks = [
        chunk(StreamName::Stdout, 0, output(b"out\n\xc3")),
        chunk(StreamName::Stderr, 0, output(b"err\r\n")),
        chunk(StreamName::Stdout, 1, output(b"\xa4")),
        chunk(StreamName::Stderr, 1, exit(ProcessEnd::Code(3), 2, b"err\r\n")),
        chunk(StreamName::Stdout, 2, exit(ProcessEnd::Code(3), 3, b"out\n\xc3\xa4")),
    ];
    let text = file(CastWriter::new(Format::V3, header(), Streams::Merged), &chunks);
    let expected = [
        r#"{"version":3,"term":{"cols":100,"rows":20,"type":"xterm-256color"},"timestamp":1795000000,"command":"make \"all\""}"#,
        r#"[0.002, "o", "out\r\n"]"#,
        r#"[0.000, "o", "\u001b[31merr\r\r\n\u001b[39m"]"#,
        r#"[0.001, "o", "ä"]"#,
        r#"[0.002, "x", "3"]"#,
        "",
    ];
    assert_eq!(text, expected.join("\n"));
    assert_eq!(verdict(&text), Ok(Verdict::NotOurs));
}

#[test]
fn a_file_that_is_changed_is_found_out() {
    let text = exact(&terminal());
    let without = |from: usize, lines: usize| {
        let all = text.split_inclusive('\n').enumerate();
        all.filter(|(place, _)| !(from..from + lines).contains(place))
            .map(|(_, line)| line)
            .collect::<String>()
    };
    let missing = Defect::Missing { first: ChunkIndex(2), last: ChunkIndex(2), others: 0 };
    assert_eq!(verdict(&without(6, 2)), Ok(Verdict::Incomplete(missing)));
    let no_end = Defect::NoEnd { chunks: 6, bytes: 15 };
    assert_eq!(verdict(&without(13, 2)), Ok(Verdict::Incomplete(no_end)));
    assert!(verdict(&without(7, 1)).unwrap_err().to_string().contains("chunk 2 is missing"));
    let changed = verdict(&text.replace("b\"]", "c\"]"));
    assert!(matches!(changed, Ok(Verdict::Incomplete(Defect::Sha256 { .. }))), "{changed:?}");
    let longer = verdict(&text.replace("😀b\"]", "😀bb\"]"));
    assert_eq!(longer, Ok(Verdict::Incomplete(Defect::Bytes { expected: 15, found: 16 })));
    let lost = verdict(&text.replace("\"complete\":true", "\"complete\":false"));
    assert_eq!(lost, Ok(Verdict::Incomplete(Defect::Lost { last_chunk: ChunkIndex(6) })));
    let again = format!("{text}{}", &text[text.find("# {\"q\":1,").expect("is there")..]);
    assert!(verdict(&again).unwrap_err().to_string().contains("chunk 0 comes again"));
}

#[test]
fn files_of_other_tools_are_read() {
    let read = |lines: &[&str]| {
        let mut reader = CastReader::new();
        let mut events = Vec::new();
        for line in lines {
            if let Some(CastItem::Event(event)) = reader.push_line(line)? {
                events.push((event.at_us, event.code, event.data));
            }
        }
        reader.finish().map(|()| events)
    };
    let event = |at_us: u64, code: &str, data: &str| (at_us, code.to_owned(), data.to_owned());
    let v3 = r#"{"version":3,"term":{"cols":80,"rows":24}}"#;
    assert_eq!(
        read(&[v3, "# a comment", "[0.5, \"o\", \"a\"]", "", "[1, \"z\", {\"a\":1}]"]),
        Ok(vec![event(500_000, "o", "a"), event(1_500_000, "z", "{\"a\":1}")])
    );
    let v2 = r#"{"version": 2, "width": 80, "height": 24, "theme": {}}"#;
    assert_eq!(
        read(&[v2, "[0.5, \"o\", \"a\"]", "[1.000001, \"o\", \"b\"]"]),
        Ok(vec![event(500_000, "o", "a"), event(1_000_001, "o", "b")])
    );
    for (lines, problem) in [
        (vec![], "line 1: the file ends before its header"),
        (vec!["", "x"], "line 2: this is no header"),
        (vec![v3, "x"], "line 2: this is no event"),
        (vec![v3, "", "[-1, \"o\", \"\"]"], "line 3: -1 is no time"),
        (vec![v2, "[1e300, \"o\", \"\"]"], "is no time"),
    ] {
        let error = read(&lines).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_state_of_another_version_is_refused() {
    let encoder = StreamEncoder::new(stream(StreamName::Pty), header());
    let json = encoder.state().to_json();
    let newer = json.replace("\"version\":1", "\"version\":2");
    assert_eq!(EncoderState::from_json(&newer).unwrap_err(), CastError::StateVersion(2));
    assert!(matches!(EncoderState::from_json("{}"), Err(CastError::State(_))));
    let damaged = json.replace("\"hash\":\"", "\"hash\":\"AAAA");
    assert!(matches!(EncoderState::from_json(&damaged), Err(CastError::State(_))));
}

#[test]
fn a_frame_of_another_stream_is_refused() {
    let text = exact(&terminal());
    assert_eq!(
        decode_frame(text.as_bytes(), &stream(StreamName::Stdout)),
        Err(CastError::Stream { expected: StreamName::Stdout, found: StreamName::Pty })
    );
}
