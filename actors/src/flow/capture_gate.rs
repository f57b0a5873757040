//! Whether terminals may be read. The limit gates reading, never appending: what was read always
//! goes into the log, so a full run can still end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::watch;

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

/// What waits of one run; it is not shown any more when the run is given away.
#[derive(Debug, Default)]
struct Backlog(AtomicU64);

impl Drop for Backlog {
    fn drop(&mut self) {
        show_change(self.0.load(Ordering::Relaxed), -1.0);
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

    /// So many bytes were appended.
    pub fn appended(&self, bytes: u64) {
        self.unrecorded.0.fetch_add(bytes, Ordering::Relaxed);
        show_change(bytes, 1.0);
    }

    /// So many bytes are recorded and need the log no more.
    pub fn recorded(&self, bytes: u64) {
        self.unrecorded.0.fetch_sub(bytes, Ordering::Relaxed);
        show_change(bytes, -1.0);
        self.grown.send_replace(());
    }

    /// Bytes of the run that only the log has.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.0.load(Ordering::Relaxed)
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
        gate.appended(100);
        assert_eq!(gate.closed(), Some(Closed::LogFull));
        let waiting = tokio::time::timeout(Duration::from_secs(60), gate.open());
        assert!(waiting.await.is_err(), "it stays closed");
        gate.recorded(1);
        gate.open().await;

        health.send_replace(LogHealth::LowOnDisk);
        assert_eq!(gate.closed(), Some(Closed::DiskLow));
        let waiter = gate.clone();
        let opened = tokio::spawn(async move { waiter.open().await });
        health.send_replace(LogHealth::Up);
        opened.await.expect("the gate opens");
    }
}
