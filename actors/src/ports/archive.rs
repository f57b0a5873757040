//! The archive: objects with what terminals showed, and the rows that say which objects count.
//!
//! A segment exists when its row exists. The row is written after the object, in the transaction that
//! moves the checkpoint of the run; an object without a row is a left-over, a row without its object is
//! a gap.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::cast::FrameInfo;
use crate::entry::TerminalSize;
use crate::ids::{ChunkIndex, Epoch, RunKey, Seq, StreamKey};
use crate::moment::Timestamp;

// ---- Objects

/// The name of an object: components of `[A-Za-z0-9._-]`, none of them `.` or `..`, joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The folder of everything that is archived of a run.
    pub fn run_prefix(run: &RunKey) -> String {
        format!("recordings/{}/{}/", run.tenant, run.run)
    }

    /// The folder of a stream.
    pub fn stream_prefix(run: &RunKey, stream: &StreamKey) -> String {
        format!("{}{}/{}/", Self::run_prefix(run), stream.node_ref, stream.stream)
    }

    /// A piece of a stream, written while the run goes on.
    pub fn segment(
        run: &RunKey,
        stream: &StreamKey,
        first: ChunkIndex,
        last: ChunkIndex,
        epoch: Epoch,
    ) -> Self {
        Self::below(run, stream, &format!("seg-{first}-{last}-{epoch}.cast.zst"))
    }

    /// A whole stream, written when it has ended.
    pub fn recording(run: &RunKey, stream: &StreamKey) -> Self {
        Self::below(run, stream, "recording.cast.zst")
    }

    /// The same, where another owner has left one that is different.
    pub fn recording_of_epoch(run: &RunKey, stream: &StreamKey, epoch: Epoch) -> Self {
        Self::below(run, stream, &format!("recording-{epoch}.cast.zst"))
    }

    /// Where everything stands in a recording, for other programs: `index.json` beside `recording.cast.zst`.
    pub fn index(recording: &Self) -> Self {
        let name = recording.as_str().strip_suffix(".cast.zst").unwrap_or(recording.as_str());
        let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
        Self(Arc::from(format!("{folder}/{}.json", name.replace("recording", "index"))))
    }

    /// The screens from which a seek begins.
    pub fn keyframes(run: &RunKey, stream: &StreamKey) -> Self {
        Self::below(run, stream, "keyframes.json.zst")
    }

    fn below(run: &RunKey, stream: &StreamKey, name: &str) -> Self {
        Self(Arc::from(format!("{}{name}", Self::stream_prefix(run, stream))))
    }

    /// A key that a store or a row gave back.
    pub fn stored(key: &str) -> Option<Self> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        key.split('/').all(is_part).then(|| Self(Arc::from(key)))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the last `/`.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where objects are kept. An object is there whole or not at all.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Keeps an object; one of the same name is replaced. When it returns `Ok`, it survives a power cut.
    async fn put(&self, key: &ObjectKey, body: Bytes) -> Result<(), ObjectError>;

    /// Begins an object whose size is not known. It is there once [`ObjectWriter::finish`] returns `Ok`, and
    /// replaces none: two who write the same one cannot take it from each other.
    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError>;

    /// Exactly these bytes of an object.
    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError>;

    /// How many bytes an object has.
    async fn length(&self, key: &ObjectKey) -> Result<u64, ObjectError>;

    /// Forgets an object; nothing if it is not there.
    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError>;

    /// Every object whose key begins with `prefix`, which ends with `/`; what is being written is not one.
    async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, ObjectError>;

    /// Forgets every object whose key begins with `prefix`, also what was being written by the dead.
    async fn remove_all(&self, prefix: &str) -> Result<(), ObjectError>;

    /// Writes, reads and deletes a small object, for health checks.
    async fn probe(&self) -> Result<(), ObjectError>;
}

/// An object that is being written. Dropped before it is finished, it leaves nothing.
#[async_trait]
pub trait ObjectWriter: Send {
    /// Appends.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError>;

    /// Makes it an object; [`ObjectError::Exists`] if there is one of this name by now. After a failure it may
    /// be there all the same.
    async fn finish(self: Box<Self>) -> Result<(), ObjectError>;
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub length: u64,
}

/// Why an object store did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("the object {0} is not there")]
    NotFound(ObjectKey),
    /// The object is shorter than it should be, or not what it should be.
    #[error("the object {0} is damaged: {1}")]
    Damaged(ObjectKey, String),
    /// There is an object of this name, and it is not to be replaced.
    #[error("the object {0} is there already")]
    Exists(ObjectKey),
    /// The store cannot be used at this moment; the same call may work later.
    #[error("the archive is away: {0}")]
    Unavailable(String),
}

impl ObjectError {
    /// True if asking again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

// ---- Rows

/// A stretch of one stream in one object: a segment while the run goes on, the whole recording later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The stream.
    pub stream: StreamKey,
    /// The epoch in which it was written.
    pub epoch: Epoch,
    /// The object.
    pub object: ObjectKey,
    /// The size of the object in bytes.
    pub length: u64,
    /// Its frames, in order; never empty.
    pub frames: Vec<FrameInfo>,
}

impl Segment {
    /// The first entry in it.
    pub fn first_seq(&self) -> Seq {
        self.frames.first().map_or(Seq::START, |frame| frame.first_seq)
    }

    /// The last entry in it.
    pub fn last_seq(&self) -> Seq {
        self.frames.last().map_or(Seq::START, |frame| frame.last_seq)
    }
}

/// The row of a stream's recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The stream.
    pub stream: StreamKey,
    /// Whether it is known to be complete.
    pub state: RecordingState,
    /// Why it is incomplete, if it is.
    pub reason: Option<IncompleteReason>,
    /// The object with the whole stream, once there is one.
    pub object: Option<ObjectKey>,
    /// The first chunk that is archived.
    pub first_chunk: Option<ChunkIndex>,
    /// The last chunk that is archived.
    pub last_chunk: Option<ChunkIndex>,
    /// The `seq` of that chunk.
    pub last_seq: Seq,
    /// Chunks that are archived.
    pub chunks: u64,
    /// Bytes of their output payloads.
    pub bytes: u64,
    /// SHA-256 of these bytes, in lower-case hexadecimal; none while it is live.
    pub sha256: Option<String>,
    /// Holes in it.
    pub gaps: u64,
    /// The place of the last chunk on the time axis, in microseconds.
    pub duration_us: u64,
    /// The first size of its terminal; for a pipe the size of the replay.
    pub size: TerminalSize,
    /// The epoch that wrote last.
    pub epoch: Epoch,
    /// The state of its encoder as JSON ([`crate::cast::EncoderState`]); kept after its end, as it tells
    /// what a seek bar shows. Lists of recordings leave it out.
    pub encoder_state: Option<String>,
    /// When its first chunk was archived.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// When it got its final state.
    pub completed_at: Option<Timestamp>,
    /// When retention removed its objects.
    pub purged_at: Option<Timestamp>,
}

/// Whether a recording is known to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Its stream, or the archiving of it, goes on.
    Live,
    /// The node wrote its end itself, and everything of it is archived: indices, counts and hash agree.
    Complete,
    /// Something of it is missing.
    Incomplete,
}

impl RecordingState {
    /// The name as it stands in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Why a recording is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncompleteReason {
    /// The instance that captured it died, so nobody knows what else the program wrote.
    Lost,
    /// Entries are missing.
    Gap,
    /// What is archived differs from what the node counted at its end.
    Mismatch,
    /// An object of the archive is missing or damaged.
    Archive,
}

impl IncompleteReason {
    /// The name as it stands in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Gap => "gap",
            Self::Mismatch => "mismatch",
            Self::Archive => "archive",
        }
    }
}

/// What the archivist commits at once.
#[derive(Debug, Clone, Default)]
pub struct ArchiveBatch {
    /// New segments; their objects are there.
    pub segments: Vec<Segment>,
    /// The recordings that have changed, whole.
    pub recordings: Vec<Recording>,
    /// The new checkpoint: every chunk up to here is archived.
    pub through: Seq,
}

/// The states of encoders as JSON, by stream.
pub type EncoderStates = BTreeMap<StreamKey, String>;

/// The rows of recordings and segments.
#[async_trait]
pub trait RecordingStore: Send + Sync {
    /// True if any recording or segment of any run names an object.
    async fn has_objects(&self) -> Result<bool, StoreError>;

    /// Every recording of a run, ordered by node and stream, without the states of their encoders, which are
    /// large. Empty for an unknown run.
    async fn recordings(&self, run: &RunKey) -> Result<Vec<Recording>, StoreError>;

    /// The states of the encoders of a run ([`Recording::encoder_state`]), for who archives on or takes over.
    async fn encoder_states(&self, run: &RunKey) -> Result<EncoderStates, StoreError>;

    /// The recording of one stream.
    async fn recording(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<Recording>, StoreError>;

    /// Up to where the chunks of a run are archived, and the first `limit` segments that count (not
    /// superseded) and end after `after`, ordered by their first entry; both as of the same moment.
    /// `stream`: only of it.
    async fn segments(
        &self,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        limit: u32,
    ) -> Result<(Seq, Vec<Segment>), StoreError>;

    /// Which of these objects no segment names, superseded or not.
    async fn unknown(&self, objects: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError>;

    /// Writes segments and recordings and moves the checkpoint, in one transaction; nothing if the
    /// checkpoint is there already.
    async fn archive(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ArchiveBatch,
    ) -> Result<(), StoreError>;

    /// Gives a recording its final state. With `whole`, that segment takes the place of all others of the
    /// stream, which are superseded as of now. In one transaction; the same again changes nothing.
    async fn finalise(
        &self,
        run: &RunKey,
        epoch: Epoch,
        recording: Recording,
        whole: Option<Segment>,
    ) -> Result<(), StoreError>;

    /// An object of the recording is missing or damaged: one that was complete is `incomplete` from now on,
    /// with the reason `archive`. Whoever finds it says so, owner or not.
    async fn mark_damaged(&self, run: &RunKey, stream: &StreamKey) -> Result<(), StoreError>;

    /// Objects of segments that were superseded at or before `before`, at most `limit`.
    async fn superseded(&self, before: Timestamp, limit: u32)
    -> Result<Vec<ObjectKey>, StoreError>;

    /// Forgets the rows of superseded segments with these objects, which are deleted.
    async fn forget_superseded(&self, objects: &[ObjectKey]) -> Result<(), StoreError>;

    /// Finished runs whose recordings all have their final state since `before` or longer and still have
    /// objects, also those whose expiry was cut short; at most `limit`.
    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<RunKey>, StoreError>;

    /// Notes that retention removes the objects of the run's recordings: forgets the segments and sets
    /// `purged_at`. The recordings' rows stay, and so does the run in [`Self::expired`].
    async fn expire(&self, run: &RunKey) -> Result<(), StoreError>;

    /// Notes that the objects of an expired run are gone: forgets their names.
    async fn forget_objects(&self, run: &RunKey) -> Result<(), StoreError>;
}
