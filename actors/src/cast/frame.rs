//! A frame: a stretch of a recording that can be read alone, at most 1 MiB of text in one zstd frame.

use serde::{Deserialize, Serialize};

use super::error::CastError;
use crate::ids::{ChunkIndex, Seq};

/// Where a frame is and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameInfo {
    /// The first entry in it.
    pub first_seq: Seq,
    /// The last entry in it.
    pub last_seq: Seq,
    /// The first chunk in it.
    pub first_chunk: ChunkIndex,
    /// The last chunk in it.
    pub last_chunk: ChunkIndex,
    /// The place of its first chunk on the time axis, in milliseconds, rounded down.
    pub start_ms: u64,
    /// The place of its last chunk on the time axis, in milliseconds, rounded up.
    pub end_ms: u64,
    /// Where it begins in its object.
    pub offset: u64,
    /// Its compressed size.
    pub length: u64,
    /// Output bytes of the stream before it.
    pub first_byte: u64,
    /// The size of its text.
    pub text_length: u64,
    /// How much the log of the whole run held, in bytes, when its last chunk was written: tells how far
    /// apart in the run the beginnings of two frames are.
    pub log_bytes: u64,
    /// The low 32 bits of XXH64 over its text, with which zstd ends the frame: a frame that is whole, but
    /// not the one that was written here, has another.
    pub checksum: u32,
}

impl FrameInfo {
    /// The text of this frame, if these are its bytes. Never takes more memory than [`MAX_DECODED_TEXT`].
    pub fn text_of(&self, bytes: &[u8]) -> Result<Vec<u8>, CastError> {
        let text = decompress(bytes, self.text_length)?;
        let found = checksum_of(bytes);
        if found != self.checksum {
            return Err(CastError::FrameChecksum { expected: self.checksum, found });
        }
        Ok(text)
    }
}

/// What zstd wrote at the end of a frame that [`compress`] gave (RFC 8878, 3.1.1).
pub(super) fn checksum_of(frame: &[u8]) -> u32 {
    frame.last_chunk().map_or(0, |last| u32::from_le_bytes(*last))
}

/// How much text a frame holds, in bytes, unless a single event is longer: then the frame holds that
/// event alone.
pub const MAX_FRAME_TEXT: usize = 1024 * 1024;

/// The longest text of a frame, in bytes. A chunk has at most 1 MiB, JSON writes a byte with at most
/// six, and the exact bytes beside it take 4/3; the rest is room for the header and the comments.
pub const MAX_DECODED_TEXT: usize = 8 * MAX_FRAME_TEXT;

/// Logs compress as well as at level 3, in two thirds of its time, and prose 6 % less well; at level 1 prose takes
/// 15 % more.
const ZSTD_LEVEL: i32 = 2;

/// Text as one zstd frame that carries its content size and a checksum.
pub fn compress(text: &[u8]) -> Vec<u8> {
    use zstd::zstd_safe::CParameter;

    let mut compressor =
        zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("the level is one that zstd has");
    for parameter in [CParameter::ChecksumFlag(true), CParameter::ContentSizeFlag(true)] {
        compressor.set_parameter(parameter).expect("flags can be set before the first frame");
    }
    compressor.compress(text).expect("the buffer has the size that zstd asks for")
}

/// The text of a frame that has `text_length` bytes, as its [`FrameInfo`] says. Never takes more memory
/// than [`MAX_DECODED_TEXT`].
pub fn decompress(bytes: &[u8], text_length: u64) -> Result<Vec<u8>, CastError> {
    let capacity = usize::try_from(text_length)
        .ok()
        .filter(|length| *length <= MAX_DECODED_TEXT)
        .ok_or(CastError::FrameTooLarge(text_length))?;
    let text = zstd::bulk::decompress(bytes, capacity)
        .map_err(|error| CastError::Frame(error.to_string()))?;
    if text.len() != capacity {
        let found = text.len() as u64;
        return Err(CastError::FrameLength { expected: text_length, found });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_checked_against_its_length() {
        let text = b"0123456789".repeat(1000);
        let frame = compress(&text);
        assert!(frame.len() < 200);
        assert_eq!(decompress(&frame, 10_000), Ok(text));
        assert_eq!(
            decompress(&frame, 10_001),
            Err(CastError::FrameLength { expected: 10_001, found: 10_000 })
        );
        assert!(matches!(decompress(&frame, 9_999), Err(CastError::Frame(_))));
        assert!(matches!(
            decompress(&frame[..50.min(frame.len() - 1)], 10_000),
            Err(CastError::Frame(_))
        ));
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let text: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        let mut frame = compress(&text);
        let middle = frame.len() / 2;
        frame[middle] ^= 1;
        assert!(decompress(&frame, text.len() as u64).is_err());
    }

    #[test]
    fn another_frame_of_the_same_length_is_noticed() {
        let (text, other) = (b"0123456789".repeat(100), b"0123456780".repeat(100));
        let frame = compress(&text);
        let info = FrameInfo {
            first_seq: Seq(1),
            last_seq: Seq(1),
            first_chunk: ChunkIndex(0),
            last_chunk: ChunkIndex(0),
            start_ms: 0,
            end_ms: 0,
            offset: 0,
            length: frame.len() as u64,
            first_byte: 0,
            text_length: 1000,
            log_bytes: 0,
            checksum: checksum_of(&frame),
        };
        assert_eq!(info.text_of(&frame), Ok(text));
        let other = compress(&other);
        assert_eq!(other.len(), frame.len());
        assert!(matches!(info.text_of(&other), Err(CastError::FrameChecksum { .. })));
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = compress(&vec![0; 2 * MAX_DECODED_TEXT]);
        let length = 2 * MAX_DECODED_TEXT as u64;
        assert_eq!(decompress(&bomb, length), Err(CastError::FrameTooLarge(length)));
        assert!(matches!(decompress(&bomb, 1000), Err(CastError::Frame(_))));
    }

    #[test]
    fn a_frame_carries_its_size_and_checksum() {
        let frame = compress(b"text");
        let size = zstd::zstd_safe::get_frame_content_size(&frame);
        assert_eq!(size.expect("a frame"), Some(4));
        // The descriptor is behind the magic number; bit 2 tells of a checksum (RFC 8878, 3.1.1.1.1).
        assert_eq!(frame[4] & 0b100, 0b100);
    }
}
