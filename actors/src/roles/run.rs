//! Owns: the graph of one run and what it says of itself and its nodes.
//! Takes: `NodeStarted`, `NodeRetrying`, `NodeEnded` from its nodes; `EndRun`, `ResizeTerminal`,
//! `AddMarker`, `RunAnnotated` from its manager.
//! Sends: `status` and `trace` entries to the inbox of the run; commands to its nodes.
//! Queue: its mailbox, at most three messages a node and the commands of the API.
//! Stops: when every node has ended and the run's last status stands in the inbox.
//! Restart: never; a fault of it is the end of its group, and a takeover writes the end.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::prelude::*;
use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::entry::{
    Level, ProcessEnd, ProcessIdentity, StatusChange, TerminalSize, TraceEvent, TraceKind,
};
use crate::flow::draft::Draft;
use crate::ids::NodeRef;
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::messages::node_events::{NodeEnded, NodeRetrying, NodeStarted};
use crate::messages::run_commands::{AddMarker, EndRun, ResizeTerminal, RunAnnotated};
use crate::messages::run_control::ControlError;
use crate::moment::Timestamp;
use crate::roles::node::{EndReason, Node, NodeContext, NodeControl, NodeOutcome, ShownNode};
use crate::run_spec::RunSpec;
use crate::run_view::{
    Failure, FailureKind, NodeStatus, NodeView, Progress, RunStatus, RunView, TerminalMode,
    TerminalView,
};
use crate::verdict::{end_of, ended_by, judge, verdict_of_nodes};

/// Entries that may wait for the log when something more is asked of the run.
const MAX_WAITING_ENTRIES: usize = 4096;
/// Commands that may wait for one node.
const COMMANDS_PER_NODE: usize = 16;

/// What a run shows of itself.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunState {
    status: Option<RunStatus>,
    #[serde(flatten)]
    progress: Progress,
}

/// The graph of one run.
pub struct Run {
    spec: RunSpec,
    view: RunView,
    nodes: Vec<NodeView>,
    place: HashMap<NodeRef, usize>,
    /// The places of what each node depends on.
    dependencies: Vec<Vec<usize>>,
    commands: HashMap<NodeRef, mpsc::Sender<NodeControl>>,
    context: NodeContext,
    ending: Option<EndReason>,
    ended: watch::Sender<bool>,
    child: ChildContext,
    shown: watch::Sender<RunState>,
    /// The nodes; dropped with the run, and what they hold with them.
    tasks: JoinSet<()>,
}

impl Run {
    /// A run that begins now. `ended` becomes true when its last entry stands in the inbox.
    pub fn new(
        spec: RunSpec,
        mut view: RunView,
        context: NodeContext,
        ending: Option<EndReason>,
        ended: watch::Sender<bool>,
        child: ChildContext,
    ) -> Self {
        let nodes = view.nodes.take().unwrap_or_default();
        let place: HashMap<NodeRef, usize> =
            nodes.iter().enumerate().map(|(index, node)| (node.node_ref.clone(), index)).collect();
        let dependencies =
            nodes.iter().map(|node| node.depends_on.iter().map(|of| place[of]).collect()).collect();
        Self {
            spec,
            view,
            nodes,
            place,
            dependencies,
            commands: HashMap::new(),
            context,
            ending,
            ended,
            child,
            shown: watch::Sender::default(),
            tasks: JoinSet::new(),
        }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        let queued_at = self.view.created_at;
        self.push_trace(TraceEvent::new(
            TraceKind::RunQueued,
            Level::Info,
            "the run was submitted",
            queued_at,
        ));
        let now = Timestamp::now().whole_millis();
        self.view.status = RunStatus::Running;
        self.view.started_at = Some(now);
        self.push_trace(TraceEvent::new(
            TraceKind::RunStarted,
            Level::Info,
            "the run has started",
            now,
        ));
        self.push_run_status();
        if let Some(secs) = self.spec.timeout_secs {
            ctx.run_later(Duration::from_secs(secs), |run, ctx| {
                run.end(EndReason::RunTimeout, ctx);
            });
        }
        if let Some(reason) = self.ending.take() {
            self.end(reason, ctx);
        }
        self.advance(ctx);
    }

    /// Starts what may start, skips what cannot any more, and ends the run when nothing is left.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for index in 0..self.nodes.len() {
                let Some(step) = self.next_step(index) else { continue };
                // What is skipped or left decides about others; what is started does not.
                changed |= !matches!(step, Step::Start);
                match step {
                    Step::Start => self.start_node(index, ctx),
                    Step::Skip(dependency) => self.skip_node(index, &dependency),
                    Step::Leave(reason) => self.leave_node(index, reason),
                }
            }
        }
        if self.nodes.iter().all(|node| node.status.is_terminal()) {
            self.finish(ctx);
        }
    }

    fn next_step(&self, index: usize) -> Option<Step> {
        let node = &self.nodes[index];
        if node.status != NodeStatus::Pending || self.commands.contains_key(&node.node_ref) {
            return None;
        }
        if let Some(reason) = self.ending {
            return Some(Step::Leave(reason));
        }
        let mut waits = false;
        for dependency in &self.dependencies[index] {
            let dependency = &self.nodes[*dependency];
            match dependency.status {
                NodeStatus::Completed => {}
                NodeStatus::Pending | NodeStatus::Running => waits = true,
                _ => return Some(Step::Skip(dependency.node_ref.clone())),
            }
        }
        (!waits).then_some(Step::Start)
    }

    fn start_node(&mut self, index: usize, ctx: &mut Context<Self>) {
        let spec = self.spec.nodes[index].clone();
        let (sender, commands) = mpsc::channel(COMMANDS_PER_NODE);
        self.commands.insert(spec.node_ref.clone(), sender);
        let node = Node {
            context: self.context.clone(),
            terminal: self.nodes[index].terminal,
            spec,
            commands,
            parent: ctx.address(),
            shown: ShownNode::new(&self.context, &self.nodes[index].node_ref),
        };
        let group = self.context.group.clone();
        // Tasks of their own: an actor polls all its futures whenever one of them wakes.
        self.tasks.spawn_local(async move {
            if let Err(panic) = AssertUnwindSafe(node.run()).catch_unwind().await {
                let message = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("no message");
                group.kill(ExitStatus::failed(format!("a node panicked: {message}")));
            }
        });
    }

    fn skip_node(&mut self, index: usize, dependency: &NodeRef) {
        let message = format!("`{dependency}`, on which it depends, did not complete");
        let failure = Failure { kind: FailureKind::Dependency, message };
        self.end_node(index, NodeStatus::Skipped, Some(failure), ProcessEnd::Unknown, None);
    }

    /// A node that will not start, because the run ends.
    fn leave_node(&mut self, index: usize, reason: EndReason) {
        let (status, failure) = ended_by(reason);
        let status = if status == NodeStatus::TimedOut { NodeStatus::Cancelled } else { status };
        self.end_node(index, status, Some(failure), ProcessEnd::Unknown, None);
    }

    fn end(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        if self.ending.is_some() || self.view.status.is_terminal() {
            return;
        }
        self.ending = Some(reason);
        for commands in self.commands.values() {
            // A node whose queue is full has sixteen older commands to obey; it is asked again.
            let _ = commands.try_send(NodeControl::End(reason));
        }
        ctx.run_interval(Duration::from_secs(1), move |run, _| {
            for commands in run.commands.values() {
                let _ = commands.try_send(NodeControl::End(reason));
            }
        });
        self.advance(ctx);
    }

    fn end_node(
        &mut self,
        index: usize,
        status: NodeStatus,
        failure: Option<Failure>,
        end: ProcessEnd,
        output_summary: Option<String>,
    ) {
        let now = Timestamp::now().whole_millis();
        let node = &mut self.nodes[index];
        node.status = status;
        node.finished_at = Some(now);
        node.exit_code = end.code();
        node.signal = end.signal();
        node.failure.clone_from(&failure);
        let node_ref = node.node_ref.clone();
        self.commands.remove(&node_ref);
        let (kind, level) = match status {
            NodeStatus::Completed => (TraceKind::NodeCompleted, Level::Info),
            NodeStatus::Skipped => (TraceKind::NodeSkipped, Level::Warn),
            NodeStatus::Cancelled => (TraceKind::NodeCancelled, Level::Warn),
            NodeStatus::TimedOut => (TraceKind::NodeTimedOut, Level::Error),
            _ => (TraceKind::NodeFailed, Level::Error),
        };
        let message = failure.as_ref().map_or_else(
            || format!("`{node_ref}` has completed"),
            |failure| failure.message.clone(),
        );
        let mut event = TraceEvent::new(kind, level, &message, now);
        event.node_ref = Some(node_ref);
        event.error = failure;
        event.output_summary = output_summary;
        self.push_trace(event);
        self.push_node_status(index, None);
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        if self.view.status.is_terminal() {
            return;
        }
        let (status, failure) = self.verdict();
        let now = Timestamp::now().whole_millis();
        self.view.status = status;
        self.view.finished_at = Some(now);
        self.view.failure.clone_from(&failure);
        let (kind, level) = end_of(status);
        let message = failure
            .as_ref()
            .map_or_else(|| "the run has completed".to_owned(), |failure| failure.message.clone());
        let mut event = TraceEvent::new(kind, level, &message, now);
        event.error = failure;
        self.push_trace(event);
        self.push_run_status();
        self.ended.send_replace(true);
        ctx.stop();
    }

    fn verdict(&self) -> (RunStatus, Option<Failure>) {
        if let Some(reason) = self.ending {
            let failure = ended_by(reason).1;
            let status = match reason {
                EndReason::RunTimeout => RunStatus::TimedOut,
                _ => RunStatus::Cancelled,
            };
            return (status, Some(failure));
        }
        verdict_of_nodes(&self.nodes)
    }

    fn push_run_status(&mut self) {
        self.push_status(None, None);
    }

    fn push_node_status(&mut self, index: usize, process: Option<ProcessIdentity>) {
        let node = self.nodes[index].clone();
        self.push_status(Some(node), process);
    }

    fn push_status(&mut self, node: Option<NodeView>, process: Option<ProcessIdentity>) {
        self.view.progress = Progress::of(&self.nodes);
        self.shown.send_modify(|shown| {
            shown.status = Some(self.view.status);
            shown.progress = self.view.progress;
        });
        let run = self.view.clone();
        self.context.inbox.push(Draft::status(StatusChange { run, node, process }));
    }

    fn push_trace(&self, event: TraceEvent) {
        self.context.inbox.push(Draft::trace(event));
    }

    fn running_node(&self, node_ref: &NodeRef) -> Result<&NodeView, ControlError> {
        let index = self.place.get(node_ref).ok_or(ControlError::UnknownNode)?;
        let node = &self.nodes[*index];
        if node.status == NodeStatus::Running {
            Ok(node)
        } else {
            Err(ControlError::NodeNotRunning)
        }
    }

    /// True unless the log is so slow that nothing more may be asked of the run.
    fn has_room(&self) -> bool {
        self.context.inbox.len() < MAX_WAITING_ENTRIES
    }

    fn command(&self, node_ref: &NodeRef, command: NodeControl) -> Result<(), ControlError> {
        if !self.has_room() {
            return Err(ControlError::Busy);
        }
        let commands = self.commands.get(node_ref).ok_or(ControlError::NodeNotRunning)?;
        commands.try_send(command).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => ControlError::Busy,
            mpsc::error::TrySendError::Closed(_) => ControlError::NodeNotRunning,
        })
    }
}

enum Step {
    Start,
    Skip(NodeRef),
    Leave(EndReason),
}

impl Actor for Run {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(256);
        let shown = self.shown.subscribe();
        self.child.observe(move || Shown::new(&*shown.borrow()));
        self.begin(ctx);
    }
}

impl Handler<NodeStarted> for Run {
    type Result = ();

    fn handle(&mut self, started: NodeStarted, _: &mut Context<Self>) {
        self.child.handled(1);
        let Some(index) = self.place.get(&started.node_ref).copied() else { return };
        let now = Timestamp::now().whole_millis();
        let node = &mut self.nodes[index];
        node.status = NodeStatus::Running;
        node.attempt = started.attempt;
        node.started_at = Some(now);
        node.finished_at = None;
        node.exit_code = None;
        node.signal = None;
        node.failure = None;
        node.runner_kind = started.runner_kind;
        node.terminal = started.terminal;
        node.streams = node.terminal.mode.streams().to_vec();
        let message = format!("`{}` has started", node.node_ref);
        let mut event = TraceEvent::new(TraceKind::NodeStarted, Level::Info, &message, now);
        event.node_ref = Some(started.node_ref);
        event.data = Some(json!({ "attempt": started.attempt }));
        self.push_trace(event);
        self.push_node_status(index, started.identity);
    }
}

impl Handler<NodeRetrying> for Run {
    type Result = ();

    fn handle(&mut self, retrying: NodeRetrying, _: &mut Context<Self>) {
        self.child.handled(1);
        let (_, failure, end) = judge(&retrying.outcome);
        let message = failure.as_ref().map_or("it failed", |failure| failure.message.as_str());
        let now = Timestamp::now().whole_millis();
        let next = retrying.attempt + 1;
        let message = format!("attempt {}: {message}; attempt {next} follows", retrying.attempt);
        let mut event = TraceEvent::new(TraceKind::NodeRetrying, Level::Warn, &message, now);
        event.node_ref = Some(retrying.node_ref);
        event.error = failure;
        event.data = Some(json!({
            "attempt": retrying.attempt, "exitCode": end.code(), "signal": end.signal(),
        }));
        if let NodeOutcome::Ended { output_summary, .. } = retrying.outcome {
            event.output_summary = output_summary;
        }
        self.push_trace(event);
    }
}

impl Handler<NodeEnded> for Run {
    type Result = ();

    fn handle(&mut self, ended: NodeEnded, ctx: &mut Context<Self>) {
        self.child.handled(1);
        let Some(index) = self.place.get(&ended.node_ref).copied() else { return };
        let (status, failure, end) = judge(&ended.outcome);
        let summary = match ended.outcome {
            NodeOutcome::Ended { output_summary, .. } => output_summary,
            _ => None,
        };
        self.end_node(index, status, failure, end, summary);
        self.advance(ctx);
    }
}

impl Handler<EndRun> for Run {
    type Result = ();

    fn handle(&mut self, EndRun(reason): EndRun, ctx: &mut Context<Self>) {
        self.child.handled(1);
        self.end(reason, ctx);
    }
}

impl Handler<ResizeTerminal> for Run {
    type Result = Result<(), ControlError>;

    fn handle(&mut self, resize: ResizeTerminal, _: &mut Context<Self>) -> Self::Result {
        self.child.handled(1);
        let node = self.running_node(&resize.node_ref)?;
        if node.terminal.mode == TerminalMode::Pipe {
            return Err(ControlError::NoTerminal);
        }
        let index = self.place[&resize.node_ref];
        self.command(&resize.node_ref, NodeControl::Resize(resize.size))?;
        let TerminalSize { cols, rows } = resize.size;
        let terminal = self.nodes[index].terminal;
        self.nodes[index].terminal = TerminalView { cols, rows, ..terminal };
        self.push_node_status(index, None);
        Ok(())
    }
}

impl Handler<AddMarker> for Run {
    type Result = Result<(), ControlError>;

    fn handle(&mut self, marker: AddMarker, _: &mut Context<Self>) -> Self::Result {
        self.child.handled(1);
        self.running_node(&marker.node_ref)?;
        self.command(&marker.node_ref, NodeControl::Marker(marker.label))
    }
}

impl Handler<RunAnnotated> for Run {
    type Result = ();

    fn handle(&mut self, RunAnnotated(annotation): RunAnnotated, _: &mut Context<Self>) {
        self.child.handled(1);
        if let Some(metadata) = annotation.metadata {
            self.view.metadata = metadata;
        }
        if let Some(links) = annotation.links {
            self.view.links = links;
        }
        // The rows have it; when the log is slow, the viewers see it with the next change.
        if self.has_room() {
            self.push_run_status();
        }
    }
}
