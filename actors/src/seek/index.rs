//! What a seek bar needs of a stream: how long it is, where something happens, where a seek is cheap.

use super::{SLICE_BYTES, SeekError, Seeker, end_of, entries_of};
use crate::cast::{EncoderState, StreamSummary};
use crate::entry::{Body, ChunkKind};
use crate::ids::{RunKey, Seq, StreamKey};
use crate::ports::RecordingState;
use crate::screen::KeyframePlace;

/// A stream from afar.
#[derive(Debug, Clone)]
pub struct StreamIndex {
    /// Whether its recording is known to be complete.
    pub state: RecordingState,
    /// Its chunks.
    pub chunks: u64,
    /// Bytes of its output.
    pub bytes: u64,
    /// Where a seek begins; the beginning of the stream is left out.
    pub keyframes: Vec<KeyframePlace>,
    /// Markers, sizes, and where the output is.
    pub summary: StreamSummary,
}

impl Seeker {
    /// The index of a stream as of now. None if it has no chunk.
    pub async fn index(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<StreamIndex>, SeekError> {
        let Some(list) = self.library.list(run, stream).await? else { return Ok(None) };
        let recordings = self.history.archive().recordings();
        let row = recordings.recording(run, stream).await;
        let row = row.map_err(crate::history::HistoryError::from)?;
        let state = row.as_ref().map_or(RecordingState::Live, |row| row.state);
        // Without it everything is counted again.
        let archived = row.and_then(|row| EncoderState::from_json(&row.encoder_state?).ok());
        let frames = list.frames().iter().filter(|frame| frame.place.chunk_index.is_some());
        let mut index = StreamIndex {
            state,
            chunks: archived.as_ref().map_or(0, EncoderState::chunks),
            bytes: archived.as_ref().map_or(0, EncoderState::bytes),
            keyframes: frames.map(|frame| frame.place).collect(),
            summary: archived.as_ref().map(|state| state.summary().clone()).unwrap_or_default(),
        };
        if archived.as_ref().is_none_or(|state| state.exit().is_none()) {
            let after = archived.map_or(Seq::START, |state| state.last_seq());
            self.count_after(run, stream, after, &mut index).await?;
        }
        Ok(Some(index))
    }

    async fn count_after(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        after: Seq,
        index: &mut StreamIndex,
    ) -> Result<(), SeekError> {
        let until = end_of(&self.history, run).await?;
        let mut cursor = after;
        while cursor < until {
            let stretch = self.history.read_stream(run, stream, cursor, SLICE_BYTES).await?;
            if stretch.through <= cursor {
                break;
            }
            cursor = stretch.through;
            for entry in entries_of(stretch.items) {
                let Body::Terminal(chunk) = &entry.body else { continue };
                index.chunks += 1;
                if let ChunkKind::Output(bytes) = &chunk.kind {
                    index.bytes += bytes.len() as u64;
                }
                index.summary.absorb(entry.seq, chunk);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
