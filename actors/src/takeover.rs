//! What a new owner finds of a run, and what it writes to bring the run to an end.
//!
//! Restart, takeover from a dead instance, and the recovery from a fault of a run are this one
//! procedure: fence, read what rows, archive and log know, append what is missing; nothing, if the end is
//! there.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use crate::cast::EncoderState;
use crate::entry::{
    Body, ChunkKind, Entry, Level, ProcessEnd, ProcessIdentity, RunnerKind, StatusChange,
    TraceEvent, TraceKind,
};
use crate::flow::draft::{Draft, DraftChunk, DraftChunkKind};
use crate::flow::sequencer::Sequencer;
use crate::ids::{NodeRef, Seq, StreamKey};
use crate::moment::{Moment, Timestamp};
use crate::ports::{Claim, LogError, RecordingStore, RunLog, RunStore, StoreError};
use crate::roles::node::NodeOutcome;
use crate::run_view::{Failure, FailureKind, NodeStatus, NodeView, Progress, RunStatus, RunView};
use crate::verdict::{end_of, judge, verdict_of_nodes};

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 1024 * 1024;
/// Rows that are read at once.
const ROWS_PER_READ: u32 = 500;

/// Why a run could not be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The log is away or damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database is away or damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SurveyError {
    /// True if asking again may help.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Log(LogError::Unavailable(_)) | Self::Store(StoreError::Unavailable(_))
        )
    }
}

/// What is known of a run.
pub struct Survey {
    /// The last entry that exists.
    pub last: Seq,
    /// Bytes of memory cost of what is not yet both recorded and archived.
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
    /// Reads what rows and archive know of a claimed run, and what the log has beyond. The log must be
    /// fenced.
    pub async fn of(
        claim: &Claim,
        log: &dyn RunLog,
        store: &dyn RunStore,
        recordings: &dyn RecordingStore,
        origin: Arc<str>,
    ) -> Result<Self, SurveyError> {
        let mut survey = Self {
            last: claim.recorded_through.max(claim.archived_through),
            bytes: 0,
            sequencer: Sequencer::new(claim.epoch, origin),
            view: claim.stored.view.clone(),
            processes: Vec::new(),
            exits: HashMap::new(),
            runner_kinds: HashMap::new(),
        };
        for (stream, state) in recordings.encoder_states(&claim.run).await? {
            survey.resume(stream, &state)?;
        }
        let mut processes: HashMap<NodeRef, ProcessIdentity> = HashMap::new();
        let mut cursor = Seq::START;
        loop {
            let rows = store.history(&claim.run, cursor, ROWS_PER_READ).await?;
            for row in &rows {
                survey.absorb(row, &mut processes);
                cursor = row.seq;
            }
            if rows.len() < ROWS_PER_READ as usize {
                break;
            }
        }
        let kept = claim.recorded_through.min(claim.archived_through);
        let mut cursor = kept;
        loop {
            let page = log.read(&claim.run, cursor, READ_BYTES).await?;
            let Some(last) = page.entries.last() else {
                // Entries that were there and that nobody can read any more.
                survey.last = survey.last.max(page.tail);
                break;
            };
            cursor = last.seq;
            for entry in &page.entries {
                survey.bytes += entry.memory_cost() as u64;
                let is_known = match entry.body {
                    Body::Terminal(_) => entry.seq <= claim.archived_through,
                    Body::Status(_) | Body::Trace(_) => entry.seq <= claim.recorded_through,
                };
                if !is_known {
                    survey.sequencer.absorb(entry);
                    survey.absorb(entry, &mut processes);
                }
            }
        }
        survey.last = survey.last.max(cursor);
        survey.processes = processes.into_values().collect();
        Ok(survey)
    }

    fn resume(&mut self, key: StreamKey, state: &str) -> Result<(), SurveyError> {
        let archived = EncoderState::from_json(state)
            .map_err(|error| StoreError::Broken(format!("encoder_state: {error}")))?;
        if let Some(exit) = archived.exit() {
            self.exits.insert(key.node_ref.clone(), exit.end);
        }
        self.runner_kinds.insert(key.clone(), archived.runner_kind().unwrap_or_default());
        self.sequencer.resume(key, &archived);
        Ok(())
    }

    /// True if the run's end is there.
    pub fn has_ended(&self) -> bool {
        self.view.status.is_terminal()
    }

    /// True if the run was claimed, but nothing of it was written.
    pub fn has_not_begun(&self) -> bool {
        self.last == Seq::START
    }

    fn absorb(&mut self, entry: &Entry, processes: &mut HashMap<NodeRef, ProcessIdentity>) {
        match &entry.body {
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
