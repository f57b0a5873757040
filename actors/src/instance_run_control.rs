//! Commands to runs: through the manager of this instance, or left for the owner of the run.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::entry::TerminalSize;
use crate::fail_point::fail_point;
use crate::ids::{NodeRef, RunKey};
use crate::messages::run_commands::{AddMarker, ResizeTerminal};
use crate::messages::run_control::{ControlError, RunControl};
use crate::ports::{
    Annotation, CancelRequest, ObjectKey, OwnerCommand, Purged, Replica, StoredRun,
};
use crate::roles::owner::Service;
use crate::roles::run::Run;
use crate::roles::run_manager::{AnnotateRun, CancelRun, GetRun, IsHeld, RunManager, RunSubmitted};
use crate::run_view::{NodeStatus, NodeView, RunStatus, RunView, TerminalMode};

/// How long the purge of a run that has ended waits until its recordings are final.
const MAX_WAIT_FOR_ARCHIVE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Commands to runs, wherever their owner is.
pub struct InstanceRunControl {
    manager: Addr<RunManager>,
    service: Arc<Service>,
    draining: watch::Receiver<bool>,
}

impl InstanceRunControl {
    /// Through this manager.
    pub fn new(
        manager: Addr<RunManager>,
        service: Arc<Service>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { manager, service, draining }
    }

    /// A run that has just ended is still being archived, here or by another instance, which takes a moment.
    /// Its owner may not have written the first row of a recording yet.
    async fn wait_until_released(&self, run: &RunKey) -> Result<(), ControlError> {
        let deadline = Instant::now() + MAX_WAIT_FOR_ARCHIVE;
        loop {
            let held = self.manager.send(IsHeld(run.clone())).await.unwrap_or(true);
            let stored = self.service.store.find(run).await?.ok_or(ControlError::UnknownRun)?;
            if !held
                && stored.view.recordings.live == 0
                && self.service.store.leases().await?.iter().all(|lease| lease.run != *run)
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(ControlError::StillRunning);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn owner(&self, run: &RunKey) -> Result<RunOwner, ControlError> {
        let found = self.manager.send(GetRun(run.clone())).await;
        if let Ok(Some(address)) = found {
            return Ok(RunOwner::Here(address));
        }
        let stored = self.stored(run).await?.ok_or(ControlError::UnknownRun)?;
        if stored.purged {
            return Err(ControlError::Purged);
        }
        if stored.view.status.is_terminal() {
            return Err(ControlError::Finished(stored.view.status));
        }
        match self.replica() {
            Some(replica) if stored.view.status == RunStatus::Running => {
                Ok(RunOwner::There(replica.clone(), Box::new(stored.view)))
            }
            _ if *self.draining.borrow() => Err(ControlError::Draining),
            _ => Err(ControlError::NodeNotRunning),
        }
    }

    /// The run as its log tells it, which the rows follow.
    async fn stored(&self, run: &RunKey) -> Result<Option<StoredRun>, ControlError> {
        match self.service.history.run(run).await {
            Ok(stored) => Ok(stored),
            Err(_) => Ok(self.service.store.find(run).await?),
        }
    }

    fn replica(&self) -> Option<&Arc<dyn Replica>> {
        self.service.replication.as_ref().map(|replication| &replication.replica)
    }
}

/// Where the actor of a run is.
enum RunOwner {
    Here(Addr<Run>),
    There(Arc<dyn Replica>, Box<RunView>),
}

/// What the actor of a run would answer, as far as others can see.
fn running<'a>(view: &'a RunView, node_ref: &NodeRef) -> Result<&'a NodeView, ControlError> {
    let mut nodes = view.nodes.iter().flatten();
    let node = nodes.find(|node| node.node_ref == *node_ref).ok_or(ControlError::UnknownNode)?;
    match node.status {
        NodeStatus::Running => Ok(node),
        _ => Err(ControlError::NodeNotRunning),
    }
}

#[async_trait]
impl RunControl for InstanceRunControl {
    fn run_submitted(&self) {
        // A manager whose mailbox is full looks anyway.
        let _ = self.manager.try_send(RunSubmitted);
        if let Some(replica) = self.replica().cloned() {
            // Others look from time to time all the same.
            tokio::spawn(async move { replica.announce_queued().await });
        }
    }

    async fn cancel(&self, run: &RunKey) -> Result<(), ControlError> {
        // The rows follow the log, so the log knows of an end first.
        if let Ok(Some(known)) = self.service.history.run(run).await
            && known.view.status.is_terminal()
            && !known.purged
        {
            return Err(ControlError::Finished(known.view.status));
        }
        match self.service.store.request_cancel(run).await? {
            CancelRequest::Unknown => return Err(ControlError::UnknownRun),
            CancelRequest::Finished(status) => {
                let stored = self.service.store.find(run).await?;
                let purged = stored.is_some_and(|stored| stored.purged);
                return Err(if purged {
                    ControlError::Purged
                } else {
                    ControlError::Finished(status)
                });
            }
            CancelRequest::Noted(_) => {}
        }
        // The wish is in the rows; this only makes it quick.
        let _ = self.manager.send(CancelRun(run.clone())).await;
        let elsewhere = self.replica().filter(|_| !self.service.history.live().contains(run));
        if let Some(replica) = elsewhere {
            let _ = replica.send(run, OwnerCommand::Cancel).await;
        }
        Ok(())
    }

    async fn resize(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        size: TerminalSize,
    ) -> Result<(), ControlError> {
        let node_ref = node_ref.clone();
        match self.owner(run).await? {
            RunOwner::Here(address) => {
                let resize = ResizeTerminal { node_ref, size };
                address.send(resize).await.map_err(|_| ControlError::NodeNotRunning)?
            }
            RunOwner::There(replica, view) => {
                if running(&view, &node_ref)?.terminal.mode != TerminalMode::Pty {
                    return Err(ControlError::NoTerminal);
                }
                Ok(replica.send(run, OwnerCommand::Resize { node_ref, size }).await?)
            }
        }
    }

    async fn add_marker(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        label: String,
    ) -> Result<(), ControlError> {
        let node_ref = node_ref.clone();
        match self.owner(run).await? {
            RunOwner::Here(address) => {
                let marker = AddMarker { node_ref, label };
                address.send(marker).await.map_err(|_| ControlError::NodeNotRunning)?
            }
            RunOwner::There(replica, view) => {
                running(&view, &node_ref)?;
                Ok(replica.send(run, OwnerCommand::AddMarker { node_ref, label }).await?)
            }
        }
    }

    fn run_annotated(&self, run: &RunKey, annotation: Annotation) {
        self.service.history.live().annotate(run, &annotation);
        let (manager, run) = (self.manager.clone(), run.clone());
        let replica = self.replica().cloned();
        tokio::spawn(async move {
            let told = AnnotateRun(run.clone(), annotation.clone());
            let is_here = manager.send(told).await.unwrap_or(false);
            if let Some(replica) = replica.filter(|_| !is_here) {
                // Its viewers see the rows at their next visit, if this does not reach its owner.
                let _ = replica.send(&run, OwnerCommand::Annotated(annotation)).await;
            }
        });
    }

    async fn purge(&self, run: &RunKey) -> Result<(), ControlError> {
        let stored = self.service.store.find(run).await?.ok_or(ControlError::UnknownRun)?;
        if stored.purged {
            return Err(ControlError::Purged);
        }
        if !stored.view.status.is_terminal() {
            return Err(ControlError::StillRunning);
        }
        self.wait_until_released(run).await?;
        // The rows go last: if this is cut off, the run is still listed and can be purged again. That its
        // recordings go is noted first: who reads them at this moment is told so, not that they are lost.
        self.service.runner.remove_directory(run).await;
        let archive = self.service.history.archive();
        archive.recordings().expire(run).await?;
        self.service.history.forget(run);
        let objects = archive.objects();
        objects.remove_all(&ObjectKey::run_prefix(run)).await?;
        fail_point("purge.objects_removed");
        self.service.log.remove(run).await?;
        if let Some(replica) = self.replica() {
            replica.remove(run).await?;
        }
        self.service.history.forget(run);
        match self.service.store.purge(run).await? {
            Purged::Unknown => Err(ControlError::UnknownRun),
            Purged::Running => Err(ControlError::StillRunning),
            Purged::Already => Err(ControlError::Purged),
            Purged::Done => Ok(()),
        }
    }
}
