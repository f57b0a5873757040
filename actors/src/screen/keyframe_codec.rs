//! Keyframes as the object that is stored: a JSON array in one zstd frame, an element for each keyframe,
//! and a last one that tells how much of the stream there is.
//!
//! What is read may be damaged; it is refused rather than believed.

use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::keyframes::{Keyframe, KeyframeList, KeyframePlace, MAX_KEYFRAME_BYTES, StreamExtent};
use super::lines::{FrozenCollector, FrozenSource};
use super::terminal::FrozenTerminal;
use crate::entry::TerminalSize;
use crate::event_json::Millis;
use crate::ids::{ChunkIndex, Seq};

/// A stored list is at most this long: the bound of its memory in base64 and some members.
const MAX_TEXT_BYTES: u64 = 2 * MAX_KEYFRAME_BYTES as u64;
const ZSTD_LEVEL: i32 = 3;

/// A list of keyframes that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DamagedKeyframes {
    /// It is no zstd frame, or too long.
    #[error("the keyframes cannot be decompressed: {0}")]
    Compressed(#[from] io::Error),
    /// It is not the JSON that it should be.
    #[error("the keyframes cannot be parsed: {0}")]
    Json(#[from] serde_json::Error),
    /// Its parts contradict each other.
    #[error("the keyframes contradict each other")]
    Contradictory,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    chunk_index: Option<ChunkIndex>,
    seq: Seq,
    at_ms: f64,
    /// Output bytes up to there.
    bytes: u64,
    /// Lines up to there.
    line: u64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Content {
    End {
        end: bool,
    },
    #[serde(rename_all = "camelCase")]
    Terminal {
        cols: u16,
        rows: u16,
        /// What repaints the screen, in base64.
        payload: String,
        line_state: LineState,
    },
    Pipe {
        /// Bytes that no LF has ended, in base64.
        unfinished: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineState {
    rows_given: usize,
    beginning: String,
}

/// The object of a list.
pub fn encode(list: &KeyframeList) -> io::Result<Bytes> {
    let extent = list.extent();
    let element = |place: KeyframePlace, bytes, line, content| Element {
        chunk_index: place.chunk_index,
        seq: place.seq,
        at_ms: Millis(place.at_us).as_f64(),
        bytes,
        line,
        content,
    };
    let mut elements: Vec<Element> = Vec::with_capacity(list.frames().len() + 1);
    for frame in list.frames() {
        let content = match &frame.state.source {
            FrozenSource::Terminal { terminal, rows_given, beginning } => Content::Terminal {
                cols: terminal.size().cols,
                rows: terminal.size().rows,
                payload: STANDARD.encode(terminal.repaint()),
                line_state: LineState { rows_given: *rows_given, beginning: beginning.clone() },
            },
            FrozenSource::Pipe(unfinished) => {
                Content::Pipe { unfinished: STANDARD.encode(unfinished) }
            }
        };
        elements.push(element(frame.place, frame.bytes, frame.state.lines, content));
    }
    let end = Content::End { end: extent.has_ended };
    elements.push(element(extent.place, extent.bytes, extent.lines, end));
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    serde_json::to_writer(&mut encoder, &elements)?;
    encoder.finish().map(Bytes::from)
}

/// The list of an object.
pub fn decode(object: &[u8]) -> Result<KeyframeList, DamagedKeyframes> {
    let mut text = Vec::new();
    zstd::Decoder::new(object)?.take(MAX_TEXT_BYTES).read_to_end(&mut text)?;
    let mut elements: Vec<Element> = serde_json::from_slice(&text)?;
    let last = elements.pop().ok_or(DamagedKeyframes::Contradictory)?;
    let Content::End { end } = last.content else { return Err(DamagedKeyframes::Contradictory) };
    let extent =
        StreamExtent { place: last.place(), bytes: last.bytes, lines: last.line, has_ended: end };
    let frames: Option<Vec<Keyframe>> = elements.into_iter().map(Element::keyframe).collect();
    frames
        .and_then(|frames| KeyframeList::stored(frames, extent))
        .ok_or(DamagedKeyframes::Contradictory)
}

impl Element {
    fn place(&self) -> KeyframePlace {
        KeyframePlace {
            seq: self.seq,
            chunk_index: self.chunk_index,
            at_us: Millis::from_f64(self.at_ms).0,
        }
    }

    fn keyframe(self) -> Option<Keyframe> {
        let place = self.place();
        let source = match self.content {
            Content::End { .. } => return None,
            Content::Terminal { cols, rows, payload, line_state } => {
                let size = TerminalSize { cols, rows };
                let repaint = STANDARD.decode(payload).ok().filter(|_| size.is_valid())?;
                FrozenSource::Terminal {
                    terminal: FrozenTerminal::new(size, repaint),
                    rows_given: line_state.rows_given,
                    beginning: line_state.beginning,
                }
            }
            Content::Pipe { unfinished } => FrozenSource::Pipe(STANDARD.decode(unfinished).ok()?),
        };
        let state = FrozenCollector { lines: self.line, source };
        Some(Keyframe { place, bytes: self.bytes, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::LineCollector;

    fn list() -> KeyframeList {
        let place = |seq, index: Option<u64>, at_us| KeyframePlace {
            seq: Seq(seq),
            chunk_index: index.map(ChunkIndex),
            at_us,
        };
        let size = TerminalSize { cols: 20, rows: 4 };
        let mut collector = LineCollector::terminal(size);
        let state = collector.freeze().expect("it is empty");
        let mut list = KeyframeList::new(Keyframe { place: place(6, None, 0), bytes: 0, state });
        for index in 0..5 {
            collector
                .feed_each(b"\x1b[31mline\r\nof a longer text than a row\r\nab\xe2\x82", |_| ());
            let extent = StreamExtent {
                place: place(7 + index, Some(index), index * 20_000_001),
                bytes: index * 40,
                lines: if index == 4 { collector.rest_each(|_| ()) } else { collector.given() },
                has_ended: index == 4,
            };
            list.observe(extent, &collector);
        }
        list
    }

    #[test]
    fn screen_keyframes_come_back_as_they_were_stored() {
        let list = list();
        let object = encode(&list).expect("memory");
        let again = decode(&object).expect("as it was written");
        assert_eq!(again.extent(), list.extent());
        assert!(again.extent().has_ended && again.frames().len() >= 5);
        assert_eq!(again.frames(), list.frames());
        let text = zstd::decode_all(&object[..]).expect("zstd");
        let elements: Vec<serde_json::Value> = serde_json::from_slice(&text).expect("JSON");
        for member in ["chunkIndex", "seq", "atMs", "cols", "rows", "payload"] {
            assert!(elements[1].get(member).is_some(), "{member}");
        }
    }

    #[test]
    fn screen_damaged_keyframes_are_refused() {
        let object = encode(&list()).expect("memory").to_vec();
        for cut in [0, 1, object.len() / 2, object.len() - 1] {
            assert!(decode(&object[..cut]).is_err(), "{cut} bytes");
        }
        for text in ["", "[]", "{}", "[1]", "[{\"end\":true}]"] {
            let object = zstd::encode_all(text.as_bytes(), 1).expect("memory");
            assert!(decode(&object).is_err(), "{text}");
        }
    }
}
