//! Owns: the budget of the process: what each component takes, the two limits, and what was done about them.
//! Takes: nothing; it looks every `memory.check_interval_secs`, and whenever a session is to be opened.
//! Sends: at the hard limit, in this order: ends to inactive sessions, the order to shrink to every component, pages
//!   back to the system, and the word whether new sessions may be opened.
//! Queue: none; one looks at a time. It remembers its looks of a day.
//! Stops: with the service.
//! Restart: yes; what it remembers stays.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::moment::Timestamp;
use crate::ports::{MemoryMeter, ProcessMemory};
use crate::roles::session_manager::SessionManager;
use crate::sessions::SessionId;

/// Inactive sessions that a clean-up leaves: the newest.
const SPARED: usize = 5;
/// How long looks are remembered.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// Looks that are remembered, whatever their distance.
const MAX_SAMPLES: usize = 2880;

/// What a component takes of memory, and how it takes less.
pub struct Account {
    /// Its name in answers and metrics.
    pub name: &'static str,
    /// What it takes, in bytes. Called often: it reads a counter or a short list.
    pub bytes: Box<dyn Fn() -> usize + Send + Sync>,
    /// Lets go what can be had again.
    pub shrink: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Account {
    /// The same with a way to take less.
    pub fn shrinking(mut self, shrink: impl Fn() + Send + Sync + 'static) -> Self {
        self.shrink = Some(Box::new(shrink));
        self
    }
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Above it a warning, and pages that are not used go back to the system.
    pub soft_bytes: u64,
    /// Above it everything that helps, and no new sessions.
    pub hard_bytes: u64,
    /// How often it is looked.
    pub check_every: Duration,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemorySample {
    /// When.
    pub at: Timestamp,
    /// What the process takes.
    #[serde(flatten)]
    pub memory: ProcessMemory,
    /// What each component takes, in the order of the accounts, and last what none of them does.
    pub components: Vec<(&'static str, u64)>,
}

/// What a clean-up brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    /// When.
    pub at: Timestamp,
    /// Bytes of physical memory that went back to the system.
    pub freed_bytes: u64,
    /// Sessions that were ended.
    pub terminated: Vec<SessionId>,
}

/// The budget of the process.
pub struct MemoryGovernor {
    meter: Arc<dyn MemoryMeter>,
    accounts: Vec<Account>,
    sessions: Arc<SessionManager>,
    limits: MemoryLimits,
    state: Mutex<State>,
}

/// What the governor shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GovernorState {
    is_above_soft: bool,
    is_full: bool,
    samples: usize,
}

#[derive(Default)]
struct State {
    samples: VecDeque<MemorySample>,
    last_cleanup: Option<Cleanup>,
    is_above_soft: bool,
    is_full: bool,
}

impl MemoryGovernor {
    /// Of these components.
    pub fn new(
        meter: Arc<dyn MemoryMeter>,
        accounts: Vec<Account>,
        sessions: Arc<SessionManager>,
        limits: MemoryLimits,
    ) -> Self {
        Self { meter, accounts, sessions, limits, state: Mutex::default() }
    }

    /// One incarnation.
    pub async fn keep(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let governor = self.clone();
        child.observe(move || {
            let state = governor.lock();
            let (is_above_soft, is_full) = (state.is_above_soft, state.is_full);
            Shown::new(GovernorState { is_above_soft, is_full, samples: state.samples.len() })
        });
        let mut ticks = tokio::time::interval(self.limits.check_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.check();
            self.remember();
            child.handled(1);
        }
    }

    /// The limits.
    pub fn limits(&self) -> MemoryLimits {
        self.limits
    }

    /// What the process takes now.
    pub fn now(&self) -> ProcessMemory {
        self.meter.now()
    }

    /// What the process and its components take now.
    pub fn sample(&self) -> MemorySample {
        let memory = self.meter.now();
        let mut components: Vec<(&'static str, u64)> =
            self.accounts.iter().map(|account| (account.name, (account.bytes)() as u64)).collect();
        let told: u64 = components.iter().map(|(_, bytes)| bytes).sum();
        components.push(("unaccounted", memory.rss.saturating_sub(told)));
        MemorySample { at: Timestamp::now(), memory, components }
    }

    /// The looks of so long ago until now, oldest first.
    pub fn history(&self, of: Duration) -> Vec<MemorySample> {
        let since = Timestamp::now().minus(of);
        let state = self.lock();
        state.samples.iter().filter(|sample| sample.at >= since).cloned().collect()
    }

    /// What the last clean-up brought.
    pub fn last_cleanup(&self) -> Option<Cleanup> {
        self.lock().last_cleanup.clone()
    }

    /// Looks whether a limit is passed, and does what helps.
    pub fn check(&self) {
        let rss = self.meter.now().rss;
        let is_above_soft = rss > self.limits.soft_bytes;
        let was_above_soft = std::mem::replace(&mut self.lock().is_above_soft, is_above_soft);
        if is_above_soft != was_above_soft {
            let soft_bytes = self.limits.soft_bytes;
            tracing::warn!(rss, soft_bytes, is_above_soft, "the soft limit of memory was passed");
        }
        if is_above_soft && !was_above_soft {
            metrics::counter!("runcast_memory_limit_total", "limit" => "soft").increment(1);
        }
        if is_above_soft {
            self.meter.give_back();
        }
        let is_full = if self.meter.now().rss > self.limits.hard_bytes {
            metrics::counter!("runcast_memory_limit_total", "limit" => "hard").increment(1);
            self.clean_up();
            self.meter.now().rss > self.limits.hard_bytes
        } else {
            false
        };
        let was_full = std::mem::replace(&mut self.lock().is_full, is_full);
        if is_full != was_full {
            let hard_bytes = self.limits.hard_bytes;
            tracing::warn!(is_full, hard_bytes, "new sessions are refused while memory is used up");
        }
        self.sessions.set_full(is_full);
    }

    /// Ends the oldest inactive sessions, lets every component shrink, and gives pages back.
    pub fn clean_up(&self) -> Cleanup {
        let before = self.meter.now().rss;
        let terminated = self.sessions.end_inactive(SPARED);
        for account in &self.accounts {
            if let Some(shrink) = &account.shrink {
                let bytes_before = (account.bytes)();
                shrink();
                let bytes = (account.bytes)();
                tracing::info!(
                    component = account.name,
                    bytes_before,
                    bytes,
                    "a component has shrunk"
                );
            }
        }
        self.meter.give_back();
        let rss = self.meter.now().rss;
        let cleanup =
            Cleanup { at: Timestamp::now(), freed_bytes: before.saturating_sub(rss), terminated };
        tracing::warn!(
            rss,
            freed_bytes = cleanup.freed_bytes,
            terminated = cleanup.terminated.len(),
            "memory was cleaned up"
        );
        metrics::counter!("runcast_memory_cleanups_total").increment(1);
        self.lock().last_cleanup = Some(cleanup.clone());
        cleanup
    }

    fn remember(&self) {
        let sample = self.sample();
        for (component, bytes) in &sample.components {
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 bytes")]
            metrics::gauge!("runcast_memory_bytes", "component" => *component).set(*bytes as f64);
        }
        let oldest = sample.at.minus(REMEMBERED);
        let mut state = self.lock();
        state.samples.push_back(sample);
        while state.samples.len() > MAX_SAMPLES
            || state.samples.front().is_some_and(|sample| sample.at < oldest)
        {
            state.samples.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
