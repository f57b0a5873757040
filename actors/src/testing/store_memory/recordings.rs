//! Recordings and segments in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::{MemoryStore, Row, owned};
use crate::ids::{Epoch, RunKey, Seq, StreamKey};
use crate::moment::Timestamp;
use crate::ports::{
    ArchiveBatch, EncoderStates, IncompleteReason, ObjectKey, Recording, RecordingState,
    RecordingStore, Segment, StoreError,
};
use crate::run_view::RecordingCounts;

/// What is archived of a run.
#[derive(Debug, Default)]
pub(super) struct Archived {
    pub(super) through: Seq,
    recordings: BTreeMap<StreamKey, Recording>,
    segments: BTreeMap<ObjectKey, Kept>,
}

#[derive(Debug)]
struct Kept {
    segment: Segment,
    superseded_at: Option<Timestamp>,
}

impl Archived {
    pub(super) fn counts(&self) -> RecordingCounts {
        let mut counts = RecordingCounts::default();
        for recording in self.recordings.values() {
            match recording.state {
                RecordingState::Live => counts.live += 1,
                RecordingState::Complete => counts.complete += 1,
                RecordingState::Incomplete => counts.incomplete += 1,
            }
        }
        counts
    }

    /// Inserts a recording or brings it to what it is now; its beginning and whether retention was there
    /// stay as they are.
    fn write(&mut self, recording: Recording) {
        let known = self.recordings.get(&recording.stream);
        let created_at = known.map_or(recording.created_at, |known| known.created_at);
        let purged_at = known.map_or(recording.purged_at, |known| known.purged_at);
        let recording = Recording { created_at, purged_at, ..recording };
        self.recordings.insert(recording.stream.clone(), recording);
    }

    fn keep(&mut self, segment: Segment) {
        self.segments.insert(segment.object.clone(), Kept { segment, superseded_at: None });
    }

    /// Refuses what databases refuse: a segment without frames, of an unknown recording, or whose object has
    /// a row.
    fn check(&self, batch: &ArchiveBatch) -> Result<(), StoreError> {
        for segment in &batch.segments {
            let is_of = |recording: &Recording| recording.stream == segment.stream;
            let object = &segment.object;
            let problem = if segment.frames.is_empty() {
                "has no frames"
            } else if self.segments.contains_key(object) {
                "is there already"
            } else if !self.recordings.values().chain(&batch.recordings).any(is_of) {
                "has no recording"
            } else {
                continue;
            };
            return Err(StoreError::Broken(format!("the segment {object} {problem}")));
        }
        Ok(())
    }

    fn is_final_since(&self, before: Timestamp) -> bool {
        self.recordings.values().all(|recording| {
            recording.state != RecordingState::Live
                && recording.completed_at.is_some_and(|completed_at| completed_at <= before)
        })
    }

    fn oldest_kept(&self) -> Option<Timestamp> {
        let kept = self
            .recordings
            .values()
            .filter(|recording| recording.purged_at.is_none() || recording.object.is_some());
        kept.filter_map(|recording| recording.completed_at).min()
    }
}

/// The rows of the owner of this epoch, if the run is not purged.
fn archived_by<'a>(
    rows: &'a mut HashMap<RunKey, Row>,
    run: &RunKey,
    epoch: Epoch,
) -> Result<&'a mut Archived, StoreError> {
    let row = owned(rows, run, epoch)?;
    if row.stored.purged {
        return Err(StoreError::Fenced(epoch));
    }
    Ok(&mut row.archived)
}

#[async_trait]
impl RecordingStore for MemoryStore {
    async fn has_objects(&self) -> Result<bool, StoreError> {
        let names = |archived: &Archived| {
            let mut recordings = archived.recordings.values();
            !archived.segments.is_empty() || recordings.any(|recording| recording.object.is_some())
        };
        Ok(self.rows()?.values().any(|row| names(&row.archived)))
    }

    async fn recordings(&self, run: &RunKey) -> Result<Vec<Recording>, StoreError> {
        let rows = self.rows()?;
        let Some(row) = rows.get(run) else { return Ok(Vec::new()) };
        let listed = |recording: &Recording| Recording { encoder_state: None, ..recording.clone() };
        Ok(row.archived.recordings.values().map(listed).collect())
    }

    async fn encoder_states(&self, run: &RunKey) -> Result<EncoderStates, StoreError> {
        let rows = self.rows()?;
        let recordings = rows.get(run).into_iter().flat_map(|row| row.archived.recordings.values());
        let states = recordings.filter_map(|recording| {
            Some((recording.stream.clone(), recording.encoder_state.clone()?))
        });
        Ok(states.collect())
    }

    async fn recording(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<Recording>, StoreError> {
        Ok(self.rows()?.get(run).and_then(|row| row.archived.recordings.get(stream).cloned()))
    }

    async fn segments(
        &self,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        limit: u32,
    ) -> Result<(Seq, Vec<Segment>), StoreError> {
        let rows = self.rows()?;
        let Some(row) = rows.get(run) else { return Ok((Seq::START, Vec::new())) };
        let mut found: Vec<Segment> = row
            .archived
            .segments
            .values()
            .filter(|kept| kept.superseded_at.is_none())
            .map(|kept| &kept.segment)
            .filter(|segment| segment.last_seq() > after)
            .filter(|segment| stream.is_none_or(|stream| segment.stream == *stream))
            .cloned()
            .collect();
        found.sort_by_key(Segment::first_seq);
        found.truncate(limit as usize);
        Ok((row.archived.through, found))
    }

    async fn unknown(&self, objects: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        let rows = self.rows()?;
        let is_known = |object: &&ObjectKey| {
            rows.values().any(|row| row.archived.segments.contains_key(*object))
        };
        Ok(objects.iter().filter(|object| !is_known(object)).cloned().collect())
    }

    async fn archive(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ArchiveBatch,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let archived = archived_by(&mut rows, run, epoch)?;
        if batch.through <= archived.through {
            return Ok(());
        }
        archived.check(&batch)?;
        for recording in batch.recordings {
            archived.write(recording);
        }
        for segment in batch.segments {
            archived.keep(segment);
        }
        archived.through = batch.through;
        Ok(())
    }

    async fn finalise(
        &self,
        run: &RunKey,
        epoch: Epoch,
        recording: Recording,
        whole: Option<Segment>,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let archived = archived_by(&mut rows, run, epoch)?;
        let known = archived.recordings.get(&recording.stream);
        if known.is_some_and(|known| known.purged_at.is_some()) {
            return Ok(());
        }
        archived.write(recording);
        let Some(whole) = whole else { return Ok(()) };
        for kept in archived.segments.values_mut() {
            if kept.segment.stream == whole.stream {
                kept.superseded_at.get_or_insert_with(Timestamp::now);
            }
        }
        archived.keep(whole);
        Ok(())
    }

    async fn mark_damaged(&self, run: &RunKey, stream: &StreamKey) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let recordings = rows.get_mut(run).map(|row| &mut row.archived.recordings);
        if let Some(recording) = recordings.and_then(|recordings| recordings.get_mut(stream))
            && recording.state == RecordingState::Complete
            && recording.purged_at.is_none()
        {
            recording.state = RecordingState::Incomplete;
            recording.reason = Some(IncompleteReason::Archive);
            recording.updated_at = Timestamp::now();
        }
        Ok(())
    }

    async fn superseded(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<ObjectKey>, StoreError> {
        let rows = self.rows()?;
        let all = rows.values().flat_map(|row| &row.archived.segments);
        let mut found: Vec<(Timestamp, &ObjectKey)> = all
            .filter_map(|(object, kept)| Some((kept.superseded_at?, object)))
            .filter(|(superseded_at, _)| *superseded_at <= before)
            .collect();
        found.sort_unstable();
        Ok(found.into_iter().take(limit as usize).map(|(_, object)| object.clone()).collect())
    }

    async fn forget_superseded(&self, objects: &[ObjectKey]) -> Result<(), StoreError> {
        for row in self.rows()?.values_mut() {
            row.archived
                .segments
                .retain(|object, kept| kept.superseded_at.is_none() || !objects.contains(object));
        }
        Ok(())
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<RunKey>, StoreError> {
        let rows = self.rows()?;
        let mut found: Vec<(Timestamp, &RunKey)> = rows
            .iter()
            .filter(|(_, row)| row.status().is_terminal() && row.owner.is_none())
            .filter(|(_, row)| row.archived.is_final_since(before))
            .filter_map(|(run, row)| Some((row.archived.oldest_kept()?, run)))
            .collect();
        found.sort_unstable();
        Ok(found.into_iter().take(limit as usize).map(|(_, run)| run.clone()).collect())
    }

    async fn expire(&self, run: &RunKey) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run) else { return Ok(()) };
        row.archived.segments.clear();
        for recording in row.archived.recordings.values_mut() {
            if recording.purged_at.is_none() {
                recording.purged_at = Some(Timestamp::now());
            }
        }
        Ok(())
    }

    async fn forget_objects(&self, run: &RunKey) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run) else { return Ok(()) };
        let expired = |recording: &&mut Recording| recording.purged_at.is_some();
        for recording in row.archived.recordings.values_mut().filter(expired) {
            recording.object = None;
        }
        Ok(())
    }
}
