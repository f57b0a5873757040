//! What a program asks its terminal, and whose answer counts.
//!
//! Every client is a terminal and answers every question it is shown: several clients would answer several
//! times, and one that is shown older output again would answer what was answered long ago. So an answer passes
//! only if its question waits for one and it comes from the client that answered for the session when that was
//! asked. Terminals send an answer by itself: a message with anything else in it was typed or pasted, and what
//! people type is never changed. Source: xterm's `ctlseqs`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::sequences::{SequenceFinder, sequence_len};

/// A question older than this waits for no answer: the program has given up.
const WAITS_FOR: Duration = Duration::from_secs(10);
/// Questions of one kind that wait at one time: more than a palette has.
const MAX_WAITING: usize = 512;
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
    asked: [Asked; KINDS],
}

/// The questions of one kind.
#[derive(Debug, Default)]
struct Asked {
    waiting: VecDeque<Waiting>,
    last: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    at: Instant,
    /// Who answered for the session then; none: whoever does now.
    client: Option<u64>,
}

/// What is left of an input.
#[derive(Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// What goes to the program.
    pub bytes: Cow<'a, [u8]>,
    /// True if it was no answer: a key, a paste, a mouse.
    pub is_typed: bool,
}

impl Queries {
    /// Looks for questions in what the program has written; `driver` answers for the session now.
    pub fn observe(&mut self, output: &[u8], driver: Option<u64>, now: Instant) {
        let asked = &mut self.asked;
        self.finder.feed(output, |sequence| {
            let Some((kind, count)) = question(sequence) else { return };
            let asked = &mut asked[kind as usize];
            asked.forget_old(now);
            asked.last = Some(now);
            let room = MAX_WAITING.saturating_sub(asked.waiting.len());
            let waiting = Waiting { at: now, client: driver };
            asked.waiting.extend(std::iter::repeat_n(waiting, count.min(room)));
        });
    }

    /// What of the input of a client goes to the program.
    pub fn filter<'a>(
        &mut self,
        input: &'a [u8],
        client: u64,
        driver: Option<u64>,
        now: Instant,
    ) -> Input<'a> {
        let typed = Input { bytes: Cow::Borrowed(input), is_typed: true };
        let mut answers = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let Some(len) = sequence_len(rest) else { return typed };
            let Some(answer) = answer(&rest[..len]) else { return typed };
            if answer.may_be_key && !self.asked[answer.kind as usize].was_asked_lately(now) {
                return typed;
            }
            answers.push((answer.kind, &rest[..len]));
            rest = &rest[len..];
        }
        let is_driver = driver == Some(client);
        let passing = answers.into_iter().filter(|(kind, _)| {
            let asked = &mut self.asked[*kind as usize];
            asked.forget_old(now);
            let theirs = |waiting: &Waiting| waiting.client.map_or(is_driver, |of| of == client);
            let place = asked.waiting.iter().position(theirs);
            place.is_some_and(|place| asked.waiting.remove(place).is_some())
        });
        let bytes: Vec<u8> = passing.flat_map(|(_, sequence)| sequence.iter().copied()).collect();
        Input { bytes: Cow::Owned(bytes), is_typed: false }
    }

    /// A client has gone: what it was to answer is answered by whoever answers now.
    pub fn forget_client(&mut self, client: u64) {
        for waiting in self.asked.iter_mut().flat_map(|asked| &mut asked.waiting) {
            if waiting.client == Some(client) {
                waiting.client = None;
            }
        }
    }
}

impl Asked {
    fn forget_old(&mut self, now: Instant) {
        self.waiting.retain(|waiting| now.duration_since(waiting.at) < WAITS_FOR);
    }

    fn was_asked_lately(&self, now: Instant) -> bool {
        self.last.is_some_and(|at| now.duration_since(at) < WAITS_FOR)
    }
}

/// What kind of answer a sequence of the program asks for, and how many.
fn question(sequence: &[u8]) -> Option<(Kind, usize)> {
    let kind = match sequence {
        [0x1b, b'[', params @ .., b'c'] if is_plain(params, b">") => Kind::Attributes,
        [0x1b, b'[', b'6', b'n'] | [0x1b, b'[', b'?', b'6', b'n'] => Kind::Position,
        [0x1b, b'[', params @ .., b'n'] if !params.is_empty() && is_plain(params, b"?") => {
            Kind::Status
        }
        [0x1b, b'[', .., b'$', b'p'] => Kind::Mode,
        // The title of the window is told as OSC.
        [0x1b, b'[', b'2', b'0' | b'1', b't'] => Kind::OperatingSystem,
        [0x1b, b'[', b'1', b'1' | b'3' | b'4' | b'5' | b'6' | b'8' | b'9', .., b't'] => {
            Kind::Window
        }
        [0x1b, b'[', b'?', b'u'] => Kind::Keyboard,
        // The unit's number is told as DCS, too.
        [0x1b, b'[', b'=', .., b'c']
        | [0x1b, b'[', b'>', .., b'q']
        | [0x1b, b'P', b'$' | b'+', b'q', ..] => Kind::DeviceControl,
        // One can ask for several colours at once.
        [0x1b, b']', text @ ..] => {
            let count = text.split(|byte| *byte == b';').filter(|part| *part == b"?").count();
            return (count > 0).then_some((Kind::OperatingSystem, count));
        }
        _ => return None,
    };
    Some((kind, 1))
}

struct Answer {
    kind: Kind,
    /// F3 with modifiers is written the same.
    may_be_key: bool,
}

/// What a sequence of a client answers; none if it is a key, the mouse, or a report that nobody asks for one by one.
fn answer(sequence: &[u8]) -> Option<Answer> {
    let kind = match sequence {
        [0x1b, b'[', b'?' | b'>' | b'=', .., b'c'] => Kind::Attributes,
        // Whether colours are dark, and the size, are reported when they change, to those who asked for that.
        [0x1b, b'[', b'?', b'9', b'9', b'7', .., b'n']
        | [0x1b, b'[', b'4', b'8', b';', .., b't'] => {
            return None;
        }
        [0x1b, b'[', b'0' | b'3', b'n'] | [0x1b, b'[', b'?', .., b'n'] => Kind::Status,
        [0x1b, b'[', params @ .., b'R'] if params.contains(&b';') => {
            return Some(Answer { kind: Kind::Position, may_be_key: is_modified_key(params) });
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

/// `1;2` to `1;16`: a key with modifiers.
fn is_modified_key(params: &[u8]) -> bool {
    let modifiers = params.strip_prefix(b"1;").and_then(|text| std::str::from_utf8(text).ok());
    modifiers.and_then(|text| text.parse::<u8>().ok()).is_some_and(|bits| (2..=16).contains(&bits))
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

    /// Who answers, and somebody else.
    const DRIVER: u64 = 1;
    const OTHER: u64 = 2;

    fn asked(output: &[u8]) -> Queries {
        let mut queries = Queries::default();
        queries.observe(output, Some(DRIVER), Instant::now());
        queries
    }

    fn passed(queries: &mut Queries, input: &[u8], client: u64) -> (Vec<u8>, bool) {
        let input = queries.filter(input, client, Some(DRIVER), Instant::now());
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
            assert_eq!(passed(&mut queries, answer, OTHER), (Vec::new(), false), "{question:?}");
            assert_eq!(
                passed(&mut queries, answer, DRIVER),
                (answer.to_vec(), false),
                "{question:?}"
            );
            assert_eq!(passed(&mut queries, answer, DRIVER), (Vec::new(), false), "{question:?}");
            assert_eq!(passed(&mut queries, answer, OTHER), (Vec::new(), false), "{question:?}");
        }
        // The unit's number, and two colours at once.
        let number = b"\x1bP!|00000000\x1b\\";
        assert_eq!(passed(&mut asked(b"\x1b[=c"), number, DRIVER).0, number);
        let colours = b"\x1b]4;0;rgb:0/0/0\x07\x1b]4;1;rgb:f/f/f\x07";
        assert_eq!(passed(&mut asked(b"\x1b]4;0;?;1;?\x07"), colours, DRIVER).0, colours);
    }

    #[test]
    fn what_nobody_asked_for_is_not_answered_and_what_is_typed_passes() {
        let mut queries = Queries::default();
        for (_, answer) in PAIRS {
            assert_eq!(passed(&mut queries, answer, DRIVER), (Vec::new(), false), "{answer:?}");
        }
        // Letters, arrows, F3 with shift, pastes with whatever in them, the mouse, the focus, an unfinished
        // sequence, and reports that are not asked for one by one.
        for typed in [
            &b"ls -l\r"[..],
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[1;2R",
            b"\x1b[200~a\x1b]0;x\x07\x1b[?62c\x1b[201~",
            b"ab\x1b[?62c\x1b[3;4Rcd",
            b"\x1b[<0;10;20M",
            b"\x1b[I",
            b"\x1b[97;5u",
            b"\x1b",
            b"\x1b[",
            b"\x03",
            b"\x1b[?997;1n",
            b"\x1b[48;30;120;600;960t",
        ] {
            for client in [DRIVER, OTHER] {
                assert_eq!(
                    passed(&mut queries, typed, client),
                    (typed.to_vec(), true),
                    "{typed:?}"
                );
            }
        }
    }

    #[test]
    fn the_cursor_in_the_first_row_is_no_key_once_it_was_asked_for() {
        let mut queries = asked(b"\x1b[6n");
        let answer = b"\x1b[1;5R";
        assert_eq!(passed(&mut queries, answer, DRIVER), (answer.to_vec(), false));
        assert_eq!(passed(&mut queries, answer, OTHER), (Vec::new(), false));
        // No key has so many modifiers.
        assert_eq!(passed(&mut Queries::default(), b"\x1b[1;40R", DRIVER), (Vec::new(), false));
    }

    #[test]
    fn the_one_who_was_asked_answers_also_when_another_one_types_meanwhile() {
        let mut queries = asked(b"\x1b[6n");
        let now = Instant::now();
        let answer = b"\x1b[7;7R";
        assert_eq!(queries.filter(answer, OTHER, Some(OTHER), now).bytes.as_ref(), b"");
        assert_eq!(queries.filter(answer, DRIVER, Some(OTHER), now).bytes.as_ref(), answer);
        // Unless it has gone.
        let mut queries = asked(b"\x1b[6n");
        queries.forget_client(DRIVER);
        assert_eq!(queries.filter(answer, OTHER, Some(OTHER), now).bytes.as_ref(), answer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_ten_seconds_and_their_number_is_bounded() {
        let mut queries = asked(&b"\x1b[c".repeat(1000));
        assert_eq!(queries.asked[Kind::Attributes as usize].waiting.len(), MAX_WAITING);
        tokio::time::advance(WAITS_FOR).await;
        assert_eq!(passed(&mut queries, b"\x1b[?62c", DRIVER), (Vec::new(), false));
    }
}
