//! Recordings of ours back into entries, member for member.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::CastError;
use super::json::{Newline, read_base64};
use super::lines::{EndMembers, newline_of};
use crate::entry::{Body, Chunk, ChunkKind, Entry, RunnerKind, TerminalSize};
use crate::ids::{ChunkIndex, Seq, StreamKey, StreamName};
use crate::moment::Timestamp;

/// The entries of a frame. `text` is one that [`super::decompress`] gave, or several one after the other.
pub fn decode_frame(text: &[u8], stream: &StreamKey) -> Result<Vec<Arc<Entry>>, CastError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| CastError::Frame(format!("its text is no UTF-8: {error}")))?;
    let mut decoder = EventDecoder::new(stream.clone());
    let mut entries = Vec::new();
    for line in text.split_terminator('\n') {
        if let Some(entry) = decoder.push_line(line)? {
            entries.push(Arc::new(entry));
        }
    }
    decoder.finish()?;
    Ok(entries)
}

/// Reads a recording of ours line by line, from the beginning of any frame.
#[derive(Debug)]
pub struct EventDecoder {
    stream: StreamKey,
    /// True until a file has told which stream it is.
    adopts_stream: bool,
    origin: Option<Arc<str>>,
    runner_kind: RunnerKind,
    at_us: Option<u64>,
    /// The place of the next chunk, if a comment told it.
    next_at_us: Option<u64>,
    /// What was told of the event that comes next.
    about: Option<About>,
    line: u64,
}

/// The part of a comment that every chunk has, and how to read its event.
#[derive(Debug)]
struct About {
    seq: Seq,
    index: ChunkIndex,
    recorded_at: Timestamp,
    delta_us: u64,
    exactness: Exactness,
    end: Option<EndMembers>,
}

/// How the bytes of a chunk follow from the text of its event.
#[derive(Debug)]
enum Exactness {
    /// These are the bytes.
    Told(Vec<u8>),
    /// The text without that many bytes at its beginning, and these behind it.
    Text { skip: usize, tail: Vec<u8> },
}

#[derive(Deserialize)]
struct Comment<'a> {
    q: Option<Seq>,
    i: Option<ChunkIndex>,
    t: Option<i64>,
    d: Option<u64>,
    #[serde(borrow)]
    u: Option<Cow<'a, str>>,
    s: Option<usize>,
    #[serde(borrow)]
    b: Option<Cow<'a, str>>,
    m: Option<EndMembers>,
    // `null` is a value like others here.
    #[serde(default, deserialize_with = "some_value")]
    gap: Option<Value>,
    at: Option<u64>,
    #[serde(borrow)]
    origin: Option<Cow<'a, str>>,
    #[serde(rename = "runnerKind")]
    runner_kind: Option<RunnerKind>,
    stream: Option<StreamName>,
}

fn some_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Event<'a>(
    serde::de::IgnoredAny,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
);

impl EventDecoder {
    /// Of a recording, or a frame, of this stream.
    pub fn new(stream: StreamKey) -> Self {
        Self {
            stream,
            adopts_stream: false,
            origin: None,
            runner_kind: RunnerKind::default(),
            at_us: None,
            next_at_us: None,
            about: None,
            line: 0,
        }
    }

    /// Of a file that says itself which stream it is; its entries have the `nodeRef` of `stream`.
    pub(super) fn of_file(stream: StreamKey) -> Self {
        Self { adopts_stream: true, ..Self::new(stream) }
    }

    /// Reads the next line, without its line feed; gives the entry that it completes.
    pub fn push_line(&mut self, line: &str) -> Result<Option<Entry>, CastError> {
        self.line += 1;
        match line.as_bytes().first() {
            None => Ok(None),
            // The header.
            Some(b'{') if self.line == 1 => Ok(None),
            Some(b'#') => self.comment(line[1..].trim_start()),
            Some(_) => self.event(line).map(Some),
        }
    }

    /// Ends the recording; an error if the comment of an event came last.
    pub fn finish(&self) -> Result<(), CastError> {
        match &self.about {
            Some(about) => {
                Err(self.refuse(format!("the event of chunk {} is missing", about.index)))
            }
            None => Ok(()),
        }
    }

    /// How many lines were read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// True if a comment told of the event that comes next.
    pub(super) fn expects_event(&self) -> bool {
        self.about.is_some()
    }

    fn refuse(&self, problem: impl Into<String>) -> CastError {
        CastError::Line { line: self.line, problem: problem.into() }
    }

    fn comment(&mut self, json: &str) -> Result<Option<Entry>, CastError> {
        if !json.starts_with('{') {
            // Somebody else's.
            return Ok(None);
        }
        let comment: Comment<'_> = serde_json::from_str(json)
            .map_err(|error| self.refuse(format!("the comment does not parse: {error}")))?;
        if let Some(found) = comment.stream {
            self.learn_stream(found)?;
        }
        if let Some(at_us) = comment.at {
            self.next_at_us = Some(at_us);
        }
        if let Some(origin) = &comment.origin {
            self.origin = Some(Arc::from(origin.as_ref()));
        }
        if let Some(runner_kind) = comment.runner_kind {
            self.runner_kind = runner_kind;
        }
        let Some(seq) = comment.q else { return Ok(None) };
        if let Some(about) = &self.about {
            return Err(self.refuse(format!("the event of chunk {} is missing", about.index)));
        }
        let (Some(index), Some(recorded_us), Some(delta_us)) = (comment.i, comment.t, comment.d)
        else {
            return Err(self.refuse("the comment has q, but not i, t and d"));
        };
        let exactness = match comment.b {
            Some(exact) => Exactness::Told(self.base64(&exact)?),
            None => Exactness::Text {
                skip: comment.s.unwrap_or(0),
                tail: comment.u.map_or(Ok(Vec::new()), |tail| self.base64(&tail))?,
            },
        };
        let recorded_at = Timestamp(recorded_us);
        let about = About { seq, index, recorded_at, delta_us, exactness, end: comment.m };
        if let Some(data) = comment.gap {
            return self.entry(&about, ChunkKind::Gap(data)).map(Some);
        }
        self.about = Some(about);
        Ok(None)
    }

    fn learn_stream(&mut self, found: StreamName) -> Result<(), CastError> {
        let expected = self.stream.stream;
        // A file tells its stream once; frames tell it again.
        if std::mem::take(&mut self.adopts_stream) {
            self.stream.stream = found;
        } else if found != expected {
            return Err(CastError::Stream { expected, found });
        }
        Ok(())
    }

    fn base64(&self, text: &str) -> Result<Vec<u8>, CastError> {
        read_base64(text).ok_or_else(|| self.refuse("the bytes in the comment are no base64"))
    }

    fn event(&mut self, line: &str) -> Result<Entry, CastError> {
        let Some(mut about) = self.about.take() else {
            return Err(self.refuse("the event has no comment that tells which chunk it is"));
        };
        let Event(_, code, data) = serde_json::from_str(line)
            .map_err(|error| self.refuse(format!("the event does not parse: {error}")))?;
        let kind = match code.as_ref() {
            "o" => {
                let newline = newline_of(self.stream.stream);
                ChunkKind::Output(self.payload(about.exactness_taken(), data, newline)?)
            }
            "i" => ChunkKind::Input(self.payload(about.exactness_taken(), data, Newline::Lf)?),
            "r" => {
                let size = parse_size(&data);
                ChunkKind::Resize(size.ok_or_else(|| self.refuse("a size is COLSxROWS"))?)
            }
            "m" => ChunkKind::Marker(data.into_owned()),
            "x" => {
                let end = about.end.take();
                let end = end.ok_or_else(|| self.refuse("the end has no comment with m"))?;
                ChunkKind::Exit(end.exit())
            }
            other => return Err(self.refuse(format!("no event of ours has the code {other:?}"))),
        };
        self.entry(&about, kind)
    }

    fn payload(
        &self,
        exactness: Exactness,
        text: Cow<'_, str>,
        newline: Newline,
    ) -> Result<Bytes, CastError> {
        let (skip, tail) = match exactness {
            Exactness::Told(bytes) => return Ok(Bytes::from(bytes)),
            Exactness::Text { skip, tail } => (skip, tail),
        };
        if skip > text.len() {
            return Err(self.refuse(format!("the text has fewer than the {skip} bytes of s")));
        }
        let mut bytes = text.into_owned().into_bytes();
        if newline == Newline::CrLf {
            bytes = without_added_returns(bytes);
        }
        if tail.is_empty() && skip == 0 {
            return Ok(Bytes::from(bytes));
        }
        bytes.extend_from_slice(&tail);
        Ok(Bytes::from(bytes).slice(skip..))
    }

    fn entry(&mut self, about: &About, kind: ChunkKind) -> Result<Entry, CastError> {
        let told = self.next_at_us.take();
        let at_us = told.or_else(|| self.at_us?.checked_add(about.delta_us));
        let (Some(at_us), Some(origin)) = (at_us, self.origin.clone()) else {
            return Err(self.refuse("no comment before it tells its time and origin"));
        };
        self.at_us = Some(at_us);
        let chunk = Chunk {
            node_ref: self.stream.node_ref.clone(),
            stream: self.stream.stream,
            index: about.index,
            kind,
            recorded_at: about.recorded_at,
            delta_us: about.delta_us,
            at_us,
            origin,
            runner_kind: self.runner_kind,
        };
        Ok(Entry { seq: about.seq, body: Body::Terminal(chunk) })
    }
}

impl About {
    fn exactness_taken(&mut self) -> Exactness {
        std::mem::replace(&mut self.exactness, Exactness::Told(Vec::new()))
    }
}

fn parse_size(text: &str) -> Option<TerminalSize> {
    let (cols, rows) = text.split_once('x')?;
    Some(TerminalSize { cols: cols.parse().ok()?, rows: rows.parse().ok()? })
}

/// Removes one carriage return before each line feed.
fn without_added_returns(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.contains(&b'\n') {
        return bytes;
    }
    let mut exact = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                exact.extend_from_slice(line);
                exact.push(b'\n');
            }
            None => exact.extend_from_slice(line),
        }
    }
    exact
}
