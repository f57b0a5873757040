//! Asciicast files as they lie on a disk: plain, or compressed with zstd.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The longest line that is read, in bytes; a chunk of 1 MiB of control characters is a line of 6 MiB.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// How a zstd frame begins (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The lines of a file, one at a time.
pub(super) struct CastFile {
    name: String,
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl CastFile {
    /// Opens a file; zstd is known by its first bytes.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("reading {name}"))?;
        let mut file = BufReader::new(file);
        let begin = file.fill_buf().with_context(|| format!("reading {name}"))?;
        let input: Box<dyn BufRead> = if begin.starts_with(&ZSTD_MAGIC) {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?))
        } else {
            Box::new(file)
        };
        Ok(Self { name, input, line: Vec::new(), number: 0 })
    }

    /// The next line without its line feed; none after the last.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<&str>> {
        self.line.clear();
        self.number += 1;
        let place = || format!("reading {}, line {}", self.name, self.number);
        let mut limited = (&mut self.input).take(MAX_LINE_BYTES);
        let count = limited.read_until(b'\n', &mut self.line).with_context(place)?;
        if count == 0 {
            return Ok(None);
        }
        if count as u64 == MAX_LINE_BYTES {
            bail!("{}: more than {MAX_LINE_BYTES} bytes", place());
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).map(Some).with_context(place)
    }

    /// What the file is called, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// True if the argument of a command names a file rather than a run.
pub(super) fn is_file_name(argument: &str) -> bool {
    let has_ending = [".cast", ".zst"].iter().any(|ending| argument.ends_with(ending));
    has_ending || argument.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
        let mut file = CastFile::open(path)?;
        let mut lines = Vec::new();
        while let Some(line) = file.next_line()? {
            lines.push(line.to_owned());
        }
        Ok(lines)
    }

    #[test]
    fn plain_and_compressed_files_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"version\":3}\n[0.1, \"o\", \"größe\"]\r\n\n[0.2, \"o\", \"end\"]";
        let expected: Vec<&str> =
            text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let plain = folder.path().join("a.cast");
        std::fs::write(&plain, text).unwrap();
        assert_eq!(lines(&plain).unwrap(), expected);
        // Several frames, as recordings are made of.
        let (head, tail) = text.split_at(20);
        let mut packed = zstd::encode_all(head.as_bytes(), 3).unwrap();
        packed.extend(zstd::encode_all(tail.as_bytes(), 3).unwrap());
        let zst = folder.path().join("a.cast.zst");
        std::fs::write(&zst, &packed).unwrap();
        assert_eq!(lines(&zst).unwrap(), expected);
        std::fs::write(&zst, &packed[..packed.len() - 5]).unwrap();
        assert!(lines(&zst).is_err(), "it is cut");
        std::fs::write(&plain, b"\xff\n").unwrap();
        let error = format!("{:#}", lines(&plain).unwrap_err());
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn files_are_told_from_runs() {
        for name in ["a.cast", "./run", "/tmp/x", "a.cast.zst"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in ["run-1", "demo-20261121-095544", "a.b"] {
            assert!(!is_file_name(name), "{name}");
        }
    }
}
