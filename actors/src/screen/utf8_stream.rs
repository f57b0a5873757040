//! Bytes in any cuts to text: decoding in pieces equals `String::from_utf8_lossy` of the whole.
//!
//! Each maximal part of an invalid sequence becomes one U+FFFD, as the WHATWG encoding standard and
//! the standard library do it. At most three bytes wait for their continuation.

/// An incremental, lossy UTF-8 decoder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Utf8Stream {
    /// An unfinished, so far valid sequence; the fourth place is for the byte under examination.
    bytes: [u8; 4],
    len: usize,
}

impl Utf8Stream {
    /// The bytes of a sequence that is not finished yet, at most three.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Decodes the next bytes and hands the text over in pieces; a piece is never empty.
    pub fn decode(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&str)) {
        while self.len > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return };
            self.bytes[self.len] = next;
            match std::str::from_utf8(&self.bytes[..=self.len]) {
                Ok(text) => {
                    sink(text);
                    self.len = 0;
                    bytes = rest;
                }
                Err(error) if error.error_len().is_none() => {
                    self.len += 1;
                    bytes = rest;
                }
                // What waited was a valid beginning, so this byte is what breaks it: it is read anew.
                Err(_) => {
                    sink("\u{fffd}");
                    self.len = 0;
                }
            }
        }
        let mut left = bytes.len();
        for chunk in bytes.utf8_chunks() {
            let (valid, invalid) = (chunk.valid(), chunk.invalid());
            left -= valid.len() + invalid.len();
            if !valid.is_empty() {
                sink(valid);
            }
            if invalid.is_empty() {
                continue;
            }
            if left == 0 && is_unfinished(invalid) {
                self.len = invalid.len();
                self.bytes[..invalid.len()].copy_from_slice(invalid);
            } else {
                sink("\u{fffd}");
            }
        }
    }

    /// Ends the stream: an unfinished sequence becomes one U+FFFD.
    pub fn finish(&mut self, mut sink: impl FnMut(&str)) {
        if std::mem::take(&mut self.len) > 0 {
            sink("\u{fffd}");
        }
    }
}

fn is_unfinished(invalid: &[u8]) -> bool {
    std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_in_pieces(bytes: &[u8], piece: usize) -> String {
        let mut stream = Utf8Stream::default();
        let mut text = String::new();
        for part in bytes.chunks(piece) {
            stream.decode(part, |piece| text.push_str(piece));
            assert!(stream.pending().len() <= 3);
        }
        stream.finish(|piece| text.push_str(piece));
        text
    }

    #[test]
    fn screen_utf8_keeps_an_unfinished_character() {
        let mut stream = Utf8Stream::default();
        let mut text = String::new();
        stream.decode(b"a\xf0\x9f\x98", |piece| text.push_str(piece));
        assert_eq!((text.as_str(), stream.pending()), ("a", &b"\xf0\x9f\x98"[..]));
        stream.decode(b"\x80b", |piece| text.push_str(piece));
        assert_eq!((text.as_str(), stream.pending()), ("a😀b", &b""[..]));
    }

    proptest! {
        #[test]
        fn screen_utf8_any_cut_decodes_as_the_whole(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    Just("é".as_bytes().to_vec()),
                    Just("世".as_bytes().to_vec()),
                    Just("😀".as_bytes().to_vec()),
                    Just(vec![0xf0, 0x9f]),
                    Just(vec![0xe2, 0x82]),
                ],
                0..20,
            ),
            piece in 1usize..6,
        ) {
            let bytes = parts.concat();
            prop_assert_eq!(decode_in_pieces(&bytes, piece), String::from_utf8_lossy(&bytes));
        }
    }
}
