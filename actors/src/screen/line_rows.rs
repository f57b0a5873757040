//! Which rows of a terminal end a line, and when: the terminal half of the one definition of a line.

use avt::parser::{EdScope, Function};
use avt::{Anchor, Line, Observation, Observer, Operation, Position, ScreenKind, Terminal};

use super::lines::MAX_LINE_BYTES;

/// Which rows of the primary screen have been given.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Rows above this one have been given. Counts rows about to be evicted, too.
    pub(super) given: usize,
    /// The row that a scroll within the last operation made new.
    fresh_row: Option<usize>,
    /// Where row `given` goes while the screen is wrapped anew.
    anchor: Option<Anchor>,
    /// The last operation changed rows; for LF that means it scrolled.
    has_moved_rows: bool,
    /// How often the last operation scrolled rows that have others above them, which evicts none.
    inner_scrolls: usize,
    /// The beginning of a line whose first rows are gone.
    pub(super) beginning: String,
}

impl Progress {
    /// That of a collector that was put away.
    pub(super) fn resumed(given: usize, beginning: String) -> Self {
        Self { given, beginning, ..Self::default() }
    }

    fn settle(&mut self) {
        if let Some(row) = self.fresh_row.take() {
            self.given = self.given.min(row);
        }
    }

    /// Gives the rows down to the end of the line that `row` belongs to.
    fn give_through(&mut self, terminal: &Terminal, row: usize, sink: &mut impl FnMut(&str)) {
        if row < self.given {
            return;
        }
        let screen = terminal.primary_screen();
        for (index, line) in screen.visible_lines().enumerate().skip(self.given) {
            self.give(line, index >= row, sink);
            self.given = index + 1;
            if index >= row && !line.is_wrapped() {
                break;
            }
        }
    }

    pub(super) fn give_all(&mut self, terminal: &Terminal, sink: &mut impl FnMut(&str)) {
        for line in terminal.primary_screen().visible_lines().skip(self.given) {
            self.give(line, false, sink);
        }
        if !self.beginning.is_empty() {
            sink(&self.beginning);
            self.beginning.clear();
        }
        self.given = 0;
    }

    fn give(&mut self, line: &Line, even_if_empty: bool, sink: &mut impl FnMut(&str)) {
        if self.beginning.len() + 4 * line.len() > MAX_LINE_BYTES {
            sink(&self.beginning);
            self.beginning.clear();
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
            sink(&self.beginning[..end]);
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

/// Watches a terminal and tells each line to `sink` when it ends.
pub(super) struct LineObserver<'a, S> {
    pub(super) progress: &'a mut Progress,
    pub(super) sink: &'a mut S,
}

impl<S: FnMut(&str)> Observer for LineObserver<'_, S> {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.progress.settle();
        self.progress.has_moved_rows = false;
        self.progress.inner_scrolls = 0;
        match operation {
            Operation::Function(Function::Lf | Function::Nel) if is_primary(context.terminal()) => {
                let row = context.terminal().cursor().row;
                self.progress.give_through(context.terminal(), row, &mut *self.sink);
            }
            Operation::Function(Function::Ris) => {
                self.progress.give_all(context.terminal(), self.sink);
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
            self.progress.give(line, false, self.sink);
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {
        self.progress.settle();
    }
}

fn is_primary(terminal: &Terminal) -> bool {
    terminal.active_screen_kind() == ScreenKind::Primary
}
