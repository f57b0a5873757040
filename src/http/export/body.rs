//! The body of a download: chunks are pulled as the client takes what was written, and no faster.

use std::time::Duration;

use bytes::Bytes;
use runcast_actors::history::HistoryError;
use runcast_actors::ids::{NodeRef, RunKey, Seq};
use runcast_actors::ports::Wake;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::http::api::Api;
use crate::http::export::pull::ChunkPull;
use crate::http::export::writer::ExportWriter;

/// What is written at once, about.
const PIECE_BYTES: usize = 32 * 1024;
/// How often a silent node is asked whether it has ended.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long nothing may come of a node that has ended and is not all here.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// Why a download ends before its end: the connection is cut, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// History cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The run was purged meanwhile.
    #[error("the run was purged")]
    Purged,
    /// The service stops.
    #[error("the service is stopping")]
    Stopping,
    /// The credential has expired.
    #[error("the credential has expired")]
    Expired,
    /// The node has ended, and nobody gives the rest.
    #[error("the rest of the output did not come within {} s", REST_WITHIN.as_secs())]
    Missing,
}

/// A download in progress.
pub struct Export {
    pull: ChunkPull,
    writer: ExportWriter,
    follow: Option<Follow>,
    written: Vec<u8>,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

/// What a download needs that goes on while its node runs.
pub struct Follow {
    /// The service.
    pub api: actix_web::web::Data<Api>,
    /// The run.
    pub run: RunKey,
    /// The node with whose end it ends.
    pub node_ref: NodeRef,
    /// Wakes when the run has grown; registered before anything was read.
    pub wake: Wake,
    /// Becomes true when the service ends all streams.
    pub closing: watch::Receiver<bool>,
    /// The end of the credential.
    pub expires_at: Option<Instant>,
    /// When the node was asked last.
    pub looked_at: Option<Instant>,
    /// Everything of the node stands up to here; none while it is not known to have ended.
    pub end: Option<Seq>,
    /// When there was something new last.
    pub moved_at: Instant,
}

impl Export {
    /// Writes what is pulled; with `follow` also what comes later. It gives `room` back when it is dropped.
    pub fn new(
        pull: ChunkPull,
        writer: ExportWriter,
        follow: Option<Follow>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        Self { pull, writer, follow, written: Vec::new(), is_over: false, _room: room }
    }

    /// The next piece; none after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ExportError> {
        loop {
            if let Some(follow) = &self.follow {
                follow.check()?;
            }
            if self.written.len() >= PIECE_BYTES || (self.is_over && !self.written.is_empty()) {
                return Ok(Some(std::mem::take(&mut self.written).into()));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.pull.next().await? {
                Some(entry) => self.writer.write(&entry, &mut self.written),
                None if !self.goes_on().await? => {
                    self.writer.finish(&mut self.written);
                    self.is_over = true;
                }
                // What was written is not held back while nothing happens.
                None if !self.written.is_empty() => {
                    return Ok(Some(std::mem::take(&mut self.written).into()));
                }
                None => {}
            }
            self.is_over |= self.writer.is_done();
        }
    }

    /// True if more may come: the end of what is pulled has moved, or there is something to send first.
    async fn goes_on(&mut self) -> Result<bool, ExportError> {
        let Some(follow) = &mut self.follow else { return Ok(false) };
        if self.pull.has_ended() {
            return Ok(false);
        }
        if !self.written.is_empty() {
            return Ok(true);
        }
        loop {
            if follow.end.is_none() && follow.is_time_to_look() {
                follow.end = follow.end_of_node().await?;
            }
            let until = self.pull.until();
            if follow.end.is_some_and(|end| end <= until) {
                return Ok(false);
            }
            let tail = follow.api.history.tail(&follow.run).await?;
            if tail > until {
                follow.moved_at = Instant::now();
                self.pull.extend(tail);
                return Ok(true);
            }
            if follow.end.is_some() && follow.moved_at.elapsed() >= REST_WITHIN {
                return Err(ExportError::Missing);
            }
            follow.wait().await?;
        }
    }
}

impl Follow {
    /// A busy node never waits, so its download is ended here.
    fn check(&self) -> Result<(), ExportError> {
        if *self.closing.borrow() {
            return Err(ExportError::Stopping);
        }
        if self.expires_at.is_some_and(|at| Instant::now() >= at) {
            return Err(ExportError::Expired);
        }
        Ok(())
    }

    fn is_time_to_look(&mut self) -> bool {
        let is_time = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_AFTER);
        if is_time {
            self.looked_at = Some(Instant::now());
        }
        is_time
    }

    /// Up to where everything of the node stands, once it has ended; one that never starts has no `exit`.
    async fn end_of_node(&self) -> Result<Option<Seq>, ExportError> {
        let stored = self.api.history.run(&self.run).await?;
        let Some(stored) = stored.filter(|stored| !stored.purged) else {
            return Err(ExportError::Purged);
        };
        let mut nodes = stored.view.nodes.iter().flatten();
        let node = nodes.find(|node| node.node_ref == self.node_ref);
        let has_ended = node.is_none_or(|node| node.status.is_terminal());
        Ok(has_ended.then_some(stored.view.last_seq))
    }

    async fn wait(&mut self) -> Result<(), ExportError> {
        let Self { wake, closing, expires_at, .. } = self;
        let expiry = async {
            match *expires_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake.changed() => Ok(()),
            () = tokio::time::sleep(LOOK_AFTER) => Ok(()),
            () = expiry => Err(ExportError::Expired),
            _ = closing.wait_for(|closing| *closing) => Err(ExportError::Stopping),
        }
    }
}

#[cfg(test)]
mod tests {
    use runcast_actors::ports::LogHealth;

    use super::*;
    use crate::http::access::AccessMode;
    use crate::http::export::writer::ByteWindow;
    use crate::http::testing::{Fixture, fixture, output_entry, run_key, stream_key};

    /// A download of far more than a piece, which never has to wait.
    fn busy(fixture: &Fixture) -> (watch::Sender<bool>, Export) {
        let entries = (1..=64).map(|seq| output_entry(seq, "n", seq - 1, &[b'x'; 16 * 1024]));
        fixture.log.entries.lock().expect("not poisoned").extend(entries.map(Into::into));
        let (closing, is_closing) = watch::channel(false);
        let (api, run, stream) = (fixture.api.clone(), run_key("r"), stream_key("n"));
        let follow = Follow {
            wake: api.history.follow(&run),
            run: run.clone(),
            node_ref: stream.node_ref.clone(),
            closing: is_closing,
            expires_at: Some(Instant::now() + Duration::from_secs(3600)),
            looked_at: None,
            end: None,
            moved_at: Instant::now(),
            api: api.clone(),
        };
        let pull = ChunkPull::new(api.history.clone(), run, vec![stream], Seq::START, Seq(64));
        let room = api.download_room().expect("there is room");
        (closing, Export::new(pull, ExportWriter::Raw(ByteWindow::ALL), Some(follow), room))
    }

    #[actix_web::test]
    async fn a_busy_download_ends_with_its_credential_and_with_the_service() {
        let service = fixture(AccessMode::None, LogHealth::Up);
        let (_closing, mut export) = busy(&service);
        assert!(export.next().await.expect("it goes on").is_some());
        export.follow.as_mut().expect("it follows").expires_at = Some(Instant::now());
        assert!(matches!(export.next().await, Err(ExportError::Expired)));

        let (closing, mut export) = busy(&service);
        assert!(export.next().await.expect("it goes on").is_some());
        closing.send_replace(true);
        assert!(matches!(export.next().await, Err(ExportError::Stopping)));
    }
}
