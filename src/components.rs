//! The components of the process that take memory, each with how it takes less.

use std::sync::Arc;

use runcast_actors::archive::Archive;
use runcast_actors::flow::permits::CaptureBudget;
use runcast_actors::roles::broker::Brokers;
use runcast_actors::roles::memory_governor::Account;
use runcast_actors::roles::session_manager::SessionManager;
use runcast_actors::seek::KeyframeLibrary;
use tokio::sync::Semaphore;

use crate::adapters::log_fjall::FjallLog;

/// What one client costs, a viewer or one that is attached: its connection with the buffers of kernel-side writes,
/// and what is prepared for it. Measured with 1,000 viewers, see `docs/benchmarks.md`.
const CLIENT_BYTES: usize = 75 * 1024;
/// What a window keeps of its events when memory is used up.
const SMALL_WINDOW_BYTES: usize = 64 * 1024;
/// What a session keeps of its output then.
const SMALL_RING_BYTES: usize = 64 * 1024;

/// Whoever takes memory.
pub(crate) struct Components {
    pub(crate) budget: CaptureBudget,
    pub(crate) log: Arc<FjallLog>,
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) keyframes: Arc<KeyframeLibrary>,
    pub(crate) sessions: Arc<SessionManager>,
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) max_sockets: usize,
}

impl Components {
    /// Their accounts.
    pub(crate) fn accounts(self) -> Vec<Account> {
        let Self { budget, log, brokers, archive, keyframes, sessions, sockets, max_sockets } =
            self;
        let (windows, cache, screens, rings) =
            (brokers.clone(), archive.clone(), keyframes.clone(), sessions.clone());
        let viewers = brokers.clone();
        vec![
            account("terminalBuffers", move || budget.in_use()),
            account("logTail", move || log.tail_bytes()),
            account("brokerWindows", move || brokers.window_bytes())
                .shrinking(move || windows.shrink_windows(SMALL_WINDOW_BYTES)),
            account("archiveBuffers", move || archive.cached_bytes())
                .shrinking(move || cache.clear_cache()),
            account("screens", move || keyframes.memory()).shrinking(move || screens.clear_cache()),
            account("sessions", move || sessions.buffer_bytes())
                .shrinking(move || rings.shrink(SMALL_RING_BYTES)),
            account("clients", move || {
                let attached = max_sockets.saturating_sub(sockets.available_permits());
                (viewers.viewers() + attached) * CLIENT_BYTES
            }),
        ]
    }
}

fn account(name: &'static str, bytes: impl Fn() -> usize + Send + Sync + 'static) -> Account {
    Account { name, bytes: Box::new(bytes), shrink: None }
}
