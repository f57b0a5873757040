//! A run as the rows of a database would tell it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::recordings::Archived;
use crate::entry::{Body, Entry, ProcessIdentity};
use crate::ids::{Epoch, InstanceId, NodeRef, RunKey, Seq};
use crate::moment::Timestamp;
use crate::ports::{Claim, StoreError, StoredRun};
use crate::run_view::{NodeStatus, RunStatus};

#[derive(Debug)]
pub(super) struct Row {
    pub(super) stored: StoredRun,
    pub(super) fingerprint: String,
    pub(super) owner: Option<InstanceId>,
    pub(super) lease_until: i64,
    pub(super) claimed: bool,
    pub(super) cancel_requested: bool,
    pub(super) history: BTreeMap<Seq, Arc<Entry>>,
    pub(super) processes: HashMap<NodeRef, ProcessIdentity>,
    pub(super) archived: Archived,
}

impl Row {
    pub(super) fn status(&self) -> RunStatus {
        self.stored.view.status
    }

    pub(super) fn stored(&self) -> StoredRun {
        let mut stored = self.stored.clone();
        stored.view.recordings = self.archived.counts();
        stored
    }

    pub(super) fn claim(&self, run: &RunKey) -> Claim {
        Claim {
            run: run.clone(),
            epoch: self.stored.view.epoch,
            stored: self.stored(),
            recorded_through: self.stored.view.last_seq,
            archived_through: self.archived.through,
            cancel_requested: self.cancel_requested,
        }
    }

    pub(super) fn hold(&mut self, owner: &InstanceId, lease: Duration) {
        self.owner = Some(owner.clone());
        self.lease_until = Timestamp::now().plus(lease).0;
        self.claimed = true;
    }

    pub(super) fn apply(&mut self, entry: &Arc<Entry>) {
        match &entry.body {
            Body::Terminal(_) => return,
            Body::Trace(_) => {}
            Body::Status(change) => {
                let view = &mut self.stored.view;
                view.status = change.run.status;
                view.started_at = change.run.started_at;
                view.finished_at = change.run.finished_at;
                view.failure.clone_from(&change.run.failure);
                view.progress = change.run.progress;
                if let Some(node) = &change.node {
                    let mut nodes = view.nodes.iter_mut().flatten();
                    if let Some(place) = nodes.find(|known| known.node_ref == node.node_ref) {
                        *place = node.clone();
                    }
                    match change.process {
                        Some(process) if node.status == NodeStatus::Running => {
                            self.processes.insert(node.node_ref.clone(), process);
                        }
                        None if node.status == NodeStatus::Running => {}
                        _ => drop(self.processes.remove(&node.node_ref)),
                    }
                }
            }
        }
        self.history.insert(entry.seq, entry.clone());
    }
}

/// The row of the owner of this epoch.
pub(super) fn owned<'a>(
    rows: &'a mut HashMap<RunKey, Row>,
    run: &RunKey,
    epoch: Epoch,
) -> Result<&'a mut Row, StoreError> {
    rows.get_mut(run).filter(|row| row.stored.view.epoch == epoch).ok_or(StoreError::Fenced(epoch))
}
