//! Text as JSON, straight into the recording: most bytes of a recording pass through here.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How many bytes are looked at together; the compiler makes vector instructions of it.
const BLOCK: usize = 32;

/// How a line feed is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newline {
    /// As it is: a terminal has written the carriage return itself.
    Lf,
    /// With a carriage return before it, or a pipe's output would draw a staircase.
    CrLf,
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
            break;
        }
        length += BLOCK;
    }
    let rest = &bytes[length..];
    length + rest.iter().position(|byte| needs_escape(*byte)).unwrap_or(rest.len())
}

/// The inside of a JSON string.
pub(super) fn write_escaped(out: &mut Vec<u8>, text: &str, newline: Newline) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    loop {
        let (plain, from_escape) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = from_escape.split_first() else { return };
        rest = behind;
        match byte {
            b'\n' if newline == Newline::CrLf => out.extend_from_slice(br"\r\n"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(br"\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
}

/// A JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text, Newline::Lf);
    out.push(b'"');
}

/// A member of an object behind others, its value in base64.
pub(super) fn write_base64_member(out: &mut Vec<u8>, name: char, bytes: &[u8]) {
    write_to(out, format_args!(r#","{name}":"{}""#, base64_of(bytes)));
}

/// Bytes in base64.
pub(super) fn base64_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Formatted text.
pub(super) fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

/// A value that serde knows.
pub(super) fn write_value(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(out, value).expect("it holds only strings as keys and writes to memory");
}

/// What base64 stands for; none if it is not base64.
pub(super) fn read_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>(), plain in "[ -~]{0,100}") {
            let text = format!("{plain}{text}{plain}\n\u{1b}[0m");
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert!(!out.contains(&b'\n'));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid JSON"), text.as_str());
            let mut out = vec![b'"'];
            write_escaped(&mut out, &text, Newline::CrLf);
            out.push(b'"');
            let read = serde_json::from_slice::<String>(&out).expect("valid JSON");
            prop_assert_eq!(read, text.replace('\n', "\r\n"));
        }
    }
}
