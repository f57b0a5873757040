//! How the bytes of a chunk are shown: asciicast is text, a terminal is bytes in any cuts.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::{base64_of, read_base64};

/// An unfinished, so far valid sequence at the end of what was shown: at most three bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// The fourth place is for the byte under examination.
    bytes: [u8; 4],
    length: usize,
}

/// What an event shows of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    /// What became of the sequence that earlier chunks began: a character, U+FFFD, or nothing.
    pub(super) carried: Carried,
    /// The text of the rest.
    pub(super) text: Cow<'a, str>,
    /// The last bytes of the chunk, which wait for their continuation.
    pub(super) tail: &'a [u8],
    /// False if some bytes of this chunk belong to no valid sequence, so that its text does not tell them.
    pub(super) is_exact: bool,
}

/// The end of a sequence that earlier chunks began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    character: Option<char>,
    /// How many bytes of the character belong to earlier chunks.
    pub(super) earlier_bytes: usize,
}

impl Shown<'_> {
    /// True if there is nothing to see yet.
    pub(super) fn is_empty(&self) -> bool {
        self.carried.character.is_none() && self.text.is_empty()
    }
}

impl Carried {
    /// The character as text.
    pub(super) fn encode(self, buffer: &mut [u8; 4]) -> &str {
        match self.character {
            Some(character) => character.encode_utf8(buffer),
            None => "",
        }
    }
}

impl Pending {
    /// Shows the next bytes of the output.
    pub(super) fn show<'a>(&mut self, payload: &'a [u8]) -> Shown<'a> {
        let Some(Completed { carried, rest, swallows }) = self.complete(payload) else {
            let text = Cow::Borrowed("");
            return Shown { carried: Carried::default(), text, tail: payload, is_exact: true };
        };
        let (text, tail, is_exact) = show_rest(rest);
        self.length = tail.len();
        self.bytes[..tail.len()].copy_from_slice(tail);
        Shown { carried, text, tail, is_exact: is_exact && !swallows }
    }

    /// Ends the sequence that waits. None if all bytes go on with it, or there are none.
    fn complete<'a>(&mut self, payload: &'a [u8]) -> Option<Completed<'a>> {
        let earlier_bytes = self.length;
        if earlier_bytes == 0 {
            return Some(Completed { carried: Carried::default(), rest: payload, swallows: false });
        }
        for (place, &next) in payload.iter().enumerate() {
            self.bytes[self.length] = next;
            match std::str::from_utf8(&self.bytes[..=self.length]) {
                Ok(text) => {
                    let carried = Carried { character: text.chars().next(), earlier_bytes };
                    let rest = &payload[place + 1..];
                    return Some(Completed { carried, rest, swallows: false });
                }
                Err(error) if error.error_len().is_none() => self.length += 1,
                // What waited was a valid beginning, so this byte is what breaks it: it is read anew.
                Err(_) => {
                    let character = char::REPLACEMENT_CHARACTER;
                    let carried =
                        Carried { character: Some(character), earlier_bytes: character.len_utf8() };
                    let rest = &payload[place..];
                    return Some(Completed { carried, rest, swallows: place > 0 });
                }
            }
        }
        None
    }
}

/// What became of a sequence that waited.
struct Completed<'a> {
    carried: Carried,
    rest: &'a [u8],
    /// True if bytes of this chunk went on with it before it broke: no text tells them.
    swallows: bool,
}

/// Text, the bytes that wait, and whether the text tells every other byte.
fn show_rest(bytes: &[u8]) -> (Cow<'_, str>, &[u8], bool) {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return (Cow::Borrowed(text), &[], true),
        Err(error) => error,
    };
    if error.error_len().is_none() {
        let (valid, tail) = bytes.split_at(error.valid_up_to());
        return (String::from_utf8_lossy(valid), tail, true);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut left = bytes.len();
    for part in bytes.utf8_chunks() {
        let (valid, invalid) = (part.valid(), part.invalid());
        left -= valid.len() + invalid.len();
        text.push_str(valid);
        if left == 0 && is_unfinished(invalid) {
            return (Cow::Owned(text), invalid, false);
        }
        if !invalid.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (Cow::Owned(text), &[], false)
}

fn is_unfinished(invalid: &[u8]) -> bool {
    std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}

impl Serialize for Pending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_of(&self.bytes[..self.length]))
    }
}

impl<'de> Deserialize<'de> for Pending {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = read_base64(&text)
            .filter(|bytes| bytes.is_empty() || (bytes.len() <= 3 && is_unfinished(bytes)))
            .ok_or_else(|| serde::de::Error::custom("no beginning of a UTF-8 sequence"))?;
        let mut pending = Self { length: bytes.len(), ..Self::default() };
        pending.bytes[..bytes.len()].copy_from_slice(&bytes);
        Ok(pending)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_equals_the_lossy_text_of_the_whole(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    Just("é世😀".as_bytes().to_vec()),
                    Just(vec![0xf0, 0x9f]),
                    Just(vec![0xe2, 0x82]),
                ],
                0..20,
            ),
            piece in 1_usize..6,
        ) {
            let mut bytes = parts.concat();
            bytes.push(b'.');
            let mut pending = Pending::default();
            let mut text = String::new();
            for payload in bytes.chunks(piece) {
                let shown = pending.show(payload);
                let mut buffer = [0; 4];
                let carried = shown.carried.encode(&mut buffer);
                if shown.is_exact {
                    let own = [carried, &shown.text].concat().into_bytes();
                    let told = [&own[shown.carried.earlier_bytes..], shown.tail].concat();
                    prop_assert_eq!(&told, payload);
                }
                text.push_str(carried);
                text.push_str(&shown.text);
                let stored = serde_json::to_string(&pending).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<Pending>(&stored).expect("JSON"), pending_bytes(&pending));
            }
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }

    /// Without the leftovers behind its length.
    fn pending_bytes(pending: &Pending) -> Pending {
        let mut clean = Pending { length: pending.length, ..Pending::default() };
        clean.bytes[..pending.length].copy_from_slice(&pending.bytes[..pending.length]);
        clean
    }
}
