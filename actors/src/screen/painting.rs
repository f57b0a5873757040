//! The screens of a whole run as it goes on, with the keyframes of each stream.

use std::collections::{BTreeMap, BTreeSet};

use super::keyframes::{Keyframe, KeyframeList, StreamExtent};
use super::lines::FrozenCollector;
use super::painter::StreamPainter;
use super::terminal::FrozenTerminal;
use crate::entry::{Body, Chunk};
use crate::history::Item;
use crate::ids::{Seq, StreamKey};

/// Every stream of a run as of one entry.
#[derive(Default)]
pub struct Painting {
    seq: Seq,
    has_ended: bool,
    streams: BTreeMap<StreamKey, Painted>,
    /// Streams whose keyframes or extent have changed and were not asked for.
    changed: BTreeSet<StreamKey>,
}

struct Painted {
    cells: Cells,
    keyframes: KeyframeList,
    /// Since idle streams were looked for.
    was_fed: bool,
}

enum Cells {
    Live(Box<StreamPainter>),
    Frozen { state: FrozenCollector, extent: StreamExtent },
}

impl Cells {
    fn live(&mut self) -> &mut StreamPainter {
        if let Self::Frozen { state, extent } = self {
            let frame = Keyframe { place: extent.place, bytes: extent.bytes, state: state.clone() };
            *self = Self::Live(Box::new(StreamPainter::resume(&frame)));
        }
        match self {
            Self::Live(painter) => painter,
            Self::Frozen { .. } => unreachable!("it was thawed above"),
        }
    }

    fn freeze(&mut self) {
        if let Self::Live(painter) = self
            && let Some(state) = painter.collector().freeze()
        {
            *self = Self::Frozen { state, extent: painter.extent() };
        }
    }

    fn screen(&self) -> Option<FrozenTerminal> {
        match self {
            Self::Live(painter) => painter.collector().screen().map(super::VirtualTerminal::freeze),
            Self::Frozen { state, .. } => state.screen().cloned(),
        }
    }
}

/// A stream of a painting.
#[derive(Debug, Clone)]
pub struct PaintedStream {
    /// Which.
    pub key: StreamKey,
    /// Its screen; a pipe has none.
    pub screen: Option<FrozenTerminal>,
    /// Its keyframes, and how much of it there is.
    pub keyframes: KeyframeList,
}

impl Painting {
    /// Goes on from keyframes of a painting that has been as far as `seq`: no stream began before that
    /// is not among them.
    pub fn resume(seq: Seq, keyframes: &BTreeMap<StreamKey, KeyframeList>) -> Self {
        let mut painting = Self { seq, ..Self::default() };
        for (key, list) in keyframes {
            let last = list.last();
            if last.place.seq < list.extent().place.seq {
                painting.seq = painting.seq.min(last.place.seq);
            }
            let mut cells = Cells::Live(Box::new(StreamPainter::resume(last)));
            cells.freeze();
            let keyframes = list.clone();
            painting.streams.insert(key.clone(), Painted { cells, keyframes, was_fed: false });
        }
        painting
    }

    /// The cursor.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// True once the end of the run was seen.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Takes what follows.
    pub fn absorb(&mut self, items: &[Item], through: Seq) {
        for item in items {
            let Item::Entry(entry) = item else { continue };
            match &entry.body {
                Body::Terminal(chunk) => self.absorb_chunk(entry.seq, chunk),
                Body::Status(change) => self.has_ended = change.run.status.is_terminal(),
                Body::Trace(_) => {}
            }
        }
        self.seq = through;
    }

    fn absorb_chunk(&mut self, seq: Seq, chunk: &Chunk) {
        let key = chunk.stream_key();
        let painted = self.streams.entry(key.clone()).or_insert_with(|| Painted::new(seq, chunk));
        // After a restart the streams stand at different places; each waits for its own.
        let extent = match &painted.cells {
            Cells::Live(painter) => painter.extent(),
            Cells::Frozen { extent, .. } => *extent,
        };
        if seq <= extent.place.seq {
            return;
        }
        let painter = painted.cells.live();
        painter.absorb(seq, chunk, |_| ());
        painted.keyframes.observe(painter.extent(), painter.collector());
        painted.was_fed = true;
        if painter.extent().has_ended {
            painted.cells.freeze();
        }
        self.changed.insert(key);
    }

    /// Puts away terminals that were not fed since the last call.
    pub fn freeze_idle(&mut self) {
        for painted in self.streams.values_mut() {
            if !std::mem::replace(&mut painted.was_fed, false) {
                painted.cells.freeze();
            }
        }
    }

    /// Thins the keyframes of every stream until its list takes at most `max_bytes`.
    pub fn thin_keyframes(&mut self, max_bytes: usize) {
        for (key, painted) in &mut self.streams {
            if painted.keyframes.thin_to(max_bytes) {
                self.changed.insert(key.clone());
            }
        }
    }

    /// The keyframes of the streams that have changed since the last call.
    pub fn changed(&mut self) -> Vec<(StreamKey, KeyframeList)> {
        let changed = std::mem::take(&mut self.changed);
        let keyframes = |key: StreamKey| {
            let list = self.streams.get(&key)?.keyframes.clone();
            Some((key, list))
        };
        changed.into_iter().filter_map(keyframes).collect()
    }

    /// All streams.
    pub fn keys(&self) -> BTreeSet<StreamKey> {
        self.streams.keys().cloned().collect()
    }

    /// Each of these streams as it is now: its beginning and a keyframe of this moment, or the newest there is.
    pub fn newest(&self, streams: &BTreeSet<StreamKey>) -> Vec<(StreamKey, KeyframeList)> {
        let newest = |key: &StreamKey| {
            let painted = self.streams.get(key)?;
            Some((key.clone(), painted.newest()))
        };
        streams.iter().filter_map(newest).collect()
    }

    /// The streams as they are now.
    pub fn streams(&self) -> Vec<PaintedStream> {
        let shown = |(key, painted): (&StreamKey, &Painted)| PaintedStream {
            key: key.clone(),
            screen: painted.cells.screen(),
            keyframes: painted.keyframes.clone(),
        };
        self.streams.iter().map(shown).collect()
    }
}

impl Painted {
    fn new(seq: Seq, chunk: &Chunk) -> Self {
        let beginning = Keyframe::beginning(seq, chunk);
        let cells = Cells::Live(Box::new(StreamPainter::resume(&beginning)));
        Self { cells, keyframes: KeyframeList::new(beginning), was_fed: true }
    }

    fn newest(&self) -> KeyframeList {
        let now = match &self.cells {
            Cells::Live(painter) => {
                let frozen = painter.collector().freeze();
                frozen.map(|state| (state, painter.extent()))
            }
            Cells::Frozen { state, extent } => Some((state.clone(), *extent)),
        };
        let first = self.keyframes.frames()[0].as_ref().clone();
        let last = match now {
            Some((state, extent)) => Keyframe { place: extent.place, bytes: extent.bytes, state },
            None => self.keyframes.last().as_ref().clone(),
        };
        let frames = if last.place.seq > first.place.seq { vec![first, last] } else { vec![first] };
        KeyframeList::stored(frames, self.keyframes.extent())
            .unwrap_or_else(|| self.keyframes.clone())
    }
}
