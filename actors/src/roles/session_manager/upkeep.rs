//! What time brings to the sessions of an instance: states, rows, ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Held, MAX_ENDED, SessionManager};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::moment::Timestamp;
use crate::roles::session::SessionHandle;
use crate::sessions::{EndReason, SessionId, SessionState, SessionView};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How old the screen in the row of a session may be.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How often the row of one that lives is written in any case: another instance may have taken it for lost.
const ASSURE_EVERY: Duration = Duration::from_secs(30);
/// How often lost and old rows are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long one that has ended stays in memory although its row is written.
const LINGER: Duration = Duration::from_secs(10);

/// What of each session was written.
#[derive(Default)]
struct Written(HashMap<SessionId, Save>);

struct Save {
    revision: u64,
    view: SessionView,
    at: Instant,
}

/// What the manager shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionManagerState {
    live: usize,
    total: usize,
    is_full: bool,
    is_stopping: bool,
}

impl SessionManager {
    /// One incarnation of its upkeep.
    pub async fn keep(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let manager = self.clone();
        child.observe(move || manager.shown());
        let mut written = Written::default();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let sessions = self.sessions();
            self.age(&sessions);
            count(&sessions);
            child.handled(1);
            if swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) && self.sweep().await {
                swept = Some(Instant::now());
            }
            self.save(&sessions, &mut written).await;
            self.forget_ended();
            written.0.retain(|id, _| sessions.iter().any(|session| session.id() == id));
        }
    }

    fn shown(&self) -> Shown {
        let sessions = self.sessions();
        Shown::new(SessionManagerState {
            live: sessions.iter().filter(|session| session.state().is_live()).count(),
            total: sessions.len(),
            is_full: self.is_full.load(Ordering::Acquire),
            is_stopping: self.stopping.load(Ordering::Acquire),
        })
    }

    /// Notes where programs are, which sessions nobody uses, and ends those that nobody has used for too long.
    fn age(&self, sessions: &[Arc<SessionHandle>]) {
        for session in sessions {
            let identity = session.identity();
            let directory = identity.and_then(|identity| self.host.directory_of(&identity));
            let idle = session.tick(directory.as_deref(), self.settings.inactive_after);
            if idle >= self.settings.idle_timeout && session.state() == SessionState::Inactive {
                tracing::info!(session = %session.id(), "nobody used the session; it is ended");
                session.end(EndReason::Idle);
            }
        }
    }

    /// Ends rows behind which nothing runs, and forgets old ones. False: the database did not answer.
    async fn sweep(&self) -> bool {
        if self.end_lost().await.is_none() {
            return false;
        }
        self.rows.forget(Timestamp::now().minus(self.settings.keep)).await.is_some()
    }

    /// Writes the rows of sessions that have changed: at once if clients would see it, else from time to time.
    async fn save(&self, sessions: &[Arc<SessionHandle>], written: &mut Written) {
        let due: Vec<Arc<SessionHandle>> = sessions
            .iter()
            // Until a session has claimed its key, its row belongs to whoever has it.
            .filter(|session| session.state() != SessionState::Creating)
            .filter(|session| written.is_due(session) && session.elsewhere().is_none())
            .cloned()
            .collect();
        if due.is_empty() {
            return;
        }
        let saves: Vec<(SessionId, Save)> =
            due.iter().map(|session| (session.id().clone(), Save::of(session))).collect();
        if self.rows.save(&due).await {
            written.0.extend(saves);
        }
    }

    /// Lets ended sessions go whose rows are written; those without rows after the time they are kept.
    fn forget_ended(&self) {
        for session in self.sessions().iter().filter(|session| !session.state().is_live()) {
            session.put_away();
        }
        let mut registry = self.lock();
        let now = Instant::now();
        let mut ended: Vec<(Instant, SessionId)> = Vec::new();
        registry.sessions.retain(|id, held: &mut Held| {
            let view = held.handle.view();
            if view.state.is_live() {
                return true;
            }
            let at = *held.ended.get_or_insert(now);
            let kept = if view.persisted { LINGER } else { self.settings.keep };
            let is_kept = now.duration_since(at) < kept || view.attached > 0;
            if is_kept {
                ended.push((at, id.clone()));
            }
            is_kept
        });
        let excess = ended.len().saturating_sub(MAX_ENDED);
        ended.sort_unstable();
        for (_, id) in ended.drain(..excess) {
            registry.sessions.remove(&id);
        }
    }
}

fn count(sessions: &[Arc<SessionHandle>]) {
    for state in SessionState::ALL {
        let count = sessions.iter().filter(|session| session.state() == state).count();
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        metrics::gauge!("runcast_sessions", "state" => state.as_str()).set(count as f64);
    }
}

impl Written {
    fn is_due(&self, session: &SessionHandle) -> bool {
        let Some(save) = self.0.get(session.id()) else { return true };
        let view = session.view();
        let is_seen = (save.view.state, &save.view.current_path, save.view.cols, save.view.rows)
            != (view.state, &view.current_path, view.cols, view.rows);
        is_seen
            || !view.persisted
            || (view.active && save.at.elapsed() >= ASSURE_EVERY)
            || (save.revision != session.revision() && save.at.elapsed() >= SAVE_EVERY)
    }
}

impl Save {
    fn of(session: &SessionHandle) -> Self {
        Self { revision: session.revision(), view: session.view(), at: Instant::now() }
    }
}
