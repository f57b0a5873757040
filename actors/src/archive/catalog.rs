//! Where the frames of a run are, as its rows tell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cast::FrameInfo;
use crate::ids::{RunKey, Seq, StreamKey};
use crate::ports::{ObjectKey, RecordingStore, Segment, StoreError};

/// Segments that are looked up at once.
const SEGMENTS: u32 = 4096;
/// Lookups that are remembered.
const REMEMBERED: usize = 64;

/// The frames of a stretch of a run.
#[derive(Debug)]
pub(super) struct Catalog {
    /// It holds what ends after this …
    after: Seq,
    /// … and is whole up to this.
    pub(super) through: Seq,
    /// The archive went up to here when it was looked up.
    pub(super) archived: Seq,
    /// Ordered by the first entry.
    pub(super) frames: Vec<FrameAt>,
}

/// A frame and where it is.
#[derive(Debug, Clone)]
pub(super) struct FrameAt {
    /// Of this stream.
    pub(super) stream: Arc<StreamKey>,
    /// In this object.
    pub(super) object: ObjectKey,
    /// What it holds, and its place in the object.
    pub(super) info: FrameInfo,
}

/// The lookups that were made last.
#[derive(Default)]
pub(super) struct Catalogs(Mutex<VecDeque<(Key, Arc<Catalog>)>>);

type Key = (RunKey, Option<StreamKey>);

impl Catalogs {
    /// The frames that end after `after`, known up to `upto` if the archive goes that far.
    pub(super) async fn get(
        &self,
        rows: &dyn RecordingStore,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        upto: Seq,
    ) -> Result<Arc<Catalog>, StoreError> {
        let key = (run.clone(), stream.cloned());
        if let Some(known) = self.find(&key, after, upto) {
            return Ok(known);
        }
        self.look_up(rows, run, stream, after).await
    }

    /// The frames that end after `after` as the rows tell at this moment.
    pub(super) async fn look_up(
        &self,
        rows: &dyn RecordingStore,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
    ) -> Result<Arc<Catalog>, StoreError> {
        let key = (run.clone(), stream.cloned());
        let (archived, segments) = rows.segments(run, stream, after, SEGMENTS).await?;
        let catalog = Arc::new(Catalog::of(after, archived, &segments));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(of, _)| *of != key);
        all.push_back((key, catalog.clone()));
        if all.len() > REMEMBERED {
            all.pop_front();
        }
        Ok(catalog)
    }

    /// What is known of the run may not be so any more.
    pub(super) fn forget(&self, run: &RunKey) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|((of, _), _)| of != run);
    }

    fn find(&self, key: &Key, after: Seq, upto: Seq) -> Option<Arc<Catalog>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(of, _)| of == key)?;
        let (_, catalog) = &all[place];
        // A part that reaches beyond the cursor is enough: who reads on asks again.
        let is_whole = catalog.through >= upto || catalog.is_cut() && after < catalog.through;
        if after < catalog.after || !is_whole {
            return None;
        }
        let found = all.remove(place)?;
        let catalog = found.1.clone();
        all.push_back(found);
        Some(catalog)
    }
}

impl Catalog {
    fn of(after: Seq, archived: Seq, segments: &[Segment]) -> Self {
        let is_cut = segments.len() >= SEGMENTS as usize;
        // Whatever was left out begins after the last one that was given.
        let cut = segments.last().map_or(Seq::START, |last| Seq(last.first_seq().0 - 1));
        let through = if is_cut { cut.min(archived) } else { archived };
        let mut frames = Vec::new();
        for segment in segments {
            let stream = Arc::new(segment.stream.clone());
            let infos = segment.frames.iter().filter(|info| info.last_seq > after);
            frames.extend(infos.map(|info| FrameAt {
                stream: stream.clone(),
                object: segment.object.clone(),
                info: *info,
            }));
        }
        frames.sort_by_key(|frame| frame.info.first_seq);
        Self { after, through, archived, frames }
    }

    /// True if there is more than was given at once.
    pub(super) fn is_cut(&self) -> bool {
        self.through < self.archived
    }
}
