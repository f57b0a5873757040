//! Owns: the archive's checkpoint of one run and the encoders of its streams.
//! Takes: nothing; it follows the log.
//! Sends: segments to the object store, then their rows with the checkpoint; whole recordings at the end.
//! Queue: none; the log is its queue. It holds what it has encoded since the checkpoint, compressed: what is being
//! written, and what comes behind it.
//! Stops: when every recording of a run that has ended has its final state.
//! Restart: yes, from the checkpoint; what was encoded beyond it is encoded again.

mod ending;
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use self::stores::RETRY_FIRST;
use crate::archive::{Archive, left_overs};
use crate::cast::{CastHeader, EncodedSegment, EncoderState, StreamEncoder};
use crate::entry::{Body, Chunk, ChunkKind, Entry, TerminalSize};
use crate::fail_point::fail_point;
use crate::ids::{Epoch, RunKey, Seq, StreamKey};
use crate::kernel::{ChildContext, ExitStatus, KillSwitch, Shown};
use crate::live_runs::LiveRuns;
use crate::moment::Timestamp;
use crate::ports::{ArchiveBatch, LogError, ObjectKey, Recording, RecordingState, RunLog, Segment};

/// How much of the log is looked through at once.
const READ_BYTES: usize = 512 * 1024;
/// How long it waits for more when something has come: nobody waits for it.
const LINGER: Duration = Duration::from_millis(20);
/// Segments of a flush that are written at the same time.
const PUTS_AT_ONCE: usize = 8;
/// A run that has gone on for so many intervals is flushed less often, so that segments stay few …
const INTERVALS_PER_RUN: u32 = 1000;
/// … but at least this often.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// The size of a recording without a terminal.
const PIPE_SIZE: TerminalSize = TerminalSize { cols: 120, rows: 30 };

/// When an archivist writes.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveSettings {
    /// After so many bytes of the run's log (`archive.segment_bytes`).
    pub segment_bytes: u64,
    /// When the oldest chunk has waited so long (`archive.flush_interval_ms`).
    pub flush_interval: Duration,
}

/// How far the archive of a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchivedThrough {
    /// Every chunk up to here is archived.
    pub seq: Seq,
    /// The run has ended and every recording has its final state.
    pub is_final: bool,
}

/// Follows one run into the archive.
pub struct Archivist {
    /// Which run.
    pub run: RunKey,
    /// Under which epoch.
    pub epoch: Epoch,
    /// What is followed.
    pub log: Arc<dyn RunLog>,
    /// Where it goes.
    pub archive: Arc<Archive>,
    /// When it writes.
    pub settings: ArchiveSettings,
    /// The title of recordings begins with this.
    pub title: String,
    /// How far it is; kept beside the incarnations.
    pub archived: Arc<watch::Sender<ArchivedThrough>>,
    /// Where the counts of recordings are shown.
    pub live: LiveRuns,
    /// The group of the run.
    pub group: KillSwitch,
    /// False before the first incarnation.
    pub has_begun: AtomicBool,
}

/// What an archivist shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArchivistState {
    archived_through: Seq,
    is_final: bool,
}

/// What one incarnation has in hand.
struct Work {
    streams: BTreeMap<StreamKey, StreamWork>,
    /// Everything up to here is encoded.
    cursor: Seq,
    /// Bytes of the log that were encoded since the checkpoint.
    gathered: u64,
    /// Bytes of the log of the whole run that went by.
    log_bytes: u64,
    /// When the oldest chunk that waits came.
    oldest: Option<Instant>,
    began: Instant,
    has_ended: bool,
    /// What is being written while more is encoded; one flush at most.
    writing: JoinSet<Result<(), ExitStatus>>,
}

struct StreamWork {
    encoder: StreamEncoder,
    recording: Recording,
    has_changed: bool,
}

impl Archivist {
    /// One incarnation.
    pub async fn follow(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let archivist = self.clone();
        child.observe(move || archivist.shown());
        match self.archive_to_the_end(&child).await {
            Ok(()) => ExitStatus::Finished,
            Err(status) => status,
        }
    }

    fn shown(&self) -> Shown {
        let ArchivedThrough { seq: archived_through, is_final } = *self.archived.borrow();
        Shown::new(ArchivistState { archived_through, is_final })
            .with_queue(self.live.behind(&self.run, archived_through))
    }

    async fn archive_to_the_end(self: &Arc<Self>, child: &ChildContext) -> Result<(), ExitStatus> {
        let mut wake = self.log.follow(&self.run);
        let mut work = self.resume().await?;
        loop {
            let page = match self.log.read(&self.run, work.cursor, READ_BYTES).await {
                Ok(page) => page,
                Err(LogError::Unavailable(_)) => {
                    tokio::time::sleep(RETRY_FIRST).await;
                    continue;
                }
                Err(error) => {
                    self.settle(&mut work).await?;
                    return Err(ExitStatus::failed(error));
                }
            };
            let is_at_tail = page.entries.last().is_none_or(|last| last.seq >= page.tail);
            for entry in &page.entries {
                self.take(&mut work, entry);
            }
            child.handled(page.entries.len() as u64);
            let interval = self.interval(&work);
            let is_due = work.oldest.is_some_and(|oldest| oldest.elapsed() >= interval);
            let is_end = work.has_ended && is_at_tail;
            if work.gathered >= self.settings.segment_bytes || is_due || is_end {
                self.settle(&mut work).await?;
                self.flush(&mut work);
                if is_end || work.streams.values().any(StreamWork::has_just_ended) {
                    self.settle(&mut work).await?;
                    self.finalise_ended(&mut work, is_end).await?;
                }
            }
            if is_end {
                self.archived.send_modify(|archived| archived.is_final = true);
                return Ok(());
            }
            if !page.entries.is_empty() {
                // Others of this thread are archived in between.
                tokio::task::yield_now().await;
                continue;
            }
            let due = async {
                match work.oldest {
                    Some(oldest) => tokio::time::sleep_until(oldest + interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wake.changed() => {}
                () = due => continue,
                Some(written) = work.writing.join_next() => {
                    self.written(&work, written)?;
                    continue;
                }
            }
            // What comes a little later is encoded with it.
            tokio::time::sleep(LINGER).await;
        }
    }

    fn interval(&self, work: &Work) -> Duration {
        let of_age = work.began.elapsed() / INTERVALS_PER_RUN;
        self.settings.flush_interval.max(of_age.min(MAX_INTERVAL))
    }

    /// Goes on where the rows say that the last one stopped.
    async fn resume(&self) -> Result<Work, ExitStatus> {
        let rows = self.archive.recordings();
        let recordings = self.retried(async || rows.recordings(&self.run).await).await?;
        let mut states = self.retried(async || rows.encoder_states(&self.run).await).await?;
        let (through, _) =
            self.retried(async || rows.segments(&self.run, None, Seq::MAX, 1).await).await?;
        let mut work = Work {
            streams: BTreeMap::new(),
            cursor: through,
            gathered: 0,
            log_bytes: 0,
            oldest: None,
            began: Instant::now(),
            writing: JoinSet::new(),
            // The last entry may be archived already, or lost with the log, so that it will not come by.
            has_ended: self
                .live
                .get(&self.run)
                .is_some_and(|known| known.view.status.is_terminal()),
        };
        for mut recording in recordings {
            recording.encoder_state = states.remove(&recording.stream);
            let state = recording.encoder_state.as_deref().unwrap_or_default();
            let state = EncoderState::from_json(state).map_err(ExitStatus::failed)?;
            let encoder = StreamEncoder::resume(recording.stream.clone(), state);
            let key = recording.stream.clone();
            work.streams.insert(key, StreamWork { encoder, recording, has_changed: false });
        }
        self.archived.send_if_modified(|archived| {
            let is_new = archived.seq != through;
            archived.seq = through;
            is_new
        });
        // Not after a fault of ours: what was being written then may still get its rows.
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.delete_left_overs().await;
        }
        Ok(work)
    }

    fn take(&self, work: &mut Work, entry: &Arc<Entry>) {
        let cost = entry.memory_cost() as u64;
        work.cursor = entry.seq;
        work.gathered += cost;
        work.log_bytes += cost;
        work.oldest.get_or_insert_with(Instant::now);
        match &entry.body {
            Body::Terminal(chunk) => {
                let log_bytes = work.log_bytes;
                let stream = work
                    .streams
                    .entry(chunk.stream_key())
                    .or_insert_with_key(|key| self.begin(key.clone(), chunk));
                stream.encoder.push(entry.seq, chunk, log_bytes);
                stream.has_changed = true;
            }
            Body::Status(change) => {
                work.has_ended |= change.node.is_none() && change.run.status.is_terminal();
            }
            Body::Trace(_) => {}
        }
    }

    fn begin(&self, stream: StreamKey, first: &Chunk) -> StreamWork {
        let size = match first.kind {
            ChunkKind::Resize(size) => size,
            _ => PIPE_SIZE,
        };
        let header = CastHeader {
            size,
            timestamp: u64::try_from(first.recorded_at.0.div_euclid(1_000_000)).ok(),
            title: Some(format!("{} / {}", self.title, stream.node_ref)),
            command: None,
        };
        let now = Timestamp::now();
        let recording = Recording {
            stream: stream.clone(),
            state: RecordingState::Live,
            reason: None,
            object: None,
            first_chunk: None,
            last_chunk: None,
            last_seq: Seq::START,
            chunks: 0,
            bytes: 0,
            sha256: None,
            gaps: 0,
            duration_us: 0,
            size,
            epoch: self.epoch,
            encoder_state: None,
            created_at: now,
            updated_at: now,
            completed_at: None,
            purged_at: None,
        };
        StreamWork { encoder: StreamEncoder::new(stream, header), recording, has_changed: false }
    }

    /// Begins to write what was encoded since the last time.
    fn flush(self: &Arc<Self>, work: &mut Work) {
        let mut batch = ArchiveBatch { through: work.cursor, ..ArchiveBatch::default() };
        let mut encoded = Vec::new();
        for (key, stream) in &mut work.streams {
            if !std::mem::take(&mut stream.has_changed) {
                continue;
            }
            encoded.extend(stream.encoder.cut().map(|segment| (key.clone(), segment)));
            stream.describe(self.epoch);
            batch.recordings.push(stream.recording.clone());
        }
        work.gathered = 0;
        work.oldest = None;
        work.writing.spawn_local(self.clone().write(batch, encoded));
    }

    /// Writes segments and then their rows, which moves the checkpoint.
    async fn write(
        self: Arc<Self>,
        mut batch: ArchiveBatch,
        encoded: Vec<(StreamKey, EncodedSegment)>,
    ) -> Result<(), ExitStatus> {
        let started = Instant::now();
        let encoded_bytes: u64 =
            encoded.iter().map(|(_, segment)| segment.bytes.len() as u64).sum();
        let puts = encoded.into_iter().map(|(key, segment)| self.put(key, segment));
        batch.segments = stream::iter(puts).buffered(PUTS_AT_ONCE).try_collect().await?;
        fail_point("archive.objects_written");
        let rows = self.archive.recordings();
        self.retried(async || rows.archive(&self.run, self.epoch, batch.clone()).await).await?;
        fail_point("archive.rows_written");
        if !batch.segments.is_empty() {
            metrics::histogram!("runcast_archive_flush_seconds").record(started.elapsed());
            metrics::counter!("runcast_archive_stored_bytes_total").increment(encoded_bytes);
        }
        self.archived.send_modify(|archived| archived.seq = batch.through);
        Ok(())
    }

    /// Waits until all that was cut is written.
    async fn settle(&self, work: &mut Work) -> Result<(), ExitStatus> {
        while let Some(written) = work.writing.join_next().await {
            self.written(work, written)?;
        }
        Ok(())
    }

    fn written(
        &self,
        work: &Work,
        written: Result<Result<(), ExitStatus>, JoinError>,
    ) -> Result<(), ExitStatus> {
        written.map_err(ExitStatus::failed).flatten()?;
        self.show_counts(work);
        Ok(())
    }

    async fn put(&self, key: StreamKey, encoded: EncodedSegment) -> Result<Segment, ExitStatus> {
        let EncodedSegment { frames, bytes } = encoded;
        let first = frames.first().map(|frame| frame.first_chunk).unwrap_or_default();
        let last = frames.last().map(|frame| frame.last_chunk).unwrap_or_default();
        let object = ObjectKey::segment(&self.run, &key, first, last, self.epoch);
        let objects = self.archive.objects();
        self.stored(async || objects.put(&object, bytes.clone()).await).await?;
        fail_point("archive.segment_written");
        let length = bytes.len() as u64;
        Ok(Segment { stream: key, epoch: self.epoch, object, length, frames })
    }

    /// Deletes segments that an owner wrote before it died, without their rows.
    async fn delete_left_overs(&self) {
        if let Err(error) = left_overs::delete(&self.archive, &self.run).await {
            // They cost only room, and the next owner or the purge of the run deletes them.
            tracing::warn!(run = %self.run, %error, "left-overs of the archive were not deleted");
        }
    }
}

impl StreamWork {
    /// True if it is written to its end, and has no final state yet.
    fn has_just_ended(&self) -> bool {
        self.recording.state == RecordingState::Live && self.encoder.state().exit().is_some()
    }

    /// Brings the row up to what the encoder has seen.
    fn describe(&mut self, epoch: Epoch) {
        let (recording, state) = (&mut self.recording, self.encoder.state());
        recording.first_chunk = state.first_chunk();
        recording.last_chunk = state.last_chunk();
        recording.last_seq = state.last_seq();
        recording.chunks = state.chunks();
        recording.bytes = state.bytes();
        recording.gaps = state.gaps();
        recording.duration_us = state.at_us();
        recording.epoch = epoch;
        recording.updated_at = Timestamp::now();
        recording.encoder_state = Some(state.to_json());
    }
}
