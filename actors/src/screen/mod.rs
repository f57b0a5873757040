//! Terminals as values: bytes in, screens and lines out.
//!
//! Nothing here has a clock, does I/O or is an actor. [`terminal`] is the virtual terminal with its
//! repaint, [`lines`] the one definition of a line, [`keyframes`] the places from which a screen is
//! computed again.

mod ansi_row;
mod dump;
pub mod keyframes;
mod line_rows;
pub mod lines;
mod modes;
pub mod scrollback;
mod sequence;
pub mod tail_lines;
pub mod terminal;
#[cfg(test)]
mod terminal_tests;
pub mod utf8_stream;

pub use keyframes::{Keyframe, KeyframePlace, KeyframeRing};
pub use lines::{FrozenCollector, FrozenSource, LineCollector};
pub use scrollback::ScrollbackRepaint;
pub use tail_lines::TailSummary;
pub use terminal::{FrozenTerminal, TerminalCursor, VirtualTerminal};
pub use utf8_stream::Utf8Stream;
