//! What the outside asks of the owner of a run.

use async_trait::async_trait;

use crate::entry::TerminalSize;
use crate::ids::{NodeRef, RunKey};
use crate::ports::{Annotation, LogError, ObjectError, StoreError};
use crate::run_view::RunStatus;

/// Commands to the owner of a run, wherever it is.
#[async_trait]
pub trait RunControl: Send + Sync {
    /// A run was submitted: look for it now, not at the next poll.
    fn run_submitted(&self);

    /// Ends a run. Returns once the wish is noted.
    async fn cancel(&self, run: &RunKey) -> Result<(), ControlError>;

    /// Gives the terminal of a running node another size.
    async fn resize(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        size: TerminalSize,
    ) -> Result<(), ControlError>;

    /// Puts a marker into the stream of a running node (its first stream).
    async fn add_marker(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        label: String,
    ) -> Result<(), ControlError>;

    /// Metadata or links of a run were changed in the rows: its viewers are told, if it runs here.
    fn run_annotated(&self, run: &RunKey, annotation: Annotation);

    /// Forgets a finished run: log, recordings, rows, directory.
    async fn purge(&self, run: &RunKey) -> Result<(), ControlError>;
}

/// Why a command to a run was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// There is no such run.
    #[error("there is no such run")]
    UnknownRun,
    /// There is no such node.
    #[error("the run has no such node")]
    UnknownNode,
    /// It was purged.
    #[error("the run was purged")]
    Purged,
    /// The run has ended.
    #[error("the run has ended: {0:?}")]
    Finished(RunStatus),
    /// The run goes on, and what was asked needs its end.
    #[error("the run has not ended, or its recordings are not final")]
    StillRunning,
    /// The node does not run now.
    #[error("the node is not running")]
    NodeNotRunning,
    /// The node has no terminal.
    #[error("the node has no terminal")]
    NoTerminal,
    /// Too many commands wait for the node.
    #[error("too many commands wait for the node")]
    Busy,
    /// The service is stopping.
    #[error("the service is stopping")]
    Draining,
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log is away.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The archive is away.
    #[error(transparent)]
    Archive(#[from] ObjectError),
}
