//! The terminal of nodes that do not say otherwise.

use runcast_actors::entry::TerminalSize;
use runcast_actors::run_view::{TerminalMode, TerminalView};
use serde::{Deserialize, Serialize};

use super::problems::Rules;

/// `terminal.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TerminalSettings {
    /// With or without a terminal.
    pub mode: TerminalMode,
    /// Columns, 1 to 1,000.
    pub cols: u16,
    /// Rows, 1 to 500.
    pub rows: u16,
}

impl Default for TerminalSettings {
    fn default() -> Self {
        Self { mode: TerminalMode::Pty, cols: 120, rows: 30 }
    }
}

impl TerminalSettings {
    /// The same as the domain names it.
    pub fn view(&self) -> TerminalView {
        TerminalView { mode: self.mode, cols: self.cols, rows: self.rows }
    }

    pub(super) fn check(&self, rules: &mut Rules) {
        let (cols, rows) = (u64::from(self.cols), u64::from(self.rows));
        rules.range("terminal.cols", cols, 1, u64::from(TerminalSize::MAX_COLS));
        rules.range("terminal.rows", rows, 1, u64::from(TerminalSize::MAX_ROWS));
    }
}
