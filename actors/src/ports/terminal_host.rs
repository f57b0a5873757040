//! What opens interactive terminals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{NodeProcess, Output, StartError};
use crate::entry::{ProcessIdentity, TerminalSize};

/// Opens terminals that people type into.
#[async_trait]
pub trait TerminalHost: Send + Sync {
    /// Opens one. Must be called on the thread whose runtime will read and write it.
    async fn open(&self, command: TerminalCommand) -> Result<OpenTerminal, StartError>;

    /// Where a process works now; none if it has ended or cannot be asked.
    fn directory_of(&self, identity: &ProcessIdentity) -> Option<PathBuf>;

    /// True if this program would be found by a terminal that is opened here.
    fn has_program(&self, program: &str) -> bool;

    /// The directory itself, without links and `..`, if there is one by this name.
    fn directory(&self, path: &Path) -> Option<PathBuf>;
}

/// What to open, and how.
#[derive(Debug, Clone)]
pub struct TerminalCommand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables added to the allowed environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts; none: the home of the service's user.
    pub directory: Option<PathBuf>,
    /// The size of the terminal.
    pub size: TerminalSize,
}

/// A terminal that is open.
pub struct OpenTerminal {
    /// Its first process.
    pub process: Box<dyn NodeProcess>,
    /// What is written to it.
    pub output: Box<dyn Output>,
    /// What is typed into it.
    pub input: Box<dyn Input>,
    /// Its process group.
    pub identity: ProcessIdentity,
    /// Where it started.
    pub directory: PathBuf,
}

/// Where typed bytes go. A terminal whose program does not read takes none.
#[async_trait(?Send)]
pub trait Input {
    /// Waits until `try_write` would take something.
    async fn writable(&mut self) -> std::io::Result<()>;

    /// Gives it bytes and says how many it took. `Ok(None)`: none for now.
    fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<Option<usize>>;
}
