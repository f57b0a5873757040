//! What a node shows of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use serde::Serialize;

use super::NodeContext;
use crate::entry::ProcessIdentity;
use crate::flow::capture_gate::Closed;
use crate::ids::NodeRef;
use crate::kernel::{Observed, Shown};

/// The entry of a node among all that runs, as long as one of its clones lives.
#[derive(Clone)]
pub struct ShownNode {
    figures: Arc<Figures>,
    observed: Arc<Observed>,
}

#[derive(Default)]
struct Figures {
    /// 0: it waits for its turn.
    attempt: AtomicU32,
    /// 0: none is known.
    pid: AtomicI32,
    output_bytes: AtomicU64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeState<'a> {
    node_ref: &'a NodeRef,
    attempt: u32,
    pid: Option<i32>,
    output_bytes: u64,
    /// Why its terminals are not read.
    waits: Option<Closed>,
}

impl ShownNode {
    /// Of a node that has not started.
    pub fn new(context: &NodeContext, node_ref: &NodeRef) -> Self {
        let observed = context.observers.observe("Node", context.run.to_string());
        let figures: Arc<Figures> = Arc::default();
        let (shown, gate, node_ref) = (figures.clone(), context.gate.clone(), node_ref.clone());
        observed.show(move || {
            let pid = shown.pid.load(Ordering::Relaxed);
            Shown::new(NodeState {
                node_ref: &node_ref,
                attempt: shown.attempt.load(Ordering::Relaxed),
                pid: (pid != 0).then_some(pid),
                output_bytes: shown.output_bytes.load(Ordering::Relaxed),
                waits: gate.closed(),
            })
        });
        Self { figures, observed: Arc::new(observed) }
    }

    /// This attempt runs as this process.
    pub(super) fn has_started(&self, attempt: u32, process: Option<ProcessIdentity>) {
        self.figures.attempt.store(attempt, Ordering::Relaxed);
        self.figures.pid.store(process.map_or(0, |process| process.pid), Ordering::Relaxed);
    }

    /// A chunk of its output was read.
    pub(super) fn has_read(&self, bytes: usize) {
        self.figures.output_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.observed.handled(1);
    }
}
