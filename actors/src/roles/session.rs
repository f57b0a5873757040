//! Owns: one interactive terminal: its process, and the way between it and the clients that are attached.
//! Takes: typed bytes, the wanted size, the reason to end.
//! Sends: output, sizes and states into its [`SessionHandle`]; clients pull from there, each with its own offset.
//! Queue: 8 pieces of typed bytes of at most 16 KiB; whoever types more waits. Output waits in the terminal while
//!   no attached client reads.
//! Stops: when its process has ended and its output is read, or was ended.
//! Restart: never; if it goes, dropping the process kills its group.

mod attachment;
mod clients;
mod handle;
mod recorded_terminals;
mod recording;
mod steps;

pub use attachment::{Attachment, Told, TypeError, Typist};
pub use clients::{AttachError, AttachOptions};
pub use handle::{SessionFigures, SessionHandle};
pub use recorded_terminals::RecordedTerminals;
pub(crate) use recording::{NODE, Recording, tap};

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::entry::{ProcessEnd, TerminalSize};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::ports::{OpenTerminal, TerminalCommand, TerminalHost};
use crate::sessions::{EndReason, SessionState};

/// What is read of a terminal at once.
const READ_BYTES: usize = 64 * 1024;
/// Pieces of input that wait for the terminal.
const INPUT_PIECES: usize = 8;
/// After the end of the process, how long its terminal may be silent until it is left.
const DRAIN: Duration = Duration::from_millis(200);
/// How often it is looked whether the rest of a session that was asked to end has ended.
const GROUP_POLL: Duration = Duration::from_millis(50);
/// How often a run that is busy is asked to note another size.
const SIZE_POLL: Duration = Duration::from_millis(50);
/// How long what a process left behind is read at most.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// The same of a recorded one, whose run may have no room for a while.
const RECORDED_DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// The task of one session.
pub struct Session {
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) host: Arc<dyn TerminalHost>,
    pub(crate) command: TerminalCommand,
    pub(crate) kill_grace: Duration,
    pub(crate) ends: SessionEnds,
    /// None: it is not recorded.
    pub(crate) recording: Option<Recording>,
}

/// What the task takes from its handle.
pub(crate) struct SessionEnds {
    input: mpsc::Receiver<Bytes>,
    size: watch::Receiver<TerminalSize>,
    end: watch::Receiver<Option<EndReason>>,
}

impl Session {
    /// Opens the terminal and attends it to its end.
    pub async fn run(self, child: &ChildContext) -> ExitStatus {
        let Self { handle, host, command, kill_grace, ends, mut recording } = self;
        let shown = handle.clone();
        child.observe(move || shown_of(&shown));
        match host.open(command).await {
            Ok(opened) => {
                handle.opened(opened.identity, &opened.directory);
                if let Some(recording) = &mut recording
                    && !recording.tap.opened(Ok(opened.identity))
                {
                    handle.end(EndReason::Failed);
                }
                let mut terminal =
                    Terminal::new(opened, handle.clone(), ends, kill_grace, child.clone());
                terminal.noted_size =
                    recording.as_ref().map(|recording| recording.tap.noted_size.clone());
                terminal.recording = recording;
                let (end, reason) = terminal.attend().await;
                handle.ended(end, reason);
            }
            Err(error) => {
                if let Some(recording) = &mut recording {
                    recording.tap.opened(Err(error.to_string()));
                }
                handle.failed(&error.to_string());
            }
        }
        ExitStatus::Finished
    }
}

/// What a session shows of itself; what waits for it are pieces of input.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSession {
    state: SessionState,
    attached: usize,
    buffer_bytes: usize,
}

fn shown_of(handle: &SessionHandle) -> Shown {
    let (view, queue) = (handle.view(), handle.type_in());
    let buffer_bytes = handle.figures().buffer_bytes;
    Shown::new(ShownSession { state: view.state, attached: view.attached, buffer_bytes })
        .with_queue((queue.max_capacity() - queue.capacity()) as u64)
}

struct Terminal {
    child: ChildContext,
    recording: Option<Recording>,
    /// The size that its run has noted.
    noted_size: Option<watch::Receiver<TerminalSize>>,
    /// When it is asked again to note the size.
    ask_at: Option<Instant>,
    opened: OpenTerminal,
    handle: Arc<SessionHandle>,
    ends: SessionEnds,
    kill_grace: Duration,
    /// What the terminal has not taken yet.
    pending: Bytes,
    is_read: bool,
    end: Option<ProcessEnd>,
    reason: Option<EndReason>,
    kill_at: Option<Instant>,
    /// After the end of the process: until when its terminal is read.
    leave_at: Option<Instant>,
    leave_latest: Option<Instant>,
}

impl Terminal {
    fn new(
        opened: OpenTerminal,
        handle: Arc<SessionHandle>,
        ends: SessionEnds,
        kill_grace: Duration,
        child: ChildContext,
    ) -> Self {
        Self {
            child,
            recording: None,
            noted_size: None,
            ask_at: None,
            opened,
            handle,
            ends,
            kill_grace,
            pending: Bytes::new(),
            is_read: false,
            end: None,
            reason: None,
            kill_at: None,
            leave_at: None,
            leave_latest: None,
        }
    }

    async fn attend(mut self) -> (ProcessEnd, EndReason) {
        let mut buffer = BytesMut::new();
        loop {
            // Who was asked to end may take the grace for it, with everything it has started.
            let is_recorded =
                self.recording.as_ref().is_none_or(|recording| recording.tap.has_room());
            let is_late = passed(self.leave_latest);
            if let Some(end) = self.end
                && self.kill_at.is_none()
                && (self.is_read || is_late || (passed(self.leave_at) && is_recorded))
            {
                if let Some(recording) =
                    self.recording.as_ref().filter(|_| is_late && !self.is_read)
                {
                    recording.tap.cut();
                }
                return (end, self.reason.unwrap_or(EndReason::Exited));
            }
            // Once the process has ended nobody is waited for: what is left is bounded.
            let is_read_on = self.end.is_some() || self.handle.has_room();
            let may_read = !self.is_read && is_read_on && is_recorded;
            let (takes_input, has_ended) = (self.end.is_none(), self.end.is_some());
            let ask_at = self.ask_at.filter(|_| !has_ended && self.size_is_due());
            tokio::select! {
                ready = self.opened.output.readable(), if may_read => {
                    self.read(ready, &mut buffer);
                    // A flood must not keep the other sessions of this thread waiting.
                    tokio::task::yield_now().await;
                }
                () = self.handle.room(), if !is_read_on && !self.is_read => {}
                () = room(self.recording.as_ref()), if !is_recorded => {}
                ready = self.opened.input.writable(), if takes_input && !self.pending.is_empty() => {
                    self.write(&ready);
                }
                Some(bytes) = self.ends.input.recv(), if takes_input && self.pending.is_empty() => {
                    self.child.handled(1);
                    self.pending = bytes;
                    self.write(&Ok(()));
                }
                Ok(()) = self.ends.size.changed(), if !has_ended => self.resize(),
                size = next_size(&mut self.noted_size), if !has_ended => self.apply(size),
                () = until(ask_at) => self.resize(),
                reason = asked_to_end(&mut self.ends.end), if self.reason.is_none() => {
                    self.terminate(reason);
                }
                end = self.opened.process.wait(), if !has_ended => self.ended(end),
                () = until(self.kill_at) => {
                    self.kill_at = None;
                    self.opened.process.kill();
                }
                () = tokio::time::sleep(GROUP_POLL), if has_ended && self.kill_at.is_some() => {
                    if !self.opened.process.has_group() {
                        self.kill_at = None;
                    }
                }
                () = until(self.leave_at), if has_ended && self.kill_at.is_none() && is_recorded => {}
                () = until(self.leave_latest), if has_ended && self.kill_at.is_none() => {}
            }
        }
    }

    fn read(&mut self, ready: std::io::Result<()>, buffer: &mut BytesMut) {
        let read = ready.and_then(|()| self.opened.output.try_read(buffer, READ_BYTES));
        match read {
            Ok(None) => {}
            Ok(Some(0)) => self.is_read = true,
            Ok(Some(_)) => {
                self.handle.written(buffer);
                let piece = buffer.split().freeze();
                if let Some(recording) = &self.recording
                    && !recording.tap.write(piece)
                    && self.end.is_none()
                    && self.reason.is_none()
                {
                    tracing::error!(session = %self.handle.id(), "its recording has ended, so the session ends");
                    self.terminate(EndReason::Failed);
                }
                if self.end.is_some() {
                    self.leave_at = self.next_leave();
                }
            }
            Err(error) => {
                tracing::warn!(session = %self.handle.id(), %error, "a terminal cannot be read");
                self.is_read = true;
            }
        }
    }

    fn write(&mut self, ready: &std::io::Result<()>) {
        while !self.pending.is_empty() {
            let written = match ready {
                Ok(()) => self.opened.input.try_write(&self.pending),
                Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
            };
            match written {
                Ok(Some(count)) => self.pending.advance(count),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(session = %self.handle.id(), %error, "a terminal takes no input");
                    self.pending.clear();
                }
            }
        }
    }

    /// What is recorded has to say when the size changed: the run notes it before the terminal has it.
    fn resize(&mut self) {
        let size = *self.ends.size.borrow_and_update();
        match &self.recording {
            Some(recording) => {
                recording.ask_for_size(size);
                self.ask_at = Some(Instant::now() + SIZE_POLL);
            }
            None => self.apply(size),
        }
    }

    /// True while the run has not noted the size that is wanted.
    fn size_is_due(&self) -> bool {
        let wanted = *self.ends.size.borrow();
        self.noted_size.as_ref().is_some_and(|noted| *noted.borrow() != wanted)
    }

    fn apply(&mut self, size: TerminalSize) {
        if let Err(error) = self.opened.process.resize(size) {
            tracing::warn!(session = %self.handle.id(), %error, "a terminal keeps its size");
        }
    }

    fn terminate(&mut self, reason: EndReason) {
        self.reason = Some(reason);
        self.handle.ending();
        if let Some(recording) = &self.recording {
            recording.end();
        }
        if self.end.is_none() {
            self.opened.process.terminate();
            self.kill_at = Some(Instant::now() + self.kill_grace);
        }
    }

    fn ended(&mut self, end: ProcessEnd) {
        self.end = Some(end);
        if self.reason.is_none() {
            self.kill_at = None;
        }
        self.handle.ending();
        let limit = if self.recording.is_some() { RECORDED_DRAIN_LIMIT } else { DRAIN_LIMIT };
        self.leave_latest = Some(Instant::now() + limit);
        self.leave_at = self.next_leave();
    }

    fn next_leave(&self) -> Option<Instant> {
        self.leave_latest.map(|latest| latest.min(Instant::now() + DRAIN))
    }
}

impl SessionEnds {
    /// The two ends of a session that has this size.
    fn new(size: TerminalSize) -> (handle::Orders, Self) {
        let (type_in, input) = mpsc::channel(INPUT_PIECES);
        let (wanted_size, size) = watch::channel(size);
        let (wanted_end, end) = watch::channel(None);
        (handle::Orders { type_in, wanted_size, wanted_end }, Self { input, size, end })
    }
}

async fn asked_to_end(end: &mut watch::Receiver<Option<EndReason>>) -> EndReason {
    let asked = end.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
    // Without a handle nobody can reach it.
    asked.unwrap_or(EndReason::Stopped)
}

/// Waits until the recording takes more.
async fn room(recording: Option<&Recording>) {
    match recording {
        Some(recording) => recording.tap.room().await,
        None => std::future::pending().await,
    }
}

/// Waits until the run has noted another size.
async fn next_size(noted: &mut Option<watch::Receiver<TerminalSize>>) -> TerminalSize {
    if let Some(noted) = noted
        && noted.changed().await.is_ok()
    {
        return *noted.borrow_and_update();
    }
    std::future::pending().await
}

fn passed(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
