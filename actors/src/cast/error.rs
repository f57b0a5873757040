//! Why a recording could not be read.

use crate::ids::StreamName;

/// Bytes or text that are no recording, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// Bytes that are no zstd frame, or a damaged one.
    #[error("the frame does not decompress: {0}")]
    Frame(String),
    /// A frame that claims more text than any frame has.
    #[error("a frame of {0} bytes of text is larger than any of ours")]
    FrameTooLarge(u64),
    /// A frame whose text has another length than its index says.
    #[error("the frame has {found} bytes of text instead of {expected}")]
    FrameLength {
        /// What the index says.
        expected: u64,
        /// What the frame holds.
        found: u64,
    },
    /// A frame whose text is another than the one its index tells of.
    #[error("the frame has the checksum {found:08x} instead of {expected:08x}")]
    FrameChecksum {
        /// What the index says.
        expected: u32,
        /// What the frame ends with.
        found: u32,
    },
    /// A frame of another stream.
    #[error("the frame is of {found} instead of {expected}")]
    Stream {
        /// The stream that was asked for.
        expected: StreamName,
        /// The stream it is of.
        found: StreamName,
    },
    /// A line that is not what it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An encoder's state that does not parse.
    #[error("the state of the encoder does not parse: {0}")]
    State(String),
    /// An encoder's state of another version.
    #[error("version {0} of an encoder's state is not known here")]
    StateVersion(u32),
}
