//! A tree of switches that end what hangs below them.
//!
//! Killing a switch kills everything below it and nothing above it. A switch knows its parent and not
//! its children, so a dropped child leaves nothing behind.

use std::future::Future;
use std::iter::successors;
use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::watch;

use super::ExitStatus;

/// A switch that, once off, stays off, with the reason. Clones are the same switch.
#[derive(Debug, Clone)]
pub struct KillSwitch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parent: Option<KillSwitch>,
    status: watch::Sender<Option<ExitStatus>>,
}

impl Default for KillSwitch {
    fn default() -> Self {
        Self::new()
    }
}

impl KillSwitch {
    /// The root of a tree.
    pub fn new() -> Self {
        Self::below(None)
    }

    /// A switch that dies with this one, and not the other way round.
    pub fn child(&self) -> Self {
        Self::below(Some(self.clone()))
    }

    fn below(parent: Option<Self>) -> Self {
        Self(Arc::new(Inner { parent, status: watch::Sender::new(None) }))
    }

    /// Kills this switch and all below it. The first fault is kept: it replaces a reason that is none,
    /// and nothing replaces it.
    pub fn kill(&self, status: ExitStatus) {
        self.0.status.send_if_modified(|kept| {
            let replaces = match kept {
                None => true,
                Some(kept) => status.is_fault() && !kept.is_fault(),
            };
            if replaces {
                *kept = Some(status);
            }
            replaces
        });
    }

    /// Whether it or one above it was killed.
    pub fn is_dead(&self) -> bool {
        self.chain().any(|switch| switch.0.status.borrow().is_some())
    }

    /// Why it is dead: the nearest fault on the way up, else the nearest other reason; `None` while alive.
    pub fn status(&self) -> Option<ExitStatus> {
        let mut nearest = None;
        for switch in self.chain() {
            let status = switch.0.status.borrow().clone();
            if status.as_ref().is_some_and(ExitStatus::is_fault) {
                return status;
            }
            nearest = nearest.or(status);
        }
        nearest
    }

    /// Waits until it is dead; at once if it is. Needs no borrow of the switch, so it can be spawned.
    pub fn dead(&self) -> impl Future<Output = ExitStatus> + Send + use<> {
        let switch = self.clone();
        async move {
            // The senders live as long as `switch`, so each wait ends with a reason and not an error.
            let waits = switch.chain().map(|above| {
                let mut status = above.0.status.subscribe();
                Box::pin(async move { status.wait_for(Option::is_some).await.is_ok() })
            });
            select_all(waits).await;
            switch.status().unwrap_or(ExitStatus::Killed)
        }
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |switch| switch.0.parent.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn death_goes_down_and_not_up() {
        let root = KillSwitch::new();
        let run = root.child();
        let node = run.child();
        let other = root.child();

        run.kill(ExitStatus::Stopped);
        assert_eq!(node.status(), Some(ExitStatus::Stopped));
        assert!(node.is_dead() && run.is_dead());
        assert!(!root.is_dead() && !other.is_dead());
    }

    #[test]
    fn the_first_fault_is_kept() {
        let switch = KillSwitch::new();
        switch.kill(ExitStatus::Stopped);
        switch.kill(ExitStatus::failed("first"));
        switch.kill(ExitStatus::failed("second"));
        switch.kill(ExitStatus::Killed);
        assert_eq!(switch.status(), Some(ExitStatus::failed("first")));
    }

    #[test]
    fn a_fault_above_outweighs_a_stop_below() {
        let root = KillSwitch::new();
        let child = root.child();
        child.kill(ExitStatus::Stopped);
        root.kill(ExitStatus::failed("disk"));
        assert_eq!(child.status(), Some(ExitStatus::failed("disk")));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_reason() {
        let root = KillSwitch::new();
        let grandchild = root.child().child();
        let waiting = tokio::spawn(grandchild.dead());
        assert_eq!(grandchild.dead().now_or_never(), None);

        root.kill(ExitStatus::Stopped);
        assert_eq!(waiting.await.ok(), Some(ExitStatus::Stopped));
        assert_eq!(grandchild.dead().now_or_never(), Some(ExitStatus::Stopped));
    }

    #[test]
    fn dropped_children_leave_nothing_behind() {
        let root = KillSwitch::new();
        for _ in 0..100 {
            drop(root.child());
        }
        assert_eq!(Arc::strong_count(&root.0), 1);
        assert_eq!(Arc::weak_count(&root.0), 0);
    }
}
