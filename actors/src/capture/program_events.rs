//! What a program tells of itself: JSON lines written to the file named by `RUNCAST_EVENTS`.

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;

use crate::entry::Level;
use crate::flow::inbox::MIN_PERMIT_BYTES;
use crate::flow::permits::{BytePermit, NodeBudget};
use crate::ports::Output;

/// The longest line a program may write, in bytes.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// What a read is charged until its events are acknowledged.
const PERMIT_BYTES: u32 = 16 * MIN_PERMIT_BYTES;
/// How many reads are made for what is left when the process has ended.
const LAST_READS: usize = 64;

/// One line.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum ProgramEvent {
    /// How far it is.
    Progress {
        /// How much it matters; `info` without it.
        #[serde(default)]
        level: Option<Level>,
        /// A sentence for people.
        #[serde(default)]
        message: Option<String>,
        /// More, for machines.
        #[serde(default)]
        data: Option<Value>,
    },
    /// A mark in its console.
    Marker {
        /// Its name.
        label: String,
    },
}

/// Events with the room they take until they are acknowledged.
#[derive(Debug, Default)]
pub struct Told {
    /// In the order they were written.
    pub events: Vec<ProgramEvent>,
    /// Their room.
    pub permit: Option<BytePermit>,
}

/// The reader of one attempt.
pub struct ProgramEvents {
    output: Box<dyn Output>,
    buffer: BytesMut,
    ended: bool,
}

/// Waits for events, and for room for them. Cancel-safe.
pub async fn next_events(reader: &mut Option<ProgramEvents>, budget: &NodeBudget) -> Told {
    let Some(reader) = reader.as_mut().filter(|reader| !reader.ended) else {
        return std::future::pending().await;
    };
    if reader.output.readable().await.is_err() {
        reader.ended = true;
        return Told::default();
    }
    let permit = budget.acquire(PERMIT_BYTES).await;
    let mut events = Vec::new();
    reader.read_once(&mut events);
    Told { events, permit: Some(permit) }
}

impl ProgramEvents {
    /// Reads this output.
    pub fn new(output: Box<dyn Output>) -> Self {
        Self { output, buffer: BytesMut::new(), ended: false }
    }

    /// What was written before the process ended.
    pub fn read_rest(&mut self) -> Told {
        let mut events = Vec::new();
        for _ in 0..LAST_READS {
            if self.ended || !self.read_once(&mut events) {
                break;
            }
        }
        let rest = self.buffer.split();
        events.extend(parse(&rest));
        Told { events, permit: None }
    }

    fn read_once(&mut self, events: &mut Vec<ProgramEvent>) -> bool {
        let room = MAX_LINE_BYTES.saturating_sub(self.buffer.len()).max(1);
        match self.output.try_read(&mut self.buffer, room) {
            Ok(None) => return false,
            Ok(Some(0)) | Err(_) => {
                self.ended = true;
                return false;
            }
            Ok(Some(_)) => {}
        }
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(end + 1);
            events.extend(parse(&line));
        }
        if self.buffer.len() >= MAX_LINE_BYTES {
            self.buffer.clear();
            events.push(refused("the line is longer than 16 KiB"));
        }
        true
    }
}

fn parse(line: &[u8]) -> Option<ProgramEvent> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    Some(serde_json::from_slice(line).unwrap_or_else(|error| refused(&error.to_string())))
}

fn refused(problem: &str) -> ProgramEvent {
    let message = format!("a line in RUNCAST_EVENTS is no event: {problem}");
    ProgramEvent::Progress { level: Some(Level::Warn), message: Some(message), data: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_event_or_a_warning() {
        let marker = parse(br#"{"type":"marker","label":"half way"}"#);
        assert_eq!(marker, Some(ProgramEvent::Marker { label: "half way".into() }));
        assert_eq!(parse(b"  \n"), None);
        for wrong in [&b"hello"[..], br#"{"type":"party"}"#, br#"{"type":"marker"}"#] {
            let Some(ProgramEvent::Progress { level, message, .. }) = parse(wrong) else {
                panic!("a warning is told")
            };
            assert_eq!(level, Some(Level::Warn));
            assert!(message.is_some_and(|message| message.contains("no event")));
        }
    }
}
