//! Owns: the ear of a run for what other instances ask of it.
//! Takes: commands that were left in the replica for the owner of the run.
//! Sends: the same to the actor of the run.
//! Queue: in the replica, where a command that nobody takes is forgotten after a minute.
//! Stops: with the group of the run.
//! Restart: yes; a command that was taken and not yet handed on is lost, as one to a run that ends is.

use std::sync::Arc;

use actix::Addr;
use tokio::sync::watch;

use crate::ids::RunKey;
use crate::kernel::{ChildContext, ExitStatus};
use crate::live_runs::LiveRuns;
use crate::messages::run_commands::{AddMarker, EndRun, ResizeTerminal, RunAnnotated};
use crate::ports::{OwnerCommand, Replica};
use crate::roles::node::EndReason;
use crate::roles::owner::RunActor;
use crate::roles::run::Run;

/// Hands on what other instances ask of one run.
pub struct Commander {
    /// Which run.
    pub run: RunKey,
    /// Where commands are left.
    pub replica: Arc<dyn Replica>,
    /// Where metadata and links are shown.
    pub live: LiveRuns,
    /// The actor of the run.
    pub actor: watch::Receiver<RunActor>,
}

impl Commander {
    /// One incarnation.
    pub async fn obey(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let mut feed = self.replica.commands(&self.run);
        let mut actor = self.actor.clone();
        loop {
            let command = feed.next().await;
            child.handled(1);
            if let OwnerCommand::Annotated(annotation) = &command {
                self.live.annotate(&self.run, annotation);
            }
            // Between its claim and its first entry a run has no actor yet.
            let found = actor.wait_for(RunActor::is_settled).await.map(|found| found.address());
            let Ok(address) = found else { return ExitStatus::Finished };
            // A run that is ending obeys nobody; its metadata are shown all the same.
            if let Some(address) = address {
                hand_on(&address, command);
            }
        }
    }
}

fn hand_on(actor: &Addr<Run>, command: OwnerCommand) {
    // Who asked has its answer: that the wish is noted. A run whose mailbox is full is ending or overwhelmed.
    let handed = match command {
        OwnerCommand::Cancel => actor.try_send(EndRun(EndReason::Cancelled)).is_ok(),
        OwnerCommand::Resize { node_ref, size } => {
            actor.try_send(ResizeTerminal { node_ref, size }).is_ok()
        }
        OwnerCommand::AddMarker { node_ref, label } => {
            actor.try_send(AddMarker { node_ref, label }).is_ok()
        }
        OwnerCommand::Annotated(annotation) => actor.try_send(RunAnnotated(annotation)).is_ok(),
    };
    if !handed {
        tracing::warn!("the run took no command of another instance");
    }
}
