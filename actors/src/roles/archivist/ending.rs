//! How the recordings of streams that have ended get their final state.

use futures_util::stream::{self, StreamExt as _};

use super::{Archivist, StreamWork, Work};
use crate::archive::compaction::{Compaction, compact};
use crate::cast::Defect;
use crate::fail_point::fail_point;
use crate::ids::StreamKey;
use crate::kernel::ExitStatus;
use crate::moment::Timestamp;
use crate::ports::{IncompleteReason, ObjectKey, RecordingState};
use crate::run_view::RecordingCounts;

/// Recordings that get their final state at the same time; each holds about two frames.
const ENDINGS_AT_ONCE: usize = 4;

impl Archivist {
    /// Brings every stream whose end is archived to its final state; at the end of the run also those whose
    /// end was lost.
    pub(super) async fn finalise_ended(
        &self,
        work: &mut Work,
        is_end: bool,
    ) -> Result<(), ExitStatus> {
        let ended = |stream: &&mut StreamWork| {
            stream.has_just_ended() || (is_end && stream.recording.state == RecordingState::Live)
        };
        let endings = work.streams.values_mut().filter(ended).map(|stream| self.finalise(stream));
        // Most of it is waiting for the disk.
        let mut endings = stream::iter(endings).buffer_unordered(ENDINGS_AT_ONCE);
        let mut changed = false;
        while let Some(ended) = endings.next().await {
            ended?;
            changed = true;
        }
        drop(endings);
        if changed {
            self.show_counts(work);
        }
        Ok(())
    }

    async fn finalise(&self, stream: &mut StreamWork) -> Result<(), ExitStatus> {
        let key = stream.recording.stream.clone();
        let told = stream.encoder.state().exit().map(|exit| &exit.totals);
        let compacting = async || compact(&self.archive, &self.run, &key, self.epoch, told).await;
        let Compaction { whole, tally, is_damaged } = self.stored(compacting).await?;
        fail_point("archive.compacted");
        let reason = match tally.defect() {
            _ if is_damaged => Some(IncompleteReason::Archive),
            None => None,
            Some(Defect::Missing { .. }) => Some(IncompleteReason::Gap),
            Some(Defect::Lost { .. } | Defect::NoEnd { .. }) => Some(IncompleteReason::Lost),
            Some(Defect::Chunks { .. } | Defect::Bytes { .. } | Defect::Sha256 { .. }) => {
                Some(IncompleteReason::Mismatch)
            }
        };
        let recording = &mut stream.recording;
        recording.state = match reason {
            None => RecordingState::Complete,
            Some(_) => RecordingState::Incomplete,
        };
        recording.reason = reason;
        recording.object = whole.as_ref().map(|whole| whole.object.clone());
        recording.chunks = tally.chunks();
        recording.bytes = tally.bytes();
        recording.gaps = tally.gaps();
        recording.sha256 = Some(tally.sha256());
        recording.updated_at = Timestamp::now();
        recording.completed_at = Some(recording.updated_at);
        if let Some(reason) = reason {
            let reason = reason.as_str();
            tracing::warn!(run = %self.run, stream = %key.stream, node = %key.node_ref, reason, "a recording is incomplete");
        }
        let rows = self.archive.recordings();
        let finalised = self.retried(async || {
            rows.finalise(&self.run, self.epoch, recording.clone(), whole.clone()).await
        });
        if let Err(status) = finalised.await {
            self.remove_if_purged(&key).await;
            return Err(status);
        }
        // Once, also where the row was refused at first and the next incarnation came here again.
        if reason.is_some() {
            metrics::counter!("runcast_gaps_total", "reason" => "lost").increment(1);
        }
        fail_point("archive.finalised");
        self.archive.forget(&self.run);
        Ok(())
    }

    /// Who was away long enough for the run to be purged meanwhile has written what nobody will remove.
    async fn remove_if_purged(&self, stream: &StreamKey) {
        let row = self.archive.recordings().recording(&self.run, stream).await;
        if !row.is_ok_and(|row| row.is_none_or(|row| row.purged_at.is_some())) {
            return;
        }
        let folder = ObjectKey::stream_prefix(&self.run, stream);
        if let Err(error) = self.archive.objects().remove_all(&folder).await {
            tracing::warn!(run = %self.run, folder, %error, "objects of a purged run were not removed");
        }
    }

    pub(super) fn show_counts(&self, work: &Work) {
        let mut counts = RecordingCounts::default();
        for stream in work.streams.values() {
            match stream.recording.state {
                RecordingState::Live => counts.live += 1,
                RecordingState::Complete => counts.complete += 1,
                RecordingState::Incomplete => counts.incomplete += 1,
            }
        }
        self.live.recordings(&self.run, counts);
    }
}
