//! Any moment of a stream at once: its screen, its lines, and what is found in them.
//!
//! Everything begins at a keyframe and costs what follows it up to the moment that is asked for. What is
//! computed at once is bounded, and runs in slices on threads that may block.

mod followed;
pub mod index;
pub mod library;
pub mod lines;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

pub use followed::FollowedKeyframes;
pub use index::StreamIndex;
pub use library::KeyframeLibrary;
pub use lines::{LineAt, LinePage, LinesFrom, Pattern, Search};

use crate::entry::{Body, Entry};
use crate::history::{History, HistoryError, Item};
use crate::ids::{ChunkIndex, RunKey, Seq, StreamKey};
pub use crate::screen::At;
use crate::screen::{Keyframe, StreamPainter, VirtualTerminal};

/// Screens and pages of lines that are computed at once.
const SEEKS: usize = 4;
/// Searches that compute at once.
const SEARCHES: usize = 2;
/// Searches that begin at once, and wait for their first turn.
const BEGINNING_SEARCHES: usize = 64;
/// How long a request waits until there is room.
const PATIENCE: Duration = Duration::from_secs(10);
/// History that is computed in one slice, in bytes: a few milliseconds.
const SLICE_BYTES: usize = 256 * 1024;

/// Answers what was on a terminal at some moment.
pub struct Seeker {
    history: History,
    library: Arc<KeyframeLibrary>,
    seeks: Semaphore,
    searches: Arc<Semaphore>,
    beginning_searches: Semaphore,
}

/// A screen of some moment.
pub struct ScreenAt {
    /// The terminal.
    pub terminal: VirtualTerminal,
    /// The last entry of the stream that it shows.
    pub seq: Seq,
    /// The index of that chunk; none before the first.
    pub chunk_index: Option<ChunkIndex>,
    /// Its place on the time axis, in microseconds.
    pub at_us: u64,
}

/// Why a moment cannot be shown now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SeekError {
    /// Too many ask at once.
    #[error("too many moments are asked for at once")]
    Busy,
    /// The end of the stream is not known before its keyframes are computed.
    #[error("the keyframes of the stream are being computed")]
    Computing,
    /// The history of the run cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Computing it failed.
    #[error("the moment could not be computed")]
    Failed,
}

impl Seeker {
    /// Over this history and these keyframes.
    pub fn new(history: History, library: Arc<KeyframeLibrary>) -> Arc<Self> {
        Arc::new(Self {
            history,
            library,
            seeks: Semaphore::new(SEEKS),
            searches: Arc::new(Semaphore::new(SEARCHES)),
            beginning_searches: Semaphore::new(BEGINNING_SEARCHES),
        })
    }

    /// The screen of a `pty` stream at a moment: a chunk or time beyond the end is the end. None if the
    /// stream has no chunk, or no terminal.
    pub async fn screen_at(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        at: At,
    ) -> Result<Option<ScreenAt>, SeekError> {
        let _room = room(&self.seeks).await?;
        let until = end_of(&self.history, run).await?;
        let Some(list) = self.library.list(run, stream).await? else { return Ok(None) };
        let from = list.before(at).clone();
        if list.is_end(&from) {
            return blocking(move || shown(&StreamPainter::resume(&from))).await;
        }
        let painter = self.painted(run, stream, &from, at, until).await?;
        blocking(move || shown(&painter)).await
    }

    async fn painted(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        from: &Arc<Keyframe>,
        at: At,
        until: Seq,
    ) -> Result<StreamPainter, SeekError> {
        let mut cursor = from.place.seq;
        let begin = Arc::clone(from);
        let mut painter = blocking(move || StreamPainter::resume(&begin)).await?;
        while cursor < until {
            let stretch = self.history.read_stream(run, stream, cursor, SLICE_BYTES).await?;
            if stretch.through <= cursor {
                break;
            }
            cursor = stretch.through;
            let mut is_there = false;
            let slice = entries_of(stretch.items).take_while(|entry| {
                let Body::Terminal(chunk) = &entry.body else { return true };
                is_there |= !at.includes(chunk.index, chunk.at_us);
                !is_there
            });
            let slice: Vec<Arc<Entry>> = slice.collect();
            painter = blocking(move || {
                for entry in &slice {
                    if let Body::Terminal(chunk) = &entry.body {
                        painter.absorb(entry.seq, chunk, |_| ());
                    }
                }
                painter
            })
            .await?;
            if is_there {
                break;
            }
        }
        Ok(painter)
    }
}

fn shown(painter: &StreamPainter) -> Option<ScreenAt> {
    let terminal = painter.collector().screen()?.freeze().thaw();
    let place = painter.extent().place;
    Some(ScreenAt { terminal, seq: place.seq, chunk_index: place.chunk_index, at_us: place.at_us })
}

fn entries_of(items: Vec<Item>) -> impl Iterator<Item = Arc<Entry>> {
    items.into_iter().filter_map(|item| match item {
        Item::Entry(entry) => Some(entry),
        Item::Gap(_) => None,
    })
}

/// The last entry there is now. A run whose log was removed is read to its end.
async fn end_of(history: &History, run: &RunKey) -> Result<Seq, HistoryError> {
    let tail = history.tail(run).await?;
    Ok(if tail == Seq::START { Seq::MAX } else { tail })
}

async fn room(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, SeekError> {
    let acquired = tokio::time::timeout(PATIENCE, semaphore.acquire()).await;
    acquired.map_err(|_| SeekError::Busy)?.map_err(|_| SeekError::Busy)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SeekError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SeekError::Failed)
}

#[cfg(test)]
mod tests;
