//! What runs the command of a node.

use async_trait::async_trait;
use bytes::BytesMut;
use serde_json::{Map, Value};

use crate::entry::{ProcessEnd, ProcessIdentity, RunnerKind, TerminalSize};
use crate::ids::{NodeRef, RunKey, StreamName};
use crate::run_view::TerminalView;

/// Starts the process of a node.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Starts it. Must be called on the thread whose runtime will read the outputs.
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError>;

    /// True if the nodes of this run count among those that may run at once.
    fn takes_slot(&self, _: &RunKey) -> bool {
        true
    }

    /// Ends what is left of a process that a dead instance of this machine had started; nothing if its
    /// numbers belong to somebody else by now.
    async fn kill_leftovers(&self, identity: ProcessIdentity);

    /// The runs that have a directory here, in no order; not those that cannot be listed.
    async fn directories(&self) -> Vec<RunKey>;

    /// Forgets the directory of a run.
    async fn remove_directory(&self, run: &RunKey);
}

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct NodeCommand {
    /// Which run, for its directory.
    pub run: RunKey,
    /// Which node, for its directory.
    pub node_ref: NodeRef,
    /// Which try, from 1.
    pub attempt: u32,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables added to the allowed environment.
    pub env: std::collections::BTreeMap<String, String>,
    /// Where it runs: absolute, or below the run's directory.
    pub cwd: Option<String>,
    /// With or without a terminal, and its size.
    pub terminal: TerminalView,
    /// The JSON document for `RUNCAST_INPUTS`.
    pub inputs: Map<String, Value>,
}

/// A node that runs.
pub struct Started {
    /// Its process.
    pub process: Box<dyn NodeProcess>,
    /// Its outputs.
    pub outputs: Vec<(StreamName, Box<dyn Output>)>,
    /// What it writes to `RUNCAST_EVENTS`.
    pub events: Option<Box<dyn Output>>,
    /// Its process group, if it has one on this machine.
    pub identity: Option<ProcessIdentity>,
    /// What runs it.
    pub kind: RunnerKind,
}

/// Why a node could not be started.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// A process that was started. Dropping it kills what is left of its group.
#[async_trait(?Send)]
pub trait NodeProcess {
    /// Waits for its end. May be called again after it returned or was dropped.
    async fn wait(&mut self) -> ProcessEnd;

    /// Gives its terminal another size.
    fn resize(&mut self, size: TerminalSize) -> std::io::Result<()>;

    /// True if anything of its group still runs, the process itself not counted once it has ended.
    fn has_group(&mut self) -> bool;

    /// Asks its whole group to end: HUP and TERM.
    fn terminate(&mut self);

    /// Ends its whole group: KILL.
    fn kill(&mut self);
}

/// An output of a process that is read only when there is room for what it has.
#[async_trait(?Send)]
pub trait Output {
    /// Waits until `try_read` would have something to say.
    async fn readable(&mut self) -> std::io::Result<()>;

    /// Appends what is there, at most `limit` bytes. `Ok(None)`: nothing yet. `Ok(Some(0))`: the end.
    fn try_read(&mut self, buffer: &mut BytesMut, limit: usize) -> std::io::Result<Option<usize>>;
}
