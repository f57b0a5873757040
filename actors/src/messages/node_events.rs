//! What a node tells its run.

use actix::Message;

use crate::entry::{ProcessIdentity, RunnerKind};
use crate::ids::NodeRef;
use crate::roles::node::NodeOutcome;
use crate::run_view::TerminalView;

/// An attempt has started; answered when its start stands in the inbox of the run.
#[derive(Debug, Message)]
#[rtype(result = "()")]
#[expect(missing_docs, reason = "as in NodeView")]
pub struct NodeStarted {
    pub node_ref: NodeRef,
    pub attempt: u32,
    pub identity: Option<ProcessIdentity>,
    pub runner_kind: RunnerKind,
    pub terminal: TerminalView,
}

/// An attempt has failed and another one follows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
#[expect(missing_docs, reason = "as in NodeView")]
pub struct NodeRetrying {
    pub node_ref: NodeRef,
    pub attempt: u32,
    pub outcome: NodeOutcome,
}

/// The node has ended, its `exit` stands in the inbox of the run.
#[derive(Debug, Message)]
#[rtype(result = "()")]
#[expect(missing_docs, reason = "as in NodeView")]
pub struct NodeEnded {
    pub node_ref: NodeRef,
    pub outcome: NodeOutcome,
}
