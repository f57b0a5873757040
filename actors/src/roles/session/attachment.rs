//! One client of a session: an offset that pulls, and a way to type.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::handle::SessionHandle;
use crate::entry::TerminalSize;
use crate::sessions::{OutputRing, Repaint, RingRead, SessionState, SessionView};

const NO_SIZE: TerminalSize = TerminalSize { cols: 0, rows: 0 };
/// Input goes to the terminal in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;

/// A client that is attached until it is dropped.
pub struct Attachment {
    handle: Arc<SessionHandle>,
    client: u64,
    offset: u64,
    /// The size it was told last; none yet: one that no terminal has.
    size: TerminalSize,
    /// What has to be told before anything else.
    opening: Vec<Told>,
    state: Option<SessionState>,
    revision: watch::Receiver<u64>,
}

/// What a client is told, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// What it had not read has left; the screen follows.
    Truncated {
        /// From where on it goes on.
        from: u64,
    },
    /// The screen; output after its offset follows.
    Screen(Repaint),
    /// From this offset on the terminal has this size.
    Resized {
        /// From where on.
        offset: u64,
        /// Which size.
        size: TerminalSize,
    },
    /// Output.
    Output {
        /// Of its first byte.
        offset: u64,
        /// Never none.
        bytes: Bytes,
    },
    /// The session is in another state.
    State(Box<SessionView>),
    /// The session has ended, and everything was told.
    Ended(Box<SessionView>),
}

/// What there is for a client at this moment.
enum Now {
    Told(Told),
    /// It is behind what is held, of which this is a copy.
    Missed(Box<OutputRing>),
    Nothing,
}

/// Why something was not typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// The client came to read.
    #[error("this connection only reads")]
    ReadOnly,
    /// The program has ended.
    #[error("the session has ended")]
    Ended,
}

impl Attachment {
    /// `repaint`: with the screen first, and whether that is because something was missed.
    pub(super) fn new(
        handle: Arc<SessionHandle>,
        client: u64,
        offset: u64,
        repaint: Option<bool>,
        revision: watch::Receiver<u64>,
    ) -> Self {
        let size = NO_SIZE;
        let mut attachment =
            Self { handle, client, offset, size, opening: Vec::new(), state: None, revision };
        if let Some(is_truncated) = repaint {
            let screen = attachment.handle.lock().ring.screen_at_start();
            attachment.show(screen, is_truncated);
        }
        attachment
    }

    /// The session.
    pub fn session(&self) -> &Arc<SessionHandle> {
        &self.handle
    }

    /// Where the next output begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is new, at most `limit` bytes of it. Waits for it. What was returned counts as read.
    /// Cancel-safe: nothing is taken before it is returned.
    pub async fn next(&mut self, limit: usize) -> Told {
        loop {
            self.revision.borrow_and_update();
            match self.next_now(limit) {
                Now::Told(told) => return told,
                Now::Missed(ring) => {
                    // One that could not follow goes on with what is there now. Painting it takes too long for the
                    // thread of a connection.
                    let painting = tokio::task::spawn_blocking(move || ring.screen_at_end().0);
                    match painting.await {
                        Ok(screen) => self.go_on_from(screen),
                        Err(error) => {
                            tracing::error!(session = %self.handle.id(), %error, "a screen cannot be painted");
                            std::future::pending::<()>().await;
                        }
                    }
                }
                Now::Nothing => {
                    if self.revision.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    fn next_now(&mut self, limit: usize) -> Now {
        if let Some(told) = self.opening.pop() {
            return Now::Told(told);
        }
        let handle = self.handle.clone();
        let mut inner = handle.lock();
        match inner.ring.read(self.offset, self.size, limit) {
            RingRead::Bytes(bytes) => {
                let offset = self.offset;
                self.offset += bytes.len() as u64;
                handle.has_read(&mut inner, self.client, self.offset);
                return Now::Told(Told::Output { offset, bytes });
            }
            RingRead::Resized(size) => {
                self.size = size;
                return Now::Told(Told::Resized { offset: self.offset, size });
            }
            RingRead::Gone => return Now::Missed(Box::new(inner.ring.copy())),
            RingRead::AtEnd => {}
        }
        let view = &inner.view;
        let known = self.state.replace(view.state);
        if known == Some(view.state) {
            return Now::Nothing;
        }
        let view = Box::new(view.clone());
        match known {
            _ if !view.state.is_live() => Now::Told(Told::Ended(view)),
            Some(_) => Now::Told(Told::State(view)),
            // The first state is told with the beginning.
            None => Now::Nothing,
        }
    }

    fn go_on_from(&mut self, screen: Repaint) {
        self.handle.has_read(&mut self.handle.lock(), self.client, screen.offset);
        self.show(screen, true);
    }

    /// The way to type for this client.
    pub fn typist(&self) -> Typist {
        Typist { handle: self.handle.clone(), client: self.client }
    }

    fn show(&mut self, screen: Repaint, is_truncated: bool) {
        self.offset = screen.offset;
        // An empty screen needs no painting.
        if !is_truncated && screen.offset == 0 {
            return;
        }
        self.size = screen.size;
        // The last is told first.
        self.opening = vec![Told::Screen(screen)];
        if is_truncated {
            self.opening.push(Told::Truncated { from: self.offset });
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.handle.detach(self.client);
    }
}

/// What a client types, beside what it reads.
#[derive(Clone)]
pub struct Typist {
    handle: Arc<SessionHandle>,
    client: u64,
}

impl Typist {
    /// Types into the terminal; waits while it takes nothing.
    pub async fn type_in(&self, bytes: &[u8]) -> Result<(), TypeError> {
        let typed = {
            let mut inner = self.handle.lock();
            let is_readonly = inner.clients.is_readonly(self.client);
            let input = inner.filter(self.client, bytes);
            if is_readonly {
                // A terminal answers questions by itself; that is no wish to type.
                return if input.is_typed { Err(TypeError::ReadOnly) } else { Ok(()) };
            }
            let typed = Bytes::copy_from_slice(&input.bytes);
            let is_typed = input.is_typed;
            drop(inner);
            if is_typed {
                self.handle.has_typed(self.client, typed.len());
            }
            typed
        };
        let mut rest = typed;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            self.handle.type_in().send(piece).await.map_err(|_| TypeError::Ended)?;
        }
        Ok(())
    }

    /// The window of the client has this size.
    pub fn resize(&self, size: TerminalSize) {
        self.handle.client_resized(self.client, size);
    }
}
