//! Entries of one stream in, segments of asciicast version 3 in zstd frames out.

use bytes::Bytes;

use super::frame::{FrameInfo, MAX_FRAME_TEXT, checksum_of, compress};
use super::header::CastHeader;
use super::state::EncoderState;
use crate::entry::Chunk;
use crate::ids::{Seq, StreamKey};

/// The encoder of one stream. It holds what was pushed since the last cut.
#[derive(Debug)]
pub struct StreamEncoder {
    stream: StreamKey,
    state: EncoderState,
    /// The frame that is being written; where it ends is told at its end.
    open: Option<FrameInfo>,
    text: Vec<u8>,
    max_frame_text: usize,
    frames: Vec<FrameInfo>,
    compressed: Vec<u8>,
}

/// What was pushed between two cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSegment {
    /// Its frames, in order, with offsets from 0; never empty.
    pub frames: Vec<FrameInfo>,
    /// The frames themselves.
    pub bytes: Bytes,
}

impl StreamEncoder {
    /// Before the first chunk of a stream. If that is a resize, its size takes the place of the header's.
    pub fn new(stream: StreamKey, header: CastHeader) -> Self {
        Self::resume(stream, EncoderState::new(header))
    }

    /// Behind what an earlier encoder of the stream wrote before its last cut.
    pub fn resume(stream: StreamKey, state: EncoderState) -> Self {
        Self {
            stream,
            state,
            open: None,
            text: Vec::new(),
            max_frame_text: MAX_FRAME_TEXT,
            frames: Vec::new(),
            compressed: Vec::new(),
        }
    }

    /// With frames of another size.
    #[cfg(test)]
    pub(super) fn with_frames_of(self, max_frame_text: usize) -> Self {
        Self { max_frame_text, ..self }
    }

    /// Writes the next chunk. One that was written before changes nothing; missing ones before it become
    /// a gap. `log_bytes`: how much the log of the whole run holds up to this chunk.
    pub fn push(&mut self, seq: Seq, chunk: &Chunk, log_bytes: u64) {
        debug_assert_eq!(chunk.stream_key(), self.stream, "an encoder has one stream");
        if self.state.lines.has(seq, chunk) {
            return;
        }
        let first_byte = self.state.bytes();
        self.state.absorb(seq, chunk);
        let before = self.text.len();
        if self.open.is_none() {
            if let Some(header) = self.state.header.take() {
                header.write_v3(&mut self.text);
            }
            self.state.lines.begin_frame(&mut self.text, chunk);
        } else {
            self.state.lines.write_context(&mut self.text, chunk);
        }
        let start = self.text.len();
        self.state.lines.write_chunk(&mut self.text, seq, chunk);
        if self.open.is_some() && self.text.len() > self.max_frame_text {
            let event = self.text.split_off(start);
            self.text.truncate(before);
            self.end_frame();
            self.state.lines.begin_frame(&mut self.text, chunk);
            self.text.extend_from_slice(&event);
        }
        let frame = self.open.get_or_insert_with(|| beginning(seq, chunk, first_byte));
        frame.last_seq = seq;
        frame.last_chunk = chunk.index;
        frame.end_ms = frame.end_ms.max(chunk.at_us.div_ceil(1000));
        frame.log_bytes = log_bytes;
    }

    /// Bytes that it holds: compressed frames and text of the open one.
    pub fn buffered(&self) -> usize {
        self.compressed.len() + self.text.len()
    }

    /// Ends the open frame and hands over everything since the last cut; none if that is nothing.
    pub fn cut(&mut self) -> Option<EncodedSegment> {
        self.end_frame();
        self.text = Vec::new();
        if self.frames.is_empty() {
            return None;
        }
        let frames = std::mem::take(&mut self.frames);
        let bytes = Bytes::from(std::mem::take(&mut self.compressed));
        Some(EncodedSegment { frames, bytes })
    }

    /// Where it stands. What it still holds counts as written, so keep the state of after a cut.
    pub fn state(&self) -> &EncoderState {
        &self.state
    }

    /// The stream.
    pub fn stream(&self) -> &StreamKey {
        &self.stream
    }

    fn end_frame(&mut self) {
        let Some(mut info) = self.open.take() else { return };
        let frame = compress(&self.text);
        info.offset = self.compressed.len() as u64;
        info.length = frame.len() as u64;
        info.text_length = self.text.len() as u64;
        info.checksum = checksum_of(&frame);
        self.frames.push(info);
        self.compressed.extend_from_slice(&frame);
        self.text.clear();
        // A single long event must not be paid for until the next cut.
        self.text.shrink_to(2 * MAX_FRAME_TEXT);
    }
}

fn beginning(seq: Seq, chunk: &Chunk, first_byte: u64) -> FrameInfo {
    let start_ms = chunk.at_us / 1000;
    FrameInfo {
        first_seq: seq,
        last_seq: seq,
        first_chunk: chunk.index,
        last_chunk: chunk.index,
        start_ms,
        end_ms: start_ms,
        offset: 0,
        length: 0,
        first_byte,
        text_length: 0,
        log_bytes: 0,
        checksum: 0,
    }
}
