//! The terminal of this process, given to a recording or a session: every key and byte as it is, and afterwards the
//! terminal as it was.

use std::io::{IsTerminal as _, Write as _, stdin, stdout};

use runcast_actors::entry::TerminalSize;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::follow::TERMINAL_RESET;

/// The terminal of this process. Restored when it is dropped.
pub(super) struct OwnTerminal {
    /// The settings of standard input, if that is a terminal.
    saved: Option<Termios>,
    /// The last byte shown was no line feed.
    is_inside_line: bool,
}

impl OwnTerminal {
    /// True if standard output is a terminal.
    pub(super) fn is_there() -> bool {
        stdout().is_terminal()
    }

    /// Takes the terminal; none if standard output is no terminal.
    pub(super) fn take() -> anyhow::Result<Option<Self>> {
        if !Self::is_there() {
            return Ok(None);
        }
        let mut terminal = Self { saved: None, is_inside_line: false };
        if stdin().is_terminal() {
            let saved = tcgetattr(stdin())?;
            let mut own = saved.clone();
            // Keys come one by one and are not shown; what is shown says itself when a line returns.
            own.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &own)?;
            terminal.saved = Some(saved);
        }
        Ok(Some(terminal))
    }

    /// True if keys can be pressed.
    pub(super) fn has_keys(&self) -> bool {
        self.saved.is_some()
    }

    /// Shows bytes as they are.
    pub(super) fn show(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(last) = bytes.last() {
            self.is_inside_line = *last != b'\n';
        }
        let mut stdout = stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }
}

impl Drop for OwnTerminal {
    fn drop(&mut self) {
        let mut stdout = stdout().lock();
        let end: &[u8] = if self.is_inside_line { b"\r\n" } else { b"" };
        // Nothing can be done if the terminal has gone.
        let _ = stdout
            .write_all(TERMINAL_RESET)
            .and_then(|()| stdout.write_all(end))
            .and_then(|()| stdout.flush());
        if let Some(saved) = &self.saved {
            // What the terminal answered to what was shown must not reach the shell.
            let _ = tcflush(stdin(), QueueSelector::IFlush);
            let _ = tcsetattr(stdin(), OptionalActions::Flush, saved);
        }
    }
}

/// What to tell somebody whose terminal is smaller than the recording's.
pub(super) fn size_note(recorded: TerminalSize) -> Option<String> {
    let window = tcgetwinsize(stdout()).ok()?;
    let is_smaller = window.ws_col < recorded.cols || window.ws_row < recorded.rows;
    // A terminal that does not know its size says 0.
    let is_known = window.ws_col > 0 && window.ws_row > 0;
    (is_smaller && is_known).then(|| {
        format!(
            "recorded at {}×{}, this terminal has {}×{}: full-screen programs may look broken",
            recorded.cols, recorded.rows, window.ws_col, window.ws_row
        )
    })
}
