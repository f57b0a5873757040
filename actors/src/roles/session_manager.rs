//! Owns: the interactive terminals of this instance: who has which, their limits, and their rows.
//! Takes: requests to open, find, end; the order to stop.
//! Sends: sessions to their threads; their rows to the database, through the breaker.
//! Queue: none; what is asked is answered under one short lock, and a session is opened by a task of its own.
//! Stops: with the service, which first ends all sessions.
//! Restart: its follower yes, with nothing lost: the sessions are not in it.

mod admission;
mod opening;
mod recorder;
mod rows;
mod settings;
mod upkeep;

pub use opening::{OpenError, OpenSession, Opened};
pub use recorder::SessionRecorder;
pub use rows::{RowsError, SessionRows};
pub use settings::{AvailableProfile, Profile, SessionLimits, SessionSettings};

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::{InstanceId, TenantId};
use crate::kernel::{ArbiterPool, KillSwitch, Observers, RestartPolicy, Supervisor};
use crate::moment::Timestamp;
use crate::ports::{SessionClaim, SessionRow, TerminalCommand, TerminalHost};
use crate::roles::session::{Recording, Session, SessionHandle};
use crate::sessions::{EndReason, SessionId, SessionState};

/// Sessions that have ended and are still shown from memory; of more the oldest go.
const MAX_ENDED: usize = 1000;

/// The interactive terminals of this instance.
pub struct SessionManager {
    instance: InstanceId,
    settings: SessionSettings,
    host: Arc<dyn TerminalHost>,
    rows: Arc<SessionRows>,
    arbiters: Arc<ArbiterPool>,
    observers: Observers,
    root: KillSwitch,
    recorder: Option<SessionRecorder>,
    registry: Mutex<Registry>,
    /// No session of this life is older.
    born: Timestamp,
    stopping: AtomicBool,
    /// Set while the memory of the process is used up.
    is_full: AtomicBool,
}

#[derive(Default)]
struct Registry {
    sessions: BTreeMap<SessionId, Held>,
}

struct Held {
    handle: Arc<SessionHandle>,
    /// Kills what is left of it when it is forgotten.
    _group: Supervisor,
    ended: Option<Instant>,
}

/// What a session manager is made of.
pub struct SessionParts {
    /// This instance.
    pub instance: InstanceId,
    /// Limits, times and profiles.
    pub settings: SessionSettings,
    /// What opens terminals.
    pub host: Arc<dyn TerminalHost>,
    /// Where their rows go.
    pub rows: Arc<SessionRows>,
    /// The threads they live on.
    pub arbiters: Arc<ArbiterPool>,
    /// Where they are seen.
    pub observers: Observers,
    /// What ends them all.
    pub root: KillSwitch,
    /// What records them; none: those that should be recorded are refused.
    pub recorder: Option<SessionRecorder>,
}

impl SessionManager {
    /// A manager of no sessions yet.
    pub fn new(parts: SessionParts) -> Arc<Self> {
        let SessionParts { instance, settings, host, rows, arbiters, observers, root, recorder } =
            parts;
        Arc::new(Self {
            instance,
            settings,
            host,
            rows,
            arbiters,
            observers,
            root,
            recorder,
            registry: Mutex::default(),
            born: Timestamp::now().whole_millis(),
            stopping: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        })
    }

    /// Opens a session, or finds the one that there is. Goes on if its caller does not wait.
    pub async fn open(self: &Arc<Self>, request: OpenSession) -> Result<Opened, OpenError> {
        let command = self.command(&request)?;
        let (handle, is_new) = self.find_or_begin(&request, command)?;
        let view = handle.opened_or_failed().await;
        match view.state {
            SessionState::Error => {
                if let Some(other) = handle.elsewhere() {
                    return Ok(Opened::Existing(other));
                }
                let message = view.message.unwrap_or_default();
                if is_new {
                    metrics::counter!("runcast_session_create_failures_total").increment(1);
                    tracing::warn!(session = %view.id, message, "a session could not be started");
                }
                Err(OpenError::Failed(message))
            }
            _ if is_new => {
                metrics::counter!("runcast_sessions_created_total").increment(1);
                Ok(Opened::New(view))
            }
            _ => Ok(Opened::Existing(view)),
        }
    }

    /// A session of this instance, alive or ended of late.
    pub fn find(&self, tenant: &TenantId, id: &SessionId) -> Option<Arc<SessionHandle>> {
        let registry = self.lock();
        let held = registry.sessions.get(id)?;
        (held.handle.key().tenant == *tenant).then(|| held.handle.clone())
    }

    /// All sessions of this instance, alive or ended of late.
    pub fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        self.lock().sessions.values().map(|held| held.handle.clone()).collect()
    }

    /// The rows of sessions, of all instances.
    pub fn rows(&self) -> &Arc<SessionRows> {
        &self.rows
    }

    /// What can be opened.
    pub fn profiles(&self) -> impl Iterator<Item = AvailableProfile<'_>> {
        self.settings.profiles.iter().map(|(name, profile)| AvailableProfile {
            name,
            is_installed: self.host.has_program(profile.program()),
            is_recorded: profile.record,
        })
    }

    /// Refuses new sessions, or takes them again.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Release);
    }

    /// Ends inactive sessions, the oldest first, all but so many of the newest. Returns which.
    pub fn end_inactive(&self, spared: usize) -> Vec<SessionId> {
        let mut inactive: Vec<(Duration, Arc<SessionHandle>)> = self
            .sessions()
            .into_iter()
            .filter(|handle| handle.state() == SessionState::Inactive)
            .map(|handle| (handle.figures().idle, handle))
            .collect();
        inactive.sort_by_key(|(idle, _)| *idle);
        let ended = inactive.into_iter().skip(spared).rev().map(|(_, handle)| {
            handle.end(EndReason::Memory);
            handle.id().clone()
        });
        ended.collect()
    }

    /// Memory of the output and the screens of all sessions.
    pub fn buffer_bytes(&self) -> usize {
        self.sessions().iter().map(|handle| handle.figures().buffer_bytes).sum()
    }

    /// Lets every session keep no more than its screen and this much output.
    pub fn shrink(&self, max_bytes: usize) {
        for handle in self.sessions() {
            handle.shrink_to(max_bytes);
        }
    }

    /// Ends every session and writes the last rows. No more are opened.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let live = self.sessions();
        for handle in &live {
            handle.end(EndReason::Stopped);
        }
        let limit = self.settings.kill_grace * 2;
        let gone = async {
            for handle in &live {
                handle.gone().await;
            }
        };
        if tokio::time::timeout(limit, gone).await.is_err() {
            tracing::warn!("some sessions have not ended; they are killed");
        }
        self.rows.save(&live).await;
    }

    fn find_or_begin(
        self: &Arc<Self>,
        request: &OpenSession,
        command: TerminalCommand,
    ) -> Result<(Arc<SessionHandle>, bool), OpenError> {
        let mut registry = self.lock();
        if let Some(existing) = registry.live().find(|handle| *handle.key() == request.key) {
            return Ok((existing.clone(), false));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(OpenError::Stopping);
        }
        self.check_limits(&registry, &request.key)?;
        if self.is_full.load(Ordering::Acquire) {
            metrics::counter!("runcast_session_create_failures_total").increment(1);
            return Err(OpenError::Memory);
        }
        let now = Timestamp::now();
        let mut id = SessionId::generate(now);
        while registry.sessions.contains_key(&id) {
            id = SessionId::generate(now);
        }
        let view = self.first_view(id.clone(), now, request, command.size);
        let shown = self.settings.redaction.apply_to_command(&command.argv);
        tracing::info!(session = %id, project = %request.key.project, command = shown, "a session is opened");
        let ring = self.settings.ring;
        let (handle, ends) = SessionHandle::new(request.key.clone(), view, shown, ring);
        let group = Supervisor::new(id.as_str(), &self.root, self.observers.clone())
            .with_grace(self.settings.kill_grace);
        let session = Session {
            handle: handle.clone(),
            host: self.host.clone(),
            command,
            kill_grace: self.settings.kill_grace,
            ends,
            recording: None,
        };
        self.begin(&group, session);
        registry.sessions.insert(id, Held { handle: handle.clone(), _group: group, ended: None });
        Ok((handle, true))
    }

    /// Claims the key, and opens the terminal.
    fn begin(self: &Arc<Self>, group: &Supervisor, session: Session) {
        let manager = self.clone();
        let arbiter = self.arbiters.pick(hash_of(&session.handle));
        let session = Mutex::new(Some(session));
        group.spawn_follower("Session", RestartPolicy::Never, &arbiter, move |child| {
            let session = session.lock().unwrap_or_else(PoisonError::into_inner).take();
            let manager = manager.clone();
            async move {
                let mut session = session.expect("a session is begun once");
                let _guard = LostGuard(session.handle.clone());
                if !manager.claim(&mut session).await {
                    manager.forget(session.handle.id());
                    return crate::kernel::ExitStatus::Finished;
                }
                if manager.is_recorded(&session.handle.key().profile) {
                    match manager.record(&session).await {
                        Ok(recording) => session.recording = Some(recording),
                        Err(message) => {
                            session.handle.failed(&message);
                            return crate::kernel::ExitStatus::Finished;
                        }
                    }
                }
                session.run(&child).await
            }
        });
    }

    /// True if sessions of this profile are recorded.
    pub fn is_recorded(&self, profile: &str) -> bool {
        self.settings.profiles.get(profile).is_some_and(|profile| profile.record)
    }

    async fn record(&self, session: &Session) -> Result<Recording, String> {
        match &self.recorder {
            Some(recorder) => recorder.begin(&session.handle, session.command.size).await,
            None => Err("nothing can be recorded here".to_owned()),
        }
    }

    /// Forgets one that never came to be here.
    fn forget(&self, id: &SessionId) {
        let held = self.lock().sessions.remove(id);
        // Its group goes with it: not under the lock.
        drop(held);
    }

    /// Looks in the database whether another instance has this session, and where it was before. False: it
    /// lives elsewhere.
    async fn claim(&self, session: &mut Session) -> bool {
        let handle = &session.handle;
        let mut claim = self.rows.claim(&handle.row()).await;
        if let Some(SessionClaim::Held(other)) = &claim
            && other.view.instance == self.instance
        {
            // Of this instance one lives under a key, and that is the new one: the row is behind, or of an
            // earlier life.
            self.end_row(other).await;
            claim = self.rows.claim(&handle.row()).await;
        }
        match claim {
            Some(SessionClaim::Held(other)) => {
                handle.give_way_to(other.view);
                return false;
            }
            Some(SessionClaim::Taken { before }) => {
                handle.set_persisted(true);
                if let Some(before) = before {
                    self.restore(session, &before);
                }
            }
            None => handle.set_persisted(false),
        }
        true
    }

    /// Writes the end of a session of this instance whose row says that it lives.
    async fn end_row(&self, row: &SessionRow) {
        if let Some(handle) = self.find(&row.tenant, &row.view.id) {
            self.rows.save(&[handle]).await;
            return;
        }
        let mut row = row.clone();
        row.view.state = SessionState::Terminated;
        row.view.active = false;
        row.view.pid = None;
        row.view.reason = Some(EndReason::Restarted);
        row.view.ended_at = Some(Timestamp::now());
        self.rows.put(&row).await;
    }

    async fn end_lost(&self) -> Option<u64> {
        self.rows.end_lost(&self.instance, self.born, self.settings.absent_for).await
    }

    /// Goes on where the session before ended, if that is still there and allowed.
    fn restore(&self, session: &mut Session, before: &SessionRow) {
        let path = PathBuf::from(&before.view.current_path);
        let is_free = before.view.project_path.is_none();
        let Some(directory) = self.host.directory(&path) else { return };
        if is_free || self.is_below_a_root(&directory) {
            session.command.directory = Some(directory);
            session.handle.restore_from(before.view.id.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells who waits for a session that its task is gone, however it went.
struct LostGuard(Arc<SessionHandle>);

impl Drop for LostGuard {
    fn drop(&mut self) {
        self.0.lost();
    }
}

impl Registry {
    fn live(&self) -> impl Iterator<Item = &Arc<SessionHandle>> {
        let handles = self.sessions.values().map(|held| &held.handle);
        handles.filter(|handle| handle.state().is_live())
    }
}

fn hash_of(handle: &SessionHandle) -> u64 {
    let mut hasher = DefaultHasher::new();
    handle.id().hash(&mut hasher);
    hasher.finish()
}
