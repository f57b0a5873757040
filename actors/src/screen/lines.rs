//! The one definition of a line, for exports, search and summaries.
//!
//! - **Terminal**: a line is what the virtual terminal shows when the cursor leaves it by LF, or when it
//!   scrolls off the top, in that form. Rows that wrapped are one line; blanks at its end are dropped. A line
//!   is given once: when the cursor comes back to it, changes it and leaves it again, that is no new line.
//!   Rows that the cursor passed by without an LF are given, unless empty, before the line below them. Erasing
//!   the whole screen makes all its rows new. The alternate screen gives nothing.
//! - **Pipe**: text up to LF, without one CR before it.
//!
//! A line ends at [`MAX_LINE_BYTES`]; what is beyond is a line of its own.
//!
//! A collector can be put away between two chunks and goes on from there, line for line.

use super::line_rows::{LineObserver, Progress};
use super::terminal::{FrozenTerminal, VirtualTerminal};
use crate::entry::TerminalSize;

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
/// A collector in the middle of a longer line is not put away.
const MAX_FROZEN_LINE_BYTES: usize = 64 * 1024;

/// Turns the output of one stream into its lines, and for a terminal into its screen.
pub struct LineCollector {
    source: Source,
    given: u64,
}

enum Source {
    // Boxed, as a terminal is many times larger than the buffer of a pipe.
    Terminal(Box<VirtualTerminal>, Progress),
    Pipe(Vec<u8>),
}

/// A collector put away: a few KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenCollector {
    /// Lines it has given.
    pub lines: u64,
    /// What it has seen of the next ones.
    pub source: FrozenSource,
}

/// What a collector has seen of lines that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrozenSource {
    /// Of a stream written to a terminal.
    Terminal {
        /// The terminal.
        terminal: FrozenTerminal,
        /// Rows at the top of its primary screen whose lines have been given.
        rows_given: usize,
        /// The beginning of a line whose first rows have left the screen.
        beginning: String,
    },
    /// Of a stream written to a pipe: bytes that no LF has ended.
    Pipe(Vec<u8>),
}

impl LineCollector {
    /// For a stream written to a terminal of this size.
    pub fn terminal(size: TerminalSize) -> Self {
        let terminal = Box::new(VirtualTerminal::new(size));
        Self { source: Source::Terminal(terminal, Progress::default()), given: 0 }
    }

    /// For a stream written to a pipe.
    pub fn pipe() -> Self {
        Self { source: Source::Pipe(Vec::new()), given: 0 }
    }

    /// Lines it has given.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The screen of the stream; a pipe has none.
    pub fn screen(&self) -> Option<&VirtualTerminal> {
        match &self.source {
            Source::Terminal(terminal, _) => Some(terminal),
            Source::Pipe(_) => None,
        }
    }

    /// Takes the next bytes and appends the lines they end.
    pub fn feed(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        self.feed_each(bytes, |line| lines.push(line.to_owned()));
    }

    /// Takes the next bytes and hands over each line they end.
    pub fn feed_each(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let Self { source, given } = self;
        let mut sink = |line: &str| {
            *given += 1;
            each(line);
        };
        match source {
            Source::Terminal(terminal, progress) => {
                terminal.feed_with(bytes, &mut LineObserver { progress, sink: &mut sink });
            }
            Source::Pipe(unfinished) => feed_pipe(unfinished, bytes, &mut sink),
        }
    }

    /// Takes a change of the terminal's size; a pipe has none.
    pub fn resize(&mut self, size: TerminalSize, lines: &mut Vec<String>) {
        self.resize_each(size, |line| lines.push(line.to_owned()));
    }

    /// Takes a change of the terminal's size and hands over each line it ends.
    pub fn resize_each(&mut self, size: TerminalSize, mut each: impl FnMut(&str)) {
        let Self { source, given } = self;
        let mut sink = |line: &str| {
            *given += 1;
            each(line);
        };
        if let Source::Terminal(terminal, progress) = source {
            terminal.resize_with(size, &mut LineObserver { progress, sink: &mut sink });
        }
    }

    /// Ends the stream: appends what was not ended by LF.
    pub fn finish(self, lines: &mut Vec<String>) {
        self.rest_each(|line| lines.push(line.to_owned()));
    }

    /// Hands over the lines that the stream has besides those given, if it ends here. Returns how many it
    /// then has in all.
    pub fn rest_each(&self, mut each: impl FnMut(&str)) -> u64 {
        let mut lines = self.given;
        let mut sink = |line: &str| {
            lines += 1;
            each(line);
        };
        match &self.source {
            Source::Terminal(terminal, progress) => {
                let mut rest = Progress::resumed(progress.given, progress.beginning.clone());
                rest.give_all(&terminal.terminal, &mut sink);
            }
            Source::Pipe(unfinished) if !unfinished.is_empty() => {
                sink(&String::from_utf8_lossy(unfinished));
            }
            Source::Pipe(_) => {}
        }
        lines
    }

    /// Puts the collector away. None in the middle of a very long line: a later place is cheaper.
    pub fn freeze(&self) -> Option<FrozenCollector> {
        let source = match &self.source {
            Source::Terminal(terminal, progress) => FrozenSource::Terminal {
                terminal: terminal.freeze(),
                rows_given: progress.given,
                beginning: progress.beginning.clone(),
            },
            Source::Pipe(unfinished) => FrozenSource::Pipe(unfinished.clone()),
        };
        let frozen = FrozenCollector { lines: self.given, source };
        (frozen.unfinished_bytes() <= MAX_FROZEN_LINE_BYTES).then_some(frozen)
    }
}

impl FrozenCollector {
    /// The collector again.
    pub fn thaw(&self) -> LineCollector {
        let source = match &self.source {
            FrozenSource::Terminal { terminal, rows_given, beginning } => Source::Terminal(
                Box::new(terminal.thaw()),
                Progress::resumed(*rows_given, beginning.clone()),
            ),
            FrozenSource::Pipe(unfinished) => Source::Pipe(unfinished.clone()),
        };
        LineCollector { source, given: self.lines }
    }

    /// The screen; a pipe has none.
    pub fn screen(&self) -> Option<&FrozenTerminal> {
        match &self.source {
            FrozenSource::Terminal { terminal, .. } => Some(terminal),
            FrozenSource::Pipe(_) => None,
        }
    }

    /// Bytes of memory it takes, about.
    pub fn memory_cost(&self) -> usize {
        const STRUCT_COST: usize = 160;
        let screen = self.screen().map_or(0, |terminal| terminal.repaint().len());
        STRUCT_COST + screen + self.unfinished_bytes()
    }

    fn unfinished_bytes(&self) -> usize {
        match &self.source {
            FrozenSource::Terminal { beginning, .. } => beginning.len(),
            FrozenSource::Pipe(unfinished) => unfinished.len(),
        }
    }
}

fn feed_pipe(unfinished: &mut Vec<u8>, bytes: &[u8], sink: &mut impl FnMut(&str)) {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut part = part;
        // One byte more, for the LF that may follow a line of exactly the bound.
        while unfinished.len() + part.len() > MAX_LINE_BYTES + 1 {
            let (head, tail) = part.split_at(MAX_LINE_BYTES.saturating_sub(unfinished.len()));
            unfinished.extend_from_slice(head);
            let rest = unfinished.split_off(character_boundary(unfinished));
            sink(&String::from_utf8_lossy(unfinished));
            *unfinished = rest;
            part = tail;
        }
        unfinished.extend_from_slice(part);
        if let Some(line) = unfinished.strip_suffix(b"\n") {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            sink(&String::from_utf8_lossy(line));
            unfinished.clear();
        }
    }
}

/// The length without an unfinished UTF-8 sequence at the end.
fn character_boundary(bytes: &[u8]) -> usize {
    let starts = |byte: &u8| byte & 0xc0 != 0x80;
    let Some(back) = bytes.iter().rev().take(4).position(starts) else { return bytes.len() };
    let start = bytes.len() - 1 - back;
    match std::str::from_utf8(&bytes[start..]) {
        Err(error) if error.error_len().is_none() => start,
        _ => bytes.len(),
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
