//! The segments of a stream as one recording, frame by frame.
//!
//! Large frames are passed through byte for byte. Small neighbours become one, but only while they stand
//! close together in the run: who reads a run of a thousand streams in order holds one frame of each, and
//! a frame that spans the whole run would have to be held throughout.

use bytes::Bytes;

use super::error::CastError;
use super::frame::{FrameInfo, MAX_FRAME_TEXT, checksum_of, compress};

/// From this much text on a frame is passed through, in bytes.
pub const PASSED_THROUGH_TEXT: u64 = 512 * 1024;
/// How far apart in the log of the run the first and the last of the frames may end that become one, in bytes.
pub const MAX_SPAN_BYTES: u64 = 16 * 1024 * 1024;

/// Makes the frames of a recording out of those of its segments. Holds at most 1 MiB of text, compressed.
#[derive(Debug, Default)]
pub struct FrameMerger {
    group: Vec<(FrameInfo, Bytes)>,
    group_text: u64,
    offset: u64,
}

impl FrameMerger {
    /// Before the first frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next frame of the stream and gives the frames of the recording that are ready, with their
    /// offsets in it. Fails on a frame that does not decompress; then the merger is of no further use.
    pub fn push(
        &mut self,
        info: FrameInfo,
        bytes: Bytes,
    ) -> Result<Vec<(FrameInfo, Bytes)>, CastError> {
        let is_large = info.text_length >= PASSED_THROUGH_TEXT;
        let is_full = self.group_text.saturating_add(info.text_length) > MAX_FRAME_TEXT as u64;
        let is_far = self.group.first().is_some_and(|(first, _)| {
            info.log_bytes.saturating_sub(first.log_bytes) > MAX_SPAN_BYTES
        });
        let mut ready = Vec::new();
        if is_large || is_full || is_far {
            ready.extend(self.end_group()?);
        }
        if is_large {
            ready.push(self.place(info, bytes));
        } else {
            self.group_text += info.text_length;
            self.group.push((info, bytes));
        }
        Ok(ready)
    }

    /// The last frames of the recording.
    pub fn finish(mut self) -> Result<Vec<(FrameInfo, Bytes)>, CastError> {
        Ok(self.end_group()?.into_iter().collect())
    }

    fn end_group(&mut self) -> Result<Option<(FrameInfo, Bytes)>, CastError> {
        let group = std::mem::take(&mut self.group);
        self.group_text = 0;
        let (Some((first, _)), Some((last, _))) = (group.first(), group.last()) else {
            return Ok(None);
        };
        let (first, last) = (*first, *last);
        if let [(info, bytes)] = group.as_slice() {
            return Ok(Some(self.place(*info, bytes.clone())));
        }
        let mut text = Vec::new();
        for (info, bytes) in &group {
            text.extend_from_slice(&info.text_of(bytes)?);
        }
        let joined = FrameInfo {
            last_seq: last.last_seq,
            last_chunk: last.last_chunk,
            end_ms: first.end_ms.max(last.end_ms),
            text_length: text.len() as u64,
            log_bytes: last.log_bytes,
            ..first
        };
        Ok(Some(self.place(joined, Bytes::from(compress(&text)))))
    }

    fn place(&mut self, info: FrameInfo, bytes: Bytes) -> (FrameInfo, Bytes) {
        let length = bytes.len() as u64;
        let checksum = checksum_of(&bytes);
        let placed = FrameInfo { offset: self.offset, length, checksum, ..info };
        self.offset += length;
        (placed, bytes)
    }
}
