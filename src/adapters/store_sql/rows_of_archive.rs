//! Rows of recordings and segments as the values of the domain, and back.

use runcast_actors::cast::FrameInfo;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::{ChunkIndex, RunKey, StreamKey};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{ObjectKey, Recording, Segment, StoreError};
use sea_orm::ActiveValue::Set;

use super::error::broken;
use super::rows::{big, epoch, from_json, from_word, json, number, seq, seq_column};
use crate::entities::{archive_segments, workflow_terminal_records as records};

/// The key of an object as a row gives it back.
pub(super) fn object_key(text: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::stored(text).ok_or_else(|| broken("object", text))
}

/// The key of a stream as a row gives it back.
pub(super) fn stream_key(node_ref: &str, stream: &str) -> Result<StreamKey, StoreError> {
    Ok(StreamKey {
        node_ref: node_ref.parse().map_err(|error| broken("node_ref", error))?,
        stream: stream.parse().map_err(|error| broken("stream", error))?,
    })
}

/// A recording as its row tells it.
pub(super) fn recording(row: &records::Model) -> Result<Recording, StoreError> {
    let chunk = |column: &str, value: Option<i64>| {
        value.map(|value| number(column, value).map(ChunkIndex)).transpose()
    };
    Ok(Recording {
        stream: stream_key(&row.node_ref, &row.stream)?,
        state: from_word("state", &row.state)?,
        reason: row.reason.as_deref().map(|text| from_word("reason", text)).transpose()?,
        object: row.file_url.as_deref().map(object_key).transpose()?,
        first_chunk: chunk("first_chunk_index", row.first_chunk_index)?,
        last_chunk: chunk("last_chunk_index", row.last_chunk_index)?,
        last_seq: seq("last_seq", row.last_seq)?,
        chunks: number("chunk_count", row.chunk_count)?,
        bytes: number("byte_count", row.byte_count)?,
        sha256: row.sha256.clone(),
        gaps: number("gap_count", row.gap_count)?,
        duration_us: number("duration_us", row.duration_us)?,
        size: TerminalSize { cols: number("cols", row.cols)?, rows: number("rows", row.rows)? },
        epoch: epoch(row.epoch)?,
        encoder_state: row.encoder_state.clone(),
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
        completed_at: row.completed_at.map(Timestamp),
        purged_at: row.purged_at.map(Timestamp),
    })
}

/// The row of a recording, with a new id.
pub(super) fn recording_row(run: &RunKey, recording: &Recording) -> records::ActiveModel {
    records::ActiveModel {
        id: Set(uuid::Uuid::now_v7().to_string()),
        tenant_id: Set(run.tenant.to_string()),
        run_id: Set(run.run.to_string()),
        node_ref: Set(recording.stream.node_ref.to_string()),
        stream: Set(recording.stream.stream.to_string()),
        state: Set(recording.state.as_str().to_owned()),
        reason: Set(recording.reason.map(|reason| reason.as_str().to_owned())),
        file_url: Set(recording.object.as_ref().map(ToString::to_string)),
        first_chunk_index: Set(recording.first_chunk.map(|chunk| big(chunk.0))),
        last_chunk_index: Set(recording.last_chunk.map(|chunk| big(chunk.0))),
        last_seq: Set(seq_column(recording.last_seq)),
        chunk_count: Set(big(recording.chunks)),
        byte_count: Set(big(recording.bytes)),
        sha256: Set(recording.sha256.clone()),
        gap_count: Set(big(recording.gaps)),
        duration_us: Set(big(recording.duration_us)),
        cols: Set(recording.size.cols.into()),
        rows: Set(recording.size.rows.into()),
        epoch: Set(recording.epoch.0.into()),
        encoder_state: Set(recording.encoder_state.clone()),
        created_at: Set(recording.created_at.0),
        updated_at: Set(recording.updated_at.0),
        completed_at: Set(recording.completed_at.map(|time| time.0)),
        purged_at: Set(recording.purged_at.map(|time| time.0)),
    }
}

/// A segment as its row tells it.
pub(super) fn segment(row: &archive_segments::Model) -> Result<Segment, StoreError> {
    Ok(Segment {
        stream: stream_key(&row.node_ref, &row.stream)?,
        epoch: epoch(row.epoch)?,
        object: object_key(&row.object)?,
        length: number("length", row.length)?,
        frames: from_json("frames", &row.frames)?,
    })
}

/// The row of a segment that counts.
pub(super) fn segment_row(
    run: &RunKey,
    segment: &Segment,
) -> Result<archive_segments::ActiveModel, StoreError> {
    let ends: Option<(&FrameInfo, &FrameInfo)> = segment.frames.first().zip(segment.frames.last());
    let (first, last) =
        ends.ok_or_else(|| broken("frames", format!("{} has none", segment.object)))?;
    Ok(archive_segments::ActiveModel {
        object: Set(segment.object.to_string()),
        tenant_id: Set(run.tenant.to_string()),
        run_id: Set(run.run.to_string()),
        node_ref: Set(segment.stream.node_ref.to_string()),
        stream: Set(segment.stream.stream.to_string()),
        epoch: Set(segment.epoch.0.into()),
        first_chunk: Set(big(first.first_chunk.0)),
        last_chunk: Set(big(last.last_chunk.0)),
        first_seq: Set(seq_column(first.first_seq)),
        last_seq: Set(seq_column(last.last_seq)),
        start_ms: Set(big(first.start_ms)),
        end_ms: Set(big(last.end_ms)),
        length: Set(big(segment.length)),
        frames: Set(json(&segment.frames)),
        superseded_at: Set(None),
    })
}
