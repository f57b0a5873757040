use proptest::prelude::*;

use super::*;
use crate::screen::terminal_tests::soup;

const SIZE: TerminalSize = TerminalSize { cols: 10, rows: 4 };

fn collected(mut collector: LineCollector, output: &[u8], piece: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in output.chunks(piece) {
        collector.feed(part, &mut lines);
    }
    collector.finish(&mut lines);
    lines
}

fn terminal_lines(output: &str) -> Vec<String> {
    collected(LineCollector::terminal(SIZE), output.as_bytes(), usize::MAX)
}

#[test]
fn screen_lines_are_what_the_terminal_showed() {
    let cases: [(&str, &[&str]); 17] = [
        ("\x1b[2;4ra\r\nb\r\nc\r\n0123456789abc\r\nx\r\n", &["a", "b", "c", "0123456789abc", "x"]),
        ("", &[]),
        ("a\r\nb\r\n", &["a", "b"]),
        ("a\r\n\r\nb", &["a", "", "b"]),
        ("\x1b[31mred\x1b[0m  \r\n", &["red"]),
        ("10 %\r50 %\r99 %\r\ndone", &["99 %", "done"]),
        ("longer than the row\r\nnext\r\n", &["longer than the row", "next"]),
        (
            "0123456789012345678901234567890123456789012345678901234567\r\nx",
            &["0123456789012345678901234567890123456789012345678901234567", "x"],
        ),
        ("世界世界世界\r\n", &["世界世界世界"]),
        ("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n", &["1", "2", "3", "4", "5", "6", "7"]),
        ("sh\r\n\x1b[?1049hvim\r\nfull\r\n\x1b[?1049lexit\r\n", &["sh", "exit"]),
        ("a\r\nb\r\n\x1b[2AA\r\nB\r\nc\r\n", &["a", "b", "c"]),
        ("a\r\nb\x1b[H\x1b[2Jc\r\nd", &["a", "b", "c", "d"]),
        ("a\x1b[3;1Hb\r\n", &["a", "b"]),
        ("a\r\nb\x1bcc\r\n", &["a", "b", "c"]),
        ("\x1b[2;4ra\x1b[4;1Hb\n\r1\r\n2\r\n3\r\n", &["a", "b", "1", "2", "3"]),
        ("\x1b[2;4r\x1b[4;1H0123456789abc\r\nx\r\n", &["0123456789abc", "x"]),
    ];
    for (output, lines) in cases {
        assert_eq!(terminal_lines(output), lines, "{output:?}");
    }
}

#[test]
fn screen_lines_are_given_as_soon_as_they_end() {
    let mut collector = LineCollector::terminal(SIZE);
    let mut lines = Vec::new();
    collector.feed(b"first\r\nsec", &mut lines);
    assert_eq!(lines, ["first"]);
    collector.feed(b"ond\r\n", &mut lines);
    assert_eq!(lines, ["first", "second"]);
}

#[test]
fn screen_lines_survive_resizes_once_each() {
    for to in [TerminalSize { cols: 4, rows: 3 }, TerminalSize { cols: 30, rows: 9 }] {
        for alternate in [false, true] {
            let mut collector = LineCollector::terminal(SIZE);
            let mut lines = Vec::new();
            collector.feed(b"one 1\r\ntwo 2 and more\r\nunfin", &mut lines);
            if alternate {
                collector.feed(b"\x1b[?1049hvim", &mut lines);
            }
            collector.resize(to, &mut lines);
            // Leaving the alternate screen puts the cursor where it was saved, not where it was wrapped to.
            let rest: &[u8] = if alternate { b"\x1b[?1049l\x1b[9;9H" } else { b"ished\r\nlast" };
            collector.feed(rest, &mut lines);
            collector.finish(&mut lines);
            if alternate {
                assert_eq!(lines, ["one 1", "two 2 and more", "unfin"], "{to:?}");
                continue;
            }
            assert_eq!(lines, ["one 1", "two 2 and more", "unfinished", "last"], "{to:?}");
        }
    }
}

#[test]
fn screen_lines_of_a_pipe_end_with_lf_alone() {
    let lines = collected(LineCollector::pipe(), b"a\r\n\x1b[1mb\rc\n\n\xffd", 2);
    assert_eq!(lines, ["a", "\x1b[1mb\rc", "", "\u{fffd}d"]);
}

#[test]
fn screen_lines_are_bounded() {
    let long = "é".repeat(MAX_LINE_BYTES);
    for collector in [LineCollector::pipe(), LineCollector::terminal(SIZE)] {
        let lines = collected(collector, long.as_bytes(), 50_001);
        assert!(lines.len() >= 2);
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
        assert!(lines.concat() == long, "a cut changed the text");
    }
    let mut exact = vec![b'x'; MAX_LINE_BYTES];
    exact.extend(b"\nrest");
    let lengths: Vec<_> =
        collected(LineCollector::pipe(), &exact, 4096).iter().map(String::len).collect();
    assert_eq!(lengths, [MAX_LINE_BYTES, 4]);
}

proptest! {
    #[test]
    fn screen_lines_of_plain_text_are_its_lines(
        text in prop::collection::vec("[a-z0-9 ]{0,25}", 0..20),
        piece in 1usize..40,
        cols in 1u16..12,
        rows in 1u16..6,
    ) {
        let mut expected: Vec<String> = text.iter().map(|line| line.trim_end().to_owned()).collect();
        let output: String = text.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        let size = TerminalSize { cols, rows };
        let lines = collected(LineCollector::terminal(size), output.as_bytes(), piece);
        prop_assert_eq!(&lines, &expected);
        expected = text;
        prop_assert_eq!(collected(LineCollector::pipe(), output.as_bytes(), piece), expected);
    }

    #[test]
    fn screen_lines_do_not_depend_on_the_cuts(output in soup(), rest in soup(), piece in 1usize..9) {
        let collect = |piece: usize| {
            let mut collector = LineCollector::terminal(SIZE);
            let mut lines = Vec::new();
            for part in output.chunks(piece) {
                collector.feed(part, &mut lines);
            }
            collector.resize(TerminalSize { cols: 7, rows: 3 }, &mut lines);
            for part in rest.chunks(piece) {
                collector.feed(part, &mut lines);
            }
            collector.finish(&mut lines);
            lines
        };
        prop_assert_eq!(collect(piece), collect(usize::MAX));
    }
}

/// Feeds `output` in pieces, puts the collector away after each of `cuts` pieces, and compares with one that
/// was never put away.
fn assert_goes_on(size: TerminalSize, pieces: &[Vec<u8>], resize_at: usize) {
    let mut whole = LineCollector::terminal(size);
    let mut resumed = LineCollector::terminal(size);
    let (mut expected, mut lines) = (Vec::new(), Vec::new());
    for (place, piece) in pieces.iter().enumerate() {
        whole.feed(piece, &mut expected);
        resumed.feed(piece, &mut lines);
        if place == resize_at {
            let other = TerminalSize { cols: 7, rows: 3 };
            whole.resize(other, &mut expected);
            resumed.resize(other, &mut lines);
        }
        // A line that is too long to be put away waits until it has ended.
        if let Some(frozen) = resumed.freeze() {
            resumed = frozen.thaw();
        }
        assert_eq!(lines, expected, "after piece {place}");
        assert_eq!(resumed.given(), lines.len() as u64);
    }
    let total = whole.rest_each(|line| expected.push(line.to_owned()));
    resumed.finish(&mut lines);
    assert_eq!(lines, expected, "at the end");
    assert_eq!(total, expected.len() as u64);
}

#[test]
fn screen_lines_go_on_after_being_put_away_in_real_casts() {
    let size = TerminalSize { cols: 80, rows: 24 };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/casts");
    let mut casts = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let output = std::fs::read(file.unwrap().path()).unwrap();
        casts += 1;
        for piece in [1, 2, 3, 7, 100] {
            let pieces: Vec<Vec<u8>> = output.chunks(piece).map(<[u8]>::to_vec).collect();
            for resize_at in [usize::MAX, pieces.len() / 2] {
                assert_goes_on(size, &pieces, resize_at);
            }
        }
    }
    assert!(casts >= 4);
}

#[test]
fn screen_lines_of_a_pipe_go_on_after_being_put_away() {
    let mut collector = LineCollector::pipe();
    let mut lines = Vec::new();
    for part in b"one\r\ntwo\xe2\x82\xac\nthree".chunks(1) {
        collector.feed(part, &mut lines);
        collector = collector.freeze().expect("no line is long").thaw();
    }
    assert_eq!(collector.given(), 2);
    collector.finish(&mut lines);
    assert_eq!(lines, ["one", "two\u{20ac}", "three"]);
    let mut long = LineCollector::pipe();
    long.feed(&vec![b'x'; MAX_FROZEN_LINE_BYTES + 1], &mut lines);
    assert!(long.freeze().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn screen_lines_go_on_after_being_put_away_anywhere(
        pieces in prop::collection::vec(soup(), 1..8),
        // On a screen that a line can fill alone, a repaint cannot tell in every case whether a row wrapped or
        // ended; then one line is given as two.
        cols in 20u16..90,
        rows in 4u16..25,
    ) {
        assert_goes_on(TerminalSize { cols, rows }, &pieces, usize::MAX);
    }
}
