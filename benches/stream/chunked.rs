//! The body of a streamed HTTP/1.1 answer: chunks with a length before each (RFC 9112, section 7.1).

use anyhow::{Context as _, bail};

/// Takes chunks apart, however the connection cuts them.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    line: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Length,
    Body {
        left: usize,
    },
    /// The line break behind a body.
    Break,
    Ended,
}

impl Chunked {
    /// Takes what was received and gives the body in it to `seen`.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut seen: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            match self.state {
                State::Ended => return Ok(()),
                State::Body { left } => {
                    let (part, rest) = bytes.split_at(left.min(bytes.len()));
                    seen(part);
                    bytes = rest;
                    self.state = match left - part.len() {
                        0 => State::Break,
                        left => State::Body { left },
                    };
                }
                State::Length | State::Break => {
                    let (first, rest) = (bytes[0], &bytes[1..]);
                    bytes = rest;
                    if first != b'\n' {
                        self.line.push(first);
                        continue;
                    }
                    self.end_line()?;
                }
            }
        }
        Ok(())
    }

    /// True if the body was whole.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn end_line(&mut self) -> anyhow::Result<()> {
        let text = std::str::from_utf8(&self.line)?.trim_end();
        self.state = match (self.state, text) {
            (State::Break, "") => State::Length,
            (State::Length, "0") => State::Ended,
            (State::Length, text) => {
                State::Body { left: usize::from_str_radix(text, 16).context("a chunk's length")? }
            }
            _ => bail!("{text:?} stands behind a chunk"),
        };
        self.line.clear();
        Ok(())
    }
}
