//! What a terminal has written of late, addressed by absolute offset, with the screen it was written on.
//!
//! The screen as of the first byte that is held is kept beside the bytes: whoever is shown that screen and then
//! the bytes sees what the terminal shows, with all that scrolled by, and a byte that is sent again changes
//! nothing for those who count offsets. Bytes reach that screen only when they leave, so that most terminals
//! never pay for it.
//!
//! At its limits the oldest bytes leave. Lines leave only when every attached client has them, so that a
//! program of short lines does not outrun its viewers; the limit in bytes is for all.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::entry::TerminalSize;
use crate::screen::{FrozenTerminal, VirtualTerminal};

/// How much is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Bytes, at least 1.
    pub max_bytes: usize,
    /// Lines, at least 1.
    pub max_lines: usize,
}

/// Changes of the size that are held; at one more the oldest leave with the bytes before them.
const MAX_RESIZES: usize = 1024;

/// The newest output of a terminal.
pub struct OutputRing {
    limits: RingLimits,
    bytes: VecDeque<u8>,
    lines: usize,
    start: u64,
    /// As of `start`.
    screen: Screen,
    /// The sizes that follow, each from its offset on.
    resizes: VecDeque<(u64, TerminalSize)>,
}

enum Screen {
    Live(Box<VirtualTerminal>),
    Frozen(FrozenTerminal),
}

/// A screen as of one offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaint {
    /// Output before this offset is on it.
    pub offset: u64,
    /// The size of the terminal there.
    pub size: TerminalSize,
    /// The bytes that show it on a fresh terminal of that size.
    pub payload: Vec<u8>,
}

/// What a client finds behind its offset.
#[derive(Debug, PartialEq, Eq)]
pub enum RingRead {
    /// The bytes that follow; never none.
    Bytes(Bytes),
    /// From here on the terminal has this size.
    Resized(TerminalSize),
    /// Nothing yet.
    AtEnd,
    /// What follows has left.
    Gone,
}

impl OutputRing {
    /// Of a terminal that has written nothing.
    pub fn new(limits: RingLimits, size: TerminalSize) -> Self {
        Self {
            limits,
            bytes: VecDeque::new(),
            lines: 0,
            start: 0,
            screen: Screen::Frozen(VirtualTerminal::new(size).freeze()),
            resizes: VecDeque::new(),
        }
    }

    /// The offset of the first byte that is held.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The size of the terminal now.
    pub fn size(&self) -> TerminalSize {
        self.resizes.back().map_or_else(|| self.screen.size(), |(_, size)| *size)
    }

    /// The memory it takes, in bytes: output, changes of the size, and the screen.
    pub fn memory(&self) -> usize {
        let resizes = self.resizes.capacity() * size_of::<(u64, TerminalSize)>();
        self.bytes.capacity() + resizes + self.screen.memory()
    }

    /// Adds output. `seen` is the least offset of the attached clients, if there are any.
    pub fn push(&mut self, output: &[u8], seen: Option<u64>) {
        self.lines += count_lines(output);
        self.bytes.extend(output);
        let excess = self.bytes.len().saturating_sub(self.limits.max_bytes);
        self.drop_front(excess);
        self.trim_lines(seen);
    }

    /// Lets lines beyond the limit go that every client has. `seen` as in [`Self::push`].
    pub fn trim_lines(&mut self, seen: Option<u64>) {
        if self.lines <= self.limits.max_lines {
            return;
        }
        let most = seen.map_or(self.bytes.len(), |seen| self.place_of(seen));
        let mut excess = self.lines - self.limits.max_lines;
        let mut len = 0;
        for (place, byte) in self.bytes.iter().enumerate().take(most) {
            if *byte == b'\n' {
                len = place + 1;
                excess -= 1;
                if excess == 0 {
                    break;
                }
            }
        }
        self.drop_front(len);
    }

    /// Changes the size for what is written from now on.
    pub fn resize(&mut self, size: TerminalSize) {
        if size == self.size() {
            return;
        }
        let end = self.end();
        if self.resizes.back().is_some_and(|(at, _)| *at == end) {
            self.resizes.pop_back();
        }
        self.resizes.push_back((end, size));
        if self.resizes.len() > MAX_RESIZES {
            let to = self.place_of(self.resizes[0].0);
            self.drop_front(to);
        }
        self.apply_resizes();
    }

    /// What follows `offset`, at most `limit` bytes, for a client that was told this size.
    pub fn read(&self, offset: u64, told: TerminalSize, limit: usize) -> RingRead {
        if offset < self.start || offset > self.end() {
            return RingRead::Gone;
        }
        let here = self.resizes.iter().rfind(|(at, _)| *at <= offset);
        let size = here.map_or_else(|| self.screen.size(), |(_, size)| *size);
        if size != told {
            return RingRead::Resized(size);
        }
        let next = self.resizes.iter().find(|(at, _)| *at > offset);
        let until = next.map_or(self.end(), |(at, _)| *at);
        let begin = self.place_of(offset);
        let end = self.place_of(until).min(begin + limit);
        if begin == end {
            return RingRead::AtEnd;
        }
        RingRead::Bytes(self.bytes.range(begin..end).copied().collect())
    }

    /// The screen as of the first byte that is held.
    pub fn screen_at_start(&self) -> Repaint {
        let size = self.screen.size();
        Repaint { offset: self.start, size, payload: self.screen.repaint() }
    }

    /// The same ring again, to be looked at at leisure while the first one goes on.
    pub fn copy(&self) -> Self {
        let screen = match &self.screen {
            Screen::Live(terminal) => terminal.freeze(),
            Screen::Frozen(frozen) => frozen.clone(),
        };
        Self {
            limits: self.limits,
            bytes: self.bytes.clone(),
            lines: self.lines,
            start: self.start,
            screen: Screen::Frozen(screen),
            resizes: self.resizes.clone(),
        }
    }

    /// The screen now. Costs as much as feeding everything that is held to a terminal.
    pub fn screen_at_end(&self) -> (Repaint, VirtualTerminal) {
        let mut terminal = self.screen.thawed();
        feed(&mut terminal, &self.bytes, self.start, self.bytes.len(), &self.resizes);
        let repaint =
            Repaint { offset: self.end(), size: terminal.size(), payload: terminal.repaint() };
        (repaint, terminal)
    }

    /// Puts the screen away as bytes, and gives back room that is not used: for a terminal that is quiet.
    pub fn shrink(&mut self) {
        if let Screen::Live(terminal) = &self.screen {
            self.screen = Screen::Frozen(terminal.freeze());
        }
        self.bytes.shrink_to_fit();
        self.resizes.shrink_to_fit();
    }

    /// Lets the oldest bytes go until at most `max_bytes` are held. Returns how many went.
    pub fn shrink_to(&mut self, max_bytes: usize) -> usize {
        let excess = self.bytes.len().saturating_sub(max_bytes);
        self.drop_front(excess);
        self.shrink();
        excess
    }

    fn place_of(&self, offset: u64) -> usize {
        let place = offset.saturating_sub(self.start);
        usize::try_from(place).map_or(self.bytes.len(), |place| place.min(self.bytes.len()))
    }

    fn drop_front(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        if let Screen::Frozen(frozen) = &self.screen {
            self.screen = Screen::Live(Box::new(frozen.thaw()));
        }
        let Screen::Live(terminal) = &mut self.screen else {
            unreachable!("it was thawed above");
        };
        feed(terminal, &self.bytes, self.start, len, &self.resizes);
        self.lines -= self.bytes.range(..len).filter(|byte| **byte == b'\n').count();
        self.bytes.drain(..len);
        self.start += len as u64;
        self.apply_resizes();
    }

    /// Sizes that hold from the first byte on belong to the screen there; `feed` has applied those before.
    fn apply_resizes(&mut self) {
        while let Some((at, size)) = self.resizes.front().copied()
            && at <= self.start
        {
            self.resizes.pop_front();
            if self.screen.size() != size {
                let mut terminal = self.screen.thawed();
                terminal.resize(size);
                self.screen = Screen::Live(Box::new(terminal));
            }
        }
    }
}

impl Screen {
    fn size(&self) -> TerminalSize {
        match self {
            Self::Live(terminal) => terminal.size(),
            Self::Frozen(frozen) => frozen.size(),
        }
    }

    fn repaint(&self) -> Vec<u8> {
        match self {
            Self::Live(terminal) => terminal.repaint(),
            Self::Frozen(frozen) => frozen.repaint().to_vec(),
        }
    }

    fn thawed(&self) -> VirtualTerminal {
        match self {
            Self::Live(terminal) => terminal.freeze().thaw(),
            Self::Frozen(frozen) => frozen.thaw(),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Live(terminal) => terminal.memory(),
            Self::Frozen(frozen) => frozen.repaint().len(),
        }
    }
}

/// Feeds the first `len` bytes, which begin at `start`, each in the size in which it was written.
fn feed(
    terminal: &mut VirtualTerminal,
    bytes: &VecDeque<u8>,
    start: u64,
    len: usize,
    resizes: &VecDeque<(u64, TerminalSize)>,
) {
    let mut from = 0;
    for (at, size) in resizes {
        let to = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        if to > len {
            break;
        }
        feed_range(terminal, bytes, from, to);
        terminal.resize(*size);
        from = to;
    }
    feed_range(terminal, bytes, from, len);
}

fn feed_range(terminal: &mut VirtualTerminal, bytes: &VecDeque<u8>, from: usize, to: usize) {
    let (front, back) = bytes.as_slices();
    let middle = front.len();
    terminal.feed(&front[from.min(middle)..to.min(middle)]);
    terminal.feed(&back[from.saturating_sub(middle)..to.saturating_sub(middle)]);
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
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
}
