//! The steps of a session, from opened to put away.

use std::path::Path;
use std::sync::MutexGuard;
use std::time::Duration;

use super::handle::{Inner, SessionHandle};
use crate::entry::{ProcessEnd, ProcessIdentity};
use crate::sessions::{EndReason, SessionState, SessionView};

impl SessionHandle {
    pub(super) fn opened(&self, identity: ProcessIdentity, directory: &Path) {
        let mut inner = self.lock();
        inner.identity = Some(identity);
        inner.view.pid = Some(identity.pid);
        inner.view.current_path = directory.to_string_lossy().into_owned();
        self.enter(inner, SessionState::Active);
    }

    pub(crate) fn failed(&self, message: &str) {
        let mut inner = self.lock();
        inner.view.message = Some(message.to_owned());
        inner.view.reason = Some(EndReason::Failed);
        inner.identity = None;
        self.enter(inner, SessionState::Error);
    }

    /// Its program was asked to end, or has ended.
    pub(super) fn ending(&self) {
        let inner = self.lock();
        if matches!(inner.view.state, SessionState::Active | SessionState::Inactive) {
            self.enter(inner, SessionState::Terminating);
        }
    }

    pub(super) fn ended(&self, end: ProcessEnd, reason: EndReason) {
        let mut inner = self.lock();
        inner.view.set_end(end);
        inner.view.reason = Some(reason);
        inner.identity = None;
        inner.ring.shrink();
        self.enter(inner, SessionState::Terminated);
    }

    /// The service has lost its task: nothing runs behind it any more.
    pub(crate) fn lost(&self) {
        if self.state().is_live() {
            tracing::error!(session = %self.id(), "a session was lost");
            self.failed("the service lost it");
        }
    }

    /// The session that another instance has in its place, if that is why it could not be opened.
    pub(crate) fn elsewhere(&self) -> Option<SessionView> {
        self.lock().elsewhere.clone()
    }

    /// Gives way to the session that has its key on another instance.
    pub(crate) fn give_way_to(&self, other: SessionView) {
        self.lock().elsewhere = Some(other);
        self.failed("the session lives on another instance");
    }

    /// Notes what time brings: the directory its program is in, and that nothing moves. Returns for how long
    /// nobody was attached and nothing moved.
    pub(crate) fn tick(&self, directory: Option<&Path>, inactive_after: Duration) -> Duration {
        let mut inner = self.lock();
        if let Some(directory) = directory {
            inner.view.current_path = directory.to_string_lossy().into_owned();
        }
        if !inner.clients.is_empty() {
            return Duration::ZERO;
        }
        let idle = inner.moved.elapsed();
        if idle >= inactive_after && inner.view.state == SessionState::Active {
            // It is allowed from this state.
            let _ = inner.view.enter(SessionState::Inactive);
            inner.ring.shrink();
            drop(inner);
            self.changed();
        }
        idle
    }

    /// Keeps no more than the screen of one that has ended, once every client has the rest.
    pub(crate) fn put_away(&self) {
        let mut inner = self.lock();
        if inner.clients.is_empty() {
            inner.ring.shrink_to(0);
        }
    }

    fn enter(&self, mut inner: MutexGuard<'_, Inner>, state: SessionState) {
        if let Err(error) = inner.view.enter(state) {
            tracing::error!(session = %self.id(), %error, "a session was to take a wrong step");
        }
        drop(inner);
        self.changed();
    }
}
