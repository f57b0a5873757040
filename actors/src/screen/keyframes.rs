//! The places of a stream from which its newest screens are computed again.
//!
//! The ring keeps two frozen terminals at least [`KEYFRAME_DISTANCE_BYTES`] of output apart, at first the
//! empty one the stream begins with. So its older one is the beginning or at least that far back, and a
//! terminal thawed from it and fed with what follows has the rows that scrolled off since.

use super::terminal::{FrozenTerminal, VirtualTerminal};
use crate::entry::TerminalSize;
use crate::ids::{ChunkIndex, Seq};

/// Output between two keyframes, in bytes.
pub const KEYFRAME_DISTANCE_BYTES: u64 = 1024 * 1024;

/// How far a terminal has been fed: the last chunk it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyframePlace {
    /// The `seq` of that chunk; [`Seq::START`] before the first.
    pub seq: Seq,
    /// Its index; none before the first.
    pub chunk_index: Option<ChunkIndex>,
    /// Its place on the time axis, in microseconds.
    pub at_us: u64,
}

/// A terminal as of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyframe {
    /// The last chunk in it.
    pub place: KeyframePlace,
    /// The terminal right after that chunk.
    pub terminal: FrozenTerminal,
}

/// The last two keyframes of a stream.
#[derive(Debug, Clone)]
pub struct KeyframeRing {
    older: Keyframe,
    newer: Option<Keyframe>,
    bytes_since: u64,
}

impl KeyframeRing {
    /// The ring of a stream that begins with an empty terminal of this size.
    pub fn new(size: TerminalSize) -> Self {
        let place = KeyframePlace { seq: Seq::START, chunk_index: None, at_us: 0 };
        Self::resume(Keyframe { place, terminal: VirtualTerminal::new(size).freeze() })
    }

    /// The ring of a stream that goes on from a stored keyframe.
    pub fn resume(keyframe: Keyframe) -> Self {
        Self { older: keyframe, newer: None, bytes_since: 0 }
    }

    /// Told after each chunk; takes a keyframe when enough output has passed, and gives it back then.
    pub fn observe(
        &mut self,
        place: KeyframePlace,
        bytes_fed: u64,
        terminal: &VirtualTerminal,
    ) -> Option<&Keyframe> {
        self.bytes_since = self.bytes_since.saturating_add(bytes_fed);
        if self.bytes_since < KEYFRAME_DISTANCE_BYTES {
            return None;
        }
        self.bytes_since = 0;
        let taken = Keyframe { place, terminal: terminal.freeze() };
        if let Some(previous) = self.newer.replace(taken) {
            self.older = previous;
        }
        self.newer.as_ref()
    }

    /// From where to compute a screen with scrollback.
    pub fn far(&self) -> &Keyframe {
        &self.older
    }

    /// From where to compute the screen alone.
    pub fn near(&self) -> &Keyframe {
        self.newer.as_ref().unwrap_or(&self.older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TerminalSize = TerminalSize { cols: 20, rows: 4 };

    #[test]
    fn screen_keyframes_lie_a_distance_apart() {
        let mut ring = KeyframeRing::new(SIZE);
        let mut terminal = VirtualTerminal::new(SIZE);
        let chunk = vec![b'x'; 256 * 1024];
        let mut taken = Vec::new();
        for index in 0..13u64 {
            terminal.feed(format!("chunk {index}\r\n").as_bytes());
            let place = KeyframePlace {
                seq: Seq(index + 1),
                chunk_index: Some(ChunkIndex(index)),
                at_us: index * 10,
            };
            if let Some(keyframe) = ring.observe(place, chunk.len() as u64, &terminal) {
                taken.push(keyframe.place.seq.0);
            }
            if index < 3 {
                assert_eq!(ring.near().place.seq, Seq::START);
            }
        }
        assert_eq!(taken, [4, 8, 12]);
        assert_eq!((ring.far().place.seq, ring.near().place.seq), (Seq(8), Seq(12)));
        assert_eq!(ring.far().terminal.thaw().text(), "chunk 5\nchunk 6\nchunk 7");
    }
}
