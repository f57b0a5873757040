//! What a node and a run are in the end. Pure values: outcomes in, status and failure out.

use crate::entry::{Level, ProcessEnd, TraceKind};
use crate::roles::node::{EndReason, NodeOutcome};
use crate::run_view::{Failure, FailureKind, NodeStatus, NodeView, RunStatus};

/// What the trace says of the end of a run.
pub fn end_of(status: RunStatus) -> (TraceKind, Level) {
    match status {
        RunStatus::Completed => (TraceKind::RunCompleted, Level::Info),
        RunStatus::Cancelled => (TraceKind::RunCancelled, Level::Warn),
        RunStatus::TimedOut => (TraceKind::RunTimedOut, Level::Error),
        _ => (TraceKind::RunFailed, Level::Error),
    }
}

/// What a node is after it was ended from outside.
pub fn ended_by(reason: EndReason) -> (NodeStatus, Failure) {
    let (status, kind, message) = match reason {
        EndReason::Cancelled => (NodeStatus::Cancelled, FailureKind::Cancelled, "it was cancelled"),
        EndReason::NodeTimeout => {
            (NodeStatus::TimedOut, FailureKind::Timeout, "it took longer than it may")
        }
        EndReason::RunTimeout => {
            (NodeStatus::TimedOut, FailureKind::Timeout, "the run took longer than it may")
        }
        EndReason::Stopping => {
            (NodeStatus::Cancelled, FailureKind::Cancelled, "the service was stopped")
        }
    };
    (status, Failure { kind, message: message.to_owned() })
}

/// What a run is when all its nodes have ended and nobody remembers a reason to end it: a node that
/// was ended from outside tells that reason.
pub fn verdict_of_nodes(nodes: &[NodeView]) -> (RunStatus, Option<Failure>) {
    let mut ended_from_outside = nodes.iter().filter(|node| node.status == NodeStatus::Cancelled);
    if let Some(failure) = ended_from_outside.find_map(|node| node.failure.clone()) {
        let status = match failure.kind {
            FailureKind::Timeout => RunStatus::TimedOut,
            _ => RunStatus::Cancelled,
        };
        return (status, Some(failure));
    }
    let first = |wanted: &[NodeStatus]| {
        nodes.iter().filter(|node| wanted.contains(&node.status)).find_map(|node| {
            let failure = node.failure.as_ref()?;
            Some((node, failure))
        })
    };
    // Without a node that broke, one that was skipped was lost before it could start.
    let failed = first(&[NodeStatus::Failed, NodeStatus::TimedOut])
        .or_else(|| first(&[NodeStatus::Skipped]));
    match failed {
        None => (RunStatus::Completed, None),
        Some((node, failure)) => {
            let message = format!("`{}`: {}", node.node_ref, failure.message);
            (RunStatus::Failed, Some(Failure { kind: failure.kind, message }))
        }
    }
}

/// What a node is after its last attempt.
pub fn judge(outcome: &NodeOutcome) -> (NodeStatus, Option<Failure>, ProcessEnd) {
    let failed = |kind, message| (NodeStatus::Failed, Some(Failure { kind, message }));
    match outcome {
        NodeOutcome::NotStarted { message } => {
            let (status, failure) = failed(FailureKind::Spawn, message.clone());
            (status, failure, ProcessEnd::Unknown)
        }
        NodeOutcome::NeverStarted { reason } => {
            let failure = ended_by(*reason).1;
            (NodeStatus::Cancelled, Some(failure), ProcessEnd::Unknown)
        }
        NodeOutcome::Ended { end, reason: Some(reason), .. } => {
            let (status, failure) = ended_by(*reason);
            (status, Some(failure), *end)
        }
        NodeOutcome::Ended { end, reason: None, .. } => {
            let (status, failure) = match end {
                ProcessEnd::Code(0) => (NodeStatus::Completed, None),
                ProcessEnd::Code(code) => {
                    failed(FailureKind::ExitCode, format!("it returned the exit code {code}"))
                }
                ProcessEnd::Signal(signal) => {
                    failed(FailureKind::Signal, format!("signal {signal} ended it"))
                }
                ProcessEnd::Unknown => {
                    failed(FailureKind::Internal, "nobody knows how it ended".to_owned())
                }
            };
            (status, failure, *end)
        }
    }
}
