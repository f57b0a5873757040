//! One session as others hold it: what it shows, who is attached, and how it is told something.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::SessionEnds;
use super::attachment::Attachment;
use super::clients::{AttachError, AttachOptions, Clients};
use crate::entry::{ProcessIdentity, TerminalSize};
use crate::moment::Timestamp;
use crate::ports::{SessionRow, StoredScreen};
use crate::screen::VirtualTerminal;
use crate::sessions::queries::Input;
use crate::sessions::{
    EndReason, OutputRing, Queries, Repaint, RingLimits, SessionId, SessionKey, SessionState,
    SessionView,
};

/// How far the terminal may be ahead of the fastest client that is attached.
const MAX_AHEAD: u64 = 256 * 1024;
/// A screen that takes more is not kept beyond the end of the service.
const MAX_STORED_SCREEN: usize = 256 * 1024;

/// What goes to the task of a session.
pub(super) struct Orders {
    pub(super) type_in: mpsc::Sender<Bytes>,
    pub(super) wanted_size: watch::Sender<TerminalSize>,
    pub(super) wanted_end: watch::Sender<Option<EndReason>>,
}

/// A session that lives on this instance, or has ended here of late.
pub struct SessionHandle {
    id: SessionId,
    key: SessionKey,
    /// The command as it may be shown.
    command: String,
    orders: Orders,
    inner: Mutex<Inner>,
    /// Grows with output, sizes and states.
    revision: watch::Sender<u64>,
    /// A client has read, come or gone.
    room: Notify,
}

pub(super) struct Inner {
    pub(super) view: SessionView,
    pub(super) ring: OutputRing,
    pub(super) queries: Queries,
    pub(super) clients: Clients,
    pub(super) identity: Option<ProcessIdentity>,
    /// The session that has its key on another instance.
    pub(super) elsewhere: Option<SessionView>,
    pub(super) moved: Instant,
    bytes_in: u64,
    bytes_out: u64,
}

/// What a session costs and moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFigures {
    /// Bytes typed since its beginning.
    pub bytes_in: u64,
    /// Bytes written since its beginning.
    pub bytes_out: u64,
    /// Memory of its output and its screen.
    pub buffer_bytes: usize,
    /// Since something moved.
    pub idle: Duration,
}

impl SessionHandle {
    /// A session that is about to be opened, and what its task needs.
    pub(crate) fn new(
        key: SessionKey,
        view: SessionView,
        command: String,
        limits: RingLimits,
    ) -> (Arc<Self>, SessionEnds) {
        let size = TerminalSize { cols: view.cols, rows: view.rows };
        let (orders, ends) = SessionEnds::new(size);
        let id = view.id.clone();
        let inner = Inner {
            view,
            ring: OutputRing::new(limits, size),
            queries: Queries::default(),
            clients: Clients::default(),
            identity: None,
            elsewhere: None,
            moved: Instant::now(),
            bytes_in: 0,
            bytes_out: 0,
        };
        let handle = Self {
            id,
            key,
            command,
            orders,
            inner: Mutex::new(inner),
            revision: watch::Sender::new(0),
            room: Notify::new(),
        };
        (Arc::new(handle), ends)
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// What another request must say to mean this session.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// What it runs, as it may be shown.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The session as it is now.
    pub fn view(&self) -> SessionView {
        self.lock().view.clone()
    }

    /// Its state now.
    pub fn state(&self) -> SessionState {
        self.lock().view.state
    }

    /// What it costs and moves.
    pub fn figures(&self) -> SessionFigures {
        let inner = self.lock();
        SessionFigures {
            bytes_in: inner.bytes_in,
            bytes_out: inner.bytes_out,
            buffer_bytes: inner.ring.memory(),
            idle: inner.moved.elapsed(),
        }
    }

    /// The screen now, as bytes that repaint it and as a terminal. Takes up to some 20 ms: not for threads that
    /// serve many.
    pub fn screen(&self) -> (Repaint, VirtualTerminal) {
        let ring = self.lock().ring.copy();
        ring.screen_at_end()
    }

    /// Waits until it runs or could not be started.
    pub async fn opened_or_failed(&self) -> SessionView {
        let mut revision = self.revision.subscribe();
        loop {
            revision.borrow_and_update();
            let view = self.view();
            if view.state != SessionState::Creating || revision.changed().await.is_err() {
                return view;
            }
        }
    }

    /// Waits until it has ended.
    pub async fn gone(&self) -> SessionView {
        let mut revision = self.revision.subscribe();
        loop {
            revision.borrow_and_update();
            let view = self.view();
            if !view.state.is_live() || revision.changed().await.is_err() {
                return view;
            }
        }
    }

    /// Asks its program to end. One that is ending or has ended is left alone.
    pub fn end(&self, reason: EndReason) {
        self.orders.wanted_end.send_if_modified(|wanted| {
            let is_first = wanted.is_none();
            wanted.get_or_insert(reason);
            is_first
        });
    }

    /// Gives the terminal another size.
    pub fn resize(&self, size: TerminalSize) {
        self.resize_locked(&mut self.lock(), size);
    }

    /// Attaches a client.
    pub fn attach(self: &Arc<Self>, options: AttachOptions) -> Result<Attachment, AttachError> {
        let mut inner = self.lock();
        let (start, end) = (inner.ring.start(), inner.ring.end());
        let (id, offset) = inner.clients.add(options, start, end)?;
        inner.view.attached = inner.clients.len();
        if inner.view.state == SessionState::Inactive {
            // It is allowed from this state.
            let _ = inner.view.enter(SessionState::Active);
        }
        let revision = self.revision.subscribe();
        drop(inner);
        self.changed();
        let goes_on = options.offset == Some(offset);
        let repaint = (!goes_on).then_some(options.offset.is_some());
        Ok(Attachment::new(self.clone(), id, offset, repaint, revision))
    }

    /// The row that others are to find.
    pub(crate) fn row(&self) -> SessionRow {
        let inner = self.lock();
        let view = inner.view.clone();
        let ring = (inner.bytes_out > 0).then(|| inner.ring.copy());
        drop(inner);
        // A row without its screen is better than none.
        let painted = |ring: OutputRing| {
            catch_unwind(AssertUnwindSafe(|| ring.screen_at_end().0))
                .inspect_err(|_| tracing::error!(session = %self.id, "a screen cannot be painted"))
                .ok()
        };
        let screen = ring.and_then(painted);
        let screen = screen
            .filter(|screen| screen.payload.len() <= MAX_STORED_SCREEN)
            .map(|Repaint { offset, size, payload }| StoredScreen { offset, size, payload });
        SessionRow { tenant: self.key.tenant.clone(), view, screen }
    }

    /// Grows whenever something changes that is kept in its row.
    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Notes that its row was written, or could not be.
    pub(crate) fn set_persisted(&self, persisted: bool) {
        self.lock().view.persisted = persisted;
    }

    /// Notes in which directory it goes on, and whose that was.
    pub(crate) fn restore_from(&self, session: SessionId) {
        self.lock().view.restored_from = Some(session);
    }

    /// Its first process while it lives.
    pub(crate) fn identity(&self) -> Option<ProcessIdentity> {
        self.lock().identity
    }

    /// Lets old output go, as far as every client has it.
    pub(crate) fn shrink_to(&self, max_bytes: usize) {
        let mut inner = self.lock();
        let slowest = inner.clients.slowest();
        let unread = slowest.map_or(0, |offset| inner.ring.end().saturating_sub(offset));
        let needed = usize::try_from(unread).unwrap_or(usize::MAX);
        inner.ring.shrink_to(max_bytes.max(needed));
    }

    /// Takes output.
    pub(super) fn written(&self, output: &[u8]) {
        let mut inner = self.lock();
        let driver = inner.clients.driver();
        inner.queries.observe(output, driver, Instant::now());
        let seen = inner.clients.slowest();
        inner.ring.push(output, seen);
        inner.bytes_out += output.len() as u64;
        self.moved(inner);
    }

    /// True if the terminal may be read: nobody is attached, or somebody reads.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        let fastest = inner.clients.fastest();
        fastest.is_none_or(|offset| inner.ring.end().saturating_sub(offset) < MAX_AHEAD)
    }

    /// Waits until that may have changed.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where typed bytes go.
    pub(super) fn type_in(&self) -> &mpsc::Sender<Bytes> {
        &self.orders.type_in
    }

    /// A client has bytes up to here.
    pub(super) fn has_read(&self, inner: &mut Inner, client: u64, offset: u64) {
        inner.clients.has_read(client, offset);
        let seen = inner.clients.slowest();
        inner.ring.trim_lines(seen);
        self.room.notify_one();
    }

    /// A client has typed something: it sets the size from now on, and answers.
    pub(super) fn has_typed(&self, client: u64, len: usize) {
        let mut inner = self.lock();
        inner.bytes_in += len as u64;
        let Some(is_new_driver) = inner.clients.has_typed(client) else { return };
        if is_new_driver {
            self.follow_driver(&mut inner);
        }
        self.moved(inner);
    }

    /// A client's window has this size.
    pub(super) fn client_resized(&self, client: u64, size: TerminalSize) {
        let mut inner = self.lock();
        if inner.clients.has_resized(client, size) {
            self.follow_driver(&mut inner);
        }
    }

    pub(super) fn detach(&self, client: u64) {
        let mut inner = self.lock();
        let drove = inner.clients.remove(client);
        inner.queries.forget_client(client);
        inner.view.attached = inner.clients.len();
        // Who leaves was there until now.
        inner.moved = Instant::now();
        if drove {
            self.follow_driver(&mut inner);
        }
        self.room.notify_one();
        drop(inner);
        self.changed();
    }

    fn follow_driver(&self, inner: &mut Inner) {
        if let Some(size) = inner.clients.wanted_size() {
            self.resize_locked(inner, size);
        }
    }

    fn resize_locked(&self, inner: &mut Inner, size: TerminalSize) {
        if !inner.view.state.is_live() || inner.ring.size() == size {
            return;
        }
        inner.ring.resize(size);
        (inner.view.cols, inner.view.rows) = (size.cols, size.rows);
        self.orders.wanted_size.send_replace(size);
        self.changed();
    }

    fn moved(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.moved = Instant::now();
        inner.view.last_activity = Timestamp::now();
        if inner.view.state == SessionState::Inactive {
            // It is allowed from this state.
            let _ = inner.view.enter(SessionState::Active);
        }
        drop(inner);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }
}

impl Inner {
    /// What of this input goes to the program.
    pub(super) fn filter<'a>(&mut self, client: u64, bytes: &'a [u8]) -> Input<'a> {
        self.queries.filter(bytes, client, self.clients.driver(), Instant::now())
    }
}
