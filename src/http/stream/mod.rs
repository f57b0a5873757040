//! Streams of runs: one source of events, several ways to write them.

pub mod encoders;
pub mod line_events;
pub mod options;
pub mod source;
