//! Recordings as values: entries in, asciicast version 3 in zstd frames out, and back, member for member.
//!
//! Nothing here has a clock or does I/O.

pub mod decoder;
pub mod encoder;
pub mod error;
pub mod file;
pub mod frame;
pub mod header;
mod json;
mod lines;
pub mod merge;
pub mod state;
pub mod summary;
pub mod tally;
#[cfg(test)]
mod tests;
mod utf8;
pub mod verify;
pub mod writer;

pub use decoder::{EventDecoder, decode_frame};
pub use encoder::{EncodedSegment, StreamEncoder};
pub use error::CastError;
pub use file::{CastEvent, CastItem, CastReader};
pub use frame::{FrameInfo, MAX_FRAME_TEXT, compress, decompress};
pub use header::CastHeader;
pub use merge::FrameMerger;
pub use state::EncoderState;
pub use summary::StreamSummary;
pub use tally::{Defect, Tally};
pub use verify::{Verdict, Verifier};
pub use writer::{CastWriter, Format, Streams};
