//! Reading asciicast files of any origin, line by line.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::error::CastError;
use super::header::CastHeader;

/// Reads a file of asciicast version 2 or 3.
#[derive(Debug, Default)]
pub struct CastReader {
    state: State,
    line: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    BeforeHeader,
    /// Times are intervals; this is their sum.
    V3 { at_us: u64 },
    /// Times are absolute.
    V2,
}

/// What a line of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CastItem {
    /// The first line.
    Header(CastHeader),
    /// Any other that is no comment.
    Event(CastEvent),
}

/// An event of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastEvent {
    /// Its place on the time axis, in microseconds since the beginning.
    pub at_us: u64,
    /// `o` output, `i` input, `r` size as `COLSxROWS`, `m` marker, `x` status at the end; others are kept.
    pub code: String,
    /// What it carries; JSON, if it is no text.
    pub data: String,
}

#[derive(Deserialize)]
struct Event<'a>(f64, #[serde(borrow)] Cow<'a, str>, Value);

impl CastReader {
    /// Before the header.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next line, without its line feed. Gives nothing for comments and empty lines.
    pub fn push_line(&mut self, line: &str) -> Result<Option<CastItem>, CastError> {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let place = self.line;
        let refuse = |problem: String| CastError::Line { line: place, problem };
        let sum_us = match &mut self.state {
            State::BeforeHeader => {
                let (version, header) = CastHeader::parse(line).map_err(refuse)?;
                self.state = if version == 3 { State::V3 { at_us: 0 } } else { State::V2 };
                return Ok(Some(CastItem::Header(header)));
            }
            State::V3 { .. } if line.starts_with('#') => return Ok(None),
            State::V3 { at_us } => Some(at_us),
            State::V2 => None,
        };
        let Event(secs, code, data) = serde_json::from_str(line).map_err(|error| {
            refuse(format!("this is no event [seconds, \"code\", \"data\"]: {error}"))
        })?;
        let time_us = micros(secs)
            .ok_or_else(|| refuse(format!("{secs} is no time: seconds are not negative")))?;
        let at_us = match sum_us {
            Some(sum_us) => {
                *sum_us = sum_us.saturating_add(time_us);
                *sum_us
            }
            None => time_us,
        };
        let data = match data {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Some(CastItem::Event(CastEvent { at_us, code: code.into_owned(), data })))
    }

    /// Ends the file; an error if it had no header.
    pub fn finish(&self) -> Result<(), CastError> {
        match self.state {
            State::BeforeHeader => Err(CastError::Line {
                line: self.line + 1,
                problem: "the file ends before its header".to_owned(),
            }),
            State::V3 { .. } | State::V2 => Ok(()),
        }
    }
}

/// Seconds as microseconds, rounded; none for what is no place on a time axis.
fn micros(secs: f64) -> Option<u64> {
    /// A century: far behind any recording, and exact in both types.
    const MAX_SECS: f64 = 100.0 * 366.0 * 86_400.0;
    if !(0.0..=MAX_SECS).contains(&secs) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was just checked"
    )]
    let micros = (secs * 1e6).round() as u64;
    Some(micros)
}
