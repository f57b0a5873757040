//! Chunks in the form that a download has.

use std::collections::BTreeMap;

use runcast_actors::cast::{self, CastHeader, CastWriter};
use runcast_actors::entry::{Body, Chunk, ChunkKind, Entry, TerminalSize};
use runcast_actors::ids::StreamName;
use runcast_actors::screen::LineCollector;

/// Writes chunks in one form.
pub enum ExportWriter {
    /// The output bytes.
    Raw(ByteWindow),
    /// The lines.
    Lines(LineExport),
    /// An asciicast.
    Cast(CastExport),
}

impl ExportWriter {
    /// Appends what an entry becomes.
    pub fn write(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let Body::Terminal(chunk) = &entry.body else { return };
        match self {
            Self::Raw(window) => {
                if let ChunkKind::Output(bytes) = &chunk.kind {
                    out.extend_from_slice(window.part_of(bytes));
                }
            }
            Self::Lines(lines) => lines.write(chunk, out),
            Self::Cast(cast) => cast.write(entry, chunk, out),
        }
    }

    /// Appends what only the end tells.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(_) => {}
            Self::Lines(lines) => lines.finish(out),
            Self::Cast(cast) => cast.finish(out),
        }
    }

    /// True if nothing that follows would be written.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Raw(window) if window.wanted == 0)
    }
}

/// A part of the bytes that pass by.
#[derive(Debug, Clone, Copy)]
pub struct ByteWindow {
    /// Bytes before it.
    pub skipped: u64,
    /// Bytes in it.
    pub wanted: u64,
}

impl ByteWindow {
    /// Everything.
    pub const ALL: Self = Self { skipped: 0, wanted: u64::MAX };

    fn part_of<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let as_length = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let skipped = as_length(self.skipped).min(bytes.len());
        let taken = as_length(self.wanted).min(bytes.len() - skipped);
        self.skipped -= skipped as u64;
        self.wanted -= taken as u64;
        &bytes[skipped..skipped + taken]
    }
}

/// Lines of one or more streams, each given when it has ended.
pub struct LineExport {
    collectors: BTreeMap<StreamName, LineCollector>,
    lines: Vec<String>,
}

impl LineExport {
    /// Of these streams; `size` is that of their terminal.
    pub fn new(streams: &[StreamName], size: TerminalSize) -> Self {
        let collector = |stream: &StreamName| match stream {
            StreamName::Pty => (*stream, LineCollector::terminal(size)),
            StreamName::Stdout | StreamName::Stderr => (*stream, LineCollector::pipe()),
        };
        Self { collectors: streams.iter().map(collector).collect(), lines: Vec::new() }
    }

    fn write(&mut self, chunk: &Chunk, out: &mut Vec<u8>) {
        let Some(collector) = self.collectors.get_mut(&chunk.stream) else { return };
        match &chunk.kind {
            ChunkKind::Output(bytes) => collector.feed(bytes, &mut self.lines),
            ChunkKind::Resize(size) => collector.resize(*size, &mut self.lines),
            ChunkKind::Exit(_) => {
                if let Some(collector) = self.collectors.remove(&chunk.stream) {
                    collector.finish(&mut self.lines);
                }
            }
            ChunkKind::Input(_) | ChunkKind::Marker(_) | ChunkKind::Gap(_) => {}
        }
        self.give(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for collector in std::mem::take(&mut self.collectors).into_values() {
            collector.finish(&mut self.lines);
        }
        self.give(out);
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        for line in self.lines.drain(..) {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
    }
}

/// An asciicast whose header is written with the first chunk, which knows when the node started.
pub struct CastExport {
    format: cast::Format,
    streams: cast::Streams,
    header: CastHeader,
    writer: Option<CastWriter>,
}

impl CastExport {
    /// With this header; its time is that of the first chunk, if there is one.
    pub fn new(format: cast::Format, streams: cast::Streams, header: CastHeader) -> Self {
        Self { format, streams, header, writer: None }
    }

    fn write(&mut self, entry: &Entry, chunk: &Chunk, out: &mut Vec<u8>) {
        let writer = self.writer.get_or_insert_with(|| {
            let began_us = chunk.recorded_at.0 - i64::try_from(chunk.at_us).unwrap_or(0);
            let header = CastHeader {
                timestamp: u64::try_from(began_us / 1_000_000).ok(),
                ..self.header.clone()
            };
            CastWriter::new(self.format, header, self.streams)
        });
        writer.write(entry.seq, chunk, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.writer.is_none() {
            CastWriter::new(self.format, self.header.clone(), self.streams).finish(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_out_of_any_pieces() {
        let bytes: Vec<u8> = (0..200).collect();
        for (skipped, wanted) in [(0, 200), (0, 1), (17, 50), (199, 1), (64, 64), (0, u64::MAX)] {
            for piece in [1, 7, 64, 200] {
                let mut window = ByteWindow { skipped, wanted };
                let cut: Vec<u8> =
                    bytes.chunks(piece).flat_map(|piece| window.part_of(piece)).copied().collect();
                let from = usize::try_from(skipped).expect("small");
                let to = usize::try_from(wanted).map_or(200, |wanted| (from + wanted).min(200));
                assert_eq!(cut, bytes[from..to], "{skipped} {wanted} in pieces of {piece}");
            }
        }
    }
}
