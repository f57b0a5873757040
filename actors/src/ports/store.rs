//! The rows of runs, nodes and traces.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::entry::{Body, Entry, Level, TraceKind};
use crate::ids::{Epoch, InstanceId, NodeRef, RunId, RunKey, Seq, TenantId};
use crate::moment::Timestamp;
use crate::run_spec::RunSpec;
use crate::run_view::{Link, RunStatus, RunView, TerminalView};

/// The rows of runs, nodes and traces, with the lease of each run.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Keeps a submitted run as QUEUED.
    async fn submit(&self, submission: Submission) -> Result<Submitted, StoreError>;

    /// Keeps a submitted run that `owner` has from the beginning: nobody else claims it. None: there is or was one
    /// of its id.
    async fn submit_owned(
        &self,
        submission: Submission,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError>;

    /// The run with its nodes as of its checkpoint.
    async fn find(&self, run: &RunKey) -> Result<Option<StoredRun>, StoreError>;

    /// Runs of a tenant, newest first, without nodes.
    async fn list(&self, query: &RunQuery) -> Result<RunList, StoreError>;

    /// Recorded `status` and `trace` entries after `after`, in order, at most `limit`.
    async fn history(&self, run: &RunKey, after: Seq, limit: u32)
    -> Result<Vec<Entry>, StoreError>;

    /// Recorded trace entries that match, in order, at most `limit`.
    async fn traces(&self, run: &RunKey, query: &TraceQuery) -> Result<Vec<Entry>, StoreError>;

    /// Takes up to `limit` queued runs for `owner`: those that somebody wants to end first, then the
    /// oldest. A run is handed to one owner only.
    async fn claim(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError>;

    /// As [`RunStore::claim`], but only queued runs that somebody wants to end: they need no room to run.
    async fn claim_cancelled(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Extends the leases of `owner` on these runs and tells which of them it does not hold any more.
    async fn renew(
        &self,
        owner: &InstanceId,
        lease: Duration,
        runs: &[(RunKey, Epoch)],
    ) -> Result<Vec<RunKey>, StoreError>;

    /// Every lease that was not given back, and every run that was given back before it had ended or while
    /// a recording of it was live.
    async fn leases(&self) -> Result<Vec<Lease>, StoreError>;

    /// Raises the epoch of a run by one for `owner`, if its lease still is as it was seen. The same again by the
    /// same owner gives the same claim, for one whose answer was lost. `Unavailable` also if somebody writes to
    /// the run for longer than a moment: then its owner may live.
    async fn take_over(
        &self,
        run: &RunKey,
        seen: Seen,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError>;

    /// Gives the lease back: everything of the run is recorded.
    async fn release(&self, run: &RunKey, epoch: Epoch) -> Result<(), StoreError>;

    /// Writes entries and moves the checkpoint, in one transaction. Entries at or below the checkpoint are skipped.
    async fn record(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: RecordBatch,
    ) -> Result<(), StoreError>;

    /// Notes that somebody wants the run to end. A queued run is cancelled by its next owner.
    async fn request_cancel(&self, run: &RunKey) -> Result<CancelRequest, StoreError>;

    /// Runs of `owner` for which a cancel was requested.
    async fn cancel_requests(&self, owner: &InstanceId) -> Result<Vec<RunKey>, StoreError>;

    /// Replaces metadata and links, where given.
    async fn annotate(&self, run: &RunKey, annotation: Annotation) -> Result<bool, StoreError>;

    /// Forgets everything of a finished run but its id.
    async fn purge(&self, run: &RunKey) -> Result<Purged, StoreError>;

    /// Asks the database anything, for health checks.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A run to be kept.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who and which; the id is the caller's or generated.
    pub run: RunKey,
    /// The valid document.
    pub spec: RunSpec,
    /// The terminal of nodes that do not say otherwise, from the configuration.
    pub default_terminal: TerminalView,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// It is new.
    Created(Box<StoredRun>),
    /// The same id came with the same document before.
    Existing(Box<StoredRun>),
    /// The same id came with another document before.
    Conflict,
    /// The id belonged to a run that was purged.
    Gone,
}

/// A run as its rows tell it.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// The run with its nodes; `last_seq` is the checkpoint of the rows.
    pub view: RunView,
    /// What was submitted.
    pub spec: RunSpec,
    /// Everything was purged; only the id is left.
    pub purged: bool,
}

/// Which runs to list.
#[derive(Debug, Clone)]
pub struct RunQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Only in one of these states, if any are given.
    pub status: Vec<RunStatus>,
    /// Only of this workflow.
    pub workflow_id: Option<String>,
    /// Only with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Only this run, if given (a token may be for one run).
    pub run_id: Option<RunId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
    /// Where the last page ended.
    pub cursor: Option<RunCursor>,
}

/// The place after a run in the list: when it was created, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCursor {
    /// Creation of the last run of the page.
    pub created_at: Timestamp,
    /// Its id.
    pub run_id: RunId,
}

/// A page of runs.
#[derive(Debug, Clone, Default)]
pub struct RunList {
    /// Newest first, without nodes.
    pub runs: Vec<RunView>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<RunCursor>,
}

/// Which trace entries to read.
#[derive(Debug, Clone, Default)]
pub struct TraceQuery {
    /// Only later ones.
    pub after: Seq,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
    /// Only these levels and above.
    pub min_level: Option<Level>,
    /// Only this type.
    pub kind: Option<TraceKind>,
    /// Only of this node.
    pub node_ref: Option<NodeRef>,
}

impl TraceQuery {
    /// True if the entry is a trace that is asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        let Body::Trace(trace) = &entry.body else { return false };
        entry.seq > self.after
            && self.min_level.is_none_or(|level| trace.level >= level)
            && self.kind.is_none_or(|kind| trace.kind == kind)
            && self
                .node_ref
                .as_ref()
                .is_none_or(|node_ref| trace.node_ref.as_ref() == Some(node_ref))
    }
}

/// A run that is now ours.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which.
    pub run: RunKey,
    /// Under this epoch.
    pub epoch: Epoch,
    /// Its rows at that moment.
    pub stored: StoredRun,
    /// Rows up to here were written.
    pub recorded_through: Seq,
    /// Chunks up to here were archived.
    pub archived_through: Seq,
    /// Somebody has asked for its end.
    pub cancel_requested: bool,
}

/// Who holds a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which run.
    pub run: RunKey,
    /// Who; none if it was given back too early.
    pub owner: Option<InstanceId>,
    /// Under which epoch.
    pub epoch: Epoch,
    /// Until when it was promised, in the holder's wall clock, microseconds since 1970. Only ever compared for equality.
    pub lease_until: i64,
}

/// What somebody who takes a run over has seen of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Under which epoch it was held.
    pub epoch: Epoch,
    /// Until when it was promised, if it must not have been renewed since.
    pub lease_until: Option<i64>,
}

impl From<Epoch> for Seen {
    fn from(epoch: Epoch) -> Self {
        Self { epoch, lease_until: None }
    }
}

impl From<&Lease> for Seen {
    fn from(lease: &Lease) -> Self {
        Self { epoch: lease.epoch, lease_until: Some(lease.lease_until) }
    }
}

/// What the recorder writes at once.
#[derive(Debug, Clone, Default)]
pub struct RecordBatch {
    /// `status` and `trace` entries, in order.
    pub entries: Vec<Arc<Entry>>,
    /// The new checkpoint: everything up to here has been seen, terminal entries too.
    pub through: Seq,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelRequest {
    /// It was noted; this instance holds the run, if anyone does.
    Noted(Option<InstanceId>),
    /// The run had ended before.
    Finished(RunStatus),
    /// There is no such run.
    Unknown,
}

/// New metadata and links of a run; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// Replaces the metadata.
    pub metadata: Option<Map<String, Value>>,
    /// Replaces the links.
    pub links: Option<Vec<Link>>,
}

impl Annotation {
    /// Takes what a later one replaces.
    pub fn replace_with(&mut self, later: Self) {
        self.metadata = later.metadata.or(self.metadata.take());
        self.links = later.links.or(self.links.take());
    }
}

/// What became of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// Everything but the id is gone.
    Done,
    /// It was gone before.
    Already,
    /// It has not ended, or its end is not recorded.
    Running,
    /// There is no such run.
    Unknown,
}

/// Why the database did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another owner writes now.
    #[error("epoch {0} of the run is fenced")]
    Fenced(Epoch),
    /// The database cannot be used at this moment; the same call may work later.
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// A row that should not be possible, or a query that the database refuses.
    #[error("the database is damaged or does not fit this version: {0}")]
    Broken(String),
}
