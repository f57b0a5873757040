//! Runs in memory, for tests and for nothing else: everything of the port, nothing survives, and it can be
//! told to be away.

mod instances;
mod recordings;
mod row;
mod sessions;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::entry::{Entry, ProcessIdentity};
use crate::ids::{Epoch, InstanceId, NodeRef, RunKey, Seq};
use crate::moment::Timestamp;
use crate::ports::{
    Annotation, CancelRequest, Claim, Lease, Purged, RecordBatch, RunCursor, RunList, RunQuery,
    RunStore, Seen, StoreError, StoredRun, Submission, Submitted, TraceQuery,
};
use crate::run_view::{RunStatus, RunView};
use crate::submission::purged_spec;

use self::recordings::Archived;
use self::row::{Row, owned};

/// A [`RunStore`], a [`crate::ports::RecordingStore`], a [`crate::ports::InstanceStore`] and a
/// [`crate::ports::SessionStore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<HashMap<RunKey, Row>>,
    unavailable: AtomicBool,
    renewal: Mutex<Duration>,
    instances: Mutex<instances::Rows>,
    sessions: Mutex<sessions::Rows>,
}

impl MemoryStore {
    /// Without runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// While true, every call answers `Unavailable` and changes nothing.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// Renewals take this long from now on; those that are under way, as long as was said when they began.
    pub fn set_renewal(&self, takes: Duration) {
        *self.renewal.lock().unwrap_or_else(PoisonError::into_inner) = takes;
    }

    /// The process that the rows name for a node.
    pub fn process(&self, run: &RunKey, node_ref: &NodeRef) -> Option<ProcessIdentity> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(run)?.processes.get(node_ref).copied()
    }

    fn rows(&self) -> Result<MutexGuard<'_, HashMap<RunKey, Row>>, StoreError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to be away".into()));
        }
        Ok(self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn claim_queued(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut rows = self.rows()?;
        let is_queued = |row: &Row| row.status() == RunStatus::Queued && !row.claimed;
        let mut queued: Vec<_> =
            rows.iter_mut().filter(|(_, row)| is_queued(row) && wanted(row)).collect();
        queued.sort_by_key(|(run, row)| {
            (!row.cancel_requested, row.stored.view.created_at, run.run.clone())
        });
        queued.truncate(limit as usize);
        let held = queued.into_iter().map(|(run, row)| {
            row.hold(owner, lease);
            row.claim(run)
        });
        Ok(held.collect())
    }

    fn entries(
        &self,
        run: &RunKey,
        after: Seq,
        limit: u32,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = self.rows()?;
        let Some(row) = rows.get(run) else { return Ok(Vec::new()) };
        let later = row.history.range(after.next()..).map(|(_, entry)| entry.as_ref());
        Ok(later.filter(|entry| wanted(entry)).take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn submit(&self, submission: Submission) -> Result<Submitted, StoreError> {
        let mut rows = self.rows()?;
        let fingerprint = submission.fingerprint();
        if let Some(row) = rows.get(&submission.run) {
            return Ok(if row.stored.purged {
                Submitted::Gone
            } else if row.fingerprint == fingerprint {
                Submitted::Existing(Box::new(row.stored()))
            } else {
                Submitted::Conflict
            });
        }
        let view = submission.queued_view(Timestamp::now());
        let stored = StoredRun { view, spec: submission.spec, purged: false };
        let row = Row {
            stored: stored.clone(),
            fingerprint,
            owner: None,
            lease_until: 0,
            claimed: false,
            cancel_requested: false,
            history: BTreeMap::new(),
            processes: HashMap::new(),
            archived: Archived::default(),
        };
        rows.insert(submission.run, row);
        Ok(Submitted::Created(Box::new(stored)))
    }

    async fn submit_owned(
        &self,
        submission: Submission,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let run = submission.run.clone();
        if self.rows()?.contains_key(&run) {
            return Ok(None);
        }
        self.submit(submission).await?;
        let mut rows = self.rows()?;
        let row = rows.get_mut(&run).expect("it was submitted");
        row.hold(owner, lease);
        Ok(Some(row.claim(&run)))
    }

    async fn find(&self, run: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        Ok(self.rows()?.get(run).map(Row::stored))
    }

    async fn list(&self, query: &RunQuery) -> Result<RunList, StoreError> {
        let rows = self.rows()?;
        let mut runs: Vec<_> = rows
            .values()
            .filter(|row| !row.stored.purged)
            .map(|row| &row.stored.view)
            .filter(|view| view.tenant == query.tenant)
            .filter(|view| query.status.is_empty() || query.status.contains(&view.status))
            .filter(|view| query.workflow_id.is_none() || view.workflow_id == query.workflow_id)
            .filter(|view| query.run_id.as_ref().is_none_or(|run_id| view.run_id == *run_id))
            .filter(|view| {
                query.labels.iter().all(|(name, value)| view.labels.get(name) == Some(value))
            })
            .filter(|view| {
                query.cursor.as_ref().is_none_or(|cursor| {
                    (view.created_at, &view.run_id) < (cursor.created_at, &cursor.run_id)
                })
            })
            .collect();
        runs.sort_by(|left, right| {
            (right.created_at, &right.run_id).cmp(&(left.created_at, &left.run_id))
        });
        let limit = query.limit as usize;
        let more = runs.len() > limit;
        runs.truncate(limit);
        let next = runs
            .last()
            .filter(|_| more)
            .map(|view| RunCursor { created_at: view.created_at, run_id: view.run_id.clone() });
        let with_recordings = |view: &RunView| {
            let key = RunKey { tenant: view.tenant.clone(), run: view.run_id.clone() };
            let recordings = rows.get(&key).map(|row| row.archived.counts()).unwrap_or_default();
            RunView { recordings, ..view.without_nodes() }
        };
        Ok(RunList { runs: runs.into_iter().map(with_recordings).collect(), next })
    }

    async fn history(
        &self,
        run: &RunKey,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.entries(run, after, limit, |_| true)
    }

    async fn traces(&self, run: &RunKey, query: &TraceQuery) -> Result<Vec<Entry>, StoreError> {
        self.entries(run, query.after, query.limit, |entry| query.matches(entry))
    }

    async fn claim(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        self.claim_queued(owner, lease, limit, |_| true)
    }

    async fn claim_cancelled(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        self.claim_queued(owner, lease, limit, |row| row.cancel_requested)
    }

    async fn renew(
        &self,
        owner: &InstanceId,
        lease: Duration,
        runs: &[(RunKey, Epoch)],
    ) -> Result<Vec<RunKey>, StoreError> {
        let takes = *self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut rows = self.rows()?;
        let mut lost = Vec::new();
        for (run, epoch) in runs {
            match owned(&mut rows, run, *epoch) {
                Ok(row) if row.owner.as_ref() == Some(owner) => row.hold(owner, lease),
                _ => lost.push(run.clone()),
            }
        }
        Ok(lost)
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let rows = self.rows()?;
        let held = rows.iter().filter(|(_, row)| {
            let is_unfinished = !row.status().is_terminal() || row.archived.counts().live > 0;
            row.owner.is_some() || (row.claimed && is_unfinished)
        });
        Ok(held
            .map(|(run, row)| Lease {
                run: run.clone(),
                owner: row.owner.clone(),
                epoch: row.stored.view.epoch,
                lease_until: row.lease_until,
            })
            .collect())
    }

    async fn take_over(
        &self,
        run: &RunKey,
        seen: Seen,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run).filter(|row| !row.stored.purged) else {
            return Ok(None);
        };
        let (epoch, next) = (row.stored.view.epoch, seen.epoch.next());
        let is_as_seen =
            epoch == seen.epoch && seen.lease_until.is_none_or(|until| until == row.lease_until);
        if !is_as_seen && (epoch != next || row.owner.as_ref() != Some(owner)) {
            return Ok(None);
        }
        row.stored.view.epoch = next;
        row.hold(owner, lease);
        Ok(Some(row.claim(run)))
    }

    async fn release(&self, run: &RunKey, epoch: Epoch) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let row = owned(&mut rows, run, epoch)?;
        row.owner = None;
        row.lease_until = 0;
        Ok(())
    }

    async fn record(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: RecordBatch,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        let row = owned(&mut rows, run, epoch)?;
        if row.stored.purged {
            return Err(StoreError::Fenced(epoch));
        }
        let recorded = row.stored.view.last_seq;
        for entry in batch.entries.iter().filter(|entry| entry.seq > recorded) {
            row.apply(entry);
        }
        let last_entry = batch.entries.last().map_or(Seq::START, |entry| entry.seq);
        row.stored.view.last_seq = recorded.max(batch.through).max(last_entry);
        Ok(())
    }

    async fn request_cancel(&self, run: &RunKey) -> Result<CancelRequest, StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run) else { return Ok(CancelRequest::Unknown) };
        if row.status().is_terminal() {
            return Ok(CancelRequest::Finished(row.status()));
        }
        row.cancel_requested = true;
        Ok(CancelRequest::Noted(row.owner.clone()))
    }

    async fn cancel_requests(&self, owner: &InstanceId) -> Result<Vec<RunKey>, StoreError> {
        let rows = self.rows()?;
        let wanted = rows.iter().filter(|(_, row)| {
            row.cancel_requested && row.owner.as_ref() == Some(owner) && !row.status().is_terminal()
        });
        Ok(wanted.map(|(run, _)| run.clone()).collect())
    }

    async fn annotate(&self, run: &RunKey, annotation: Annotation) -> Result<bool, StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run).filter(|row| !row.stored.purged) else {
            return Ok(false);
        };
        if let Some(metadata) = annotation.metadata {
            row.stored.view.metadata = metadata;
        }
        if let Some(links) = annotation.links {
            row.stored.view.links = links;
        }
        Ok(true)
    }

    async fn purge(&self, run: &RunKey) -> Result<Purged, StoreError> {
        let mut rows = self.rows()?;
        let Some(row) = rows.get_mut(run) else { return Ok(Purged::Unknown) };
        if row.stored.purged {
            return Ok(Purged::Already);
        }
        let is_archived = row.archived.counts().live == 0;
        if !row.status().is_terminal() || row.owner.is_some() || !is_archived {
            return Ok(Purged::Running);
        }
        row.history.clear();
        row.archived = Archived::default();
        row.processes.clear();
        row.stored.purged = true;
        row.stored.spec = purged_spec();
        let view = &mut row.stored.view;
        view.nodes = Some(Vec::new());
        (view.workflow_id, view.name, view.failure) = (None, None, None);
        view.labels.clear();
        view.metadata.clear();
        view.links.clear();
        Ok(Purged::Done)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.rows().map(drop)
    }
}

#[cfg(test)]
mod tests;
