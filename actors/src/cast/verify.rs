//! Whether a file is a whole recording of ours, told by the file alone.

use super::decoder::EventDecoder;
use super::error::CastError;
use super::header::CastHeader;
use super::tally::{Defect, Tally};
use crate::entry::{Body, Entry};
use crate::ids::{StreamKey, StreamName};

/// Recovers the exact output from the lines of a file of asciicast version 3 and checks it.
#[derive(Debug)]
pub struct Verifier {
    decoder: EventDecoder,
    tally: Tally,
    /// True if it has another version, or its first event has no comment of ours.
    is_foreign: bool,
}

/// What the file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is there, and equals what the node counted at its end.
    Complete {
        /// Chunks of the stream.
        chunks: u64,
        /// Bytes of their output.
        bytes: u64,
        /// SHA-256 of these bytes, in lower-case hexadecimal.
        sha256: String,
    },
    /// Something is missing or differs.
    Incomplete(Defect),
    /// The file has no comments of ours, so it cannot be told.
    NotOurs,
}

impl Default for Verifier {
    fn default() -> Self {
        let node_ref = "file".parse().expect("it is a name");
        let stream = StreamKey { node_ref, stream: StreamName::Pty };
        let decoder = EventDecoder::of_file(stream);
        Self { decoder, tally: Tally::default(), is_foreign: false }
    }
}

impl Verifier {
    /// Before the first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next line, without its line feed; gives the entry that it completes, whose `nodeRef` is
    /// `file`, as files do not tell it. An error means that the file is damaged.
    pub fn push_line(&mut self, line: &str) -> Result<Option<Entry>, CastError> {
        if self.is_foreign {
            return Ok(None);
        }
        if self.decoder.line() == 0 {
            let refused = |problem| CastError::Line { line: 1, problem };
            let (version, _) = CastHeader::parse(line).map_err(refused)?;
            self.is_foreign = version != 3;
        }
        let is_untold = line.starts_with('[') && !self.decoder.expects_event();
        if is_untold && self.tally.chunks() == 0 {
            self.is_foreign = true;
            return Ok(None);
        }
        let entry = self.decoder.push_line(line)?;
        if let Some(Entry { body: Body::Terminal(chunk), .. }) = &entry {
            if chunk.index < self.tally.next_chunk() {
                let problem = format!("chunk {} comes again", chunk.index);
                return Err(CastError::Line { line: self.decoder.line(), problem });
            }
            self.tally.absorb(chunk);
        }
        Ok(entry)
    }

    /// Ends the file.
    pub fn finish(self) -> Verdict {
        if self.is_foreign {
            return Verdict::NotOurs;
        }
        match self.tally.defect() {
            Some(defect) => Verdict::Incomplete(defect),
            None => Verdict::Complete {
                chunks: self.tally.chunks(),
                bytes: self.tally.bytes(),
                sha256: self.tally.sha256(),
            },
        }
    }
}
