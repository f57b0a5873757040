//! What a viewer presses.
//!
//! A recording may ask the terminal something, and the answer comes as if it had been typed. Answers are
//! escape sequences, so whatever belongs to one is no key.

use std::io::Read as _;

use tokio::sync::mpsc;

/// Keys that wait for the player; more than that nobody has pressed on purpose.
const WAITING_KEYS: usize = 16;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Space: stand still, or go on.
    Pause,
    /// `.`: show the next event.
    Step,
    /// `q`, Ctrl-C or Ctrl-D: end.
    Quit,
}

/// Finds keys among the bytes of a terminal.
#[derive(Debug, Clone, Copy, Default)]
struct KeyParser(State);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// CSI: up to a byte from `@` to `~`.
    Control,
    /// DCS, OSC and the like: up to BEL or ESC `\`.
    Text,
}

impl KeyParser {
    fn feed(&mut self, byte: u8) -> Option<Key> {
        const ESC: u8 = 0x1b;
        const BEL: u8 = 0x07;
        if byte == 0x03 {
            self.0 = State::Ground;
            return Some(Key::Quit);
        }
        self.0 = match (self.0, byte) {
            (_, ESC) => State::Escape,
            (State::Ground, _) => {
                return match byte {
                    b' ' => Some(Key::Pause),
                    b'.' => Some(Key::Step),
                    b'q' | b'Q' | 0x04 => Some(Key::Quit),
                    _ => None,
                };
            }
            (State::Escape, b'[' | b'O') => State::Control,
            (State::Escape, b'P' | b']' | b'X' | b'^' | b'_') => State::Text,
            (State::Escape, _) | (State::Control, b'@'..=b'~') | (State::Text, BEL) => {
                State::Ground
            }
            (State::Control, _) => State::Control,
            (State::Text, _) => State::Text,
        };
        None
    }
}

/// Keys from standard input, read by a thread that ends with the process.
pub(super) fn from_stdin() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(WAITING_KEYS);
    std::thread::spawn(move || {
        let mut parser = KeyParser::default();
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut bytes) {
            for key in bytes[..count].iter().filter_map(|byte| parser.feed(*byte)) {
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut parser = KeyParser::default();
        bytes.iter().filter_map(|byte| parser.feed(*byte)).collect()
    }

    #[test]
    fn keys_are_found_and_answers_of_a_terminal_are_none() {
        assert_eq!(keys(b" .xq"), [Key::Pause, Key::Step, Key::Quit]);
        assert_eq!(keys(b"\x03\x04"), [Key::Quit, Key::Quit]);
        // Device attributes, cursor position, version, a colour, a function key, a setting with `q`.
        for answer in [
            &b"\x1b[?62;22c"[..],
            b"\x1b[12;5R",
            b"\x1bP>|term(4. q)\x1b\\",
            b"\x1b]11;rgb:ffff/ffff/ff q.\x07",
            b"\x1bOq",
            b"\x1bP1$r2 q\x1b\\",
        ] {
            assert_eq!(keys(answer), [], "{answer:?}");
            assert_eq!(keys(&[answer, b"."].concat()), [Key::Step], "{answer:?}");
        }
        assert_eq!(keys(b"\x1b]never ends \x03"), [Key::Quit], "Ctrl-C always counts");
    }
}
