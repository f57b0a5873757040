//! Those who follow the log of an owned run.

use std::sync::Arc;

use tokio::sync::watch;

use crate::ids::Seq;
use crate::roles::archivist::ArchivedThrough;

/// The checkpoints of the followers that a run waits for.
pub(super) struct Followers {
    pub(super) recorded: Arc<watch::Sender<Seq>>,
    pub(super) archived: Arc<watch::Sender<ArchivedThrough>>,
    /// None if there is no replica.
    pub(super) replicated: Option<Arc<watch::Sender<Seq>>>,
}

impl Followers {
    /// Waits until everything up to `last`, the run's end, is recorded and every recording is final.
    pub(super) async fn wait(&self, last: Seq) {
        // The senders are held here, so the waits cannot fail.
        let _ = self.recorded.subscribe().wait_for(|recorded| *recorded >= last).await;
        let _ = self.archived.subscribe().wait_for(|archived| archived.is_final).await;
    }
}
