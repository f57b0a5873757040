//! The segments of a stream that has ended become one object, which is read back while it is written.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Archive, ArchiveError};
use crate::cast::{self, CastError, FrameInfo, FrameMerger};
use crate::entry::{Body, ChunkKind, StreamTotals};
use crate::flow::sequencer::hex;
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamKey};
use crate::ports::{ObjectError, ObjectKey, ObjectWriter, Segment};

/// Rows that are read at once.
const SEGMENTS: u32 = 256;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// The whole recording; none if nothing of it could be read.
    pub whole: Option<Segment>,
    /// Output bytes in it.
    pub bytes: u64,
    /// Their SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// Objects were missing or damaged, or chunks between them.
    pub has_holes: bool,
}

/// Where everything stands in a recording, for other programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    version: u32,
    frames: &'a [FrameInfo],
    r#final: &'a StreamTotals,
}

/// Writes the recording of a stream from its segments. Holds one frame at a time. `totals` is what the
/// stream's end tells.
pub async fn compact(
    archive: &Archive,
    run: &RunKey,
    stream: &StreamKey,
    epoch: Epoch,
    totals: &StreamTotals,
) -> Result<Compaction, ArchiveError> {
    let object = ObjectKey::recording(run, stream);
    let mut copy = Copy {
        writer: archive.objects().create(&object).await?,
        merger: FrameMerger::new(),
        frames: Vec::new(),
        length: 0,
        hash: Sha256::new(),
        bytes: 0,
        next_chunk: ChunkIndex(0),
        has_holes: false,
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
    let rest = copy.merger.finish().map_err(|error| damaged(&object, &error))?;
    copy.write(rest).await?;
    let Copy { writer, frames, length, hash, bytes, has_holes, .. } = copy;
    let whole = if frames.is_empty() {
        drop(writer);
        None
    } else {
        writer.finish().await?;
        let index = Index { version: 1, frames: &frames, r#final: totals };
        let index = serde_json::to_vec(&index).expect("plain values with strings as keys");
        archive.objects().put(&ObjectKey::index(run, stream), Bytes::from(index)).await?;
        Some(Segment { stream: stream.clone(), epoch, object, length, frames })
    };
    Ok(Compaction { whole, bytes, sha256: hex(&hash.finalize()), has_holes })
}

struct Copy {
    writer: Box<dyn ObjectWriter>,
    merger: FrameMerger,
    frames: Vec<FrameInfo>,
    length: u64,
    hash: Sha256,
    bytes: u64,
    next_chunk: ChunkIndex,
    has_holes: bool,
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
            Err(error) => return Ok(self.leave_out(&error)),
        };
        // What counts is what can be read back.
        let text = cast::frame::decompress(&compressed, info.text_length);
        let entries = text.and_then(|text| cast::decode_frame(&text, stream));
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return Ok(self.leave_out(&error)),
        };
        for entry in &entries {
            let Body::Terminal(chunk) = &entry.body else { continue };
            if let ChunkKind::Output(payload) = &chunk.kind {
                self.hash.update(payload);
                self.bytes += payload.len() as u64;
            }
            self.next_chunk = chunk.index.next();
        }
        let frames =
            self.merger.push(*info, compressed).map_err(|error| damaged(object, &error))?;
        self.write(frames).await?;
        tokio::task::yield_now().await;
        Ok(())
    }

    fn leave_out(&mut self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "a piece of a recording is left out");
        self.has_holes = true;
    }

    async fn write(&mut self, frames: Vec<(FrameInfo, Bytes)>) -> Result<(), ArchiveError> {
        for (info, bytes) in frames {
            self.length += bytes.len() as u64;
            self.frames.push(info);
            self.writer.write(bytes).await?;
        }
        Ok(())
    }
}

fn damaged(object: &ObjectKey, error: &CastError) -> ArchiveError {
    ArchiveError::Objects(ObjectError::Damaged(object.clone(), error.to_string()))
}
