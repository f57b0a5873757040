//! Keyframes of runs that are followed, kept beside those who follow them.
//!
//! They have a bound over all runs of the process. Over it, each stream has an equal part of that bound: who
//! follows a run asks for the part and thins its lists, of busy streams and of silent ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{Seq, StreamKey};
use crate::screen::{KeyframeList, MAX_KEYFRAME_BYTES};

/// Keyframes of all runs that are followed, in bytes. What comes until everybody has thinned may be above it.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// What the keyframes of all followed runs take.
#[derive(Debug)]
pub(super) struct KeyframeRoom {
    max_bytes: usize,
    bytes: AtomicUsize,
    streams: AtomicUsize,
}

impl Default for KeyframeRoom {
    fn default() -> Self {
        Self { max_bytes: MAX_BYTES, bytes: AtomicUsize::new(0), streams: AtomicUsize::new(0) }
    }
}

impl KeyframeRoom {
    /// What they take now.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn bytes_per_stream(&self) -> usize {
        if self.bytes.load(Ordering::Relaxed) <= self.max_bytes {
            return MAX_KEYFRAME_BYTES;
        }
        let streams = self.streams.load(Ordering::Relaxed).max(1);
        (self.max_bytes / streams).min(MAX_KEYFRAME_BYTES)
    }
}

/// The keyframes of a run that is followed: they outlive the incarnations of who follows it.
#[derive(Default)]
pub struct FollowedKeyframes {
    known: Mutex<KeyframesAt>,
    room: Arc<KeyframeRoom>,
}

#[derive(Default, Clone)]
struct KeyframesAt {
    seq: Seq,
    streams: BTreeMap<StreamKey, KeyframeList>,
}

impl FollowedKeyframes {
    pub(super) fn new(room: Arc<KeyframeRoom>) -> Self {
        Self { known: Mutex::default(), room }
    }

    /// How far the run was painted, and the keyframes up to there.
    pub fn known(&self) -> (Seq, BTreeMap<StreamKey, KeyframeList>) {
        let known = self.lock().clone();
        (known.seq, known.streams)
    }

    /// Notes what has changed up to an entry.
    pub fn note(&self, seq: Seq, changed: Vec<(StreamKey, KeyframeList)>) {
        let mut known = self.lock();
        known.seq = seq;
        for (stream, list) in changed {
            self.room.bytes.fetch_add(list.memory_cost(), Ordering::Relaxed);
            match known.streams.insert(stream, list) {
                Some(before) => {
                    self.room.bytes.fetch_sub(before.memory_cost(), Ordering::Relaxed);
                }
                None => {
                    self.room.streams.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// What the list of a stream may take at this moment, in bytes.
    pub fn bytes_per_stream(&self) -> usize {
        self.room.bytes_per_stream()
    }

    pub(super) fn stream(&self, stream: &StreamKey) -> Option<KeyframeList> {
        let known = self.lock();
        let mut list = known.streams.get(stream).cloned()?;
        list.see(known.seq);
        Some(list)
    }

    fn lock(&self) -> MutexGuard<'_, KeyframesAt> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FollowedKeyframes {
    fn drop(&mut self) {
        let known = self.lock();
        let bytes = known.streams.values().map(KeyframeList::memory_cost).sum();
        self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.room.streams.fetch_sub(known.streams.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Body, Chunk, ChunkKind, Entry, RunnerKind, TerminalSize};
    use crate::history::Item;
    use crate::ids::{ChunkIndex, StreamName};
    use crate::moment::Timestamp;
    use crate::screen::Painting;

    /// Shows a line of a terminal; the next one comes so late that there is a keyframe between them.
    fn entry(seq: u64) -> Item {
        let body = Body::Terminal(Chunk {
            node_ref: "n".parse().expect("a name"),
            stream: StreamName::Pty,
            index: ChunkIndex(seq - 1),
            kind: match seq {
                1 => ChunkKind::Resize(TerminalSize { cols: 120, rows: 30 }),
                _ => ChunkKind::Output(format!("line {seq}\r\n").into()),
            },
            recorded_at: Timestamp(0),
            delta_us: 0,
            at_us: seq * 60_000_000,
            origin: "here".into(),
            runner_kind: RunnerKind::Local,
        });
        Item::Entry(Arc::new(Entry { seq: Seq(seq), body }))
    }

    #[test]
    fn keyframes_of_all_runs_have_a_bound_that_reaches_silent_ones_too() {
        const STREAMS: usize = 20;
        const SILENT: usize = 4;
        let max_bytes = 256 * 1024;
        let room = Arc::new(KeyframeRoom { max_bytes, ..KeyframeRoom::default() });
        let mut runs: Vec<(Painting, FollowedKeyframes)> = (0..STREAMS)
            .map(|_| (Painting::default(), FollowedKeyframes::new(room.clone())))
            .collect();
        let tell = |painting: &mut Painting, followed: &FollowedKeyframes| {
            let mut changed = painting.changed();
            painting.thin_keyframes(followed.bytes_per_stream());
            changed.extend(painting.changed());
            followed.note(painting.seq(), changed);
        };
        let mut most = 0;
        for turn in 1..600 {
            // A few have all of it, and say nothing any more once the others begin.
            let talking = if turn < 300 { 0..SILENT } else { SILENT..STREAMS };
            for (place, (painting, followed)) in runs.iter_mut().enumerate() {
                if talking.contains(&place) {
                    let seq = painting.seq().next();
                    painting.absorb(&[entry(seq.0)], seq);
                }
                tell(painting, followed);
            }
            let lists = runs.iter().flat_map(|(_, followed)| followed.known().1);
            let bytes: usize = lists.map(|(_, list)| list.memory_cost()).sum();
            assert_eq!(room.bytes.load(Ordering::Relaxed), bytes, "it is counted");
            most = most.max(bytes);
        }
        // Every stream may add one between two looks.
        assert!(most > max_bytes / 2 && most < max_bytes + max_bytes / 4, "{most} bytes");
        let mut lists = runs.iter().map(|(painting, _)| painting.streams().remove(0).keyframes);
        assert!(lists.all(|list| list.frames().len() > 2), "all have some");

        runs.truncate(1);
        assert_eq!(room.streams.load(Ordering::Relaxed), 1);
        assert_eq!(runs[0].1.bytes_per_stream(), MAX_KEYFRAME_BYTES, "there is room again");
        drop(runs);
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
    }
}
