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

use avt::parser::{EdScope, Function};
use avt::{Anchor, Line, Observation, Observer, Operation, Position, ScreenKind, Terminal};

use super::terminal::VirtualTerminal;
use crate::entry::TerminalSize;

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Turns the output of one stream into its lines.
pub struct LineCollector {
    source: Source,
}

enum Source {
    // Boxed, as a terminal is many times larger than the buffer of a pipe.
    Terminal(Box<VirtualTerminal>, Progress),
    Pipe(Vec<u8>),
}

impl LineCollector {
    /// For a stream written to a terminal of this size.
    pub fn terminal(size: TerminalSize) -> Self {
        let terminal = Box::new(VirtualTerminal::new(size));
        Self { source: Source::Terminal(terminal, Progress::default()) }
    }

    /// For a stream written to a pipe.
    pub fn pipe() -> Self {
        Self { source: Source::Pipe(Vec::new()) }
    }

    /// Takes the next bytes and appends the lines they end.
    pub fn feed(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        match &mut self.source {
            Source::Terminal(terminal, progress) => {
                terminal.feed_with(bytes, &mut LineObserver { progress, lines });
            }
            Source::Pipe(unfinished) => feed_pipe(unfinished, bytes, lines),
        }
    }

    /// Takes a change of the terminal's size; a pipe has none.
    pub fn resize(&mut self, size: TerminalSize, lines: &mut Vec<String>) {
        if let Source::Terminal(terminal, progress) = &mut self.source {
            terminal.resize_with(size, &mut LineObserver { progress, lines });
        }
    }

    /// Ends the stream: appends what was not ended by LF.
    pub fn finish(self, lines: &mut Vec<String>) {
        match self.source {
            Source::Terminal(terminal, mut progress) => {
                progress.settle();
                progress.give_all(&terminal.terminal, lines);
            }
            Source::Pipe(unfinished) if !unfinished.is_empty() => {
                lines.push(String::from_utf8_lossy(&unfinished).into_owned());
            }
            Source::Pipe(_) => {}
        }
    }
}

fn feed_pipe(unfinished: &mut Vec<u8>, bytes: &[u8], lines: &mut Vec<String>) {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut part = part;
        // One byte more, for the LF that may follow a line of exactly the bound.
        while unfinished.len() + part.len() > MAX_LINE_BYTES + 1 {
            let (head, tail) = part.split_at(MAX_LINE_BYTES.saturating_sub(unfinished.len()));
            unfinished.extend_from_slice(head);
            let rest = unfinished.split_off(character_boundary(unfinished));
            lines.push(String::from_utf8_lossy(unfinished).into_owned());
            *unfinished = rest;
            part = tail;
        }
        unfinished.extend_from_slice(part);
        if let Some(line) = unfinished.strip_suffix(b"\n") {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines.push(String::from_utf8_lossy(line).into_owned());
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

/// Which rows of the primary screen have been given.
#[derive(Default)]
struct Progress {
    /// Rows above this one have been given. Counts rows about to be evicted, too.
    given: usize,
    /// The row that a scroll within the last operation made new.
    fresh_row: Option<usize>,
    /// Where row `given` goes while the screen is wrapped anew.
    anchor: Option<Anchor>,
    /// The last operation changed rows; for LF that means it scrolled.
    has_moved_rows: bool,
    /// How often the last operation scrolled rows that have others above them, which evicts none.
    inner_scrolls: usize,
    /// The beginning of a line whose first rows are gone.
    beginning: String,
}

impl Progress {
    fn settle(&mut self) {
        if let Some(row) = self.fresh_row.take() {
            self.given = self.given.min(row);
        }
    }

    /// Gives the rows down to the end of the line that `row` belongs to.
    fn give_through(&mut self, terminal: &Terminal, row: usize, lines: &mut Vec<String>) {
        if row < self.given {
            return;
        }
        let screen = terminal.primary_screen();
        for (index, line) in screen.visible_lines().enumerate().skip(self.given) {
            self.give(line, index >= row, lines);
            self.given = index + 1;
            if index >= row && !line.is_wrapped() {
                break;
            }
        }
    }

    fn give_all(&mut self, terminal: &Terminal, lines: &mut Vec<String>) {
        for line in terminal.primary_screen().visible_lines().skip(self.given) {
            self.give(line, false, lines);
        }
        if !self.beginning.is_empty() {
            lines.push(std::mem::take(&mut self.beginning));
        }
        self.given = 0;
    }

    fn give(&mut self, line: &Line, even_if_empty: bool, lines: &mut Vec<String>) {
        if self.beginning.len() + 4 * line.len() > MAX_LINE_BYTES {
            lines.push(std::mem::take(&mut self.beginning));
        }
        if line.is_wrapped() {
            self.beginning.extend(line.chars());
            return;
        }
        let cells = line.cells();
        let shown = cells.iter().rposition(|cell| cell.char() != ' ').map_or(0, |last| last + 1);
        let heads = cells[..shown].iter().filter(|cell| cell.width() > 0);
        self.beginning.reserve(shown);
        self.beginning.extend(heads.map(avt::Cell::char));
        let end = self.beginning.trim_end().len();
        if end > 0 || even_if_empty {
            lines.push(self.beginning[..end].to_owned());
        }
        self.beginning.clear();
    }

    fn find_again(&mut self, context: &Observation<'_>) {
        let terminal = context.terminal();
        let rows = terminal.primary_screen().all_lines().count();
        let leaving = rows - terminal.size().1;
        let place = self.anchor.take().and_then(|anchor| context.resolve(&anchor));
        let row = match place {
            Some(position) => leaving.checked_add_signed(position.row).unwrap_or(0),
            // The row was blank and went away: what is new begins at the cursor.
            None if is_primary(terminal) => leaving + terminal.cursor().row,
            None => self.given,
        };
        self.given = row.min(rows);
    }
}

struct LineObserver<'a> {
    progress: &'a mut Progress,
    lines: &'a mut Vec<String>,
}

impl Observer for LineObserver<'_> {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.progress.settle();
        self.progress.has_moved_rows = false;
        self.progress.inner_scrolls = 0;
        match operation {
            Operation::Function(Function::Lf | Function::Nel) if is_primary(context.terminal()) => {
                let row = context.terminal().cursor().row;
                self.progress.give_through(context.terminal(), row, self.lines);
            }
            Operation::Function(Function::Ris) => {
                self.progress.give_all(context.terminal(), self.lines);
            }
            Operation::Resize { .. } => {
                let row = isize::try_from(self.progress.given).unwrap_or(isize::MAX);
                let top = Position { screen: ScreenKind::Primary, col: 0, row };
                self.progress.anchor = context.anchor_at(top);
            }
            Operation::Function(_) => {}
        }
    }

    fn dirty(&mut self, rows: std::ops::Range<usize>) {
        self.progress.has_moved_rows = true;
        self.progress.inner_scrolls += usize::from(rows.start > 0 && rows.len() > 1);
    }

    fn after(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        let terminal = context.terminal();
        match operation {
            // The line that wraps took its first row, not given yet, up with it.
            Operation::Function(Function::Print(_) | Function::Rep(_)) => {
                if self.progress.inner_scrolls > 0 && is_primary(terminal) {
                    let given = self.progress.given;
                    self.progress.given = given.saturating_sub(self.progress.inner_scrolls);
                }
            }
            Operation::Resize { .. } => self.progress.find_again(context),
            Operation::Function(function) if is_primary(terminal) => match function {
                Function::Lf | Function::Nel if self.progress.has_moved_rows => {
                    self.progress.fresh_row = Some(terminal.cursor().row);
                }
                Function::Ed(EdScope::All) => self.progress.fresh_row = Some(0),
                Function::Ed(EdScope::Below)
                    if (terminal.cursor().col, terminal.cursor().row) == (0, 0) =>
                {
                    self.progress.fresh_row = Some(0);
                }
                _ => {}
            },
            Operation::Function(_) => {}
        }
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        if self.progress.given > 0 {
            self.progress.given -= 1;
        } else {
            self.progress.give(line, false, self.lines);
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {
        self.progress.settle();
    }
}

fn is_primary(terminal: &Terminal) -> bool {
    terminal.active_screen_kind() == ScreenKind::Primary
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
