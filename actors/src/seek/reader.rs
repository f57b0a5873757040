//! The lines of one stream, or of several interleaved, from some line on: a pull of bounded batches.
//!
//! Interleaved lines are in the order in which they ended, and are numbered in that order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::lines::LineAt;
use super::{SLICE_BYTES, SeekError, blocking, end_of, entries_of};
use crate::entry::{Body, Entry};
use crate::history::History;
use crate::ids::{RunKey, Seq, StreamKey};
use crate::screen::{Keyframe, KeyframeList, StreamPainter};

/// Bytes of history that are read at once for one stream.
const READ_BYTES: usize = SLICE_BYTES / 2;

/// Reads lines up to what there was when it began.
pub(super) struct LineReader {
    history: History,
    run: RunKey,
    until: Seq,
    parts: Vec<Part>,
    painters: Vec<StreamPainter>,
    /// The number of the next line.
    next_line: u64,
}

struct Part {
    key: StreamKey,
    cursor: Seq,
    pending: VecDeque<Arc<Entry>>,
    is_exhausted: bool,
}

impl LineReader {
    /// Reads these streams from the last known place at or before a line.
    pub(super) async fn new(
        history: History,
        run: RunKey,
        streams: Vec<(StreamKey, KeyframeList)>,
        line: u64,
    ) -> Result<Self, SeekError> {
        let until = end_of(&history, &run).await?;
        let lists: Vec<&KeyframeList> = streams.iter().map(|(_, list)| list).collect();
        let (frames, next_line) = begin(&lists, line);
        let parts = streams.iter().zip(&frames).map(|((key, list), frame)| Part {
            key: key.clone(),
            cursor: frame.place.seq,
            pending: VecDeque::new(),
            is_exhausted: list.is_end(frame),
        });
        let parts = parts.collect();
        let painters =
            blocking(move || frames.iter().map(|frame| StreamPainter::resume(frame)).collect())
                .await?;
        Ok(Self { history, run, until, parts, painters, next_line })
    }

    /// The number of the next line; at the end, how many lines there are.
    pub(super) fn next_line(&self) -> u64 {
        self.next_line
    }

    /// The next lines that are `wanted`, as many as a few hundred KiB of output have. None at the end.
    pub(super) async fn next(
        &mut self,
        wanted: impl Fn(u64, &str) -> bool + Send + 'static,
    ) -> Result<Option<Vec<LineAt>>, SeekError> {
        for part in &mut self.parts {
            part.fill(&self.history, &self.run, self.until).await?;
        }
        let slice = self.slice();
        if slice.is_empty() {
            let is_over = self.parts.iter().all(Part::is_over);
            return Ok((!is_over).then(Vec::new));
        }
        let mut painters = std::mem::take(&mut self.painters);
        let mut next_line = self.next_line;
        let (painters, lines, next_line) = blocking(move || {
            let mut lines = Vec::new();
            for (part, entry) in slice {
                let Body::Terminal(chunk) = &entry.body else { continue };
                painters[part].absorb(entry.seq, chunk, |text| {
                    if wanted(next_line, text) {
                        lines.push(LineAt {
                            line: next_line,
                            stream: chunk.stream,
                            text: text.to_owned(),
                            seq: entry.seq,
                            at_us: chunk.at_us,
                        });
                    }
                    next_line += 1;
                });
            }
            (painters, lines, next_line)
        })
        .await?;
        self.painters = painters;
        self.next_line = next_line;
        Ok(Some(lines))
    }

    /// What can be computed now: entries in order, until one stream would have to be read first.
    fn slice(&mut self) -> Vec<(usize, Arc<Entry>)> {
        let mut slice = Vec::new();
        let mut bytes = 0;
        while bytes < SLICE_BYTES
            && self.parts.iter().all(|part| part.is_exhausted || !part.pending.is_empty())
        {
            let first =
                self.parts.iter().enumerate().filter_map(|(place, part)| {
                    part.pending.front().map(|entry| (entry.seq, place))
                });
            let Some((_, place)) = first.min() else { break };
            let Some(entry) = self.parts[place].pending.pop_front() else { break };
            bytes += entry.memory_cost();
            slice.push((place, entry));
        }
        slice
    }
}

impl Part {
    fn is_over(&self) -> bool {
        self.is_exhausted && self.pending.is_empty()
    }

    async fn fill(&mut self, history: &History, run: &RunKey, until: Seq) -> Result<(), SeekError> {
        if self.is_exhausted || !self.pending.is_empty() {
            return Ok(());
        }
        let stretch = history.read_stream(run, &self.key, self.cursor, READ_BYTES).await?;
        self.is_exhausted = stretch.through <= self.cursor || stretch.through >= until;
        self.cursor = stretch.through;
        self.pending.extend(entries_of(stretch.items).filter(|entry| entry.seq <= until));
        Ok(())
    }
}

/// The keyframes from which a line of the interleaved streams is still to come, as late as can be known, and
/// the number of the line that comes next there.
fn begin(lists: &[&KeyframeList], line: u64) -> (Vec<Arc<Keyframe>>, u64) {
    let mut places: Vec<Seq> =
        lists.iter().flat_map(|list| list.frames()).map(|frame| frame.place.seq).collect();
    places.sort_unstable();
    // Lines at most at a place: those of each stream at its next keyframe.
    let is_before = |place: &Seq| {
        let most = lists.iter().map(|list| list.lines_at_most(*place));
        most.fold(0, u64::saturating_add) <= line
    };
    let count = places.partition_point(is_before);
    let place = count.checked_sub(1).map_or(Seq::START, |last| places[last]);
    let frames: Vec<Arc<Keyframe>> =
        lists.iter().map(|list| list.before_seq(place).clone()).collect();
    let lines = lists.iter().zip(&frames).map(|(list, frame)| list.lines_at(frame)).sum();
    (frames, lines)
}
