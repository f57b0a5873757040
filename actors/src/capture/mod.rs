//! Reads one output of a process into the inbox of its run, under byte permits.
//!
//! The order of waiting is: for bytes, for an open gate, for a permit, and only then is read. So a
//! terminal that may not be read costs nothing but the kernel's own buffer, and its child waits.

pub mod pauses;
pub mod program_events;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::capture::pauses::PauseTeller;
use crate::entry::RunnerKind;
use crate::flow::capture_gate::{CaptureGate, Closed};
use crate::flow::coalescer::Coalescer;
use crate::flow::draft::{Draft, DraftChunk, DraftChunkKind};
use crate::flow::inbox::{Inbox, MIN_PERMIT_BYTES};
use crate::flow::permits::{BytePermit, NodeBudget};
use crate::ids::StreamKey;
use crate::moment::Moment;
use crate::ports::Output;

/// How long reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// As long as the process lives.
    Running,
    /// The process has ended by itself: until the end of output, or silence.
    Draining,
    /// The process was ended: only what is there now.
    Leaving,
}

/// What one capture needs.
pub struct CaptureContext {
    /// Which stream.
    pub stream: StreamKey,
    /// Where the time axis begins.
    pub node_started: Moment,
    /// What runs the node.
    pub runner_kind: RunnerKind,
    /// Where drafts go.
    pub inbox: std::sync::Arc<Inbox>,
    /// Whether reading is allowed.
    pub gate: CaptureGate,
    /// The room of the node.
    pub budget: NodeBudget,
    /// Where pauses are told.
    pub pauses: PauseTeller,
    /// Chunks are at most this large.
    pub max_chunk_bytes: usize,
    /// Gathered bytes wait at most this long.
    pub flush_after: Duration,
    /// After the end of the process: how long silence lasts before the stream counts as ended.
    pub drain: Duration,
}

/// How a capture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    /// Output was left unread.
    pub truncated: bool,
}

/// A noisy descendant that keeps the terminal is listened to for this many drain times.
const DRAIN_LIMIT: u32 = 20;
/// What a process has left unread waits this long after its end for room in a full log, whose run may
/// have nobody else to make room.
const DRAIN_WAIT: Duration = Duration::from_secs(30);
/// What is still taken from the terminal of a process that was ended.
const LEAVING_BYTES: usize = 256 * 1024;
/// How long the terminal of a process that was ended may take to tell its end.
const LEAVING_WAIT: Duration = Duration::from_millis(50);

/// Reads until the end of the output, or until `phase` says that it is enough. Every output byte is
/// also given to `seen`.
pub async fn capture(
    mut output: Box<dyn Output>,
    context: CaptureContext,
    mut phase: watch::Receiver<Phase>,
    mut seen: impl FnMut(&[u8]),
) -> Captured {
    let mut coalescer = Coalescer::new(context.max_chunk_bytes, context.flush_after);
    let mut drain = Drain::default();
    let truncated = loop {
        let now = Instant::now();
        let current = *phase.borrow_and_update();
        if current == Phase::Leaving {
            break leave(output.as_mut(), &context, &mut coalescer, &mut seen).await;
        }
        if drain.is_over(current, context.drain * DRAIN_LIMIT, now) {
            break true;
        }
        let flush_at = coalescer.deadline(now);
        if flush_at.is_some_and(|at| at <= now) {
            flush(&context, &mut coalescer, &mut seen);
            continue;
        }
        if flush_at.is_none() {
            coalescer.release_buffer();
        }
        tokio::select! {
            biased;
            _ = phase.changed() => continue,
            () = sleep_until(flush_at) => continue,
            ready = output.readable() => if let Err(error) = ready { break failed(&context, &error) },
            () = tokio::time::sleep(context.drain), if current == Phase::Draining => break false,
        }
        let room = u32::try_from(coalescer.room()).unwrap_or(u32::MAX).max(MIN_PERMIT_BYTES);
        let asked_at = Instant::now();
        let permit = tokio::select! {
            biased;
            permit = room_to_read(&context, room) => permit,
            () = no_room_in_the_log(&context.gate), if current == Phase::Draining => break true,
            () = sleep_until(flush_at) => continue,
            _ = phase.changed() => continue,
        };
        drain.waited(asked_at.elapsed());
        match read(output.as_mut(), &mut coalescer, permit) {
            Ok(Read::End) => break false,
            Err(error) => break failed(&context, &error),
            Ok(Read::Bytes | Read::Nothing) => {}
        }
    };
    flush(&context, &mut coalescer, &mut seen);
    Captured { truncated }
}

/// A terminal that cannot be read any more: what it still had is lost, and the end of the stream says so.
fn failed(context: &CaptureContext, error: &std::io::Error) -> bool {
    let StreamKey { node_ref, stream } = &context.stream;
    tracing::error!(node = %node_ref, %stream, %error, "an output cannot be read");
    true
}

/// Waits until the log has been waited for long enough. What else is waited for comes by itself.
async fn no_room_in_the_log(gate: &CaptureGate) {
    loop {
        tokio::time::sleep(DRAIN_WAIT).await;
        if gate.closed() == Some(Closed::LogFull) {
            return;
        }
    }
}

/// Waits for the gate and for a permit; a wait that lasts is told.
async fn room_to_read(context: &CaptureContext, bytes: u32) -> BytePermit {
    if context.gate.closed().is_none()
        && let Some(permit) = context.budget.try_acquire(bytes)
    {
        return permit;
    }
    let _pause = context.pauses.begin(&context.stream.node_ref, &context.gate);
    context.gate.open().await;
    context.budget.acquire(bytes).await
}

enum Read {
    Bytes,
    Nothing,
    End,
}

fn read(
    output: &mut dyn Output,
    coalescer: &mut Coalescer,
    mut permit: BytePermit,
) -> std::io::Result<Read> {
    let room = coalescer.room();
    match output.try_read(coalescer.buffer(), room)? {
        None => Ok(Read::Nothing),
        Some(0) => Ok(Read::End),
        Some(count) => {
            permit.shrink_to(count.max(MIN_PERMIT_BYTES as usize));
            coalescer.add_permit(permit);
            Ok(Read::Bytes)
        }
    }
}

/// Takes what is there without waiting for room; true if something may have been left.
async fn leave(
    output: &mut dyn Output,
    context: &CaptureContext,
    coalescer: &mut Coalescer,
    seen: &mut impl FnMut(&[u8]),
) -> bool {
    let mut taken = 0;
    while taken < LEAVING_BYTES {
        flush(context, coalescer, seen);
        match tokio::time::timeout(LEAVING_WAIT, output.readable()).await {
            Err(_) => return true,
            Ok(Err(error)) => return failed(context, &error),
            Ok(Ok(())) => {}
        }
        let room = u32::try_from(coalescer.room()).unwrap_or(u32::MAX);
        if context.gate.closed().is_some() {
            return true;
        }
        let Some(permit) = context.budget.try_acquire(room) else { return true };
        match read(output, coalescer, permit) {
            Ok(Read::End) => return false,
            Err(error) => return failed(context, &error),
            Ok(Read::Bytes) => taken += context.max_chunk_bytes - coalescer.room(),
            Ok(Read::Nothing) => {}
        }
    }
    true
}

fn flush(context: &CaptureContext, coalescer: &mut Coalescer, seen: &mut impl FnMut(&[u8])) {
    let Some((bytes, permit)) = coalescer.flush(Instant::now()) else { return };
    seen(&bytes);
    metrics::counter!("runcast_capture_chunks_total").increment(1);
    metrics::counter!("runcast_capture_bytes_total").increment(bytes.len() as u64);
    push(context, bytes, permit);
}

fn push(context: &CaptureContext, bytes: Bytes, permit: Option<BytePermit>) {
    let chunk = DraftChunk {
        stream: context.stream.clone(),
        kind: DraftChunkKind::Output(bytes),
        at: Moment::now(),
        node_started: context.node_started,
        runner_kind: context.runner_kind,
    };
    context.inbox.push(Draft::chunk(chunk, permit));
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Time spent after the end of the process, without the time that was spent waiting for room.
#[derive(Default)]
struct Drain {
    began: Option<Instant>,
    waited: Duration,
}

impl Drain {
    fn is_over(&mut self, phase: Phase, limit: Duration, now: Instant) -> bool {
        if phase != Phase::Draining {
            return false;
        }
        let began = *self.began.get_or_insert(now);
        now.duration_since(began).saturating_sub(self.waited) > limit
    }

    fn waited(&mut self, time: Duration) {
        if self.began.is_some() {
            self.waited += time;
        }
    }
}
