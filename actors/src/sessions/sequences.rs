//! Finds control sequences in bytes, in any cuts. Source: ECMA-48 and xterm's `ctlseqs`.

/// What is kept of one sequence; a longer one is passed over.
const MAX_BYTES: usize = 256;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// These end a sequence wherever it stands.
const CANCEL: [u8; 2] = [0x18, 0x1a];

/// Finds sequences in what a program writes, remembering an unfinished one.
#[derive(Debug, Default)]
pub(super) struct SequenceFinder {
    state: State,
    text: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    /// An operating system or device control string.
    Text,
    /// Behind an ESC in a string: `\` ends it.
    TextEscape,
}

impl SequenceFinder {
    /// Takes the next bytes and shows every sequence they end: CSI with its final byte, OSC and DCS without
    /// what ended them.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.state == State::Ground {
                let Some(at) = rest.iter().position(|byte| *byte == ESC) else { return };
                self.begin();
                rest = &rest[at + 1..];
                continue;
            }
            self.step(rest[0], &mut each);
            rest = &rest[1..];
        }
    }

    fn begin(&mut self) {
        self.text.clear();
        self.text.push(ESC);
        self.state = State::Escape;
    }

    fn step(&mut self, byte: u8, each: &mut impl FnMut(&[u8])) {
        if CANCEL.contains(&byte) {
            self.state = State::Ground;
            return;
        }
        match self.state {
            State::Ground => {}
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Csi,
                    b']' | b'P' => State::Text,
                    ESC => return self.begin(),
                    _ => State::Ground,
                };
                self.keep(byte);
            }
            State::Csi => match byte {
                ESC => self.begin(),
                0x20..=0x3f => self.keep(byte),
                0x40..=0x7e => {
                    self.keep(byte);
                    self.show(each);
                }
                // A control takes effect at once and belongs to no sequence.
                _ => {}
            },
            State::Text => match byte {
                BEL => self.show(each),
                ESC => self.state = State::TextEscape,
                _ => self.keep(byte),
            },
            State::TextEscape => {
                self.show(each);
                if byte != b'\\' {
                    self.begin();
                    self.step(byte, each);
                }
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        // One too many marks it as too long.
        if self.text.len() <= MAX_BYTES {
            self.text.push(byte);
        }
    }

    fn show(&mut self, each: &mut impl FnMut(&[u8])) {
        self.state = State::Ground;
        if self.text.len() <= MAX_BYTES {
            each(&self.text);
        }
    }
}

/// How many bytes the sequence at the beginning of `bytes` has, with what ends it; none if there is none or it
/// is not finished.
pub(super) fn sequence_len(bytes: &[u8]) -> Option<usize> {
    let [ESC, opener, rest @ ..] = bytes else { return None };
    match opener {
        b'[' => {
            let len = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
            (0x40..=0x7e).contains(&rest[len]).then_some(len + 3)
        }
        b']' | b'P' => {
            let end = rest.iter().position(|byte| matches!(*byte, BEL | ESC))?;
            match (rest[end], rest.get(end + 1)) {
                (BEL, _) => Some(end + 3),
                (ESC, Some(b'\\')) => Some(end + 4),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pieces: &[&[u8]]) -> Vec<String> {
        let mut finder = SequenceFinder::default();
        let mut all = Vec::new();
        for piece in pieces {
            finder.feed(piece, |found| all.push(String::from_utf8_lossy(found).into_owned()));
        }
        all
    }

    #[test]
    fn sequences_are_found_in_any_cuts() {
        let text = b"a\x1b[6nb\x1b]11;?\x1b\\c\x1bP$qm\x07\x1b(B\x1b[3\x1b[0c\x1b]4;\x18\x1b[\n5n";
        let whole = found(&[text]);
        assert_eq!(whole, ["\x1b[6n", "\x1b]11;?", "\x1bP$qm", "\x1b[0c", "\x1b[5n"]);
        for cut in 0..text.len() {
            assert_eq!(found(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(found(&bytes), whole);
    }

    #[test]
    fn a_long_sequence_is_passed_over() {
        let long = [&b"\x1b]52;c;"[..], &[b'x'; 4096], b"\x07\x1b[c"].concat();
        assert_eq!(found(&[&long]), ["\x1b[c"]);
    }

    #[test]
    fn the_length_of_a_sequence_takes_in_its_end() {
        for (bytes, len) in [
            (&b"\x1b[1;2Rx"[..], Some(6)),
            (b"\x1b]11;rgb:0/0/0\x07x", Some(15)),
            (b"\x1bP1$r0m\x1b\\x", Some(9)),
            (b"\x1b[1;2", None),
            (b"\x1b]11;", None),
            (b"\x1bOP", None),
            (b"\x1b[\x1b[c", None),
            (b"x", None),
        ] {
            assert_eq!(sequence_len(bytes), len, "{bytes:?}");
        }
    }
}
