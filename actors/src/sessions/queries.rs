//! What a program asks its terminal, and whose answer counts.
//!
//! Every client is a terminal and answers every question it is shown: several clients would answer several
//! times, and one that is shown older output again would answer what was answered long ago. So an answer passes
//! only if its question waits for one and it comes from the client that answers for the session. What people
//! type is never changed. Source: xterm's `ctlseqs`.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::sequences::{SequenceFinder, sequence_len};

/// A question older than this waits for no answer: the program has given up.
const WAITS_FOR: Duration = Duration::from_secs(10);
/// Questions of one kind that wait at one time; more are a program that does not listen.
const MAX_WAITING: usize = 64;
const KINDS: usize = 8;

/// What an answer looks like, which is what it can be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `CSI … c`
    Attributes,
    /// `CSI … n`
    Status,
    /// `CSI row ; col R`
    Position,
    /// `CSI … $ y`
    Mode,
    /// `CSI … t`
    Window,
    /// `CSI ? flags u`
    Keyboard,
    /// `OSC …`
    OperatingSystem,
    /// `DCS …`
    DeviceControl,
}

/// The questions of one terminal.
#[derive(Debug, Default)]
pub struct Queries {
    finder: SequenceFinder,
    waiting: [Vec<Instant>; KINDS],
}

/// What is left of an input.
#[derive(Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// What goes to the program.
    pub bytes: Cow<'a, [u8]>,
    /// True if there was more than answers: a key, a paste, a mouse.
    pub is_typed: bool,
}

impl Queries {
    /// Looks for questions in what the program has written.
    pub fn observe(&mut self, output: &[u8], now: Instant) {
        let waiting = &mut self.waiting;
        self.finder.feed(output, |sequence| {
            if let Some(kind) = question(sequence) {
                let asked = &mut waiting[kind as usize];
                asked.retain(|at| now.duration_since(*at) < WAITS_FOR);
                if asked.len() < MAX_WAITING {
                    asked.push(now);
                }
            }
        });
    }

    /// Takes from the input of a client the answers that do not count.
    pub fn filter<'a>(&mut self, input: &'a [u8], may_answer: bool, now: Instant) -> Input<'a> {
        let mut kept = Vec::new();
        let mut dropped = false;
        let mut is_typed = false;
        let mut begin = 0;
        let mut at = 0;
        while at < input.len() {
            let sequence = sequence_len(&input[at..]).map(|len| &input[at..at + len]);
            let answers = sequence.and_then(|sequence| Some((sequence.len(), answer(sequence)?)));
            let Some((len, answer)) = answers else {
                is_typed = true;
                // The rest of a sequence that is a key cannot be the beginning of an answer.
                at += sequence.map_or(1, <[u8]>::len);
                continue;
            };
            let is_asked = self.is_asked(answer.kind, now);
            if answer.may_be_key && !is_asked {
                is_typed = true;
            } else if may_answer && is_asked {
                self.waiting[answer.kind as usize].remove(0);
            } else {
                kept.extend_from_slice(&input[begin..at]);
                begin = at + len;
                dropped = true;
            }
            at += len;
        }
        if !dropped {
            return Input { bytes: Cow::Borrowed(input), is_typed };
        }
        kept.extend_from_slice(&input[begin..]);
        Input { bytes: Cow::Owned(kept), is_typed }
    }

    fn is_asked(&mut self, kind: Kind, now: Instant) -> bool {
        let asked = &mut self.waiting[kind as usize];
        asked.retain(|at| now.duration_since(*at) < WAITS_FOR);
        !asked.is_empty()
    }
}

/// What kind of answer a sequence of the program asks for.
fn question(sequence: &[u8]) -> Option<Kind> {
    match sequence {
        [0x1b, b'[', params @ .., b'c'] if is_plain(params, b">=") => Some(Kind::Attributes),
        [0x1b, b'[', b'6', b'n'] | [0x1b, b'[', b'?', b'6', b'n'] => Some(Kind::Position),
        [0x1b, b'[', params @ .., b'n'] if !params.is_empty() && is_plain(params, b"?") => {
            Some(Kind::Status)
        }
        [0x1b, b'[', .., b'$', b'p'] => Some(Kind::Mode),
        [0x1b, b'[', b'1', b'1' | b'3' | b'4' | b'5' | b'6' | b'8' | b'9', .., b't'] => {
            Some(Kind::Window)
        }
        [0x1b, b'[', b'?', b'u'] => Some(Kind::Keyboard),
        [0x1b, b'[', b'>', .., b'q'] | [0x1b, b'P', b'$' | b'+', b'q', ..] => {
            Some(Kind::DeviceControl)
        }
        // The title of the window is told as OSC.
        [0x1b, b'[', b'2', b'0' | b'1', b't'] | [0x1b, b']', .., b'?'] => {
            Some(Kind::OperatingSystem)
        }
        _ => None,
    }
}

struct Answer {
    kind: Kind,
    /// A key with modifiers is written the same: F3, if nobody has asked for the cursor.
    may_be_key: bool,
}

/// What a sequence of a client answers; none if it is a key or the mouse.
fn answer(sequence: &[u8]) -> Option<Answer> {
    let kind = match sequence {
        [0x1b, b'[', b'?' | b'>' | b'=', .., b'c'] => Kind::Attributes,
        [0x1b, b'[', b'0' | b'3', b'n'] | [0x1b, b'[', b'?', .., b'n'] => Kind::Status,
        [0x1b, b'[', params @ .., b'R'] if params.contains(&b';') => {
            let may_be_key = matches!(params, [b'1', b';', ..]);
            return Some(Answer { kind: Kind::Position, may_be_key });
        }
        [0x1b, b'[', .., b'$', b'y'] => Kind::Mode,
        [0x1b, b'[', params @ .., b't'] if params.contains(&b';') => Kind::Window,
        [0x1b, b'[', b'?', .., b'u'] => Kind::Keyboard,
        [0x1b, b']', ..] => Kind::OperatingSystem,
        [0x1b, b'P', ..] => Kind::DeviceControl,
        _ => return None,
    };
    Some(Answer { kind, may_be_key: false })
}

/// Digits and semicolons, perhaps behind one of these.
fn is_plain(params: &[u8], prefixes: &[u8]) -> bool {
    let rest = match params {
        [first, rest @ ..] if prefixes.contains(first) => rest,
        all => all,
    };
    rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(output: &[u8]) -> Queries {
        let mut queries = Queries::default();
        queries.observe(output, Instant::now());
        queries
    }

    fn passed(queries: &mut Queries, input: &[u8], may_answer: bool) -> (Vec<u8>, bool) {
        let input = queries.filter(input, may_answer, Instant::now());
        (input.bytes.into_owned(), input.is_typed)
    }

    const PAIRS: [(&[u8], &[u8]); 9] = [
        (b"\x1b[c", b"\x1b[?62;22c"),
        (b"\x1b[>c", b"\x1b[>0;276;0c"),
        (b"\x1b[5n", b"\x1b[0n"),
        (b"\x1b[6n", b"\x1b[12;40R"),
        (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
        (b"\x1b[18t", b"\x1b[8;30;120t"),
        (b"\x1b]11;?\x07", b"\x1b]11;rgb:0000/0000/0000\x07"),
        (b"\x1b[>q", b"\x1bP>|xterm.js(6)\x1b\\"),
        (b"\x1b[?u", b"\x1b[?0u"),
    ];

    #[test]
    fn a_question_is_answered_once_by_the_one_who_may() {
        for (question, answer) in PAIRS {
            let mut queries = asked(question);
            assert_eq!(passed(&mut queries, answer, false), (Vec::new(), false), "{question:?}");
            assert_eq!(
                passed(&mut queries, answer, true),
                (answer.to_vec(), false),
                "{question:?}"
            );
            assert_eq!(passed(&mut queries, answer, true), (Vec::new(), false), "{question:?}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_not_answered_and_what_is_typed_passes() {
        let mut queries = Queries::default();
        for (_, answer) in PAIRS {
            assert_eq!(passed(&mut queries, answer, true), (Vec::new(), false), "{answer:?}");
        }
        // Letters, arrows, F3 with shift, a paste in brackets, the mouse, the focus, an unfinished sequence.
        for typed in [
            &b"ls -l\r"[..],
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[1;2R",
            b"\x1b[200~echo\x1b[201~",
            b"\x1b[<0;10;20M",
            b"\x1b[I",
            b"\x1b[97;5u",
            b"\x1b",
            b"\x1b[",
            b"\x03",
        ] {
            for may_answer in [true, false] {
                assert_eq!(passed(&mut queries, typed, may_answer), (typed.to_vec(), true));
            }
        }
    }

    #[test]
    fn answers_are_taken_out_of_what_is_typed() {
        let mut queries = asked(b"\x1b[6n");
        let mixed = b"ab\x1b[?62c\x1b[3;4Rcd";
        assert_eq!(passed(&mut queries, mixed, false), (b"abcd".to_vec(), true));
        assert_eq!(passed(&mut queries, mixed, true), (b"ab\x1b[3;4Rcd".to_vec(), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_ten_seconds_and_their_number_is_bounded() {
        let mut queries = Queries::default();
        queries.observe(&b"\x1b[c".repeat(1000), Instant::now());
        assert_eq!(queries.waiting[Kind::Attributes as usize].len(), MAX_WAITING);
        tokio::time::advance(WAITS_FOR).await;
        let late = queries.filter(b"\x1b[?62c", true, Instant::now());
        assert_eq!(late.bytes.as_ref(), b"");
    }
}
