//! Recordings as values: entries in, asciicast version 3 in zstd frames out, and back, member for member.
//!
//! Nothing here has a clock or does I/O.

pub mod frame;

pub use frame::FrameInfo;
