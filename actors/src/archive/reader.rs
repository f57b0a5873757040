//! Entries out of frames, in order over all streams of a run.
//!
//! A frame is read and decoded once and then shared, `archive.cache_bytes` of them. Frames of a run that
//! overlap are in memory together while they are merged; how far they reach over the run is bounded when
//! they are written.

use std::collections::HashSet;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::catalog::{Catalog, Catalogs, FrameAt};
use super::damaged_frames::{DamagedFrames, FrameKey};
use crate::cast::{self, CastError};
use crate::entry::{Body, Entry};
use crate::history::{StreamPlace, Wanted};
use crate::ids::{RunKey, Seq, StreamKey};
use crate::ports::{ObjectError, ObjectKey, ObjectStore, RecordingStore, StoreError};

/// What a frame in memory weighs besides its entries.
const FRAME_COST: u64 = 256;
/// About how many bytes of entries one frame has, to size the cache.
const TYPICAL_FRAME_BYTES: u64 = 512 * 1024;

/// The archive of all runs.
pub struct Archive {
    objects: Arc<dyn ObjectStore>,
    recordings: Arc<dyn RecordingStore>,
    frames: Cache<FrameKey, Frame, FrameWeight>,
    catalogs: Catalogs,
    damaged: DamagedFrames,
}

type Frame = Arc<Vec<Arc<Entry>>>;

#[derive(Clone)]
struct FrameWeight;

impl Weighter<FrameKey, Frame> for FrameWeight {
    fn weight(&self, _: &FrameKey, frame: &Frame) -> u64 {
        FRAME_COST + frame.iter().map(|entry| entry.memory_cost() as u64).sum::<u64>()
    }
}

/// A stretch of what is archived.
#[derive(Debug, Clone, Default)]
pub struct Archived {
    /// Chunks, in order.
    pub entries: Vec<Arc<Entry>>,
    /// Up to here everything that is archived is there.
    pub through: Seq,
    /// Nothing more of what was asked for is archived.
    pub is_all: bool,
}

/// Why the archive could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveError {
    /// The rows are away or damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The objects are away; what is missing or damaged is not an error but a hole.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// Why a frame could not be had.
#[derive(Debug, thiserror::Error)]
enum FrameError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the object {0} is damaged: {1}")]
    Cast(ObjectKey, CastError),
}

impl FrameError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Object(error) if error.is_passing())
    }
}

impl Archive {
    /// Reads these objects as these rows tell; keeps at most `cache_bytes` of decoded frames.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        recordings: Arc<dyn RecordingStore>,
        cache_bytes: u64,
    ) -> Self {
        let frames = usize::try_from(cache_bytes / TYPICAL_FRAME_BYTES).unwrap_or(usize::MAX);
        let frames = Cache::with_weighter(frames.max(16), cache_bytes, FrameWeight);
        let (catalogs, damaged) = (Catalogs::default(), DamagedFrames::default());
        Self { objects, recordings, frames, catalogs, damaged }
    }

    /// Where the objects are.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The rows of recordings.
    pub fn recordings(&self) -> &Arc<dyn RecordingStore> {
        &self.recordings
    }

    /// Chunks after `after` and up to `upto`, of all streams or of one, about `limit` bytes of memory cost
    /// but at least one if there is one. What is missing or damaged is left out, and not looked at again
    /// before [`Self::forget`].
    pub async fn read(
        &self,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        upto: Seq,
        limit: usize,
    ) -> Result<Archived, ArchiveError> {
        let mut missing = self.damaged.of(run);
        loop {
            let catalog =
                self.catalogs.get(self.recordings.as_ref(), run, stream, after, upto).await?;
            match self.merge(&catalog, after, upto, limit, &missing).await? {
                Merged::Done(archived) => return Ok(archived),
                Merged::Missing(frame, error) => {
                    // It may have been superseded since the rows were read; what is remembered of them
                    // does not count, as another reader may just have put back what it read before.
                    self.catalogs.forget(run);
                    let key = (frame.object.clone(), frame.info.offset);
                    let rows = self.recordings.as_ref();
                    let again = self.catalogs.look_up(rows, run, stream, after).await?;
                    let still_there = again.frames.iter().any(|other| {
                        other.object == frame.object && other.info.offset == frame.info.offset
                    });
                    if still_there && missing.insert(key.clone()) {
                        tracing::error!(%run, %error, "a piece of a recording cannot be read");
                        match self.recordings.mark_damaged(run, &frame.stream).await {
                            Ok(()) => self.damaged.add(run, key),
                            // Whoever reads next tries it again.
                            Err(error) => tracing::warn!(
                                %run, %error, "the recording was not marked as damaged"
                            ),
                        }
                    }
                }
            }
        }
    }

    /// The beginning of the last frame that is not behind what is wanted; the beginning if there is none.
    pub async fn nearest(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        wanted: Wanted,
    ) -> Result<StreamPlace, ArchiveError> {
        let rows = self.recordings.as_ref();
        let mut after = Seq::START;
        let mut nearest = StreamPlace::default();
        loop {
            let catalog = self.catalogs.get(rows, run, Some(stream), after, Seq::START).await?;
            let is_before = |frame: &FrameAt| match wanted {
                Wanted::Chunk(chunk) => frame.info.first_chunk <= chunk,
                Wanted::Time(at_us) => frame.info.start_ms.saturating_mul(1000) <= at_us,
                Wanted::Byte(byte) => frame.info.first_byte <= byte,
            };
            let count = catalog.frames.partition_point(is_before);
            if let Some(frame) = count.checked_sub(1).map(|last| &catalog.frames[last]) {
                nearest = StreamPlace {
                    after: Seq(frame.info.first_seq.0 - 1),
                    chunks: frame.info.first_chunk.0,
                    bytes: frame.info.first_byte,
                };
            }
            if count < catalog.frames.len() || !catalog.is_cut() || catalog.through <= after {
                return Ok(nearest);
            }
            after = catalog.through;
        }
    }

    /// Bytes of decoded frames in memory.
    pub fn cached_bytes(&self) -> usize {
        usize::try_from(self.frames.weight()).unwrap_or(usize::MAX)
    }

    /// Lets all decoded frames go; they are read again when they are asked for.
    pub fn clear_cache(&self) {
        self.frames.clear();
    }

    /// The rows of the run have changed so that what is remembered of it is wrong.
    pub fn forget(&self, run: &RunKey) {
        self.catalogs.forget(run);
        self.damaged.forget(run);
    }

    async fn merge(
        &self,
        catalog: &Catalog,
        after: Seq,
        upto: Seq,
        limit: usize,
        missing: &HashSet<FrameKey>,
    ) -> Result<Merged, ArchiveError> {
        let is_whole = catalog.archived.min(upto) <= catalog.through;
        let upto = upto.min(catalog.through);
        let wanted: Vec<&FrameAt> = catalog
            .frames
            .iter()
            .filter(|frame| frame.info.last_seq > after && frame.info.first_seq <= upto)
            .filter(|frame| !missing.contains(&(frame.object.clone(), frame.info.offset)))
            .collect();
        let mut gathered: Vec<Arc<Entry>> = Vec::new();
        let mut through = upto.max(after);
        for (place, frame) in wanted.iter().enumerate() {
            match self.frame(frame).await {
                Ok(entries) => {
                    let first = entries.partition_point(|entry| entry.seq <= after);
                    gathered.extend(entries[first..].iter().cloned());
                }
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => return Ok(Merged::Missing((*frame).clone(), error)),
            }
            // Nothing that is still to come stands before the next frame.
            let Some(next) = wanted.get(place + 1) else { break };
            let known = Seq(next.info.first_seq.0 - 1);
            let cost: usize = gathered
                .iter()
                .filter(|entry| entry.seq <= known)
                .map(|entry| entry.memory_cost())
                .sum();
            if cost >= limit {
                through = known;
                break;
            }
        }
        gathered.retain(|entry| entry.seq <= through);
        gathered.sort_by_key(|entry| entry.seq);
        gathered.dedup_by_key(|entry| entry.seq);
        let mut cost = 0;
        let fits = gathered.iter().take_while(|entry| {
            cost += entry.memory_cost();
            cost <= limit
        });
        let count = fits.count().max(1);
        if count < gathered.len() {
            gathered.truncate(count);
            through = gathered[count - 1].seq;
        }
        let is_all = is_whole && through >= upto;
        Ok(Merged::Done(Archived { entries: gathered, through, is_all }))
    }

    async fn frame(&self, frame: &FrameAt) -> Result<Frame, FrameError> {
        let key = (frame.object.clone(), frame.info.offset);
        self.frames.get_or_insert_async(&key, self.decode(frame)).await
    }

    async fn decode(&self, frame: &FrameAt) -> Result<Frame, FrameError> {
        let info = frame.info;
        let range = info.offset..info.offset + info.length;
        let bytes = self.objects.read(&frame.object, range).await?;
        let stream = frame.stream.clone();
        let decoding = tokio::task::spawn_blocking(move || {
            let text = info.text_of(&bytes)?;
            cast::decode_frame(&text, &stream)
        });
        match decoding.await {
            Ok(Ok(entries)) => Ok(Arc::new(entries)),
            Ok(Err(error)) => Err(FrameError::Cast(frame.object.clone(), error)),
            Err(stopped) => Err(ObjectError::Unavailable(stopped.to_string()).into()),
        }
    }
}

enum Merged {
    Done(Archived),
    Missing(FrameAt, FrameError),
}

impl From<FrameError> for ArchiveError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Object(error) => Self::Objects(error),
            FrameError::Cast(object, error) => {
                Self::Objects(ObjectError::Damaged(object, error.to_string()))
            }
        }
    }
}

/// True if the entry is a chunk of this stream.
pub(crate) fn is_of(entry: &Entry, stream: &StreamKey) -> bool {
    matches!(&entry.body, Body::Terminal(chunk)
        if chunk.stream == stream.stream && chunk.node_ref == stream.node_ref)
}
