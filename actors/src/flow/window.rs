//! The newest events of a watched run, encoded once and shared by all its viewers.
//!
//! Viewers pull with their own cursor. One that falls behind the window reads history instead; it is
//! never waited for, and what the window holds is bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::flow::frame::Frame;
use crate::ids::Seq;

/// The window of one run.
#[derive(Debug)]
pub struct Window {
    max_bytes: usize,
    held: Mutex<Held>,
    end: watch::Sender<Seq>,
}

#[derive(Debug)]
struct Held {
    /// Every event after this cursor is held.
    after: Seq,
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
}

impl Held {
    fn shrink_to(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.text().len();
            self.after = oldest.seq;
        }
    }
}

/// What a viewer finds behind its cursor.
#[derive(Debug)]
pub enum WindowRead {
    /// Events, in order.
    Frames(Vec<Arc<Frame>>),
    /// Nothing yet.
    AtEnd,
    /// The window has moved on; history has it.
    Behind,
}

impl Window {
    /// An empty window behind this cursor.
    pub fn new(after: Seq, max_bytes: usize) -> Self {
        let held = Held { after, frames: VecDeque::new(), bytes: 0 };
        Self { max_bytes, held: Mutex::new(held), end: watch::Sender::new(after) }
    }

    /// Adds the next events and wakes the viewers.
    pub fn push(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut end = None;
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            for frame in frames {
                end = Some(frame.seq);
                held.bytes += frame.text().len();
                held.frames.push_back(Arc::new(frame));
            }
            held.shrink_to(self.max_bytes);
        }
        if let Some(end) = end {
            self.end.send_replace(end);
        }
    }

    /// Events after the cursor, at most `max_bytes` but at least one if there is one.
    pub fn read(&self, cursor: Seq, max_bytes: usize) -> WindowRead {
        if cursor >= *self.end.borrow() {
            return WindowRead::AtEnd;
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor < held.after {
            return WindowRead::Behind;
        }
        let start = held.frames.partition_point(|frame| frame.seq <= cursor);
        let before = start.checked_sub(1).map_or(held.after, |place| held.frames[place].seq);
        // A cursor of an older epoch may lie above what that epoch left; history tells the gap.
        let is_of_older_epoch =
            held.frames.get(start).is_some_and(|next| next.seq.epoch() != cursor.epoch());
        if is_of_older_epoch && cursor != before {
            return WindowRead::Behind;
        }
        let mut bytes = 0;
        let frames: Vec<Arc<Frame>> = held
            .frames
            .iter()
            .skip(start)
            .take_while(|frame| {
                let fits = bytes == 0 || bytes + frame.text().len() <= max_bytes;
                bytes += frame.text().len();
                fits
            })
            .cloned()
            .collect();
        // An event that is larger than the whole window is pushed and gone again at once.
        if frames.is_empty() { WindowRead::Behind } else { WindowRead::Frames(frames) }
    }

    /// Tells when events were added. Subscribe first, then read, then wait.
    pub fn subscribe(&self) -> watch::Receiver<Seq> {
        self.end.subscribe()
    }

    /// Everything up to here has been pushed.
    pub fn end(&self) -> Seq {
        *self.end.borrow()
    }

    /// Lets the oldest go until at most `max_bytes` are held; viewers behind them read history.
    pub fn shrink_to(&self, max_bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.shrink_to(max_bytes);
        held.frames.shrink_to_fit();
    }

    /// Bytes that are held behind this cursor, and whether events behind it are not held any more.
    pub fn lag(&self, cursor: Seq) -> (usize, bool) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if cursor < held.after {
            return (held.bytes, true);
        }
        let behind = held.frames.iter().rev().take_while(|frame| frame.seq > cursor);
        (behind.map(|frame| frame.text().len()).sum(), false)
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::Gap;

    fn frame(seq: u64) -> Frame {
        Frame::of_gap(&Gap { from: Seq(seq), to: Seq(seq), reason: "lost" })
    }

    proptest! {
        // The model: a plain list of numbers, of which a viewer must see every one after its cursor.
        #[test]
        fn a_viewer_sees_everything_or_is_told_that_it_is_behind(
            start in 0_u64..50,
            pushes in prop::collection::vec(0_usize..5, 1..40),
            max_bytes in 1_usize..2000,
            page in 1_usize..1000,
            cursor in 0_u64..150,
        ) {
            let window = Window::new(Seq(start), max_bytes);
            let mut last = start;
            for count in pushes {
                window.push((0..count).map(|_| { last += 1; frame(last) }));
                prop_assert!(window.bytes() <= max_bytes);
            }
            let (behind, has_left) = window.lag(Seq(cursor));
            prop_assert_eq!(behind == 0, cursor >= last || window.bytes() == 0);
            if has_left {
                prop_assert_eq!(behind, window.bytes());
            }
            match window.read(Seq(cursor), page) {
                WindowRead::AtEnd => prop_assert!(cursor >= last),
                WindowRead::Behind => prop_assert!(cursor < last),
                WindowRead::Frames(frames) => {
                    let seen: Vec<u64> = frames.iter().map(|frame| frame.seq.0).collect();
                    let expected: Vec<u64> = (cursor + 1..=last).take(seen.len()).collect();
                    prop_assert!(!seen.is_empty());
                    prop_assert_eq!(seen, expected);
                }
            }
        }
    }
}
