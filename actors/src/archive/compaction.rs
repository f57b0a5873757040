//! The segments of a stream that has ended become one object, which is read back while it is written.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Archive, ArchiveError};
use crate::cast::{self, CastError, FrameInfo, FrameMerger, Tally};
use crate::entry::{Body, StreamTotals};
use crate::fail_point::fail_point;
use crate::ids::{Epoch, RunKey, Seq, StreamKey};
use crate::ports::{ObjectError, ObjectKey, ObjectWriter, Segment};

/// Rows that are read at once.
const SEGMENTS: u32 = 256;
/// Of an object that is there already, read at once.
const COMPARED_BYTES: usize = 1024 * 1024;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// The whole recording; none if something of it could not be read, or there is nothing.
    pub whole: Option<Segment>,
    /// What is in it, as it was read back.
    pub tally: Tally,
    /// Objects were missing or damaged.
    pub is_damaged: bool,
}

/// Where everything stands in a recording, for other programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    version: u32,
    frames: &'a [FrameInfo],
    #[serde(skip_serializing_if = "Option::is_none")]
    r#final: Option<&'a StreamTotals>,
}

/// Writes the recording of a stream from its segments. Holds one frame at a time. `totals` is what the
/// stream's end tells, if it has one. If something cannot be read, the segments stay: what is damaged now
/// may come back, and nothing is deleted that is not elsewhere.
///
/// A recording that is there already was left by a try that did not come to its row, or belongs to another
/// owner: it is taken if it is the same, and else left alone, and this one has its epoch in its name.
pub async fn compact(
    archive: &Archive,
    run: &RunKey,
    stream: &StreamKey,
    epoch: Epoch,
    totals: Option<&StreamTotals>,
) -> Result<Compaction, ArchiveError> {
    let usual = ObjectKey::recording(run, stream);
    match write(archive, run, stream, epoch, totals, usual).await {
        Err(ArchiveError::Objects(ObjectError::Exists(usual))) => {
            tracing::warn!(%run, object = %usual, "another recording is there");
            let own = ObjectKey::recording_of_epoch(run, stream, epoch);
            write(archive, run, stream, epoch, totals, own).await
        }
        written => written,
    }
}

async fn write(
    archive: &Archive,
    run: &RunKey,
    stream: &StreamKey,
    epoch: Epoch,
    totals: Option<&StreamTotals>,
    object: ObjectKey,
) -> Result<Compaction, ArchiveError> {
    let mut copy = Copy {
        writer: archive.objects().create(&object).await?,
        merger: FrameMerger::new(),
        frames: Vec::new(),
        length: 0,
        hash: Sha256::new(),
        tally: Tally::default(),
        is_damaged: false,
    };
    let mut after = Seq::START;
    loop {
        let (_, segments) =
            archive.recordings().segments(run, Some(stream), after, SEGMENTS).await?;
        for segment in &segments {
            for info in &segment.frames {
                copy.frame(archive, stream, &segment.object, info).await?;
            }
            after = segment.last_seq();
        }
        if segments.len() < SEGMENTS as usize {
            break;
        }
    }
    let rest =
        std::mem::take(&mut copy.merger).finish().map_err(|error| damaged(&object, &error))?;
    copy.write(rest).await?;
    let Copy { writer, frames, length, hash, tally, is_damaged, .. } = copy;
    let whole = if frames.is_empty() || is_damaged {
        drop(writer);
        None
    } else {
        match writer.finish().await {
            Err(ObjectError::Exists(_)) if is_same(archive, &object, length, hash).await? => {}
            finished => finished?,
        }
        fail_point("archive.recording_written");
        let index = Index { version: 1, frames: &frames, r#final: totals };
        let index = serde_json::to_vec(&index).expect("plain values with strings as keys");
        archive.objects().put(&ObjectKey::index(&object), Bytes::from(index)).await?;
        Some(Segment { stream: stream.clone(), epoch, object, length, frames })
    };
    Ok(Compaction { whole, tally, is_damaged })
}

/// Whether an object has this length and this hash.
async fn is_same(
    archive: &Archive,
    object: &ObjectKey,
    length: u64,
    hash: Sha256,
) -> Result<bool, ArchiveError> {
    if archive.objects().length(object).await? != length {
        return Ok(false);
    }
    let mut found = Sha256::new();
    for from in (0..length).step_by(COMPARED_BYTES) {
        let range = from..length.min(from + COMPARED_BYTES as u64);
        found.update(archive.objects().read(object, range).await?);
    }
    Ok(found.finalize() == hash.finalize())
}

struct Copy {
    writer: Box<dyn ObjectWriter>,
    merger: FrameMerger,
    frames: Vec<FrameInfo>,
    length: u64,
    hash: Sha256,
    tally: Tally,
    is_damaged: bool,
}

impl Copy {
    async fn frame(
        &mut self,
        archive: &Archive,
        stream: &StreamKey,
        object: &ObjectKey,
        info: &FrameInfo,
    ) -> Result<(), ArchiveError> {
        let range = info.offset..info.offset + info.length;
        let compressed = match archive.objects().read(object, range).await {
            Ok(compressed) => compressed,
            Err(error) if error.is_passing() => return Err(error.into()),
            Err(error) => {
                self.leave_out(&error);
                return Ok(());
            }
        };
        // What counts is what can be read back.
        let text = info.text_of(&compressed);
        let entries = text.and_then(|text| cast::decode_frame(&text, stream));
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.leave_out(&error);
                return Ok(());
            }
        };
        for entry in &entries {
            let Body::Terminal(chunk) = &entry.body else { continue };
            self.tally.absorb(chunk);
        }
        let frames =
            self.merger.push(*info, compressed).map_err(|error| damaged(object, &error))?;
        self.write(frames).await?;
        tokio::task::yield_now().await;
        Ok(())
    }

    fn leave_out(&mut self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "a piece of a recording is left out");
        self.is_damaged = true;
    }

    async fn write(&mut self, frames: Vec<(FrameInfo, Bytes)>) -> Result<(), ArchiveError> {
        for (info, bytes) in frames {
            self.length += bytes.len() as u64;
            self.hash.update(&bytes);
            self.frames.push(info);
            self.writer.write(bytes).await?;
            fail_point("archive.compacting");
        }
        Ok(())
    }
}

fn damaged(object: &ObjectKey, error: &CastError) -> ArchiveError {
    ArchiveError::Objects(ObjectError::Damaged(object.clone(), error.to_string()))
}
