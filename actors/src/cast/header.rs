//! The first line of a recording: the size of the terminal, when it began, and what it shows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{write_string, write_to};
use crate::entry::TerminalSize;

/// The header of an asciicast file. As JSON of its own it is part of an encoder's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CastHeader {
    /// The first size of the terminal; for a pipe the size of the replay.
    pub size: TerminalSize,
    /// When it began, in seconds since 1970-01-01 UTC, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The command that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The terminal that programs were told they have.
const TERM: &str = "xterm-256color";
/// How many characters of a title or command are written: a header is a line for people, and a command
/// can be a script of a megabyte.
const MAX_TEXT_CHARS: usize = 4096;

impl CastHeader {
    /// Appends the line of asciicast version 3, with its line feed.
    pub fn write_v3(&self, out: &mut Vec<u8>) {
        let TerminalSize { cols, rows } = self.size;
        write_to(
            out,
            format_args!(r#"{{"version":3,"term":{{"cols":{cols},"rows":{rows},"type":"{TERM}"}}"#),
        );
        self.write_about(out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the line of asciicast version 2, with its line feed.
    pub fn write_v2(&self, out: &mut Vec<u8>) {
        let TerminalSize { cols, rows } = self.size;
        write_to(out, format_args!(r#"{{"version":2,"width":{cols},"height":{rows}"#));
        self.write_about(out);
        write_to(out, format_args!(r#","env":{{"TERM":"{TERM}"}}}}"#));
        out.push(b'\n');
    }

    fn write_about(&self, out: &mut Vec<u8>) {
        if let Some(timestamp) = self.timestamp {
            write_to(out, format_args!(r#","timestamp":{timestamp}"#));
        }
        for (name, text) in [("title", &self.title), ("command", &self.command)] {
            if let Some(text) = text {
                write_to(out, format_args!(r#","{name}":"#));
                write_string(out, first_chars(text));
            }
        }
    }

    /// Reads the line of version 2 or 3 and tells which it is; an error is a sentence.
    pub(super) fn parse(line: &str) -> Result<(u64, Self), String> {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| format!("this is no header of an asciicast file: {error}"))?;
        let version = value.get("version").and_then(Value::as_u64);
        let (cols, rows) = match version {
            Some(3) => (value.pointer("/term/cols"), value.pointer("/term/rows")),
            Some(2) => (value.get("width"), value.get("height")),
            Some(other) => return Err(format!("asciicast version {other} is not known here")),
            None => return Err("this is no header of an asciicast file: it has no version".into()),
        };
        let side = |side: Option<&Value>, name: &str| {
            side.and_then(Value::as_u64)
                .and_then(|side| u16::try_from(side).ok())
                .filter(|side| *side > 0)
                .ok_or_else(|| format!("the header has no {name} from 1 to 65535"))
        };
        let size = TerminalSize { cols: side(cols, "columns")?, rows: side(rows, "rows")? };
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let timestamp = value.get("timestamp").and_then(Value::as_u64);
        let header = Self { size, timestamp, title: text("title"), command: text("command") };
        Ok((version.unwrap_or_default(), header))
    }
}

fn first_chars(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> CastHeader {
        CastHeader {
            size: TerminalSize { cols: 120, rows: 30 },
            timestamp: Some(1_795_000_000),
            title: Some("nightly \"scan\"".to_owned()),
            command: None,
        }
    }

    #[test]
    fn both_versions_are_written_and_read() {
        let mut v3 = Vec::new();
        header().write_v3(&mut v3);
        let v3 = String::from_utf8(v3).unwrap();
        assert_eq!(
            v3,
            r#"{"version":3,"term":{"cols":120,"rows":30,"type":"xterm-256color"},"timestamp":1795000000,"title":"nightly \"scan\""}"#.to_owned() + "\n"
        );
        assert_eq!(CastHeader::parse(&v3), Ok((3, header())));
        let mut v2 = Vec::new();
        header().write_v2(&mut v2);
        let v2 = String::from_utf8(v2).unwrap();
        assert_eq!(
            v2,
            r#"{"version":2,"width":120,"height":30,"timestamp":1795000000,"title":"nightly \"scan\"","env":{"TERM":"xterm-256color"}}"#.to_owned() + "\n"
        );
        assert_eq!(CastHeader::parse(&v2), Ok((2, header())));
    }

    #[test]
    fn what_is_no_header_is_told() {
        for (line, problem) in [
            ("[0.1, \"o\", \"x\"]", "no version"),
            ("{\"version\":1}", "version 1"),
            ("{\"version\":3}", "no columns"),
            ("{\"version\":2,\"width\":80,\"height\":0}", "no rows"),
            ("hello", "no header"),
        ] {
            let error = CastHeader::parse(line).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_long_command_is_cut() {
        let header = CastHeader { command: Some("ä".repeat(100_000)), ..header() };
        let mut line = Vec::new();
        header.write_v3(&mut line);
        assert!(line.len() < 10_000);
    }
}
