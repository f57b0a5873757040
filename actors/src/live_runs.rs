//! The runs that this process owns, as of the last acknowledged entry: what a client asks first is
//! answered from memory, also while the database is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::entry::{Body, Entry};
use crate::ids::{Epoch, RunKey};
use crate::ports::{Annotation, StoredRun};
use crate::run_view::RecordingCounts;

/// All owned runs.
#[derive(Clone, Default)]
pub struct LiveRuns(Arc<RwLock<HashMap<RunKey, Arc<Mutex<StoredRun>>>>>);

impl LiveRuns {
    /// The run is owned from now on, until the answer is dropped.
    pub fn begin(&self, run: RunKey, stored: StoredRun) -> LiveRun {
        let stored = Arc::new(Mutex::new(stored));
        let mut runs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        runs.insert(run.clone(), stored.clone());
        LiveRun { runs: self.clone(), run, stored }
    }

    /// Metadata or links were changed in the rows.
    pub fn annotate(&self, run: &RunKey, annotation: &Annotation) {
        let Some(stored) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(run).cloned()
        else {
            return;
        };
        let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metadata) = &annotation.metadata {
            stored.view.metadata.clone_from(metadata);
        }
        if let Some(links) = &annotation.links {
            stored.view.links.clone_from(links);
        }
    }

    /// Recordings of the run have another state.
    pub fn recordings(&self, run: &RunKey, counts: RecordingCounts) {
        let runs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(stored) = runs.get(run) else { return };
        stored.lock().unwrap_or_else(PoisonError::into_inner).view.recordings = counts;
    }

    /// How many runs are owned here.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True if the run is owned here.
    pub fn contains(&self, run: &RunKey) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(run)
    }

    /// Under which epoch the run is owned here, if it is.
    pub fn epoch(&self, run: &RunKey) -> Option<Epoch> {
        let stored = self.0.read().unwrap_or_else(PoisonError::into_inner).get(run)?.clone();
        let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
        Some(stored.view.epoch)
    }

    /// The run as of its last acknowledged entry, if it is owned here.
    pub fn get(&self, run: &RunKey) -> Option<StoredRun> {
        let stored = self.0.read().unwrap_or_else(PoisonError::into_inner).get(run)?.clone();
        let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
        Some(stored.clone())
    }
}

/// One owned run.
pub struct LiveRun {
    runs: LiveRuns,
    run: RunKey,
    stored: Arc<Mutex<StoredRun>>,
}

impl LiveRun {
    /// These entries were acknowledged.
    pub fn acknowledged(&self, entries: &[Arc<Entry>]) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if let Body::Status(_) = entry.body {
                apply(&mut stored, entry);
            }
        }
        if let Some(last) = entries.last() {
            stored.view.last_seq = last.seq;
        }
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        let mut runs = self.runs.0.write().unwrap_or_else(PoisonError::into_inner);
        // A later owner in this process has put its own there.
        if runs.get(&self.run).is_some_and(|stored| Arc::ptr_eq(stored, &self.stored)) {
            runs.remove(&self.run);
        }
    }
}

/// Brings the view of a run up to an entry of its log.
pub fn apply(stored: &mut StoredRun, entry: &Entry) {
    let Body::Status(change) = &entry.body else { return };
    let mut nodes = stored.view.nodes.take();
    if let (Some(changed), Some(nodes)) = (&change.node, &mut nodes)
        && let Some(node) = nodes.iter_mut().find(|node| node.node_ref == changed.node_ref)
    {
        *node = changed.clone();
    }
    // The archive follows the log, so an entry cannot tell what became of the recordings.
    let recordings = stored.view.recordings;
    stored.view = change.run.clone();
    stored.view.recordings = recordings;
    stored.view.nodes = nodes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Seq;
    use crate::testing::store_conformance::{run_key, submission};

    #[test]
    fn a_run_is_live_until_its_last_owner_here_lets_go() {
        let runs = LiveRuns::default();
        let run = run_key("r");
        let stored = || {
            let submission = submission("r", "t");
            StoredRun {
                view: submission.queued_view(crate::moment::Timestamp(0)),
                spec: submission.spec,
                purged: false,
            }
        };
        let first = runs.begin(run.clone(), stored());
        let second = runs.begin(run.clone(), stored());
        drop(first);
        assert_eq!(runs.get(&run).map(|stored| stored.view.last_seq), Some(Seq::START));
        drop(second);
        assert!(runs.get(&run).is_none());
    }
}
