//! Whether terminals may be read. The limit gates reading, never appending: what was read always
//! goes into the log, so a full run can still end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::ids::Seq;
use crate::ports::LogHealth;

/// Why terminals are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Closed {
    /// The run has reached `log.max_bytes_per_run`.
    LogFull,
    /// Less than `log.min_free_bytes` of the disk are free.
    DiskLow,
    /// The log takes nothing.
    LogDown,
}

/// The gate of one run.
#[derive(Debug, Clone)]
pub struct CaptureGate {
    max_bytes: u64,
    unrecorded: Arc<Backlog>,
    grown: watch::Sender<()>,
    health: watch::Receiver<LogHealth>,
}

/// About so many stretches of a run are told apart.
const STRETCHES: u64 = 1024;

/// What waits of one run; it is not shown any more when the run is given away.
#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicU64,
    stretches: Mutex<Stretches>,
}

/// How many bytes of the log lie between which entries. It follows from positions alone what waits: a follower
/// that begins again tells them again, and nothing is counted twice or left over.
#[derive(Debug, Default)]
struct Stretches {
    /// The last entry and the bytes of each, in order.
    waiting: VecDeque<(Seq, u64)>,
    /// Everything up to here needs the log no more.
    recorded: Seq,
}

impl Backlog {
    fn stretches(&self) -> MutexGuard<'_, Stretches> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        show_change(self.bytes.load(Ordering::Relaxed), -1.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
fn show_change(bytes: u64, sign: f64) {
    metrics::gauge!("runcast_archive_backlog_bytes").increment(sign * bytes as f64);
}

impl CaptureGate {
    /// Closed at `max_bytes` in the log, and whenever the log's disk is low.
    pub fn new(max_bytes: u64, health: watch::Receiver<LogHealth>) -> Self {
        Self { max_bytes, unrecorded: Arc::default(), grown: watch::Sender::new(()), health }
    }

    /// So many bytes were appended, the last of them in the entry `through`.
    pub fn appended(&self, through: Seq, bytes: u64) {
        let mut stretches = self.unrecorded.stretches();
        if through <= stretches.recorded {
            return;
        }
        match stretches.waiting.back_mut() {
            Some((last, held)) if *held + bytes <= self.max_bytes / STRETCHES => {
                *last = through;
                *held += bytes;
            }
            _ => stretches.waiting.push_back((through, bytes)),
        }
        self.unrecorded.bytes.fetch_add(bytes, Ordering::Relaxed);
        show_change(bytes, 1.0);
    }

    /// Everything up to this entry is recorded and needs the log no more.
    pub fn recorded(&self, through: Seq) {
        let mut stretches = self.unrecorded.stretches();
        stretches.recorded = stretches.recorded.max(through);
        let count = stretches.waiting.partition_point(|(last, _)| *last <= through);
        let bytes: u64 = stretches.waiting.drain(..count).map(|(_, bytes)| bytes).sum();
        self.unrecorded.bytes.fetch_sub(bytes, Ordering::Relaxed);
        drop(stretches);
        if bytes > 0 {
            show_change(bytes, -1.0);
            self.grown.send_replace(());
        }
    }

    /// Bytes of the run that only the log has.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.bytes.load(Ordering::Relaxed)
    }

    /// Why reading is not allowed now; none if it is.
    pub fn closed(&self) -> Option<Closed> {
        match *self.health.borrow() {
            LogHealth::LowOnDisk => Some(Closed::DiskLow),
            LogHealth::Down => Some(Closed::LogDown),
            LogHealth::Up if self.unrecorded() >= self.max_bytes => Some(Closed::LogFull),
            LogHealth::Up => None,
        }
    }

    /// Waits until reading is allowed. Cancel-safe.
    pub async fn open(&self) {
        let mut grown = self.grown.subscribe();
        let mut health = self.health.clone();
        while self.closed().is_some() {
            tokio::select! {
                _ = grown.changed() => {}
                changed = health.changed() => {
                    if changed.is_err() {
                        // Whoever watched the disk is gone, so the service is stopping.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_gate_closes_at_the_limit_and_when_the_disk_is_low() {
        let (health, receiver) = watch::channel(LogHealth::Up);
        let gate = CaptureGate::new(100, receiver);
        gate.open().await;
        gate.appended(Seq(5), 100);
        assert_eq!(gate.closed(), Some(Closed::LogFull));
        let waiting = tokio::time::timeout(Duration::from_secs(60), gate.open());
        assert!(waiting.await.is_err(), "it stays closed");
        gate.recorded(Seq(4));
        assert_eq!(gate.closed(), Some(Closed::LogFull), "not all of it is recorded");
        gate.recorded(Seq(5));
        gate.open().await;

        health.send_replace(LogHealth::LowOnDisk);
        assert_eq!(gate.closed(), Some(Closed::DiskLow));
        let waiter = gate.clone();
        let opened = tokio::spawn(async move { waiter.open().await });
        health.send_replace(LogHealth::Up);
        opened.await.expect("the gate opens");
    }

    #[test]
    fn what_waits_follows_from_positions_in_whatever_order_and_however_often_they_are_told() {
        let gate = CaptureGate::new(1024 * 1024, watch::channel(LogHealth::Up).1);
        gate.appended(Seq(3), 2000);
        gate.appended(Seq(5), 3000);
        gate.recorded(Seq(4));
        assert_eq!(gate.unrecorded(), 3000);
        for _ in 0..2 {
            gate.recorded(Seq(2));
            gate.recorded(Seq(5));
            assert_eq!(gate.unrecorded(), 0);
        }
        gate.recorded(Seq(9));
        gate.appended(Seq(8), 2000);
        assert_eq!(gate.unrecorded(), 0, "it was recorded before it was counted");

        for seq in 10..50_000 {
            gate.appended(Seq(seq), 50);
        }
        assert_eq!(gate.unrecorded(), 49_990 * 50);
        let held = gate.unrecorded.stretches().waiting.len();
        assert!(held <= 3 * usize::try_from(STRETCHES).expect("small"), "{held} are told apart");
        gate.recorded(Seq(49_999));
        assert_eq!(gate.unrecorded(), 0);
    }
}
