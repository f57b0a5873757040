//! The runs that this process owns, as of the last acknowledged entry: what a client asks first is
//! answered from memory, also while the database is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::entry::{Body, Entry};
use crate::flow::capture_gate::CaptureGate;
use crate::flow::recent_flow::{FlowRate, RecentFlow};
use crate::ids::{Epoch, RunKey, Seq};
use crate::ports::{Annotation, StoredRun};
use crate::run_view::RecordingCounts;

/// All owned runs.
#[derive(Clone, Default)]
pub struct LiveRuns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    runs: RwLock<HashMap<RunKey, Arc<Owned>>>,
    flow: RecentFlow,
}

struct Owned {
    stored: Mutex<StoredRun>,
    gate: CaptureGate,
}

impl Owned {
    fn stored(&self) -> MutexGuard<'_, StoredRun> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveRuns {
    /// The run is owned from now on, until the answer is dropped.
    pub fn begin(&self, run: RunKey, stored: StoredRun, gate: CaptureGate) -> LiveRun {
        let owned = Arc::new(Owned { stored: Mutex::new(stored), gate });
        self.runs_mut().insert(run.clone(), owned.clone());
        LiveRun { runs: self.clone(), run, owned }
    }

    /// Metadata or links were changed in the rows.
    pub fn annotate(&self, run: &RunKey, annotation: &Annotation) {
        let Some(owned) = self.find(run) else { return };
        let mut stored = owned.stored();
        if let Some(metadata) = &annotation.metadata {
            stored.view.metadata.clone_from(metadata);
        }
        if let Some(links) = &annotation.links {
            stored.view.links.clone_from(links);
        }
    }

    /// Recordings of the run have another state.
    pub fn recordings(&self, run: &RunKey, counts: RecordingCounts) {
        if let Some(owned) = self.find(run) {
            owned.stored().view.recordings = counts;
        }
    }

    /// How many runs are owned here.
    pub fn count(&self) -> usize {
        self.runs().len()
    }

    /// True if the run is owned here.
    pub fn contains(&self, run: &RunKey) -> bool {
        self.runs().contains_key(run)
    }

    /// Under which epoch the run is owned here, if it is.
    pub fn epoch(&self, run: &RunKey) -> Option<Epoch> {
        self.find(run).map(|owned| owned.stored().view.epoch)
    }

    /// How many acknowledged entries of a run that is owned here lie behind this one, as far as it is of the
    /// same epoch.
    pub fn behind(&self, run: &RunKey, through: Seq) -> u64 {
        let Some(owned) = self.find(run) else { return 0 };
        let last = owned.stored().view.last_seq;
        let known = if through.epoch() == last.epoch() { through.number() } else { 0 };
        u64::from(last.number().saturating_sub(known))
    }

    /// The run as of its last acknowledged entry, if it is owned here.
    pub fn get(&self, run: &RunKey) -> Option<StoredRun> {
        self.find(run).map(|owned| owned.stored().clone())
    }

    /// Bytes of all owned runs that only the log has.
    pub fn backlog_bytes(&self) -> u64 {
        self.runs().values().map(|owned| owned.gate.unrecorded()).sum()
    }

    /// How long the oldest entry of an owned run waits for the replica.
    pub fn replica_lag(&self) -> Duration {
        self.runs().values().map(|owned| owned.gate.replica_lag()).max().unwrap_or_default()
    }

    /// How much output of owned runs was acknowledged of late.
    pub fn rate(&self) -> FlowRate {
        self.0.flow.rate()
    }

    fn find(&self, run: &RunKey) -> Option<Arc<Owned>> {
        self.runs().get(run).cloned()
    }

    fn runs(&self) -> RwLockReadGuard<'_, HashMap<RunKey, Arc<Owned>>> {
        self.0.runs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs_mut(&self) -> RwLockWriteGuard<'_, HashMap<RunKey, Arc<Owned>>> {
        self.0.runs.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One owned run.
pub struct LiveRun {
    runs: LiveRuns,
    run: RunKey,
    owned: Arc<Owned>,
}

impl LiveRun {
    /// These entries were acknowledged.
    pub fn acknowledged(&self, entries: &[Arc<Entry>]) {
        let mut stored = self.owned.stored();
        let (mut chunks, mut bytes) = (0, 0);
        for entry in entries {
            match &entry.body {
                Body::Status(_) => apply(&mut stored, entry),
                Body::Terminal(_) => {
                    chunks += 1;
                    bytes += entry.payload_len() as u64;
                }
                Body::Trace(_) => {}
            }
        }
        self.runs.0.flow.add(chunks, bytes);
        if let Some(last) = entries.last() {
            stored.view.last_seq = last.seq;
        }
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        let mut runs = self.runs.runs_mut();
        // A later owner in this process has put its own there.
        if runs.get(&self.run).is_some_and(|owned| Arc::ptr_eq(owned, &self.owned)) {
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
    use tokio::sync::watch;

    use super::*;
    use crate::flow::capture_gate::GateLimits;
    use crate::ports::LogHealth;
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
        let limits = GateLimits { unrecorded: 100, unreplicated: None };
        let gate = || CaptureGate::new(limits, watch::channel(LogHealth::Up).1);
        let first = runs.begin(run.clone(), stored(), gate());
        let second = runs.begin(run.clone(), stored(), gate());
        drop(first);
        assert_eq!(runs.get(&run).map(|stored| stored.view.last_seq), Some(Seq::START));
        drop(second);
        assert!(runs.get(&run).is_none());
    }
}
