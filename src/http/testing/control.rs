//! A control that does as it is told, and tells of it.

use std::sync::Mutex;

use async_trait::async_trait;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::{NodeRef, RunKey};
use runcast_actors::messages::run_control::{ControlError, RunControl};
use runcast_actors::ports::Annotation;

use super::run_key;

/// Knows the run `known` of the default tenant and writes down what it is told.
#[derive(Default)]
pub(crate) struct FakeControl(pub(crate) Mutex<Vec<String>>);

impl FakeControl {
    fn note(&self, run: &RunKey, what: String) -> Result<(), ControlError> {
        if *run != run_key("known") {
            return Err(ControlError::UnknownRun);
        }
        self.0.lock().expect("not poisoned").push(what);
        Ok(())
    }
}

#[async_trait]
impl RunControl for FakeControl {
    fn run_submitted(&self) {
        self.0.lock().expect("not poisoned").push("submitted".into());
    }

    fn run_annotated(&self, run: &RunKey, annotation: Annotation) {
        let (run, links) = (&run.run, annotation.links.is_some());
        let what =
            format!("annotated {run} metadata={} links={links}", annotation.metadata.is_some());
        self.0.lock().expect("not poisoned").push(what);
    }

    async fn cancel(&self, run: &RunKey) -> Result<(), ControlError> {
        self.note(run, "cancel".into())
    }

    async fn resize(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        size: TerminalSize,
    ) -> Result<(), ControlError> {
        self.note(run, format!("resize {node_ref} {}x{}", size.cols, size.rows))
    }

    async fn add_marker(
        &self,
        run: &RunKey,
        node_ref: &NodeRef,
        label: String,
    ) -> Result<(), ControlError> {
        self.note(run, format!("marker {node_ref} {label}"))
    }

    async fn purge(&self, run: &RunKey) -> Result<(), ControlError> {
        self.note(run, "purge".into())
    }
}
