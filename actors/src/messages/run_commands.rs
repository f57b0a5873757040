//! What a run is told by its manager.

use actix::Message;

use crate::entry::TerminalSize;
use crate::ids::NodeRef;
use crate::messages::run_control::ControlError;
use crate::ports::Annotation;
use crate::roles::node::EndReason;

/// End the run.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct EndRun(pub EndReason);

/// Give a running node's terminal another size.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
#[expect(missing_docs, reason = "the names say it")]
pub struct ResizeTerminal {
    pub node_ref: NodeRef,
    pub size: TerminalSize,
}

/// Put a mark into a running node's stream.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
#[expect(missing_docs, reason = "the names say it")]
pub struct AddMarker {
    pub node_ref: NodeRef,
    pub label: String,
}

/// Metadata or links were changed in the rows; tell the viewers.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunAnnotated(pub Annotation);
