//! Characters to terminal functions, remembering an unfinished escape sequence as it was written.
//!
//! avt can describe its parser only in part (the parameters before an intermediate are lost), so the
//! characters since the sequence began are kept here, C1 introducers in their 7-bit form and controls
//! left out, because those take effect at once. Fed to a fresh parser they lead to the same state.

use avt::Parser;
use avt::parser::{Function, State};

use super::modes::Modes;

/// An unfinished sequence longer than this is no longer kept word for word.
const MAX_SEQUENCE_BYTES: usize = 4096;

/// The parser with the text of the sequence it stands in.
#[derive(Debug, Default)]
pub(super) struct SequenceParser {
    parser: Parser,
    /// Empty exactly when the parser is in its ground state.
    text: String,
    /// The text stands for a sequence that grew too long; nothing is added to it.
    is_abridged: bool,
}

impl SequenceParser {
    /// The unfinished sequence, ready to be fed to a fresh parser.
    pub(super) fn pending(&self) -> &str {
        &self.text
    }

    /// Takes one character; a finished sequence is shown to `modes` and given back if avt knows it.
    pub(super) fn feed(&mut self, character: char, modes: &mut Modes) -> Option<Function> {
        if self.text.is_empty() {
            if (' '..'\u{7f}').contains(&character) {
                return self.parser.feed(character);
            }
            // Terminals ignore DEL; avt would print it.
            if character == '\u{7f}' {
                return None;
            }
        }
        let function = self.parser.feed(character);
        if let Some(introducer) = introducer(character) {
            // ESC also opens the terminator of an operating system command.
            if character == '\u{1b}' {
                self.show(modes);
            }
            self.text.clear();
            self.text.push_str(introducer);
            self.is_abridged = false;
        } else if !character.is_control() && !self.text.is_empty() {
            self.remember(character);
        }
        if self.parser.state == State::Ground && !self.text.is_empty() {
            if !character.is_control() || matches!(character, '\u{7}' | '\u{9c}') {
                self.show(modes);
            }
            self.text.clear();
            self.is_abridged = false;
        }
        function
    }

    fn show(&self, modes: &mut Modes) {
        if !self.is_abridged {
            modes.apply(&self.text);
        }
    }

    fn remember(&mut self, character: char) {
        if self.is_abridged {
            return;
        }
        if self.text.len() < MAX_SEQUENCE_BYTES {
            self.text.push(character);
            return;
        }
        if self.parser.state == State::Ground {
            return;
        }
        self.is_abridged = true;
        self.text.clear();
        // Each stand-in is ignored by terminals and ends where the sequence itself would end.
        match self.parser.state {
            State::OscString => self.text.push_str("\u{1b}]9999;"),
            State::CsiEntry | State::CsiParam | State::CsiIntermediate | State::CsiIgnore => {
                self.parser.state = State::CsiIgnore;
                self.text.push_str("\u{1b}[?<");
            }
            State::Escape | State::EscapeIntermediate => {
                self.is_abridged = false;
                self.text.push('\u{1b}');
                self.text.push(character);
            }
            _ => {
                self.parser.state = State::SosPmApcString;
                self.text.push_str("\u{1b}X");
            }
        }
    }
}

/// The 7-bit form of a character that begins a sequence in any state.
fn introducer(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{1b}' => "\u{1b}",
        '\u{90}' => "\u{1b}P",
        '\u{98}' => "\u{1b}X",
        '\u{9b}' => "\u{1b}[",
        '\u{9d}' => "\u{1b}]",
        '\u{9e}' => "\u{1b}^",
        '\u{9f}' => "\u{1b}_",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (SequenceParser, Modes) {
        let (mut parser, mut modes) = (SequenceParser::default(), Modes::default());
        for character in text.chars() {
            parser.feed(character, &mut modes);
        }
        (parser, modes)
    }

    #[test]
    fn screen_sequence_keeps_what_is_unfinished() {
        let cases = [
            ("ab", ""),
            ("\x1b", "\x1b"),
            ("\x1b[1;3\n1", "\x1b[1;31"),
            ("\u{9b}?10", "\x1b[?10"),
            ("\x1b[2 ", "\x1b[2 "),
            ("\x1b[31m", ""),
            ("\x1b[3\x18", ""),
            ("\x1b]0;ti\x1b", "\x1b"),
            ("\x1b]0;ti", "\x1b]0;ti"),
            ("\x1b]0;ti\x07", ""),
            ("\x1bP$q", "\x1bP$q"),
            ("\x1b[3\x1b(", "\x1b("),
        ];
        for (text, pending) in cases {
            assert_eq!(parsed(text).0.pending(), pending, "{text:?}");
        }
    }

    #[test]
    fn screen_sequence_is_bounded_and_ends_where_it_would() {
        for (start, end) in
            [("\x1b]0;", "\x07"), ("\x1b[", "m"), ("\x1bP", "\u{9c}"), ("\x1b ", "F")]
        {
            let filler = if start == "\x1b " { " " } else { "1" };
            let long = format!("{start}{}", filler.repeat(3 * MAX_SEQUENCE_BYTES));
            let (mut parser, mut modes) = parsed(&long);
            assert!(parser.pending().len() <= MAX_SEQUENCE_BYTES, "{start:?}");
            let (again, _) = parsed(parser.pending());
            assert_eq!(again.parser.state, parser.parser.state, "{start:?}");
            for character in end.chars() {
                parser.feed(character, &mut modes);
            }
            assert_eq!(parser.pending(), "", "{start:?}");
            assert_eq!(parser.feed('x', &mut modes), Some(Function::Print('x')));
        }
    }
}
