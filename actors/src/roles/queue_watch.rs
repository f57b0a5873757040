//! Owns: the ear for runs that were submitted to other instances.
//! Takes: nothing; it waits for the replica to tell.
//! Sends: `RunSubmitted` to the manager.
//! Queue: none; what comes meanwhile is one look more.
//! Stops: with the service.
//! Restart: yes; the manager also looks from time to time by itself.

use std::sync::Arc;

use actix::Addr;

use crate::kernel::{ChildContext, ExitStatus};
use crate::ports::Replica;
use crate::roles::run_manager::{RunManager, RunSubmitted};

/// Makes the manager look for queued runs at once.
pub struct QueueWatch {
    /// Who tells.
    pub replica: Arc<dyn Replica>,
    /// Who looks.
    pub manager: Addr<RunManager>,
}

impl QueueWatch {
    /// One incarnation.
    pub async fn watch(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let mut queued = self.replica.queued();
        loop {
            queued.changed().await;
            child.handled(1);
            if self.manager.send(RunSubmitted).await.is_err() {
                return ExitStatus::DownstreamClosed;
            }
        }
    }
}
