use proptest::prelude::*;

use super::*;

const SIZE: TerminalSize = TerminalSize { cols: 12, rows: 4 };
const WIDER: TerminalSize = TerminalSize { cols: 20, rows: 6 };

fn ring(max_bytes: usize, max_lines: usize) -> OutputRing {
    OutputRing::new(RingLimits { max_bytes, max_lines }, SIZE)
}

/// Everything a client sees that is shown the screen at the start and then reads on.
fn shown(ring: &OutputRing) -> String {
    let begin = ring.screen_at_start();
    let mut terminal = VirtualTerminal::new(begin.size);
    terminal.feed(&begin.payload);
    let (mut offset, mut told) = (begin.offset, begin.size);
    loop {
        match ring.read(offset, told, 7) {
            RingRead::Bytes(bytes) => {
                offset += bytes.len() as u64;
                terminal.feed(&bytes);
            }
            RingRead::Resized(size) => {
                told = size;
                terminal.resize(size);
            }
            RingRead::AtEnd => return terminal.ansi_text(),
            RingRead::Gone => panic!("{offset} was there"),
        }
    }
}

#[test]
fn bytes_are_read_by_offset_and_leave_at_the_limits() {
    let mut ring = ring(10, 3);
    ring.push(b"12345678", None);
    assert_eq!(ring.read(0, SIZE, 3), RingRead::Bytes(Bytes::from_static(b"123")));
    assert_eq!(ring.read(8, SIZE, 3), RingRead::AtEnd);
    ring.push(b"90ab", None);
    assert_eq!((ring.start(), ring.end()), (2, 12));
    assert_eq!(ring.read(1, SIZE, 3), RingRead::Gone);
    assert_eq!(ring.read(13, SIZE, 3), RingRead::Gone);
    ring.push(b"\na\nb\nc\nd\n", None);
    assert_eq!(
        ring.read(ring.start(), SIZE, 99),
        RingRead::Bytes(Bytes::from_static(b"b\nc\nd\n"))
    );
}

#[test]
fn lines_stay_until_every_client_has_them_and_bytes_do_not() {
    let mut ring = ring(20, 2);
    ring.push(b"1\n2\n3\n4\n5\n", Some(4));
    assert_eq!(ring.start(), 4);
    ring.trim_lines(Some(10));
    assert_eq!(ring.start(), 6);
    ring.push(&b"x\n".repeat(12), Some(6));
    assert_eq!((ring.start(), ring.end()), (14, 34));
}

#[test]
fn sizes_are_told_where_they_begin() {
    let mut ring = ring(100, 100);
    ring.push(b"ab", None);
    ring.resize(WIDER);
    assert_eq!(ring.read(0, SIZE, 9), RingRead::Bytes(Bytes::from_static(b"ab")));
    assert_eq!(ring.read(2, SIZE, 9), RingRead::Resized(WIDER));
    assert_eq!(ring.read(2, WIDER, 9), RingRead::AtEnd);
    assert_eq!(ring.read(0, WIDER, 9), RingRead::Resized(SIZE));
    // Only the last of several in one place counts.
    ring.resize(TerminalSize { cols: 5, rows: 5 });
    assert_eq!(ring.size(), TerminalSize { cols: 5, rows: 5 });
    assert_eq!(ring.resizes.len(), 1);
}

#[test]
fn the_number_of_sizes_is_bounded() {
    let mut ring = ring(1 << 20, 1 << 20);
    for count in 0..3000_u16 {
        ring.push(b"x", None);
        ring.resize(TerminalSize { cols: 10 + count % 7, rows: 4 });
    }
    assert!(ring.resizes.len() <= MAX_RESIZES);
    assert!(ring.start() > 1900);
}

#[derive(Debug, Clone)]
enum Step {
    Output(Vec<u8>),
    Resize(TerminalSize),
    Shrink(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let output = prop_oneof![
        "[a-z \n]{0,40}".prop_map(String::into_bytes),
        Just(b"\x1b[31mred\x1b[0m\r\n".to_vec()),
        Just(b"\x1b[2J\x1b[2;3Hx".to_vec()),
        Just("héß→".as_bytes().to_vec()),
    ];
    let size = (2_u16..30, 2_u16..9).prop_map(|(cols, rows)| TerminalSize { cols, rows });
    prop::collection::vec(
        prop_oneof![
            8 => output.prop_map(Step::Output),
            1 => size.prop_map(Step::Resize),
            1 => (0_usize..60).prop_map(Step::Shrink),
        ],
        0..40,
    )
}

proptest! {
    #[test]
    fn whatever_has_left_the_same_is_shown(steps in steps()) {
        let mut bounded = ring(64, 5);
        let mut whole = ring(1 << 20, 1 << 20);
        let mut has_resized = false;
        for step in steps {
            match step {
                Step::Output(bytes) => {
                    bounded.push(&bytes, None);
                    whole.push(&bytes, None);
                }
                Step::Resize(size) => {
                    has_resized = true;
                    bounded.resize(size);
                    whole.resize(size);
                }
                Step::Shrink(most) => {
                    bounded.shrink_to(most);
                }
            }
            prop_assert!(bounded.bytes.len() <= 64 && bounded.lines <= 5);
            prop_assert_eq!(bounded.lines, bounded.bytes.iter().filter(|byte| **byte == b'\n').count());
        }
        let (repaint, terminal) = bounded.screen_at_end();
        prop_assert_eq!((repaint.offset, repaint.size), (whole.end(), whole.size()));
        // A terminal wraps its lines anew when its size changes, and where they wrapped is not on a screen.
        if !has_resized {
            let expected = whole.screen_at_end().1.ansi_text();
            prop_assert_eq!(shown(&bounded), &expected[..]);
            prop_assert_eq!(terminal.ansi_text(), &expected[..]);
        }
        shown(&bounded);
        prop_assert_eq!(shown(&whole), whole.screen_at_end().1.ansi_text());
    }
}
