//! A repaint with the rows above the screen, for one who joins late and wants to scroll back.

use super::ansi_row;
use super::terminal::VirtualTerminal;

/// Bytes for a fresh terminal of the same size that keeps scrollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrollbackRepaint {
    /// The rows above, then the screen.
    pub payload: Vec<u8>,
    /// How many rows of the terminal's width stand above the screen.
    pub lines_above: usize,
}

impl VirtualTerminal {
    /// The repaint, preceded by at most `lines_wanted` rows that left the primary screen at its top, as
    /// far as this terminal kept them. Rows that continue each other wrap by themselves, so that the
    /// viewer can widen its window; only the last one above the screen is cut from its continuation.
    pub fn repaint_with_scrollback(&self, lines_wanted: usize) -> ScrollbackRepaint {
        let rows = usize::from(self.size().rows);
        let screen = self.terminal.primary_screen();
        let kept = screen.all_lines().count().saturating_sub(rows);
        let lines_above = kept.min(lines_wanted);
        let mut above = String::new();
        let history = screen.all_lines().take(kept).skip(kept - lines_above);
        for (index, line) in history.enumerate() {
            ansi_row::write_row(line, &mut above);
            if !line.is_wrapped() || index + 1 == lines_above {
                above.push_str("\r\n");
            }
        }
        if lines_above > 0 {
            // The cursor stands in the row after the last one: this many feeds bring that row to the top.
            above.extend(std::iter::repeat_n('\n', rows - 1));
            above.push_str("\x1b[H");
        }
        let mut payload = above.into_bytes();
        payload.extend(self.repaint());
        ScrollbackRepaint { payload, lines_above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::TerminalSize;

    const SIZE: TerminalSize = TerminalSize { cols: 6, rows: 3 };

    fn all_rows(terminal: &VirtualTerminal) -> Vec<Vec<avt::Cell>> {
        terminal.terminal.primary_screen().all_lines().map(|line| line.cells().to_vec()).collect()
    }

    fn shown_again(output: &str, wanted: usize) -> (VirtualTerminal, VirtualTerminal, usize) {
        let mut original = VirtualTerminal::with_scrollback(SIZE, 100);
        original.feed(output.as_bytes());
        let repaint = original.repaint_with_scrollback(wanted);
        let mut again = VirtualTerminal::with_scrollback(SIZE, 100);
        again.feed(&repaint.payload);
        (original, again, repaint.lines_above)
    }

    #[test]
    fn screen_scrollback_stands_above_the_screen() {
        let output =
            "\x1b[31mred\x1b[0m\r\nlonger than a row\r\n世界世界\r\na\r\nb\r\n\x1b[44mblue\r\nend";
        let (original, again, above) = shown_again(output, 100);
        assert_eq!(above, 7);
        assert_eq!(all_rows(&again), all_rows(&original));
        assert_eq!(again.repaint(), original.repaint());
    }

    #[test]
    fn screen_scrollback_is_at_most_what_was_wanted() {
        let (original, again, above) = shown_again("1\r\n2\r\n3\r\n4\r\n5\r\n6", 2);
        assert_eq!(above, 2);
        assert_eq!(all_rows(&again), all_rows(&original)[1..]);
        let (_, again, above) = shown_again("1\r\n2\r\n3\r\n4", 0);
        assert_eq!((above, all_rows(&again).len()), (0, 3));
    }

    #[test]
    fn screen_scrollback_stays_under_the_alternate_screen() {
        let (original, mut again, above) =
            shown_again("1\r\n2\r\n3\r\n4\r\n5\x1b[?1049h\x1b[Hvim\x1b[31", 9);
        assert_eq!(above, 2);
        assert!(again.is_alternate());
        assert_eq!(again.text(), "vim");
        again.feed(b"m\x1b[?1049l");
        assert_eq!(again.text(), "3\n4\n5");
        assert_eq!(all_rows(&again), all_rows(&original));
    }
}
