//! What a new owner finds in the log of a run, and what it writes to bring the run to an end.
//!
//! Restart, takeover from a dead instance, and the recovery from a fault of a run are this one
//! procedure: fence, read everything, append what is missing; nothing, if the end is there.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use crate::entry::{
    Body, ChunkKind, Level, ProcessEnd, ProcessIdentity, RunnerKind, StatusChange, TraceEvent,
    TraceKind,
};
use crate::flow::draft::{Draft, DraftChunk, DraftChunkKind};
use crate::flow::sequencer::Sequencer;
use crate::history::{History, HistoryError, Item};
use crate::ids::{NodeRef, Seq, StreamKey};
use crate::moment::{Moment, Timestamp};
use crate::ports::Claim;
use crate::roles::node::NodeOutcome;
use crate::run_view::{Failure, FailureKind, NodeStatus, NodeView, Progress, RunStatus, RunView};
use crate::verdict::{end_of, judge, verdict_of_nodes};

/// Bytes of history that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// What the log of a run says.
pub struct Survey {
    /// The last entry that exists.
    pub last: Seq,
    /// Bytes of memory cost of everything that exists.
    pub bytes: u64,
    /// The counters, ready to go on.
    pub sequencer: Sequencer,
    /// The run as of `last`, with its nodes.
    pub view: RunView,
    /// Processes of nodes that have not ended.
    pub processes: Vec<ProcessIdentity>,
    exits: HashMap<NodeRef, ProcessEnd>,
    runner_kinds: HashMap<StreamKey, RunnerKind>,
}

impl Survey {
    /// Reads everything there is of a claimed run.
    pub async fn of(
        claim: &Claim,
        history: &History,
        origin: Arc<str>,
    ) -> Result<Self, HistoryError> {
        let mut survey = Self {
            last: Seq::START,
            bytes: 0,
            sequencer: Sequencer::new(claim.epoch, origin),
            view: claim.stored.view.clone(),
            processes: Vec::new(),
            exits: HashMap::new(),
            runner_kinds: HashMap::new(),
        };
        let mut processes: HashMap<NodeRef, ProcessIdentity> = HashMap::new();
        loop {
            let stretch = history.read(&claim.run, survey.last, READ_BYTES).await?;
            if stretch.items.is_empty() {
                break;
            }
            for item in &stretch.items {
                let entry = match item {
                    Item::Entry(entry) => entry,
                    Item::Gap(gap) => {
                        metrics::counter!("runcast_gaps_total", "reason" => gap.reason)
                            .increment(1);
                        continue;
                    }
                };
                survey.bytes += entry.memory_cost() as u64;
                survey.sequencer.absorb(entry);
                survey.absorb(&entry.body, &mut processes);
            }
            survey.last = stretch.through;
        }
        survey.processes = processes.into_values().collect();
        Ok(survey)
    }

    /// True if the run's end is there.
    pub fn has_ended(&self) -> bool {
        self.view.status.is_terminal()
    }

    /// True if the run was claimed, but nothing of it was written.
    pub fn has_not_begun(&self) -> bool {
        self.last == Seq::START
    }

    fn absorb(&mut self, body: &Body, processes: &mut HashMap<NodeRef, ProcessIdentity>) {
        match body {
            Body::Status(change) => {
                let mut nodes = self.view.nodes.take().unwrap_or_default();
                if let Some(changed) = &change.node {
                    if let Some(node) =
                        nodes.iter_mut().find(|node| node.node_ref == changed.node_ref)
                    {
                        *node = changed.clone();
                    }
                    match change.process.filter(|_| !changed.status.is_terminal()) {
                        Some(identity) => processes.insert(changed.node_ref.clone(), identity),
                        None => processes.remove(&changed.node_ref),
                    };
                }
                self.view = change.run.clone();
                self.view.nodes = Some(nodes);
            }
            Body::Terminal(chunk) => {
                self.runner_kinds.insert(chunk.stream_key(), chunk.runner_kind);
                if let ChunkKind::Exit(exit) = &chunk.kind {
                    self.exits.insert(chunk.node_ref.clone(), exit.end);
                }
            }
            Body::Trace(_) => {}
        }
    }
}

/// The first entry of every epoch but the first.
pub fn taken_over(survey: &Survey) -> Draft {
    let mut event =
        trace(TraceKind::RunTakenOver, Level::Warn, "another owner goes on with the run");
    event.data = Some(json!({ "continuesSeq": survey.last }));
    Draft::trace(event)
}

/// What brings a run that its owner has left to its end: an `exit` for every open stream, the end of
/// every node, and the end of the run. `cause` is `LOST`, or `INTERNAL` after a fault of the service.
pub fn closing_entries(survey: &Survey, cause: FailureKind) -> Vec<Draft> {
    let mut drafts = vec![taken_over(survey)];
    for stream in survey.sequencer.open_streams() {
        drafts.push(lost_exit(survey, stream));
    }
    let mut run = survey.view.clone();
    let mut nodes = run.nodes.take().unwrap_or_default();
    let mut lost = None;
    for index in 0..nodes.len() {
        if nodes[index].status.is_terminal() {
            continue;
        }
        let event = end_node(&mut nodes[index], &survey.exits, cause);
        if nodes[index].failure.as_ref().is_some_and(|failure| failure.kind == cause) {
            lost.get_or_insert_with(|| nodes[index].failure.clone());
        }
        drafts.push(Draft::trace(event));
        run.progress = Progress::of(&nodes);
        let node = Some(nodes[index].clone());
        drafts.push(Draft::status(StatusChange { run: run.clone(), node, process: None }));
    }
    let (status, failure) = match lost {
        Some(failure) => (RunStatus::Failed, failure),
        None => verdict_of_nodes(&nodes),
    };
    let (kind, level) = end_of(status);
    let message = failure.as_ref().map_or("the run has completed", |failure| &failure.message);
    let mut event = trace(kind, level, message);
    event.error.clone_from(&failure);
    run.status = status;
    run.finished_at = Some(event.timestamp);
    run.failure = failure;
    run.progress = Progress::of(&nodes);
    drafts.push(Draft::trace(event));
    drafts.push(Draft::status(StatusChange { run, node: None, process: None }));
    drafts
}

fn end_node(
    node: &mut NodeView,
    exits: &HashMap<NodeRef, ProcessEnd>,
    cause: FailureKind,
) -> TraceEvent {
    let exit = exits.get(&node.node_ref).filter(|end| **end != ProcessEnd::Unknown);
    let (status, failure, end) = match (node.status, exit) {
        // Its end was written, only the word of it is missing.
        (NodeStatus::Running, Some(end)) => {
            judge(&NodeOutcome::Ended { end: *end, reason: None, output_summary: None })
        }
        (NodeStatus::Running, None) => {
            let failure = Failure { kind: cause, message: cause_message(cause).to_owned() };
            (NodeStatus::Failed, Some(failure), ProcessEnd::Unknown)
        }
        _ => {
            let failure =
                Failure { kind: cause, message: "it had not started when its run was lost".into() };
            (NodeStatus::Skipped, Some(failure), ProcessEnd::Unknown)
        }
    };
    let (kind, level) = match status {
        NodeStatus::Completed => (TraceKind::NodeCompleted, Level::Info),
        NodeStatus::Skipped => (TraceKind::NodeSkipped, Level::Warn),
        _ => (TraceKind::NodeFailed, Level::Error),
    };
    let message = failure.as_ref().map_or("it has completed", |failure| &failure.message);
    let mut event = trace(kind, level, message);
    event.node_ref = Some(node.node_ref.clone());
    event.error.clone_from(&failure);
    node.status = status;
    node.finished_at = Some(event.timestamp);
    node.exit_code = end.code();
    node.signal = end.signal();
    node.failure = failure;
    event
}

fn lost_exit(survey: &Survey, stream: StreamKey) -> Draft {
    let now = Moment::now();
    let runner_kind = survey.runner_kinds.get(&stream).copied().unwrap_or_default();
    let kind = DraftChunkKind::Exit { end: ProcessEnd::Unknown, complete: false, truncated: false };
    Draft::chunk(DraftChunk { stream, kind, at: now, node_started: now, runner_kind }, None)
}

fn cause_message(cause: FailureKind) -> &'static str {
    match cause {
        FailureKind::Internal => "a fault of the service ended it",
        _ => "the instance that ran it died",
    }
}

fn trace(kind: TraceKind, level: Level, message: &str) -> TraceEvent {
    TraceEvent::new(kind, level, message, Timestamp::now().whole_millis())
}
