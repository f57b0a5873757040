//! The promise of the repaint, over sequences as programs write them and over random ones.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::terminal::VirtualTerminal;
use crate::entry::TerminalSize;

const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 5 };

fn shown(output: &[u8], size: TerminalSize) -> VirtualTerminal {
    let mut terminal = VirtualTerminal::new(size);
    terminal.feed(output);
    terminal
}

/// Everything that a viewer or further output could tell apart.
fn assert_same(left: &VirtualTerminal, right: &VirtualTerminal, about: &str) {
    assert_eq!(left.text(), right.text(), "text {about}");
    assert_eq!(left.cursor(), right.cursor(), "cursor {about}");
    assert_eq!(left.is_alternate(), right.is_alternate(), "alternate {about}");
    for screen in [avt::Terminal::screen, avt::Terminal::primary_screen] {
        let rows =
            screen(&left.terminal).visible_lines().zip(screen(&right.terminal).visible_lines());
        for (row, (left_row, right_row)) in rows.enumerate() {
            assert_eq!(left_row.cells(), right_row.cells(), "row {row} {about}");
            assert_eq!(left_row.is_wrapped(), right_row.is_wrapped(), "wrap of row {row} {about}");
        }
    }
    let (left, right) = (left.repaint(), right.repaint());
    assert_eq!(String::from_utf8_lossy(&left), String::from_utf8_lossy(&right), "repaint {about}");
}

fn assert_repaint_continues(before: &[u8], after: &[u8], size: TerminalSize) {
    let mut whole = shown(before, size);
    let repaint = whole.repaint();
    assert_no_query(&repaint);
    let mut continued = shown(&repaint, size);
    assert_same(&whole, &continued, &format!("after {:?}", String::from_utf8_lossy(before)));
    whole.feed(after);
    continued.feed(after);
    let about = format!(
        "after {:?} then {:?}",
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after)
    );
    assert_same(&whole, &continued, &about);
}

/// No device attributes, status or mode reports, no strings but the title.
fn assert_no_query(payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    for sequence in text.split('\x1b').skip(1) {
        let Some(body) = sequence.strip_prefix('[') else { continue };
        let end = body.find(|character: char| ('@'..='~').contains(&character));
        let Some(end) = end else { continue };
        assert!(!"cnxtyR".contains(&body[end..=end]), "query in {text:?}");
        assert!(!body[..end].contains(['$', '>', '=']), "query in {text:?}");
    }
}

#[test]
fn screen_shows_what_programs_write() {
    let cases: [(&str, &str); 14] = [
        ("plain\r\ntext", "plain\ntext"),
        ("10 %\r50 %\r100 %", "100 %"),
        ("a\tb\tc", "a       b       c"),
        ("世界 ok", "世界 ok"),
        ("😀 done", "😀 done"),
        ("e\u{301}a", "e\u{301}a"),
        ("abc\x1b[2D\x1b[K", "a"),
        ("one\r\ntwo\r\n\x1b[1A\x1b[2Kthree", "one\nthree"),
        ("shell\x1b[?1049h\x1b[Hvim", "vim"),
        ("shell\x1b[?1049h\x1b[Hvim\x1b[?1049l", "shell"),
        ("1\r\n2\r\n3\r\n4\r\n5\x1b[2;4r\x1b[4;1H\n-", "1\n3\n4\n-\n5"),
        ("\x1b(0lqk\x1b(B", "┌─┐"),
        ("\x7f\x07a", "a"),
        ("01234567890123456789abc", "01234567890123456789\nabc"),
    ];
    for (output, text) in cases {
        assert_eq!(shown(output.as_bytes(), SIZE).text(), text, "{output:?}");
    }
}

#[test]
fn screen_text_with_colours_opens_and_closes_them() {
    let output = "a\x1b[1;31mred\x1b[0m b\x1b[38;5;200mc\x1b[48;2;1;2;3md\x1b[m\r\n\x1b[97mbright";
    assert_eq!(
        shown(output.as_bytes(), SIZE).ansi_text(),
        "a\x1b[0;1;31mred\x1b[0m b\x1b[0;38;5;200mc\x1b[0;38;5;200;48;2;1;2;3md\x1b[0m\n\x1b[0;97mbright\x1b[0m"
    );
}

#[test]
fn screen_repaint_continues_in_any_cut_of_real_sequences() {
    let vim = "$ vi\r\n\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[1;5r\x1b[?12h\x1b[?25l\x1b[27m\
               \x1b[23m\x1b[H\x1b[2J\x1b[2 q\x1b[1;1H\x1b[38;5;130m  1 \x1b[mhello 世界\x1b[2;1H\x1b[94m~\
               \x1b[0m\x1b[5;1H-- INSERT --\x1b[?25h\x1b[?1002h\x1b[?1006h\x1b]0;file\x07\x1b[2;4r\x1b[?6h\
               \x1b[3;1H\n\n\x1b7x\x1b8\x1b[r\x1b[?1049l\x1b[?1l\x1b>done\x1b[?2004l";
    let bar = "\x1b[32m[====    ]\x1b[0m 40 %\r\x1b[2K[======  ]\r\n0123456789012345678\u{1f600}wrap\x1b[5;20Hz\
               \x1b[g\x1b[3g\x1bH\t\x1b[4habc\x1b[4l\x1b[20h\n\x1b)0\x0eqq\x0f\x1b[?7lxxxxxxxxxxxxxxxxxxxxxxxx";
    for output in [vim.as_bytes(), bar.as_bytes()] {
        for cut in 0..=output.len() {
            assert_repaint_continues(&output[..cut], &output[cut..], SIZE);
        }
    }
}

#[test]
fn screen_repaint_restores_modes_and_unfinished_bytes() {
    let terminal = shown(b"\x1b[?1003;1006;2004h\x1b]2;title\x07\x1b[5 q\x1b[?10\xf0\x9f", SIZE);
    let repaint = String::from_utf8_lossy(&terminal.repaint()).into_owned();
    assert!(
        repaint.contains("\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[5 q\x1b]2;title\x07"),
        "{repaint:?}"
    );
    let split = shown("x\x1b[2 ".as_bytes(), SIZE).repaint();
    assert!(split.ends_with(b"\x1b[2 "));
    assert!(shown(b"x\xe4\xb8", SIZE).repaint().ends_with(b"\xe4\xb8"));
}

#[test]
fn screen_repaint_writes_colours_with_semicolons() {
    let repaint = shown(b"\x1b[38;2;1;2;3ma:b", SIZE).repaint();
    let text = String::from_utf8_lossy(&repaint);
    assert!(text.contains("38;2;1;2;3ma:b"), "{text:?}");
}

#[test]
fn screen_resize_under_the_alternate_screen_keeps_the_shell() {
    let mut terminal = shown(b"one\r\n$ \x1b[?1049h\x1b[2;3Hvim", SIZE);
    let narrow = TerminalSize { cols: 10, rows: 4 };
    terminal.resize(narrow);
    assert_eq!((terminal.size(), terminal.text().as_str()), (narrow, "\n  vim"));
    let mut again = terminal.freeze().thaw();
    for one in [&mut terminal, &mut again] {
        one.feed(b"\x1b[?1049l");
        assert_eq!(one.text(), "one\n$");
    }
    assert_same(&terminal, &again, "after the alternate screen");
}

#[test]
fn screen_repaint_keeps_origin_mode_with_the_cursor_outside_the_margins() {
    let saved_elsewhere = b"\x1b[1;3H\x1b[?6h\x1b[1;3H\x1b7\x1b[2;4r\x1b8\x1b[?1047hx";
    let whole = shown(saved_elsewhere, SIZE);
    assert_eq!((whole.cursor().col, whole.cursor().row), (3, 0));
    let mut both = [whole.freeze().thaw(), whole];
    for one in &mut both {
        one.feed(b"o\x1b[1;1Hinside");
        assert_eq!(one.text(), "  xo\ninside");
    }
}

#[test]
fn screen_frozen_terminals_are_small() {
    let size = TerminalSize { cols: 120, rows: 30 };
    let mut output = String::new();
    for number in 0..200 {
        let _ = write!(output, "\x1b[32mstep {number}\x1b[0m of the build is done\r\n");
    }
    let frozen = shown(output.as_bytes(), size).freeze();
    assert!(frozen.repaint().len() < 4096, "{}", frozen.repaint().len());
    assert_eq!(frozen.thaw().freeze(), frozen);
}

#[test]
fn screen_sizes_out_of_range_are_clamped() {
    let mut terminal = shown(b"a", TerminalSize { cols: 0, rows: 0 });
    assert_eq!(terminal.size(), TerminalSize { cols: 1, rows: 1 });
    terminal.resize(TerminalSize { cols: u16::MAX, rows: 0 });
    assert_eq!(terminal.size(), TerminalSize { cols: TerminalSize::MAX_COLS, rows: 1 });
}

/// Pieces of output in which nearly every one means something to a terminal.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        "a",
        "bc",
        "hello world ",
        "世",
        "😀",
        "é",
        "e\u{301}",
        "\u{200d}",
        "┌",
        "0123456789012345678",
        "~`q",
    ]);
    let control = prop::sample::select(vec![
        "\r", "\n", "\r\n", "\t", "\x08", "\x07", "\x0e", "\x0f", "\x18", "\x7f", "\u{85}",
        "\u{9b}", "\u{9c}",
    ]);
    let whole = prop::sample::select(vec![
        "\x1b7",
        "\x1b8",
        "\x1bc",
        "\x1bD",
        "\x1bE",
        "\x1bM",
        "\x1bH",
        "\x1b=",
        "\x1b>",
        "\x1b#8",
        "\x1b(0",
        "\x1b(B",
        "\x1b)0",
        "\x1b)B",
        "\x1b[!p",
        "\x1b[s",
        "\x1b[u",
        "\x1b[g",
        "\x1b[3g",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[20h",
        "\x1b[20l",
        "\x1b[2 q",
        "\x1b]0;title\x07",
        "\x1b]2;t\x1b\\",
        "\x1b[c",
        "\x1b[6n",
        "\x1bP+q544e\x1b\\",
        "\x1b[?1$p",
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x1bP",
        "\x1b[?",
        "\x1b[5",
        "\x1b[1;",
    ]);
    let mode = (
        prop::sample::select(vec![
            1u16, 5, 6, 7, 25, 66, 1000, 1002, 1003, 1004, 1006, 1047, 1048, 1049, 2004,
        ]),
        prop::sample::select(vec!['h', 'l']),
    )
        .prop_map(|(mode, end)| format!("\x1b[?{mode}{end}"));
    let pen = (
        prop::sample::select(vec![0u16, 1, 2, 3, 4, 5, 7, 9, 22, 24, 27, 31, 42, 39, 49, 95, 106]),
        any::<u8>(),
    )
        .prop_map(|(op, color)| match color % 4 {
            0 => format!("\x1b[38;5;{color}m"),
            1 => format!("\x1b[48;2;{color};1;2m"),
            _ => format!("\x1b[{op}m"),
        });
    let motion = (
        0u16..9,
        0u16..24,
        prop::sample::select("ABCDEFGHIJKLMPSTXZ@`abdefr".chars().collect::<Vec<_>>()),
    )
        .prop_map(|(row, col, end)| format!("\x1b[{row};{col}{end}"));
    prop_oneof![
        4 => text.prop_map(|text| text.as_bytes().to_vec()),
        3 => control.prop_map(|text| text.as_bytes().to_vec()),
        3 => whole.prop_map(|text| text.as_bytes().to_vec()),
        2 => mode.prop_map(String::into_bytes),
        2 => pen.prop_map(String::into_bytes),
        5 => motion.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

pub(super) fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn screen_repaint_and_the_rest_equal_all_of_it(
        output in soup(),
        at in any::<prop::sample::Index>(),
        cols in 1u16..24,
        rows in 1u16..7,
    ) {
        let cut = at.index(output.len() + 1);
        assert_repaint_continues(&output[..cut], &output[cut..], TerminalSize { cols, rows });
    }

    #[test]
    fn screen_bytes_in_any_cuts_show_the_same(output in soup(), piece in 1usize..5) {
        let whole = shown(&output, SIZE);
        let mut pieces = VirtualTerminal::new(SIZE);
        for part in output.chunks(piece) {
            pieces.feed(part);
        }
        assert_same(&whole, &pieces, "in pieces");
    }

    #[test]
    fn screen_repaint_after_a_resize_continues(
        output in soup(),
        rest in soup(),
        cols in 1u16..24,
        rows in 1u16..7,
    ) {
        let mut whole = shown(&output, SIZE);
        whole.resize(TerminalSize { cols, rows });
        // The one state that no sequence reaches without giving up the saved cursor.
        prop_assume!(!whole.terminal.dump().contains("\x1b[u"));
        let mut again = whole.freeze().thaw();
        assert_same(&whole, &again, "thawed");
        whole.feed(&rest);
        again.feed(&rest);
        assert_same(&whole, &again, "continued");
    }
}
