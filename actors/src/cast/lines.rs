//! The lines of a recording behind its header: comments with what asciicast cannot carry, then events.
//!
//! - `# {"at":µs,"origin":…,"runnerKind":…,"stream":…}` before the first event of a frame: where the next
//!   chunk stands on the time axis, and what captured it. Later on only what has changed.
//! - `# {"gap":{"fromChunk":…,"toChunk":…,"afterSeq":…}}`: chunks that are missing.
//! - `# {"q":seq,"i":index,"t":µs,"d":µs}` before each event: the chunk's `seq` and index, when it was
//!   read, and the time since the chunk before. Where needed: `u`, the bytes at its end that wait for
//!   their continuation; `s`, how many bytes of the event's text belong to earlier chunks; `b`, the exact
//!   bytes, in place of text, `u` and `s`; `m`, how the stream ended; `gap`, what was lost before it
//!   had a number: such a chunk has no event, and its time is carried to the next.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::json::{
    Newline, write_base64_member, write_escaped, write_string, write_to, write_value,
};
use super::utf8::{Pending, Shown};
use crate::entry::{Chunk, ChunkKind, Exit, ProcessEnd, RunnerKind, StreamTotals, TerminalSize};
use crate::ids::{ChunkIndex, Seq, StreamName};

/// Writes the lines of one stream. What it keeps as JSON is what must survive a segment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineWriter {
    /// The index that the next chunk has if none is missing.
    pub(super) next_chunk: ChunkIndex,
    /// The last chunk written.
    pub(super) last_seq: Seq,
    /// The place of the last chunk on the time axis, in microseconds.
    pub(super) at_us: u64,
    clock: EventClock,
    pending: Pending,
    #[serde(skip)]
    context: Option<Context>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Context {
    origin: Arc<str>,
    runner_kind: RunnerKind,
}

/// Rounds times to milliseconds and carries the error over.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct EventClock {
    /// The sum of all intervals so far.
    shown_ms: u64,
}

impl EventClock {
    /// The milliseconds from the last event to this place on the time axis.
    pub(super) fn advance(&mut self, at_us: u64) -> u64 {
        let now_ms = self.shown_ms.max((at_us.saturating_add(500)) / 1000);
        now_ms - std::mem::replace(&mut self.shown_ms, now_ms)
    }

    /// The place of the last event, in milliseconds.
    pub(super) fn now_ms(self) -> u64 {
        self.shown_ms
    }
}

impl LineWriter {
    /// True if the chunk was written before.
    pub(super) fn has(&self, seq: Seq, chunk: &Chunk) -> bool {
        chunk.index < self.next_chunk || seq <= self.last_seq
    }

    /// The comment of a frame's beginning.
    pub(super) fn begin_frame(&mut self, out: &mut Vec<u8>, chunk: &Chunk) {
        self.context = None;
        self.write_context(out, chunk);
    }

    /// The comment that tells what is not as before; nothing if everything is.
    pub(super) fn write_context(&mut self, out: &mut Vec<u8>, chunk: &Chunk) {
        let context = Context { origin: chunk.origin.clone(), runner_kind: chunk.runner_kind };
        let is_first = self.context.is_none();
        let is_other = self.context.as_ref() != Some(&context);
        let has_jumped = self.at_us.checked_add(chunk.delta_us) != Some(chunk.at_us);
        if !is_other && !has_jumped {
            return;
        }
        write_to(out, format_args!(r#"# {{"at":{}"#, chunk.at_us));
        if is_other {
            out.extend_from_slice(br#","origin":"#);
            write_string(out, &context.origin);
            write_to(out, format_args!(r#","runnerKind":"{}""#, context.runner_kind.as_str()));
        }
        if is_first {
            write_to(out, format_args!(r#","stream":"{}""#, chunk.stream));
        }
        out.extend_from_slice(b"}\n");
        self.context = Some(context);
    }

    /// The comments and the event of a chunk.
    pub(super) fn write_chunk(&mut self, out: &mut Vec<u8>, seq: Seq, chunk: &Chunk) {
        if chunk.index > self.next_chunk {
            let (from, after) = (self.next_chunk, self.last_seq);
            let to = chunk.index.0 - 1;
            write_to(
                out,
                format_args!(
                    "# {{\"gap\":{{\"fromChunk\":{from},\"toChunk\":{to},\"afterSeq\":{after}}}}}\n"
                ),
            );
        }
        self.next_chunk = chunk.index.next();
        self.last_seq = seq;
        self.at_us = chunk.at_us;
        write_to(
            out,
            format_args!(
                r#"# {{"q":{seq},"i":{},"t":{},"d":{}"#,
                chunk.index, chunk.recorded_at.0, chunk.delta_us
            ),
        );
        match &chunk.kind {
            ChunkKind::Output(payload) => {
                let shown = self.pending.show(payload);
                write_exactness(out, &shown, payload);
                end_comment(out);
                begin_event(out, self.clock.advance(chunk.at_us), 'o');
                write_shown(out, &shown, newline_of(chunk.stream));
                end_event(out);
            }
            ChunkKind::Input(payload) => {
                let text = String::from_utf8_lossy(payload);
                if text.as_bytes() != payload.as_ref() {
                    write_base64_member(out, 'b', payload);
                }
                end_comment(out);
                self.write_event(out, chunk, 'i', &text);
            }
            ChunkKind::Resize(size) => {
                end_comment(out);
                self.write_event(out, chunk, 'r', &size_text(*size));
            }
            ChunkKind::Marker(label) => {
                end_comment(out);
                self.write_event(out, chunk, 'm', label);
            }
            ChunkKind::Gap(data) => {
                out.extend_from_slice(br#","gap":"#);
                write_value(out, data);
                end_comment(out);
            }
            ChunkKind::Exit(exit) => {
                out.extend_from_slice(br#","m":"#);
                write_value(out, &EndMembers::of(exit));
                end_comment(out);
                self.write_event(out, chunk, 'x', &exit_text(exit.end));
            }
        }
    }

    fn write_event(&mut self, out: &mut Vec<u8>, chunk: &Chunk, code: char, data: &str) {
        begin_event(out, self.clock.advance(chunk.at_us), code);
        write_escaped(out, data, Newline::Lf);
        end_event(out);
    }
}

/// How a stream ended, as it stands in the comment before its last event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndMembers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(rename = "final")]
    totals: StreamTotals,
}

impl EndMembers {
    fn of(exit: &Exit) -> Self {
        Self { exit_code: exit.end.code(), signal: exit.end.signal(), totals: exit.totals.clone() }
    }

    /// The end that it tells of.
    pub(super) fn exit(self) -> Exit {
        let end = match (self.exit_code, self.signal) {
            (Some(code), _) => ProcessEnd::Code(code),
            (None, Some(signal)) => ProcessEnd::Signal(signal),
            (None, None) => ProcessEnd::Unknown,
        };
        Exit { end, totals: self.totals }
    }
}

/// How line feeds of a stream's output are written.
pub(super) fn newline_of(stream: StreamName) -> Newline {
    match stream {
        StreamName::Pty => Newline::Lf,
        StreamName::Stdout | StreamName::Stderr => Newline::CrLf,
    }
}

/// A size as `r` events write it.
pub(super) fn size_text(size: TerminalSize) -> String {
    format!("{}x{}", size.cols, size.rows)
}

/// The status that `x` events tell, as a shell would.
pub(super) fn exit_text(end: ProcessEnd) -> String {
    let status = match end {
        ProcessEnd::Code(code) => code,
        ProcessEnd::Signal(signal) => signal.saturating_add(128),
        ProcessEnd::Unknown => -1,
    };
    status.to_string()
}

fn write_exactness(out: &mut Vec<u8>, shown: &Shown<'_>, payload: &[u8]) {
    if !shown.is_exact {
        return write_base64_member(out, 'b', payload);
    }
    if !shown.tail.is_empty() {
        write_base64_member(out, 'u', shown.tail);
    }
    if shown.carried.earlier_bytes > 0 {
        write_to(out, format_args!(r#","s":{}"#, shown.carried.earlier_bytes));
    }
}

/// The text of an output event.
pub(super) fn write_shown(out: &mut Vec<u8>, shown: &Shown<'_>, newline: Newline) {
    out.extend_from_slice(shown.carried.encode(&mut [0; 4]).as_bytes());
    write_escaped(out, &shown.text, newline);
}

fn end_comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

/// An event up to its data; `time_ms` is an interval in version 3, absolute in version 2.
pub(super) fn begin_event(out: &mut Vec<u8>, time_ms: u64, code: char) {
    let (secs, millis) = (time_ms / 1000, time_ms % 1000);
    write_to(out, format_args!(r#"[{secs}.{millis:03}, "{code}", ""#));
}

/// The end of an event's data and line.
pub(super) fn end_event(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"]\n");
}
