//! Tells in the trace when the capture of a node waits for room: when it lasts, and not too often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::entry::{Level, TraceEvent, TraceKind};
use crate::flow::capture_gate::{CaptureGate, Closed};
use crate::flow::draft::Draft;
use crate::flow::inbox::Inbox;
use crate::ids::NodeRef;
use crate::moment::Timestamp;

/// Time that captures of the process have waited; the metric has whole seconds.
static PAUSED_US: AtomicU64 = AtomicU64::new(0);

/// A pause is told when it lasts this long …
const TELL_AFTER: Duration = Duration::from_secs(1);
/// … and at most once in this time.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Tells when the capture of a node waits for room.
#[derive(Clone)]
pub struct PauseTeller {
    inbox: Arc<Inbox>,
    last_told: Arc<Mutex<Option<Instant>>>,
}

impl PauseTeller {
    /// Pauses are told in this inbox.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, last_told: Arc::default() }
    }

    /// The capture waits from now on until the answer is dropped.
    pub fn begin(&self, node_ref: &NodeRef, gate: &CaptureGate) -> Pause {
        let teller = self.clone();
        let node = node_ref.clone();
        let gate = gate.clone();
        let told = Arc::new(Mutex::new(false));
        let telling = {
            let told = told.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(TELL_AFTER).await;
                // A pause that may not be told yet is told as soon as it may, if it still lasts.
                while let Err(next) = teller.may_tell() {
                    tokio::time::sleep_until(next).await;
                }
                teller.tell_paused(&node, gate.closed());
                *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
            })
        };
        let began = Instant::now();
        Pause { teller: self.clone(), node_ref: node_ref.clone(), began, told, telling }
    }

    /// Notes that a pause is told now, or says when one may be.
    fn may_tell(&self) -> Result<(), Instant> {
        let mut last = self.last_told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *last {
            Some(last) if now.duration_since(last) < TELL_EVERY => Err(last + TELL_EVERY),
            _ => {
                *last = Some(now);
                Ok(())
            }
        }
    }

    fn tell_paused(&self, node_ref: &NodeRef, closed: Option<Closed>) {
        let (message, reason) = match closed {
            Some(Closed::LogFull) => ("the log of the run is full", "logFull"),
            Some(Closed::ReplicaBehind) => ("the replica of the run is behind", "replicaBehind"),
            Some(Closed::DiskLow) => ("the disk of the log is nearly full", "diskLow"),
            Some(Closed::LogDown) => ("the log takes nothing", "logDown"),
            None => ("the log is slower than the terminal", "logSlow"),
        };
        self.push(
            node_ref,
            TraceKind::CapturePaused,
            Level::Warn,
            message,
            json!({ "reason": reason }),
        );
    }

    fn push(&self, node_ref: &NodeRef, kind: TraceKind, level: Level, message: &str, data: Value) {
        self.inbox.push(Draft::trace(TraceEvent {
            node_ref: Some(node_ref.clone()),
            kind,
            level,
            message: message.to_owned(),
            error: None,
            output_summary: None,
            data: Some(data),
            timestamp: Timestamp::now().whole_millis(),
        }));
    }
}

/// A wait for room; ends when dropped.
pub struct Pause {
    teller: PauseTeller,
    node_ref: NodeRef,
    began: Instant,
    told: Arc<Mutex<bool>>,
    telling: tokio::task::JoinHandle<()>,
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.telling.abort();
        let waited = self.began.elapsed();
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let total_us = PAUSED_US.fetch_add(waited_us, Ordering::Relaxed) + waited_us;
        metrics::counter!("runcast_capture_paused_seconds_total").absolute(total_us / 1_000_000);
        if *self.told.lock().unwrap_or_else(PoisonError::into_inner) {
            let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            let message = "the terminal is read again";
            let data = json!({ "waitedMs": waited_ms });
            self.teller.push(&self.node_ref, TraceKind::CaptureResumed, Level::Info, message, data);
        }
    }
}
