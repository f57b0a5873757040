//! Recordings as files for people and stock tools.

use super::header::CastHeader;
use super::json::{Newline, write_escaped};
use super::lines::{
    EventClock, LineWriter, begin_event, end_event, exit_text, newline_of, size_text, write_shown,
};
use super::utf8::Pending;
use crate::entry::{Chunk, ChunkKind};
use crate::ids::{Seq, StreamName};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// asciicast version 3.
    V3,
    /// asciicast version 2: no end of the program, and times since the beginning.
    V2,
}

/// What a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// One stream. In version 3 with the comments from which [`super::Verifier`] recovers it exactly.
    One,
    /// Standard output and standard error of a node, in the order of their `seq`, the latter in red.
    Merged,
}

/// Writes a file, chunk by chunk.
#[derive(Debug)]
pub struct CastWriter {
    format: Format,
    /// Until it is written.
    header: Option<CastHeader>,
    text: Text,
}

#[derive(Debug)]
enum Text {
    /// As the archive holds it.
    Exact { lines: LineWriter, is_begun: bool },
    /// For looking at it.
    Plain(PlainText),
}

#[derive(Debug)]
struct PlainText {
    format: Format,
    streams: Streams,
    clock: EventClock,
    stdout: StreamText,
    stderr: StreamText,
}

#[derive(Debug, Default)]
struct StreamText {
    pending: Pending,
    has_ended: bool,
}

/// Sets the colour of what follows to red (ECMA-48, SGR).
const RED: &str = "\u{1b}[31m";
/// Sets it back to the default.
const DEFAULT_COLOUR: &str = "\u{1b}[39m";

impl CastWriter {
    /// Before the first chunk. If that is a resize, its size takes the place of the header's.
    pub fn new(format: Format, header: CastHeader, streams: Streams) -> Self {
        let text = match (format, streams) {
            (Format::V3, Streams::One) => {
                Text::Exact { lines: LineWriter::default(), is_begun: false }
            }
            _ => Text::Plain(PlainText {
                format,
                streams,
                clock: EventClock::default(),
                stdout: StreamText::default(),
                stderr: StreamText::default(),
            }),
        };
        Self { format, header: Some(header), text }
    }

    /// Appends the next chunk; with the first one the header.
    pub fn write(&mut self, seq: Seq, chunk: &Chunk, out: &mut Vec<u8>) {
        if let (ChunkKind::Resize(size), Some(header)) = (&chunk.kind, &mut self.header) {
            header.size = *size;
        }
        self.write_header(out);
        match &mut self.text {
            Text::Exact { lines, is_begun } => {
                if lines.has(seq, chunk) {
                    return;
                }
                if std::mem::replace(is_begun, true) {
                    lines.write_context(out, chunk);
                } else {
                    lines.begin_frame(out, chunk);
                }
                lines.write_chunk(out, seq, chunk);
            }
            Text::Plain(text) => text.write(chunk, out),
        }
    }

    /// Appends what is left: the header, if there was no chunk.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.write_header(out);
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        match (self.header.take(), self.format) {
            (Some(header), Format::V3) => header.write_v3(out),
            (Some(header), Format::V2) => header.write_v2(out),
            (None, _) => {}
        }
    }
}

impl PlainText {
    fn write(&mut self, chunk: &Chunk, out: &mut Vec<u8>) {
        match &chunk.kind {
            ChunkKind::Output(payload) => self.write_output(chunk, payload, out),
            ChunkKind::Input(payload) => {
                self.write_event(chunk, 'i', &String::from_utf8_lossy(payload), out);
            }
            ChunkKind::Resize(size) => self.write_event(chunk, 'r', &size_text(*size), out),
            ChunkKind::Marker(label) => self.write_event(chunk, 'm', label, out),
            // What was lost cannot be shown; the file that can tell it is the exact one.
            ChunkKind::Gap(_) => {}
            ChunkKind::Exit(exit) => {
                self.stream(chunk.stream).has_ended = true;
                let has_ended = self.streams == Streams::One
                    || (self.stdout.has_ended && self.stderr.has_ended);
                if has_ended && self.format == Format::V3 {
                    self.write_event(chunk, 'x', &exit_text(exit.end), out);
                }
            }
        }
    }

    fn write_output(&mut self, chunk: &Chunk, payload: &[u8], out: &mut Vec<u8>) {
        let is_coloured = self.streams == Streams::Merged && chunk.stream == StreamName::Stderr;
        let shown = self.stream(chunk.stream).pending.show(payload);
        if shown.is_empty() {
            return;
        }
        self.begin_event(chunk, 'o', out);
        if is_coloured {
            write_escaped(out, RED, Newline::Lf);
        }
        write_shown(out, &shown, newline_of(chunk.stream));
        if is_coloured {
            write_escaped(out, DEFAULT_COLOUR, Newline::Lf);
        }
        end_event(out);
    }

    fn write_event(&mut self, chunk: &Chunk, code: char, data: &str, out: &mut Vec<u8>) {
        self.begin_event(chunk, code, out);
        write_escaped(out, data, Newline::Lf);
        end_event(out);
    }

    fn begin_event(&mut self, chunk: &Chunk, code: char, out: &mut Vec<u8>) {
        let interval_ms = self.clock.advance(chunk.at_us);
        let time_ms = match self.format {
            Format::V3 => interval_ms,
            Format::V2 => self.clock.now_ms(),
        };
        begin_event(out, time_ms, code);
    }

    fn stream(&mut self, name: StreamName) -> &mut StreamText {
        match name {
            StreamName::Pty | StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        }
    }
}
