//! The texts that generators repeat, and what a terminal makes of them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Bytes of a text before it is repeated; a compressed frame of a recording holds less than that.
const BLOCK_BYTES: usize = 1024 * 1024;

/// A small generator of numbers, so that a text is the same in every process (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Byte count and SHA-256 of a flood of log lines as the terminal passes it on: each LF as CR LF.
pub(crate) fn flood_totals(bytes: u64) -> (u64, String) {
    totals(&log_lines(), bytes)
}

/// The same for what a build says.
pub(crate) fn build_totals(bytes: u64) -> (u64, String) {
    totals(&build_lines(), bytes)
}

/// SHA-256 of the first bytes of endless log lines, as the terminal passes them on, for each of these counts;
/// the counts must rise.
pub(crate) fn log_hashes(counts: &[u64]) -> Vec<String> {
    let whole = shown(&log_lines());
    let (mut hash, mut hashed) = (Sha256::new(), 0_u64);
    let mut of_first = |count: u64| {
        while hashed < count {
            let start = (hashed % whole.len() as u64) as usize;
            let take = (whole.len() - start).min((count - hashed) as usize);
            hash.update(&whole[start..start + take]);
            hashed += take as u64;
        }
        hex(&hash.clone().finalize())
    };
    counts.iter().map(|count| of_first(*count)).collect()
}

/// What a terminal makes of a text: each LF is CR LF.
fn shown(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for byte in text {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

fn totals(block: &[u8], bytes: u64) -> (u64, String) {
    let whole = shown(block);
    let (mut count, mut hash, mut left) = (0_u64, Sha256::new(), bytes);
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let part = if take == block.len() { whole.clone() } else { shown(&block[..take]) };
        count += part.len() as u64;
        hash.update(&part);
        left -= take as u64;
    }
    (count, hex(&hash.finalize()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What can be searched for in a flood of log lines of so many bytes: the id of a line in the middle of the
/// text, and how many lines have it.
pub(crate) fn needle(bytes: u64) -> (String, u64) {
    const BEFORE: &[u8] = b"request \x1b[35m";
    const ID_BYTES: usize = 6;
    let block = log_lines();
    let middle = block.len() / 2;
    let start = place_of(&block[middle..], BEFORE).map_or(0, |place| middle + place);
    let coloured = &block[start..start + BEFORE.len() + ID_BYTES];
    let id = String::from_utf8_lossy(&coloured[BEFORE.len()..]).into_owned();
    let found = |text: &[u8]| -> u64 {
        text.windows(coloured.len()).filter(|part| *part == coloured).count() as u64
    };
    let rest = usize::try_from(bytes % block.len() as u64).unwrap_or_default();
    let hits = bytes / block.len() as u64 * found(&block) + found(&block[..rest]);
    (format!("request {id} took"), hits)
}

fn place_of(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Coloured log lines of about 110 bytes, the same in every process.
pub(crate) fn log_lines() -> Vec<u8> {
    const LEVELS: [(&str, u8); 4] = [("DEBUG", 90), ("INFO", 32), ("WARN", 33), ("ERROR", 31)];
    const PLACES: [&str; 5] = ["http::router", "store::rows", "queue", "tls", "worker::pool"];
    let mut text = String::with_capacity(BLOCK_BYTES + 256);
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    while text.len() < BLOCK_BYTES {
        let state = numbers.next();
        let (level, colour) = LEVELS[(state % 11 % 4) as usize];
        let place = PLACES[(state >> 8) as usize % PLACES.len()];
        let (ms, id, took) = (state >> 16 & 1023, state >> 24 & 0xff_ffff, state >> 48 & 0xfff);
        let _ = writeln!(
            text,
            "\x1b[90m12:07:{:02}.{ms:03}\x1b[0m \x1b[1;{colour}m{level:5}\x1b[0m \
             \x1b[36m{place}\x1b[0m request \x1b[35m{id:06x}\x1b[0m took \x1b[1m{took}\x1b[0m ms, \
             {} bytes",
            state >> 40 & 31,
            state >> 30 & 0xffff,
        );
    }
    text.truncate(BLOCK_BYTES);
    text.into_bytes()
}

/// What a build says: crates, long command lines, warnings with the code they are about.
pub(crate) fn build_lines() -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "stream", "cursor", "frame", "parser", "token", "reader", "store", "table", "index",
        "window", "socket", "config", "worker", "buffer", "signal", "record", "schema", "layout",
        "render", "matrix", "packet", "filter", "system", "button",
    ];
    let mut text = String::with_capacity(BLOCK_BYTES + 1024);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    while text.len() < BLOCK_BYTES {
        let state = numbers.next();
        let word = |shift: u32| WORDS[(state >> shift) as usize % WORDS.len()];
        let (one, two, three) = (word(0), word(8), word(16));
        let (major, minor, line) = (state >> 24 & 3, state >> 26 & 31, state >> 32 & 0x7ff);
        let _ = match state >> 44 & 7 {
            0..4 => writeln!(
                text,
                "\x1b[1m\x1b[32m   Compiling\x1b[0m {one}-{two} v{major}.{minor}.{}",
                state >> 50 & 15
            ),
            4..6 => writeln!(
                text,
                "cc -O2 -g -fPIC -Wall -Wextra -Isrc/{one} -Iinclude -DNDEBUG -MMD \
                 -MF build/{one}/{two}.d -c src/{one}/{two}_{three}.c -o build/{one}/{two}_{three}.o"
            ),
            6 => writeln!(
                text,
                "\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `{three}`\x1b[0m\n  \
                 \x1b[1m\x1b[34m-->\x1b[0m src/{one}/{two}.rs:{line}:9\n     \
                 \x1b[1m\x1b[34m|\x1b[0m\n{line:4} \x1b[1m\x1b[34m|\x1b[0m     let {three} = \
                 {one}.{two}({});\n     \x1b[1m\x1b[34m|\x1b[0m         \
                 \x1b[1m\x1b[33m^^^^^^ help: prefix it with an underscore: `_{three}`\x1b[0m\n",
                state >> 50 & 0xff
            ),
            _ => writeln!(
                text,
                "[{:3}%] Building CXX object {one}/CMakeFiles/{two}.dir/{three}.cpp.o",
                state >> 50 & 63
            ),
        };
    }
    text.truncate(BLOCK_BYTES);
    text.into_bytes()
}
