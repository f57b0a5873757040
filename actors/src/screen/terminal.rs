//! The virtual terminal: output bytes in any cuts to a screen, and a screen back to bytes.
//!
//! [`VirtualTerminal::repaint`] fed to a fresh terminal of the same size, followed by any further output,
//! shows the same as all the output did. It asks the terminal nothing. Its end may be the bytes of a
//! sequence that the output has not finished.

use avt::{Observer, ScreenKind};

use super::ansi_row;
use super::dump;
use super::modes::Modes;
use super::sequence::SequenceParser;
use super::utf8_stream::Utf8Stream;
use crate::entry::TerminalSize;

/// A terminal without a window.
pub struct VirtualTerminal {
    pub(super) terminal: avt::Terminal,
    parser: SequenceParser,
    modes: Modes,
    decoder: Utf8Stream,
}

/// Where the cursor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalCursor {
    /// Column from 0; equal to the width while a wrap is pending.
    pub col: usize,
    /// Row from 0.
    pub row: usize,
    /// False after DECTCEM was reset.
    pub is_visible: bool,
}

/// A terminal put away as the bytes that repaint it: a few KiB instead of its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenTerminal {
    size: TerminalSize,
    repaint: Box<[u8]>,
}

impl VirtualTerminal {
    /// A fresh terminal without scrollback; a size out of range is clamped.
    pub fn new(size: TerminalSize) -> Self {
        Self::with_scrollback(size, 0)
    }

    /// A fresh terminal that keeps the last `lines` rows that left its primary screen at the top.
    pub fn with_scrollback(size: TerminalSize, lines: usize) -> Self {
        let (cols, rows) = clamped(size);
        let terminal = avt::Terminal::with_scrollback(cols, rows, Some(lines))
            .expect("a clamped size has at least one column and one row");
        Self {
            terminal,
            parser: SequenceParser::default(),
            modes: Modes::default(),
            decoder: Utf8Stream::default(),
        }
    }

    /// Takes the next bytes of output.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.feed_with(bytes, &mut ());
    }

    /// Changes the size as a terminal window does: the primary screen is wrapped anew.
    pub fn resize(&mut self, size: TerminalSize) {
        self.resize_with(size, &mut ());
    }

    pub(super) fn feed_with<O: Observer<Output = ()>>(&mut self, bytes: &[u8], observer: &mut O) {
        let Self { terminal, parser, modes, decoder } = self;
        decoder.decode(bytes, |text| {
            let functions = text.chars().filter_map(|character| parser.feed(character, modes));
            terminal.execute_with(functions, &mut *observer);
        });
    }

    pub(super) fn resize_with<O: Observer<Output = ()>>(
        &mut self,
        size: TerminalSize,
        observer: &mut O,
    ) {
        let (cols, rows) = clamped(size);
        self.terminal.resize_with(cols, rows, observer);
    }

    /// The present size.
    pub fn size(&self) -> TerminalSize {
        let (cols, rows) = self.terminal.size();
        let side = |length| u16::try_from(length).unwrap_or(u16::MAX);
        TerminalSize { cols: side(cols), rows: side(rows) }
    }

    /// Where the cursor is.
    pub fn cursor(&self) -> TerminalCursor {
        let cursor = self.terminal.cursor();
        TerminalCursor { col: cursor.col, row: cursor.row, is_visible: cursor.visible }
    }

    /// True while a full-screen program has switched to the alternate screen.
    pub fn is_alternate(&self) -> bool {
        self.terminal.active_screen_kind() == ScreenKind::Alternate
    }

    /// The visible screen as plain text: rows without the blanks at their end, joined by LF, without
    /// the empty rows at the end.
    pub fn text(&self) -> String {
        let rows = self.terminal.screen().visible_lines().map(|line| {
            let mut row = line.text();
            row.truncate(row.trim_end().len());
            row
        });
        joined(rows.collect())
    }

    /// The visible screen as [`Self::text`], with colours.
    pub fn ansi_text(&self) -> String {
        let rows = self.terminal.screen().visible_lines().map(|line| {
            let mut row = String::new();
            ansi_row::write_cells(ansi_row::shown_cells(line), &mut row);
            row
        });
        joined(rows.collect())
    }

    /// The bytes that show this screen on a fresh terminal of the same size.
    pub fn repaint(&self) -> Vec<u8> {
        let mut payload = dump::portable(&self.terminal);
        self.modes.write_to(&mut payload);
        payload.extend_from_slice(self.parser.pending().as_bytes());
        payload.extend_from_slice(self.decoder.pending());
        payload
    }

    /// The memory of its two screens, in bytes.
    pub fn memory(&self) -> usize {
        let (cols, rows) = self.terminal.size();
        2 * cols * rows * size_of::<avt::Cell>()
    }

    /// Puts the terminal away, without its scrollback.
    pub fn freeze(&self) -> FrozenTerminal {
        FrozenTerminal { size: self.size(), repaint: self.repaint().into_boxed_slice() }
    }
}

impl FrozenTerminal {
    /// A terminal that was stored as its size and its repaint.
    pub fn new(size: TerminalSize, repaint: impl Into<Box<[u8]>>) -> Self {
        Self { size, repaint: repaint.into() }
    }

    /// The size of the terminal.
    pub fn size(&self) -> TerminalSize {
        self.size
    }

    /// The bytes that show its screen on a fresh terminal of that size.
    pub fn repaint(&self) -> &[u8] {
        &self.repaint
    }

    /// The terminal again, without scrollback.
    pub fn thaw(&self) -> VirtualTerminal {
        self.thaw_with_scrollback(0)
    }

    /// The terminal again; it keeps the last `lines` rows that leave it from now on.
    pub fn thaw_with_scrollback(&self, lines: usize) -> VirtualTerminal {
        let mut terminal = VirtualTerminal::with_scrollback(self.size, lines);
        terminal.feed(&self.repaint);
        terminal
    }
}

fn clamped(size: TerminalSize) -> (usize, usize) {
    (
        usize::from(size.cols.clamp(1, TerminalSize::MAX_COLS)),
        usize::from(size.rows.clamp(1, TerminalSize::MAX_ROWS)),
    )
}

fn joined(mut rows: Vec<String>) -> String {
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows.join("\n")
}
