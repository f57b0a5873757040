//! One stream as it is computed chunk by chunk: its screen, its lines, and how far it has been fed.

use super::keyframes::{Keyframe, KeyframePlace, StreamExtent};
use super::lines::LineCollector;
use crate::entry::{Chunk, ChunkKind};
use crate::ids::Seq;

/// A stream up to some chunk.
pub struct StreamPainter {
    collector: LineCollector,
    extent: StreamExtent,
}

impl StreamPainter {
    /// Goes on from a keyframe.
    pub fn resume(keyframe: &Keyframe) -> Self {
        let extent = StreamExtent {
            place: keyframe.place,
            bytes: keyframe.bytes,
            lines: keyframe.state.lines,
            has_ended: false,
        };
        Self { collector: keyframe.state.thaw(), extent }
    }

    /// Takes the next chunk and hands over the lines it ends; the `exit` ends all. One that was taken
    /// before changes nothing.
    pub fn absorb(&mut self, seq: Seq, chunk: &Chunk, each: impl FnMut(&str)) {
        if seq <= self.extent.place.seq {
            return;
        }
        self.extent.place =
            KeyframePlace { seq, chunk_index: Some(chunk.index), at_us: chunk.at_us };
        match &chunk.kind {
            ChunkKind::Output(bytes) => {
                self.extent.bytes += bytes.len() as u64;
                self.collector.feed_each(bytes, each);
                self.extent.lines = self.collector.given();
            }
            ChunkKind::Resize(size) => {
                self.collector.resize_each(*size, each);
                self.extent.lines = self.collector.given();
            }
            ChunkKind::Exit(_) => {
                self.extent.lines = self.collector.rest_each(each);
                self.extent.has_ended = true;
            }
            ChunkKind::Input(_) | ChunkKind::Marker(_) | ChunkKind::Gap(_) => {}
        }
    }

    /// How much of the stream it has seen.
    pub fn extent(&self) -> StreamExtent {
        self.extent
    }

    /// The screen and the lines.
    pub fn collector(&self) -> &LineCollector {
        &self.collector
    }

    /// The screen and the lines, without the rest.
    pub fn into_collector(self) -> LineCollector {
        self.collector
    }
}
