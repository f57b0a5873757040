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
#[path = "output_ring_tests.rs"]
mod tests;
