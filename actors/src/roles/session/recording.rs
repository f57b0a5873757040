//! The two ends of a recorded session: its terminal gives every byte to the node of a run, and that run is the
//! recording. The node reads it like any other process, so the terminal waits where the run has no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot, watch};

use super::handle::SessionHandle;
use super::recorded_terminals::Given;
use crate::entry::{ProcessEnd, ProcessIdentity, RunnerKind, TerminalSize};
use crate::ids::StreamName;
use crate::messages::run_commands::{EndRun, ResizeTerminal};
use crate::ports::{NodeProcess, Output, StartError, Started};
use crate::roles::node::EndReason as NodeEnd;
use crate::roles::run::Run;
use crate::sessions::EndReason;

/// Reads of the terminal that wait for the run.
const PIECES: usize = 4;

/// What the node of such a run is called.
pub(crate) const NODE: &str = "terminal";

/// The recording of a session.
pub(crate) struct Recording {
    pub(crate) tap: Tap,
    /// The run that is the recording.
    pub(crate) run: Addr<Run>,
    /// Its node is the session as long as this is held.
    pub(crate) _given: Given,
}

impl Recording {
    /// Asks the run to note another size; the terminal gets it then.
    pub(super) fn ask_for_size(&self, size: TerminalSize) {
        let node_ref = NODE.parse().expect("a name");
        // One that is busy is asked again.
        let _ = self.run.try_send(ResizeTerminal { node_ref, size });
    }

    /// Somebody ends the session: so the run was ended, and did not fail.
    pub(super) fn end(&self) {
        // If it is busy, it is told by the end of the terminal.
        let _ = self.run.try_send(EndRun(NodeEnd::Cancelled));
    }
}

/// What the task of a recorded session holds.
pub(crate) struct Tap {
    output: mpsc::Sender<Bytes>,
    /// Set when output was left unread.
    is_cut: Arc<AtomicBool>,
    /// The size that the run has noted.
    pub(super) noted_size: watch::Receiver<TerminalSize>,
    opened: Option<oneshot::Sender<Result<ProcessIdentity, String>>>,
    wanted: Option<oneshot::Receiver<()>>,
}

/// What the node of its run holds.
pub(crate) struct TapEnd {
    handle: Arc<SessionHandle>,
    output: mpsc::Receiver<Bytes>,
    is_cut: Arc<AtomicBool>,
    noted_size: watch::Sender<TerminalSize>,
    opened: oneshot::Receiver<Result<ProcessIdentity, String>>,
    wanted: oneshot::Sender<()>,
}

/// Both ends, for a session that is about to be opened.
pub(crate) fn tap(handle: Arc<SessionHandle>, size: TerminalSize) -> (Tap, TapEnd) {
    let (output, received) = mpsc::channel(PIECES);
    let (noted, noted_size) = watch::channel(size);
    let (opened, is_opened) = oneshot::channel();
    let (wanted, is_wanted) = oneshot::channel();
    let is_cut: Arc<AtomicBool> = Arc::default();
    let cut = is_cut.clone();
    let tap = Tap { output, is_cut, noted_size, opened: Some(opened), wanted: Some(is_wanted) };
    let end = TapEnd {
        handle,
        output: received,
        is_cut: cut,
        noted_size: noted,
        opened: is_opened,
        wanted,
    };
    (tap, end)
}

impl Tap {
    /// Waits until the run stands in the log and its node starts. False: it will not.
    pub(crate) async fn is_wanted(&mut self) -> bool {
        match self.wanted.take() {
            Some(wanted) => wanted.await.is_ok(),
            None => false,
        }
    }

    /// The terminal is open, or could not be opened. False: the run is gone, and nothing is recorded.
    pub(super) fn opened(&mut self, result: Result<ProcessIdentity, String>) -> bool {
        self.opened.take().is_some_and(|opened| opened.send(result).is_ok())
    }

    /// What the terminal has not given yet is left.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// True if the run takes another piece of output, or none any more.
    pub(super) fn has_room(&self) -> bool {
        self.output.capacity() > 0 || self.output.is_closed()
    }

    /// Waits until that may have changed.
    pub(super) async fn room(&self) {
        let _ = self.output.reserve().await;
    }

    /// Gives the run a piece of output, for which there is room. False: nobody takes it any more.
    pub(super) fn write(&self, piece: Bytes) -> bool {
        self.output.try_send(piece).is_ok()
    }
}

impl TapEnd {
    /// The terminal as a node sees it, once it is open.
    pub(crate) async fn start(self) -> Result<Started, StartError> {
        let Self { handle, output, is_cut, noted_size, opened, wanted } = self;
        let gone = || StartError("the session has ended".to_owned());
        wanted.send(()).map_err(|()| gone())?;
        let identity = opened.await.map_err(|_| gone())?.map_err(StartError)?;
        let output: Box<dyn Output> =
            Box::new(TapOutput { output, is_cut, piece: Bytes::new(), has_ended: false });
        Ok(Started {
            process: Box::new(TapProcess { handle, noted_size }),
            outputs: vec![(StreamName::Pty, output)],
            events: None,
            identity: Some(identity),
            kind: RunnerKind::Local,
        })
    }
}

struct TapOutput {
    output: mpsc::Receiver<Bytes>,
    is_cut: Arc<AtomicBool>,
    /// What of the last piece was not read.
    piece: Bytes,
    has_ended: bool,
}

#[async_trait(?Send)]
impl Output for TapOutput {
    async fn readable(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() && !self.has_ended {
            match self.output.recv().await {
                Some(piece) => self.piece = piece,
                None => self.has_ended = true,
            }
        }
        Ok(())
    }

    fn try_read(&mut self, buffer: &mut BytesMut, limit: usize) -> std::io::Result<Option<usize>> {
        if self.piece.is_empty() {
            match self.output.try_recv() {
                Ok(piece) => self.piece = piece,
                Err(mpsc::error::TryRecvError::Empty) => return Ok(None),
                // Told as an error, what was left makes the stream `truncated`.
                Err(mpsc::error::TryRecvError::Disconnected)
                    if self.is_cut.load(Ordering::Acquire) =>
                {
                    return Err(std::io::Error::other("the rest of the output was left"));
                }
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(Some(0)),
            }
        }
        let count = self.piece.len().min(limit);
        buffer.extend_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        Ok(Some(count))
    }
}

/// The program of a session as a node sees it. If the node goes, the session goes: it was promised a recording.
struct TapProcess {
    handle: Arc<SessionHandle>,
    noted_size: watch::Sender<TerminalSize>,
}

#[async_trait(?Send)]
impl NodeProcess for TapProcess {
    async fn wait(&mut self) -> ProcessEnd {
        self.handle.gone().await.end()
    }

    fn resize(&mut self, size: TerminalSize) -> std::io::Result<()> {
        self.noted_size.send_replace(size);
        Ok(())
    }

    fn has_group(&mut self) -> bool {
        false
    }

    fn terminate(&mut self) {
        self.handle.end(EndReason::Closed);
    }

    // The session kills by itself what does not end within the grace.
    fn kill(&mut self) {
        self.terminate();
    }
}

impl Drop for TapProcess {
    fn drop(&mut self) {
        if self.handle.state().is_live() {
            tracing::error!(session = %self.handle.id(), "its recording has ended, so the session ends");
            self.handle.end(EndReason::Failed);
        }
    }
}
