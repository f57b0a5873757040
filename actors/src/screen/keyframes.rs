//! The places of a stream from which its screens and lines are computed again.
//!
//! The first keyframe of a list is the beginning of the stream, so a list always knows a place at or
//! before any other. It is bounded: at its bounds every other keyframe goes, and the distance doubles.

use std::sync::Arc;

use super::lines::{FrozenCollector, LineCollector};
use crate::entry::{Chunk, ChunkKind, TerminalSize};
use crate::ids::{ChunkIndex, Seq, StreamName};

/// Output between two keyframes at first, in bytes.
pub const DISTANCE_BYTES: u64 = 1024 * 1024;
/// Time between two keyframes of a stream that shows something, at first, in microseconds.
pub const DISTANCE_US: u64 = 10_000_000;
/// Keyframes of one stream, at most.
pub const MAX_KEYFRAMES: usize = 512;
/// Memory of the keyframes of one stream, at most, in bytes.
pub const MAX_KEYFRAME_BYTES: usize = 4 * 1024 * 1024;

/// A place in a stream: the last chunk before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyframePlace {
    /// The `seq` of that chunk; before the first chunk the cursor before it.
    pub seq: Seq,
    /// Its index; none before the first.
    pub chunk_index: Option<ChunkIndex>,
    /// Its place on the time axis, in microseconds.
    pub at_us: u64,
}

/// A stream as of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyframe {
    /// The last chunk in it.
    pub place: KeyframePlace,
    /// Output bytes of the stream up to there.
    pub bytes: u64,
    /// Screen and lines right after that chunk.
    pub state: FrozenCollector,
}

/// How much of a stream there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamExtent {
    /// The last chunk.
    pub place: KeyframePlace,
    /// Output bytes.
    pub bytes: u64,
    /// Lines that have ended; of an ended stream all lines.
    pub lines: u64,
    /// True once its `exit` was seen: nothing comes after it.
    pub has_ended: bool,
}

/// A moment of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The last one there is.
    Now,
    /// Right after this chunk.
    Chunk(ChunkIndex),
    /// This place on the time axis, in microseconds.
    Time(u64),
}

impl At {
    /// True if what a chunk shows is seen at this moment.
    pub fn includes(self, index: ChunkIndex, at_us: u64) -> bool {
        match self {
            Self::Now => true,
            Self::Chunk(wanted) => index <= wanted,
            Self::Time(wanted) => at_us <= wanted,
        }
    }
}

/// The keyframes of one stream, in order. Clones share them.
#[derive(Debug, Clone)]
pub struct KeyframeList {
    frames: Arc<Vec<Arc<Keyframe>>>,
    memory: usize,
    distance_bytes: u64,
    distance_us: u64,
    extent: StreamExtent,
    /// No chunk of the stream up to here is missing in the extent.
    seen: Seq,
}

impl Keyframe {
    /// The place before the first chunk of a stream.
    pub fn beginning(first: Seq, chunk: &Chunk) -> Self {
        let collector = match (chunk.stream, &chunk.kind) {
            (StreamName::Pty, ChunkKind::Resize(size)) => LineCollector::terminal(*size),
            (StreamName::Pty, _) => LineCollector::terminal(TerminalSize { cols: 120, rows: 30 }),
            _ => LineCollector::pipe(),
        };
        let place =
            KeyframePlace { seq: Seq(first.0.saturating_sub(1)), chunk_index: None, at_us: 0 };
        let state = collector.freeze().expect("a fresh collector has no unfinished line");
        Self { place, bytes: 0, state }
    }

    fn memory_cost(&self) -> usize {
        size_of::<Self>() + self.state.memory_cost()
    }
}

impl KeyframeList {
    /// Of a stream that begins there.
    pub fn new(beginning: Keyframe) -> Self {
        let extent = StreamExtent {
            place: beginning.place,
            bytes: beginning.bytes,
            lines: beginning.state.lines,
            has_ended: false,
        };
        Self {
            memory: beginning.memory_cost(),
            frames: Arc::new(vec![Arc::new(beginning)]),
            distance_bytes: DISTANCE_BYTES,
            distance_us: DISTANCE_US,
            extent,
            seen: extent.place.seq,
        }
    }

    /// As it was stored: none unless the keyframes are in order and lie within the extent.
    pub fn stored(frames: Vec<Keyframe>, extent: StreamExtent) -> Option<Self> {
        let in_order = frames.is_sorted_by(|one, next| {
            one.place.seq < next.place.seq
                && one.place.chunk_index < next.place.chunk_index
                && one.place.at_us <= next.place.at_us
                && one.bytes <= next.bytes
                && one.state.lines <= next.state.lines
        });
        let mut frames = frames.into_iter();
        let beginning = frames.next().filter(|first| first.place.chunk_index.is_none())?;
        let mut list = Self::new(beginning);
        for frame in frames {
            list.add(frame);
        }
        let last = list.last();
        let fits = last.place.seq <= extent.place.seq && last.state.lines <= extent.lines;
        list.extent = extent;
        list.see(extent.place.seq);
        (in_order && fits).then_some(list)
    }

    /// Told after each chunk. Takes a keyframe when enough has passed, and at the end of the stream.
    pub fn observe(&mut self, extent: StreamExtent, collector: &LineCollector) {
        self.extent = extent;
        self.see(extent.place.seq);
        let last = self.last();
        let bytes_since = extent.bytes - last.bytes;
        let us_since = extent.place.at_us.saturating_sub(last.place.at_us);
        let is_due = extent.has_ended
            || bytes_since >= self.distance_bytes
            || (bytes_since > 0 && us_since >= self.distance_us);
        if is_due && let Some(state) = collector.freeze() {
            self.add(Keyframe { place: extent.place, bytes: extent.bytes, state });
        }
    }

    fn add(&mut self, frame: Keyframe) {
        self.memory += frame.memory_cost();
        Arc::make_mut(&mut self.frames).push(Arc::new(frame));
        while self.frames.len() > 2
            && (self.frames.len() > MAX_KEYFRAMES || self.memory > MAX_KEYFRAME_BYTES)
        {
            self.thin();
        }
    }

    /// Drops keyframes until those that are left take at most `max_bytes`, or are the first and the last. True
    /// if some went.
    pub fn thin_to(&mut self, max_bytes: usize) -> bool {
        let before = self.frames.len();
        while self.frames.len() > 2 && self.memory > max_bytes {
            self.thin();
        }
        self.frames.len() < before
    }

    /// Drops every other keyframe, but neither the first nor the last.
    fn thin(&mut self) {
        let last = self.frames.len() - 1;
        let mut place = 0;
        Arc::make_mut(&mut self.frames).retain(|_| {
            let keeps = place % 2 == 0 || place == last;
            place += 1;
            keeps
        });
        self.memory = self.frames.iter().map(|frame| frame.memory_cost()).sum();
        self.distance_bytes *= 2;
        self.distance_us *= 2;
    }

    /// How much of the stream has been seen.
    pub fn extent(&self) -> StreamExtent {
        self.extent
    }

    /// All of them; the first is the beginning.
    pub fn frames(&self) -> &[Arc<Keyframe>] {
        &self.frames
    }

    /// The memory they take, in bytes, about.
    pub fn memory_cost(&self) -> usize {
        self.memory
    }

    /// The newest.
    pub fn last(&self) -> &Arc<Keyframe> {
        self.frames.last().expect("the beginning is always there")
    }

    /// True if the stream has ended and the keyframe holds its end.
    pub fn is_end(&self, frame: &Keyframe) -> bool {
        self.extent.has_ended && frame.place.seq >= self.extent.place.seq
    }

    /// The last one at or before a moment.
    pub fn before(&self, at: At) -> &Arc<Keyframe> {
        self.last_where(|frame| {
            frame.place.chunk_index.is_none_or(|index| at.includes(index, frame.place.at_us))
        })
    }

    /// The last one at or before an entry.
    pub fn before_seq(&self, seq: Seq) -> &Arc<Keyframe> {
        self.last_where(|frame| frame.place.seq <= seq)
    }

    /// The last one from which line `line` is still to come.
    pub fn before_line(&self, line: u64) -> &Arc<Keyframe> {
        self.last_where(|frame| self.lines_at(frame) <= line)
    }

    /// Lines that have ended at one of these keyframes: at the end of the stream all.
    pub fn lines_at(&self, frame: &Keyframe) -> u64 {
        if self.is_end(frame) { self.extent.lines } else { frame.state.lines }
    }

    /// How many lines may have ended at an entry, at most.
    pub fn lines_at_most(&self, seq: Seq) -> u64 {
        let before = self.frames.partition_point(|frame| frame.place.seq < seq);
        match self.frames.get(before) {
            Some(next) => self.lines_at(next),
            None if self.extent.has_ended || seq <= self.seen => self.extent.lines,
            None => u64::MAX,
        }
    }

    /// Notes that everything of the stream up to an entry was seen.
    pub fn see(&mut self, seq: Seq) {
        self.seen = self.seen.max(seq);
    }

    /// True if nothing of the stream up to an entry has still to be seen.
    pub fn has_seen(&self, seq: Seq) -> bool {
        self.extent.has_ended || self.seen >= seq
    }

    fn last_where(&self, is_before: impl Fn(&Keyframe) -> bool) -> &Arc<Keyframe> {
        let count = self.frames.partition_point(|frame| is_before(frame));
        &self.frames[count.saturating_sub(1)]
    }
}

#[cfg(test)]
#[path = "keyframes_tests.rs"]
mod tests;
