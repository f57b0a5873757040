//! Whether terminals may be read. The limit gates reading, never appending: what was read always
//! goes into the log, so a full run can still end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex as Queue, watch};

use crate::flow::stretches::Stretches;
use crate::ids::Seq;
use crate::ports::LogHealth;

/// Why terminals are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Closed {
    /// The run has reached `log.max_bytes_per_run`.
    LogFull,
    /// The replica is `redis.max_lag_bytes` behind.
    ReplicaBehind,
    /// Less than `log.min_free_bytes` of the disk are free.
    DiskLow,
    /// The log takes nothing.
    LogDown,
}

/// The gate of one run.
#[derive(Debug, Clone)]
pub struct CaptureGate {
    limits: GateLimits,
    unrecorded: Arc<Backlog>,
    unreplicated: Arc<Backlog>,
    grown: watch::Sender<()>,
    /// Whoever waits for the gate; the first one looks at it, the others wait for their turn.
    waiting: Arc<Queue<()>>,
    health: watch::Receiver<LogHealth>,
}

/// How much of a run may wait, in bytes of memory cost.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    /// For archive and rows (`log.max_bytes_per_run`).
    pub unrecorded: u64,
    /// For the replica (`redis.max_lag_bytes`); none if the terminal does not wait for it.
    pub unreplicated: Option<u64>,
}

/// What waits of one run; it is not shown any more when the run is given away.
#[derive(Debug)]
struct Backlog {
    gauge: &'static str,
    stretches: Mutex<Stretches>,
}

impl Backlog {
    fn new(gauge: &'static str, max_bytes: u64) -> Arc<Self> {
        let stretches = Mutex::new(Stretches::new(max_bytes));
        Arc::new(Self { gauge, stretches })
    }

    fn stretches(&self) -> MutexGuard<'_, Stretches> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> u64 {
        self.stretches().bytes()
    }

    fn add(&self, through: Seq, bytes: u64) {
        if self.stretches().add(through, bytes) {
            self.show_change(bytes, 1.0);
        }
    }

    /// True if something waits no more.
    fn settle(&self, through: Seq) -> bool {
        let bytes = self.stretches().settle(through);
        self.show_change(bytes, -1.0);
        bytes > 0
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    fn show_change(&self, bytes: u64, sign: f64) {
        metrics::gauge!(self.gauge).increment(sign * bytes as f64);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.show_change(self.bytes(), -1.0);
    }
}

impl CaptureGate {
    /// Closed at these limits, and whenever the log's disk is low.
    pub fn new(limits: GateLimits, health: watch::Receiver<LogHealth>) -> Self {
        let to_replicate = limits.unreplicated.unwrap_or(limits.unrecorded);
        Self {
            limits,
            unrecorded: Backlog::new("runcast_archive_backlog_bytes", limits.unrecorded),
            unreplicated: Backlog::new("runcast_replica_lag_bytes", to_replicate),
            grown: watch::Sender::new(()),
            waiting: Arc::default(),
            health,
        }
    }

    /// So many bytes were appended, the last of them in the entry `through`.
    pub fn appended(&self, through: Seq, bytes: u64) {
        self.unrecorded.add(through, bytes);
        self.unreplicated.add(through, bytes);
    }

    /// Everything up to this entry is recorded and needs the log no more.
    pub fn recorded(&self, through: Seq) {
        if self.unrecorded.settle(through) {
            self.grown.send_replace(());
        }
    }

    /// Everything up to this entry is in the replica; [`Seq::MAX`] if there is none.
    pub fn replicated(&self, through: Seq) {
        if self.unreplicated.settle(through) {
            self.grown.send_replace(());
        }
    }

    /// Bytes of the run that only the log has.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.bytes()
    }

    /// Bytes of the run that the log has and the replica has not.
    pub fn unreplicated(&self) -> u64 {
        self.unreplicated.bytes()
    }

    /// How long the oldest of them waits; zero if nothing does.
    pub fn replica_lag(&self) -> Duration {
        let since = self.unreplicated.stretches().waits_since();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Why reading is not allowed now; none if it is.
    pub fn closed(&self) -> Option<Closed> {
        let is_behind = |max| self.unreplicated.bytes() >= max;
        match *self.health.borrow() {
            LogHealth::LowOnDisk => Some(Closed::DiskLow),
            LogHealth::Down => Some(Closed::LogDown),
            LogHealth::Up if self.unrecorded() >= self.limits.unrecorded => Some(Closed::LogFull),
            LogHealth::Up if self.limits.unreplicated.is_some_and(is_behind) => {
                Some(Closed::ReplicaBehind)
            }
            LogHealth::Up => None,
        }
    }

    /// Waits until reading is allowed. Terminals pass in the order in which they came: a gate that opens again and
    /// again for a moment lets all of them read as much. Cancel-safe, but who gives up loses the place.
    pub async fn open(&self) {
        let _turn = self.waiting.lock().await;
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
    use super::*;

    fn limits(unrecorded: u64) -> GateLimits {
        GateLimits { unrecorded, unreplicated: None }
    }

    #[test]
    fn the_terminal_waits_for_the_replica_if_it_should() {
        for (unreplicated, expected) in [(Some(50), Some(Closed::ReplicaBehind)), (None, None)] {
            let limits = GateLimits { unrecorded: 100, unreplicated };
            let gate = CaptureGate::new(limits, watch::channel(LogHealth::Up).1);
            gate.appended(Seq(3), 60);
            assert_eq!(gate.closed(), expected);
            gate.replicated(Seq(3));
            assert_eq!(gate.closed(), None);
            gate.replicated(Seq::MAX);
            gate.appended(Seq(9), 60);
            gate.recorded(Seq(3));
            assert_eq!(gate.closed(), None, "without a replica nothing waits for it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_closes_at_the_limit_and_when_the_disk_is_low() {
        let (health, receiver) = watch::channel(LogHealth::Up);
        let gate = CaptureGate::new(limits(100), receiver);
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

    #[tokio::test]
    async fn who_waits_longest_passes_first() {
        let (_health, receiver) = watch::channel(LogHealth::Up);
        let gate = CaptureGate::new(limits(100), receiver);
        gate.appended(Seq(1), 100);
        let passed = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (gate, passed) = (gate.clone(), passed.clone());
            waiting.spawn(async move {
                gate.open().await;
                passed.lock().expect("not poisoned").push(number);
            });
            tokio::task::yield_now().await;
        }
        gate.recorded(Seq(1));
        waiting.join_all().await;
        assert_eq!(*passed.lock().expect("not poisoned"), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_follows_closely_does_not_lag() {
        let limits = GateLimits { unrecorded: 1 << 30, unreplicated: Some(1 << 30) };
        let gate = CaptureGate::new(limits, watch::channel(LogHealth::Up).1);
        assert_eq!(gate.replica_lag(), Duration::ZERO);
        // There is always something on the way, and all of it is one stretch.
        for seq in 1..100 {
            gate.appended(Seq(seq), 10);
            gate.replicated(Seq(seq - 1));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(gate.replica_lag(), Duration::from_secs(1), "{seq}");
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        gate.appended(Seq(100), 10);
        assert_eq!(gate.replica_lag(), Duration::from_secs(61));
        gate.replicated(Seq(100));
        assert_eq!(gate.replica_lag(), Duration::ZERO);
    }

    #[test]
    fn what_waits_follows_from_positions_in_whatever_order_and_however_often_they_are_told() {
        let gate = CaptureGate::new(limits(1024 * 1024), watch::channel(LogHealth::Up).1);
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
        let held = gate.unrecorded.stretches().count();
        assert!(held <= 3 * 1024, "{held} are told apart");
        gate.recorded(Seq(49_999));
        assert_eq!(gate.unrecorded(), 0);
    }
}
