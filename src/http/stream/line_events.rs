//! Streams as lines: `format=lines` (Server-Sent Events) and `format=text`.
//!
//! A line is what the virtual terminal shows when the cursor leaves it; so the lines of a stream are
//! computed from its beginning, also for a client that comes back in the middle. The `id` stands only
//! with the last line of a chunk: a resume may repeat a line, but never loses one.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use runcast_actors::entry::TerminalSize;
use runcast_actors::flow::frame::{EventName, Frame};
use runcast_actors::ids::{NodeRef, Seq, StreamKey, StreamName};
use runcast_actors::screen::LineCollector;
use serde::{Deserialize, Serialize};

use crate::http::sse;
use crate::http::stream::encoders;
use crate::http::stream::source::Part;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStyle {
    /// `output` events, with the other events of the run.
    Events,
    /// Plain text; each line begins with its node if there are several.
    Text {
        /// Whether it does.
        prefixed: bool,
    },
}

/// Turns the parts of a stream into lines.
pub struct LineWriter {
    style: LineStyle,
    /// Nothing is written of entries up to here, except as the beginning of a later line.
    cursor: Seq,
    /// Only the last so many lines of what is there; none once that was written.
    tail: Option<Tail>,
    collectors: HashMap<StreamKey, Collector>,
}

/// The last pieces of the past, at most so many, and at most 4 MiB.
pub struct Tail {
    most: usize,
    bytes: usize,
    held: VecDeque<Bytes>,
}

/// Bytes that are held of the past, at most.
const TAIL_BYTES: usize = 4 * 1024 * 1024;

impl Tail {
    /// Holds at most the last `most` pieces.
    pub fn new(most: usize) -> Self {
        Self { most, bytes: 0, held: VecDeque::new() }
    }

    /// Adds a piece, and lets the oldest go where there is no room.
    pub fn hold(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.held.push_back(piece);
        while self.held.len() > self.most || self.bytes > TAIL_BYTES {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// What is held, oldest first.
    pub fn release(self) -> VecDeque<Bytes> {
        self.held
    }
}

struct Collector {
    lines: LineCollector,
    written: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChunkData<'a> {
    seq: Seq,
    node_ref: NodeRef,
    stream: StreamName,
    #[serde(borrow)]
    kind: &'a str,
    #[serde(borrow)]
    payload: Option<&'a str>,
    cols: Option<u16>,
    rows: Option<u16>,
    #[serde(borrow)]
    recorded_at: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputLine<'a> {
    timestamp: &'a str,
    node_ref: &'a NodeRef,
    stream: StreamName,
    line: u64,
    text: &'a str,
    seq: Seq,
}

impl LineWriter {
    /// Lines of entries after `cursor`, of what is there only the last `tail`.
    pub fn new(style: LineStyle, cursor: Seq, tail: Option<usize>) -> Self {
        let tail = tail.map(Tail::new);
        Self { style, cursor, tail, collectors: HashMap::new() }
    }

    /// What is to be written of a part.
    pub fn write(&mut self, part: &Part) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        match part {
            Part::Events(frames) => {
                for frame in frames {
                    self.write_frame(frame, &mut pieces);
                }
            }
            Part::Live(_) => {
                let held = self.tail.take().map(Tail::release).unwrap_or_default();
                pieces.extend(held);
                self.write_other(part, &mut pieces);
            }
            Part::Silence if self.style != LineStyle::Events => {}
            other => self.write_other(other, &mut pieces),
        }
        self.hold_back(pieces, part)
    }

    /// While the past is read, only its last lines are kept.
    fn hold_back(&mut self, pieces: Vec<Bytes>, part: &Part) -> Vec<Bytes> {
        let Some(tail) = self.tail.as_mut().filter(|_| matches!(part, Part::Events(_))) else {
            return pieces;
        };
        pieces.into_iter().for_each(|piece| tail.hold(piece));
        Vec::new()
    }

    fn write_other(&self, part: &Part, pieces: &mut Vec<Bytes>) {
        match (self.style, part) {
            (LineStyle::Events, _) => pieces.extend(encoders::sse(part)),
            (LineStyle::Text { .. }, Part::ComeBack(Some(passing))) => {
                pieces.push(Bytes::from(format!("[runcast] {}\n", passing.message)));
            }
            (LineStyle::Text { .. }, Part::Snapshot(_, terminal)) => {
                let text = encoders::snapshot_text(terminal.size, &terminal.payload);
                for line in text.lines() {
                    pieces.push(self.text_line(&terminal.node_ref, line));
                }
            }
            (LineStyle::Text { .. }, _) => {}
        }
    }

    fn write_frame(&mut self, frame: &Frame, pieces: &mut Vec<Bytes>) {
        if frame.event != EventName::Terminal {
            if self.style == LineStyle::Events && frame.seq > self.cursor && self.tail.is_none() {
                pieces.push(frame.text().clone());
            }
            return;
        }
        let data = frame.data();
        let Ok(chunk) = serde_json::from_slice::<ChunkData<'_>>(&data) else { return };
        let key = StreamKey { node_ref: chunk.node_ref.clone(), stream: chunk.stream };
        let size = chunk.cols.zip(chunk.rows).map(|(cols, rows)| TerminalSize { cols, rows });
        let collector = self.collectors.entry(key.clone()).or_insert_with(|| Collector {
            lines: match (chunk.stream, size) {
                (StreamName::Pty, Some(size)) => LineCollector::terminal(size),
                (StreamName::Pty, None) => {
                    LineCollector::terminal(TerminalSize { cols: 120, rows: 30 })
                }
                _ => LineCollector::pipe(),
            },
            written: 0,
        });
        let mut lines = Vec::new();
        match chunk.kind {
            "output" => {
                let payload = chunk.payload.unwrap_or_default();
                collector.lines.feed(&STANDARD.decode(payload).unwrap_or_default(), &mut lines);
            }
            "resize" => {
                if let Some(size) = size {
                    collector.lines.resize(size, &mut lines);
                }
            }
            "exit" => {
                let ended = std::mem::replace(&mut collector.lines, LineCollector::pipe());
                ended.finish(&mut lines);
            }
            _ => {}
        }
        let first = collector.written + 1;
        collector.written += lines.len() as u64;
        if chunk.kind == "exit" {
            self.collectors.remove(&key);
        }
        if chunk.seq <= self.cursor {
            return;
        }
        let last = lines.len().saturating_sub(1);
        for (place, text) in lines.iter().enumerate() {
            let piece = match self.style {
                LineStyle::Events => {
                    let line = OutputLine {
                        timestamp: chunk.recorded_at,
                        node_ref: &chunk.node_ref,
                        stream: chunk.stream,
                        line: first + place as u64,
                        text,
                        seq: chunk.seq,
                    };
                    sse::event("output", (place == last).then_some(chunk.seq), &line)
                }
                LineStyle::Text { .. } => self.text_line(&chunk.node_ref, text),
            };
            pieces.push(piece);
        }
    }

    fn text_line(&self, node_ref: &NodeRef, text: &str) -> Bytes {
        match self.style {
            LineStyle::Text { prefixed: true } => Bytes::from(format!("[{node_ref}] {text}\n")),
            _ => Bytes::from(format!("{text}\n")),
        }
    }
}
