//! What a seek bar shows of a stream: markers, sizes, and where the output is. Bounded, whatever the stream.

use serde::{Deserialize, Serialize};

use crate::entry::{Chunk, ChunkKind, TerminalSize};
use crate::ids::{ChunkIndex, Seq};

/// How many markers, and how many changes of size, are remembered; further ones are only counted.
pub const MAX_MARKS: usize = 1000;
/// Into how many slices the time of a stream is cut.
pub const SLICES: usize = 500;
/// How many characters of a label are remembered.
pub const MAX_LABEL_CHARS: usize = 200;
/// The width of a slice of a short stream, in microseconds.
const FIRST_SLICE_US: u64 = 1000;

/// A summary of a stream, chunk by chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSummary {
    /// The first markers.
    pub markers: Vec<MarkerPlace>,
    /// How many markers there are.
    pub marker_count: u64,
    /// The first changes of size.
    pub resizes: Vec<ResizePlace>,
    /// How many changes of size there are.
    pub resize_count: u64,
    /// The place of the last chunk on the time axis, in microseconds since the node started.
    pub duration_us: u64,
    slice_us: u64,
    /// Bytes of output in each slice; slices behind the last output are left out.
    slices: Vec<u64>,
}

/// Where a marker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkerPlace {
    /// Its label, at most [`MAX_LABEL_CHARS`] characters of it.
    pub label: String,
    /// Its chunk.
    pub chunk: ChunkIndex,
    /// Its `seq`.
    pub seq: Seq,
    /// Its place on the time axis, in microseconds since the node started.
    pub at_us: u64,
}

/// Where the terminal got another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResizePlace {
    /// The new size.
    pub size: TerminalSize,
    /// Its chunk.
    pub chunk: ChunkIndex,
    /// Its `seq`.
    pub seq: Seq,
    /// Its place on the time axis, in microseconds since the node started.
    pub at_us: u64,
}

impl Default for StreamSummary {
    fn default() -> Self {
        Self {
            markers: Vec::new(),
            marker_count: 0,
            resizes: Vec::new(),
            resize_count: 0,
            duration_us: 0,
            slice_us: FIRST_SLICE_US,
            slices: Vec::new(),
        }
    }
}

impl StreamSummary {
    /// Counts the next chunk.
    pub fn absorb(&mut self, seq: Seq, chunk: &Chunk) {
        let (at_us, index) = (chunk.at_us, chunk.index);
        self.duration_us = self.duration_us.max(at_us);
        match &chunk.kind {
            ChunkKind::Output(bytes) => self.count(at_us, bytes.len() as u64),
            ChunkKind::Marker(label) => {
                self.marker_count += 1;
                if self.markers.len() < MAX_MARKS {
                    let label = label.chars().take(MAX_LABEL_CHARS).collect();
                    self.markers.push(MarkerPlace { label, chunk: index, seq, at_us });
                }
            }
            ChunkKind::Resize(size) => {
                self.resize_count += 1;
                if self.resizes.len() < MAX_MARKS {
                    self.resizes.push(ResizePlace { size: *size, chunk: index, seq, at_us });
                }
            }
            ChunkKind::Input(_) | ChunkKind::Gap(_) | ChunkKind::Exit(_) => {}
        }
    }

    /// Bytes of output in each of exactly [`SLICES`] slices of this duration; what stands behind it is
    /// in the last one. Bytes of a slice of ours that lies in two of these are shared out evenly.
    pub fn activity_over(&self, duration_ms: u64) -> Vec<u64> {
        let duration_us = u128::from(duration_ms.max(1)) * 1000;
        let mut before = 0;
        (1..=SLICES)
            .map(|end| {
                let end_us = duration_us * end as u128 / SLICES as u128;
                let through = if end == SLICES { self.total() } else { self.bytes_before(end_us) };
                through - std::mem::replace(&mut before, through)
            })
            .collect()
    }

    fn count(&mut self, at_us: u64, bytes: u64) {
        while at_us / self.slice_us >= SLICES as u64 {
            self.slice_us = self.slice_us.saturating_mul(2);
            self.slices = self.slices.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let slice = usize::try_from(at_us / self.slice_us).unwrap_or(SLICES - 1);
        if self.slices.len() <= slice {
            self.slices.resize(slice + 1, 0);
        }
        self.slices[slice] += bytes;
    }

    fn total(&self) -> u64 {
        self.slices.iter().sum()
    }

    fn bytes_before(&self, at_us: u128) -> u64 {
        let slice_us = u128::from(self.slice_us);
        let whole = usize::try_from(at_us / slice_us).unwrap_or(usize::MAX);
        let Some(cut) = self.slices.get(whole) else { return self.total() };
        let part = u128::from(*cut) * (at_us % slice_us) / slice_us;
        let part = u64::try_from(part).unwrap_or(*cut);
        self.slices[..whole].iter().sum::<u64>() + part
    }
}
