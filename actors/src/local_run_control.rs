//! Commands to runs, through the manager of this instance.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::entry::TerminalSize;
use crate::fail_point::fail_point;
use crate::ids::{NodeRef, RunKey};
use crate::messages::run_commands::{AddMarker, ResizeTerminal, RunAnnotated};
use crate::messages::run_control::{ControlError, RunControl};
use crate::ports::{Annotation, CancelRequest, ObjectKey, Purged};
use crate::roles::owner::Service;
use crate::roles::run::Run;
use crate::roles::run_manager::{CancelRun, GetRun, IsHeld, RunManager, RunSubmitted};

/// How long the purge of a run that has ended waits until its recordings are final.
const MAX_WAIT_FOR_ARCHIVE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Commands to runs, through the manager of this instance.
pub struct LocalRunControl {
    manager: Addr<RunManager>,
    service: Arc<Service>,
    draining: watch::Receiver<bool>,
}

impl LocalRunControl {
    /// Through this manager.
    pub fn new(
        manager: Addr<RunManager>,
        service: Arc<Service>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { manager, service, draining }
    }

    /// A run that has just ended is still being archived, which takes a moment.
    async fn wait_until_released(&self, run: &RunKey) -> Result<(), ControlError> {
        let deadline = Instant::now() + MAX_WAIT_FOR_ARCHIVE;
        loop {
            let held = self.manager.send(IsHeld(run.clone())).await.unwrap_or(true);
            let stored = self.service.store.find(run).await?.ok_or(ControlError::UnknownRun)?;
            if !held && stored.view.recordings.live == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(ControlError::StillRunning);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn run(&self, run: &RunKey) -> Result<Addr<Run>, ControlError> {
        let found = self.manager.send(GetRun(run.clone())).await;
        if let Ok(Some(address)) = found {
            return Ok(address);
        }
        let stored = self.service.store.find(run).await?.ok_or(ControlError::UnknownRun)?;
        if stored.purged {
            return Err(ControlError::Purged);
        }
        if stored.view.status.is_terminal() {
            return Err(ControlError::Finished(stored.view.status));
        }
        Err(if *self.draining.borrow() {
            ControlError::Draining
        } else {
            ControlError::NodeNotRunning
        })
    }
}

#[async_trait]
impl RunControl for LocalRunControl {
    fn run_submitted(&self) {
        // A manager whose mailbox is full looks anyway.
        let _ = self.manager.try_send(RunSubmitted);
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
        Ok(())
    }

    async fn resize(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        size: TerminalSize,
    ) -> Result<(), ControlError> {
        let address = self.run(run).await?;
        let resize = ResizeTerminal { node_ref: node_ref.clone(), size };
        address.send(resize).await.map_err(|_| ControlError::NodeNotRunning)?
    }

    async fn add_marker(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        label: String,
    ) -> Result<(), ControlError> {
        let address = self.run(run).await?;
        let marker = AddMarker { node_ref: node_ref.clone(), label };
        address.send(marker).await.map_err(|_| ControlError::NodeNotRunning)?
    }

    fn run_annotated(&self, run: &RunKey, annotation: Annotation) {
        self.service.history.live().annotate(run, &annotation);
        let (manager, run) = (self.manager.clone(), run.clone());
        tokio::spawn(async move {
            if let Ok(Some(address)) = manager.send(GetRun(run)).await {
                let _ = address.try_send(RunAnnotated(annotation));
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
        self.service.history.forget(run);
        match self.service.store.purge(run).await? {
            Purged::Unknown => Err(ControlError::UnknownRun),
            Purged::Running => Err(ControlError::StillRunning),
            Purged::Already => Err(ControlError::Purged),
            Purged::Done => Ok(()),
        }
    }
}
