//! The end of a stream as plain lines, for the summary of a failed node.

use std::collections::VecDeque;

use super::lines::LineCollector;
use crate::entry::TerminalSize;

/// How much raw output is kept, in bytes.
pub const TAIL_BYTES: usize = 16 * 1024;
/// How many lines a summary has.
pub const SUMMARY_LINES: usize = 20;

/// The last output of a stream.
#[derive(Debug, Clone, Default)]
pub struct TailSummary {
    bytes: VecDeque<u8>,
    is_cut: bool,
    terminal: Option<TerminalSize>,
}

impl TailSummary {
    /// For a stream written to a terminal of this size, or to a pipe if there is none.
    pub fn new(terminal: Option<TerminalSize>) -> Self {
        Self { terminal, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.is_cut |= excess > 0 || kept.len() < bytes.len();
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    /// Takes a change of the terminal's size.
    pub fn resize(&mut self, size: TerminalSize) {
        if self.terminal.is_some() {
            self.terminal = Some(size);
        }
    }

    /// The last `wanted` lines that are not empty, oldest first. Where the stream was longer than what is
    /// kept, the first, torn line is left out.
    pub fn lines(&self, wanted: usize) -> Vec<String> {
        let mut bytes: Vec<u8> = self.bytes.iter().copied().collect();
        if self.is_cut
            && let Some(end) = bytes.iter().position(|byte| *byte == b'\n')
        {
            bytes.drain(..=end);
        }
        let mut lines = Vec::new();
        let mut collector = self.terminal.map_or_else(LineCollector::pipe, LineCollector::terminal);
        collector.feed(&bytes, &mut lines);
        collector.finish(&mut lines);
        lines.retain(|line| !line.trim().is_empty());
        lines.split_off(lines.len().saturating_sub(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screen_tail_gives_the_last_lines_that_say_something() {
        let mut tail = TailSummary::new(None);
        for number in 0..10_000 {
            tail.feed(format!("line {number}\n\n").as_bytes());
        }
        assert_eq!(tail.lines(2), ["line 9998", "line 9999"]);
        assert_eq!(tail.lines(SUMMARY_LINES).len(), SUMMARY_LINES);
        assert!(tail.lines(usize::MAX).iter().all(|line| line.starts_with("line ")));
        assert!(tail.bytes.len() <= TAIL_BYTES);
    }

    #[test]
    fn screen_tail_of_a_terminal_has_no_escapes() {
        let mut tail = TailSummary::new(Some(TerminalSize { cols: 40, rows: 5 }));
        tail.feed(&vec![b'.'; 3 * TAIL_BYTES]);
        tail.feed(b"\n\x1b[32m 10 %\r\x1b[31merror\x1b[0m: it broke\r\nbye");
        assert_eq!(tail.lines(20), ["error: it broke", "bye"]);
        assert_eq!(TailSummary::new(None).lines(20), Vec::<String>::new());
    }
}
