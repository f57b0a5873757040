//! The copy of the logs of runs that other instances follow.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Annotation, LogError, RunReader, Tail, Wake};
use crate::entry::{Entry, TerminalSize};
use crate::ids::{Epoch, NodeRef, RunKey, Seq, StreamKey};

/// A copy of the newest part of each run's log, written by the owner of the run, followed by all instances.
///
/// It may lose anything at any time: its writer finds out and fills it again with what is not recorded.
/// [`RunReader::read`] of a run that it does not hold gives an empty page with tail 0.
#[async_trait]
pub trait Replica: RunReader {
    /// From now on `epoch` is the only writer; a lower one than the replica has seen is `Fenced`. Returns
    /// where the copy ends and up to where it was trimmed; it need not tell the streams.
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError>;

    /// Appends in order; entries that are there are skipped. `Behind` with the tail if the copy ends before
    /// the batch begins, unless everything in between is recorded: then the copy goes on there, and its trim
    /// mark says so. `Behind` also if the copy has lost what it knew of the run, its fence too.
    async fn append(&self, run: &RunKey, epoch: Epoch, batch: ReplicaBatch)
    -> Result<(), LogError>;

    /// What it needs to hold an entry, in bytes.
    fn cost(&self, entry: &Entry) -> u64 {
        entry.memory_cost() as u64
    }

    /// Forgets everything up to and including `through`; works when the replica takes nothing more.
    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError>;

    /// Forgets the run after this time, unless something is appended before.
    async fn expire(&self, run: &RunKey, after: Duration) -> Result<(), LogError>;

    /// Forgets the run.
    async fn remove(&self, run: &RunKey) -> Result<(), LogError>;

    /// Keeps these screens in place of those of the same streams, and the others as they are; all are then as
    /// of the new entry. `Behind` unless the ones that are there are as of `after`; with `after` 0 these are all,
    /// and take the place of any. `Fenced` as in `append`.
    async fn put_screens(
        &self,
        run: &RunKey,
        epoch: Epoch,
        after: Seq,
        screens: ReplicaScreens,
    ) -> Result<(), LogError>;

    /// The screens that are there: none, as of entry 0, if there are none.
    async fn screens(&self, run: &RunKey) -> Result<ReplicaScreens, LogError>;

    /// Leaves a command for the owner of the run. It is forgotten after a minute if nobody takes it.
    async fn send(&self, run: &RunKey, command: OwnerCommand) -> Result<(), LogError>;

    /// The commands that are left for the owner, and those that come.
    fn commands(&self, run: &RunKey) -> Box<dyn CommandFeed>;

    /// Tells every instance that a run waits for an owner.
    async fn announce_queued(&self) -> Result<(), LogError>;

    /// Wakes when a run waits for an owner. It may miss some: look from time to time all the same.
    fn queued(&self) -> Wake;

    /// How it is, for health checks.
    fn health(&self) -> ReplicaHealth;
}

/// What a replicator appends at once.
#[derive(Debug, Clone, Default)]
pub struct ReplicaBatch {
    /// The entry before the first one of the batch.
    pub after: Seq,
    /// Everything up to here is recorded: archived, and in the rows.
    pub recorded: Seq,
    /// The entries, in order.
    pub entries: Vec<Arc<Entry>>,
}

/// Screens of a run as of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaScreens {
    /// Everything up to here is in them, of every stream that had begun by then.
    pub seq: Seq,
    /// Each as its owner encoded it, at most 1 MiB.
    pub streams: Vec<(StreamKey, Bytes)>,
}

/// What an instance asks of the owner of a run, which may be another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OwnerCommand {
    /// End the run; the wish is in the rows, this makes it quick.
    Cancel,
    /// Give the terminal of a running node another size.
    Resize {
        /// The node.
        node_ref: NodeRef,
        /// The new size.
        size: TerminalSize,
    },
    /// Put a marker into the first stream of a running node.
    AddMarker {
        /// The node.
        node_ref: NodeRef,
        /// What it says.
        label: String,
    },
    /// Metadata or links were changed in the rows: tell the viewers.
    Annotated(Annotation),
}

/// The commands for the owner of one run. Dropping it ends the interest in them.
#[async_trait]
pub trait CommandFeed: Send {
    /// The next command; waits until there is one, through outages. Each is given once. Cancel-safe.
    async fn next(&mut self) -> OwnerCommand;
}

/// How a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaHealth {
    /// It does what is asked.
    Up,
    /// It does what is asked, but its configuration may lose data; for people.
    Degraded(String),
    /// It cannot be used; for people.
    Down(String),
}
