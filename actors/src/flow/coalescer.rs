//! When gathered output becomes a chunk: at once after quiet, in larger pieces under load.
//!
//! A chunk border never changes a byte; it only decides how many bytes share an entry.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::flow::permits::BytePermit;

/// Gathers the output of one stream.
#[derive(Debug)]
pub struct Coalescer {
    max_chunk_bytes: usize,
    flush_after: Duration,
    gathered: BytesMut,
    permit: Option<BytePermit>,
    last_flush: Option<Instant>,
}

impl Coalescer {
    /// Chunks of at most `max_chunk_bytes`; none waits longer than `flush_after`.
    pub fn new(max_chunk_bytes: usize, flush_after: Duration) -> Self {
        Self {
            max_chunk_bytes,
            flush_after,
            gathered: BytesMut::new(),
            permit: None,
            last_flush: None,
        }
    }

    /// The buffer to read into, at most [`Self::room`] bytes.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.gathered
    }

    /// How many bytes still fit into the chunk.
    pub fn room(&self) -> usize {
        self.max_chunk_bytes - self.gathered.len()
    }

    /// The permit of what was just read into the buffer.
    pub fn add_permit(&mut self, permit: BytePermit) {
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
    }

    /// When what is gathered must go; none if nothing is gathered. In the past: at once.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.gathered.is_empty() {
            return None;
        }
        if self.room() == 0 {
            return Some(now);
        }
        Some(self.last_flush.map_or(now, |last| last + self.flush_after))
    }

    /// Takes what is gathered as a chunk.
    pub fn flush(&mut self, now: Instant) -> Option<(Bytes, Option<BytePermit>)> {
        if self.gathered.is_empty() {
            return None;
        }
        self.last_flush = Some(now);
        // A small chunk that waits in a queue must not hold a large buffer, so it is copied.
        let chunk = if self.gathered.len() * 2 > self.gathered.capacity() {
            self.gathered.split().freeze()
        } else {
            let copy = Bytes::copy_from_slice(&self.gathered);
            self.gathered.clear();
            copy
        };
        Some((chunk, self.permit.take()))
    }

    /// Gives the buffer back while the terminal is idle.
    pub fn release_buffer(&mut self) {
        if self.gathered.is_empty() {
            self.gathered = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_quiet_at_once_and_under_load_by_time_or_size() {
        let mut coalescer = Coalescer::new(8, Duration::from_millis(8));
        let start = Instant::now();
        assert_eq!(coalescer.deadline(start), None);
        coalescer.buffer().extend_from_slice(b"ab");
        assert_eq!(coalescer.deadline(start), Some(start), "the first bytes go at once");
        assert_eq!(coalescer.flush(start).map(|(bytes, _)| bytes), Some(Bytes::from("ab")));

        let soon = start + Duration::from_millis(3);
        coalescer.buffer().extend_from_slice(b"cd");
        assert_eq!(coalescer.deadline(soon), Some(start + Duration::from_millis(8)));
        coalescer.buffer().extend_from_slice(b"efghij");
        assert_eq!(coalescer.room(), 0);
        assert_eq!(coalescer.deadline(soon), Some(soon), "a full chunk goes at once");
        assert_eq!(coalescer.flush(soon).map(|(bytes, _)| bytes), Some(Bytes::from("cdefghij")));

        let late = soon + Duration::from_millis(50);
        coalescer.buffer().extend_from_slice(b"k");
        let deadline = coalescer.deadline(late).expect("something is gathered");
        assert!(deadline <= late, "after quiet at once again");
        assert!(coalescer.flush(late).is_some());
        assert_eq!(coalescer.flush(late).map(|(bytes, _)| bytes), None);
    }
}
