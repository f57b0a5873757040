//! The ordered end of the service: nothing that was read is lost, and viewers are told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use runcast_actors::kernel::Addr;
use runcast_actors::roles::broker::Brokers;
use runcast_actors::roles::run_manager::{Drain, HeldRuns, RunManager};
use runcast_actors::roles::session_manager::SessionManager;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// How long the end of runs may take beside the time their nodes have.
const RECORD_LIMIT: Duration = Duration::from_secs(10);
/// How long viewers may take to read what was sent to them.
const VIEWERS_LIMIT: Duration = Duration::from_secs(3);

/// Completes at the first TERM or INT; the second one ends the process at once.
pub async fn stop_requested() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; a second signal stops at once");
    actix_web::rt::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopped at once; what runs is brought to its end at the next start");
        std::process::exit(1);
    });
}

/// What is drained.
pub struct Drained {
    /// How long runs may go on.
    pub within: Duration,
    /// How long their processes may take to end after that.
    pub kill_grace: Duration,
    /// Makes `/readyz` answer 503 and refuses new runs.
    pub not_ready: Arc<AtomicBool>,
    /// The same for those who wait.
    pub draining: watch::Sender<bool>,
    /// Whoever owns the runs.
    pub manager: Addr<RunManager>,
    /// How many there are.
    pub held: watch::Receiver<HeldRuns>,
    /// Whoever holds interactive terminals.
    pub sessions: Arc<SessionManager>,
    /// Free while no client is attached to one.
    pub sockets: Arc<Semaphore>,
    /// How many there may be.
    pub max_sockets: u32,
    /// Ends all streams.
    pub closing: watch::Sender<bool>,
    /// Whoever reads them.
    pub brokers: Arc<Brokers>,
    /// Whoever serves them.
    pub server: ServerHandle,
}

/// Drains in order: no new runs and sessions; nodes end, followers catch up and leases are given back; sessions
/// end; streams end; connections end.
pub async fn drain(mut drained: Drained) {
    drained.not_ready.store(true, Ordering::Release);
    drained.draining.send_replace(true);
    let asked = drained.manager.send(Drain { within: drained.within }).await;
    let limit = drained.within + drained.kill_grace + RECORD_LIMIT;
    if asked.is_ok() {
        let ended = drained.held.wait_for(|held| held.runs == 0);
        let in_time = tokio::time::timeout(limit, ended).await.is_ok();
        if !in_time {
            let runs = drained.held.borrow().runs;
            tracing::error!(runs, "runs have not ended; the next start brings them to their end");
        }
    }
    // People go on typing until the runs are done; their clients are told how the sessions ended.
    drained.sessions.stop().await;
    let recorded = drained.held.wait_for(|held| held.sessions == 0);
    if tokio::time::timeout(RECORD_LIMIT, recorded).await.is_err() {
        tracing::error!(
            "recordings of sessions are not whole; the next start brings them to their end"
        );
    }
    let told = drained.sockets.acquire_many(drained.max_sockets);
    let _ = tokio::time::timeout(VIEWERS_LIMIT, told).await;
    drained.closing.send_replace(true);
    let viewers_gone = async {
        while drained.brokers.viewers() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(VIEWERS_LIMIT, viewers_gone).await;
    drained.server.stop(true).await;
}
