//! Terminals as values: bytes in, screens and lines out.
//!
//! Nothing here has a clock, does I/O or is an actor. [`terminal`] is the virtual terminal with its
//! repaint, [`lines`] the one definition of a line, [`keyframes`] the places from which both are computed
//! again, [`painting`] the streams of a run.

mod ansi_row;
mod dump;
pub mod keyframe_codec;
pub mod keyframes;
mod line_rows;
pub mod lines;
mod modes;
pub mod painter;
pub mod painting;
pub mod scrollback;
mod sequence;
pub mod tail_lines;
pub mod terminal;
#[cfg(test)]
mod terminal_tests;
pub mod utf8_stream;

pub use keyframes::{At, Keyframe, KeyframeList, KeyframePlace, MAX_KEYFRAME_BYTES, StreamExtent};
pub use lines::{FrozenCollector, FrozenSource, LineCollector};
pub use painter::StreamPainter;
pub use painting::{PaintedStream, Painting};
pub use scrollback::ScrollbackRepaint;
pub use tail_lines::TailSummary;
pub use terminal::{FrozenTerminal, TerminalCursor, VirtualTerminal};
pub use utf8_stream::Utf8Stream;
