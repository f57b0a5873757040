//! What starts nodes, with recorded sessions among them: the node of such a run is the terminal that waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::recording::TapEnd;
use crate::entry::ProcessIdentity;
use crate::ids::RunKey;
use crate::ports::{NodeCommand, Runner, StartError, Started};

/// A runner of nodes to which sessions are given.
pub struct RecordedTerminals {
    others: Arc<dyn Runner>,
    waiting: Mutex<HashMap<RunKey, TapEnd>>,
}

impl RecordedTerminals {
    /// All other nodes are started by `others`.
    pub fn new(others: Arc<dyn Runner>) -> Self {
        Self { others, waiting: Mutex::default() }
    }

    /// The node of this run will be this session. It is taken back when the answer is dropped.
    pub(crate) fn give(self: &Arc<Self>, run: RunKey, end: TapEnd) -> Given {
        self.waiting().insert(run.clone(), end);
        Given { terminals: self.clone(), run }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RunKey, TapEnd>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that waits for its run, or was taken by it.
pub(crate) struct Given {
    terminals: Arc<RecordedTerminals>,
    run: RunKey,
}

impl Drop for Given {
    fn drop(&mut self) {
        let taken_back = self.terminals.waiting().remove(&self.run);
        drop(taken_back);
    }
}

#[async_trait]
impl Runner for RecordedTerminals {
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError> {
        let waiting = self.waiting().remove(&command.run);
        match waiting {
            Some(end) => end.start().await,
            None if command.argv.is_empty() => {
                Err(StartError("the session of this run is gone".to_owned()))
            }
            None => self.others.start(command).await,
        }
    }

    fn takes_slot(&self, run: &RunKey) -> bool {
        !self.waiting().contains_key(run)
    }

    async fn kill_leftovers(&self, identity: ProcessIdentity) {
        self.others.kill_leftovers(identity).await;
    }

    async fn directories(&self) -> Vec<RunKey> {
        self.others.directories().await
    }

    async fn remove_directory(&self, run: &RunKey) {
        self.others.remove_directory(run).await;
    }
}
