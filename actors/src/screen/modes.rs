//! What a repaint must restore although avt does not know it: mouse reporting, focus reports,
//! bracketed paste, keypad, reverse video, the shape of the cursor, the title of the window.
//!
//! Modes 1, 6, 7, 25, the ANSI modes 4 and 20 and the alternate screen are in avt's dump.
//! Source: xterm's `ctlseqs`. A hard reset (RIS) resets all of it; a soft reset (DECSTR) resets only the
//! keypad and leaves mouse, paste, shape and title alone, as xterm and xterm.js do.

use std::io::Write;

/// Which mouse events are reported; the last one set counts, resetting any of them ends it.
const MOUSE_EVENTS: [u16; 5] = [9, 1000, 1001, 1002, 1003];
/// How they are written; the last one set counts.
const MOUSE_ENCODINGS: [u16; 4] = [1005, 1006, 1015, 1016];
/// Reverse video, application keypad, focus reports, bracketed paste: each on its own.
const FLAGS: [u16; 4] = [5, 66, 1004, 2004];
const KEYPAD: usize = 1;
/// A longer title is not kept.
const MAX_TITLE_BYTES: usize = 512;

/// The tracked modes of a terminal; the default is that of a fresh one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Modes {
    mouse_events: Option<u16>,
    mouse_encoding: Option<u16>,
    flags: [bool; FLAGS.len()],
    cursor_style: u8,
    title: String,
}

impl Modes {
    /// Takes a finished sequence: 7-bit introducer, no terminator after a string.
    pub(super) fn apply(&mut self, sequence: &str) {
        match sequence.as_bytes() {
            b"\x1bc" => *self = Self::default(),
            b"\x1b=" => self.flags[KEYPAD] = true,
            b"\x1b>" | b"\x1b[!p" => self.flags[KEYPAD] = false,
            [0x1b, b'[', b'?', params @ .., b'h'] => self.set_private(params, true),
            [0x1b, b'[', b'?', params @ .., b'l'] => self.set_private(params, false),
            [0x1b, b'[', params @ .., b' ', b'q'] => self.set_cursor_style(params),
            [0x1b, b']', b'0' | b'2', b';', title @ ..] if title.len() <= MAX_TITLE_BYTES => {
                self.title = String::from_utf8_lossy(title).into_owned();
            }
            _ => {}
        }
    }

    /// Appends the sequences that lead a fresh terminal to these modes.
    pub(super) fn write_to(&self, payload: &mut Vec<u8>) {
        let flags = FLAGS.iter().zip(self.flags).filter_map(|(mode, on)| on.then_some(*mode));
        for mode in self.mouse_events.into_iter().chain(self.mouse_encoding).chain(flags) {
            // Writing into a vector cannot fail.
            let _ = write!(payload, "\x1b[?{mode}h");
        }
        if self.cursor_style > 0 {
            let _ = write!(payload, "\x1b[{} q", self.cursor_style);
        }
        if !self.title.is_empty() {
            let _ = write!(payload, "\x1b]2;{}\x07", self.title);
        }
    }

    fn set_private(&mut self, params: &[u8], on: bool) {
        if !params.iter().all(|byte| byte.is_ascii_digit() || *byte == b';') {
            return;
        }
        for mode in params.split(|byte| *byte == b';').filter_map(number) {
            if MOUSE_EVENTS.contains(&mode) {
                self.mouse_events = on.then_some(mode);
            } else if MOUSE_ENCODINGS.contains(&mode) {
                self.mouse_encoding = on.then_some(mode);
            } else if let Some(place) = FLAGS.iter().position(|flag| *flag == mode) {
                self.flags[place] = on;
            }
        }
    }

    fn set_cursor_style(&mut self, params: &[u8]) {
        let style = if params.is_empty() { Some(0) } else { number(params) };
        if let Some(style) =
            style.and_then(|style| u8::try_from(style).ok()).filter(|style| *style <= 6)
        {
            self.cursor_style = style;
        }
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sequences: &[&str]) -> String {
        let mut modes = Modes::default();
        for sequence in sequences {
            modes.apply(sequence);
        }
        let mut payload = Vec::new();
        modes.write_to(&mut payload);
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn screen_modes_are_written_as_set() {
        assert_eq!(written(&[]), "");
        assert_eq!(
            written(&["\x1b[?1000;1006h", "\x1b[?2004h"]),
            "\x1b[?1000h\x1b[?1006h\x1b[?2004h"
        );
        assert_eq!(written(&["\x1b[?1000h", "\x1b[?1003h"]), "\x1b[?1003h");
        assert_eq!(written(&["\x1b[?1003h", "\x1b[?1000l"]), "");
        assert_eq!(written(&["\x1b=", "\x1b[5 q"]), "\x1b[?66h\x1b[5 q");
        assert_eq!(written(&["\x1b]0;make: all"]), "\x1b]2;make: all\x07");
        assert_eq!(written(&["\x1b[?10<00h", "\x1b[?1000:1h", "\x1b[1000h", "\x1b[9 q"]), "");
    }

    #[test]
    fn screen_modes_are_reset_by_ris_and_the_keypad_by_decstr() {
        let set = ["\x1b[?66;1002;1004h", "\x1b[4 q", "\x1b]2;title"];
        assert_eq!(written(&[&set[..], &["\x1bc"]].concat()), "");
        assert_eq!(
            written(&[&set[..], &["\x1b[!p"]].concat()),
            "\x1b[?1002h\x1b[?1004h\x1b[4 q\x1b]2;title\x07"
        );
    }
}
