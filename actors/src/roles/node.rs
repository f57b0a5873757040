//! Owns: one node of a run: its process with its terminal, over all its attempts.
//! Takes: [`NodeControl`] (resize, marker, end).
//! Sends: chunks and pauses to the run's inbox; `NodeStarted`, `NodeRetrying`, `NodeEnded` to the `Run`.
//! Queue: 16 commands; a command that finds it full is refused to its sender.
//! Stops: when the process has ended and its output is read, or was ended and is left.
//! Restart: never; if it goes, dropping the process kills its group.

mod shown;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::capture::pauses::PauseTeller;
use crate::capture::program_events::{ProgramEvent, ProgramEvents, Told, next_events};
use crate::capture::{CaptureContext, Phase, capture};
use crate::entry::{Level, ProcessEnd, RunnerKind, TerminalSize, TraceEvent, TraceKind};
use crate::flow::capture_gate::CaptureGate;
use crate::flow::draft::{Draft, DraftChunk, DraftChunkKind};
use crate::flow::inbox::Inbox;
use crate::flow::permits::{BytePermit, CaptureBudget, NodeBudget};
use crate::ids::{RunKey, StreamKey, StreamName};
use crate::kernel::{KillSwitch, Observers};
use crate::messages::node_events::{NodeEnded, NodeRetrying, NodeStarted};
use crate::moment::{Moment, Timestamp};
use crate::ports::{NodeCommand, NodeProcess, Runner, Started};
use crate::roles::run::Run;
use crate::run_spec::NodeSpec;
use crate::run_view::{TerminalMode, TerminalView};
use crate::screen::TailSummary;
use crate::screen::tail_lines::SUMMARY_LINES;

pub use self::shown::ShownNode;

/// What every node of a run shares.
#[derive(Clone)]
pub struct NodeContext {
    /// The run.
    pub run: RunKey,
    /// Where entries go.
    pub inbox: Arc<Inbox>,
    /// Whether terminals may be read.
    pub gate: CaptureGate,
    /// The room of the process.
    pub budget: CaptureBudget,
    /// What starts processes.
    pub runner: Arc<dyn Runner>,
    /// So many nodes run at once in the whole service.
    pub slots: Arc<Semaphore>,
    /// Sizes and times.
    pub settings: CaptureSettings,
    /// The document for `RUNCAST_INPUTS`.
    pub inputs: Arc<Map<String, Value>>,
    /// The group of the run.
    pub group: KillSwitch,
    /// Where nodes are shown.
    pub observers: Observers,
    /// True once the beginning of the run stands in the log: what has not begun may be begun again after
    /// a crash, so no process starts before.
    pub has_begun: watch::Receiver<bool>,
}

/// Sizes and times of the capture.
#[derive(Debug, Clone, Copy)]
pub struct CaptureSettings {
    /// Bytes of a node that are read and not acknowledged, at most.
    pub in_flight_bytes: usize,
    /// Bytes of a chunk, at most.
    pub max_chunk_bytes: usize,
    /// How long gathered bytes wait, at most.
    pub flush_after: Duration,
    /// How long silence after the end of a process lasts until its output counts as ended.
    pub drain: Duration,
    /// How long a process may take to end after TERM before KILL.
    pub kill_grace: Duration,
}

/// A command to a node.
#[derive(Debug)]
pub enum NodeControl {
    /// Give the terminal another size.
    Resize(TerminalSize),
    /// Put a mark into the stream.
    Marker(String),
    /// End the process.
    End(EndReason),
}

/// Why a process is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody asked for it.
    Cancelled,
    /// The node took longer than it may.
    NodeTimeout,
    /// The run took longer than it may.
    RunTimeout,
    /// The service stops.
    Stopping,
}

/// How a node ended, after its last attempt.
#[derive(Debug, Clone)]
pub enum NodeOutcome {
    /// Its process ended.
    Ended {
        /// How.
        end: ProcessEnd,
        /// Who ended it, if it did not end by itself.
        reason: Option<EndReason>,
        /// The last lines of its output, if it did not end well.
        output_summary: Option<String>,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
    /// It was ended before it started.
    NeverStarted {
        /// By whom.
        reason: EndReason,
    },
}

/// How often it is looked whether the rest of a group has ended.
const GROUP_POLL: Duration = Duration::from_millis(20);

impl NodeOutcome {
    fn may_retry(&self) -> bool {
        match self {
            Self::Ended { end, reason, .. } => {
                *end != ProcessEnd::Code(0) && matches!(reason, None | Some(EndReason::NodeTimeout))
            }
            Self::NotStarted { .. } => true,
            Self::NeverStarted { .. } => false,
        }
    }
}

/// One node from its first attempt to its last. Runs on the thread of its run.
pub struct Node {
    /// What all nodes share.
    pub context: NodeContext,
    /// What was submitted.
    pub spec: NodeSpec,
    /// Its terminal.
    pub terminal: TerminalView,
    /// Its commands.
    pub commands: mpsc::Receiver<NodeControl>,
    /// Whom it belongs to.
    pub parent: actix::Addr<Run>,
    /// What it shows of itself.
    pub shown: ShownNode,
}

struct Attempt {
    number: u32,
    outcome: NodeOutcome,
    truncated: bool,
}

impl Node {
    /// Runs the node and tells its parent how it ended.
    pub async fn run(mut self) {
        let node_ref = self.spec.node_ref.clone();
        let mut life = Life::default();
        let outcome = match self.take_slot().await {
            Err(reason) => NodeOutcome::NeverStarted { reason },
            Ok(_slot) => self.run_attempts(&mut life).await,
        };
        if life.streams_open {
            self.write_exits(&life, &outcome);
        }
        let ended = NodeEnded { node_ref, outcome };
        // If the run is gone its group was killed, and nobody waits for this.
        let _ = self.parent.send(ended).await;
    }

    async fn take_slot(&mut self) -> Result<OwnedSemaphorePermit, EndReason> {
        let slots = self.context.slots.clone();
        let mut has_begun = self.context.has_begun.clone();
        let slot = async move {
            // In this order, so that nodes get their slots in the order of the submission.
            let slot = slots.acquire_owned().await;
            // An error means that the owner is gone, and this node with it.
            if has_begun.wait_for(|begun| *begun).await.is_err() {
                std::future::pending::<()>().await;
            }
            slot
        };
        tokio::pin!(slot);
        loop {
            tokio::select! {
                slot = &mut slot => return Ok(slot.expect("the slots are never closed")),
                command = self.commands.recv() => match command {
                    Some(NodeControl::End(reason)) => return Err(reason),
                    Some(NodeControl::Resize(size)) => self.set_size(size),
                    Some(NodeControl::Marker(_)) => {}
                    None => return Err(EndReason::Stopping),
                },
            }
        }
    }

    async fn run_attempts(&mut self, life: &mut Life) -> NodeOutcome {
        let last = self.spec.retries + 1;
        for number in 1..=last {
            let attempt = self.run_attempt(number, life).await;
            // One stream over all attempts: what any of them left is missing in it.
            life.truncated |= attempt.truncated;
            if attempt.number == last || !attempt.outcome.may_retry() {
                return attempt.outcome;
            }
            let node_ref = self.spec.node_ref.clone();
            let retrying = NodeRetrying { node_ref, attempt: number, outcome: attempt.outcome };
            let _ = self.parent.send(retrying).await;
        }
        unreachable!("the last attempt returns")
    }

    async fn run_attempt(&mut self, number: u32, life: &mut Life) -> Attempt {
        let at = Moment::now();
        let started = match self.context.runner.start(self.command(number)).await {
            Ok(started) => started,
            Err(error) => {
                let outcome = NodeOutcome::NotStarted { message: error.to_string() };
                return Attempt { number, outcome, truncated: false };
            }
        };
        life.started = Some(life.started.unwrap_or(at));
        self.shown.has_started(number, started.identity);
        life.runner_kind = started.kind;
        let told = NodeStarted {
            node_ref: self.spec.node_ref.clone(),
            attempt: number,
            identity: started.identity,
            runner_kind: started.kind,
            terminal: self.terminal,
        };
        // Answered before anything is read: the start stands in the log before the output.
        let _ = self.parent.send(told).await;
        self.open_streams(number, life);
        let (outcome, truncated) = self.attend(started, life).await;
        Attempt { number, outcome, truncated }
    }

    /// Reads the outputs, obeys commands, and waits for the end of the process.
    async fn attend(&mut self, started: Started, life: &Life) -> (NodeOutcome, bool) {
        let Started { mut process, outputs, events, .. } = started;
        let (phase, phase_seen) = watch::channel(Phase::Running);
        let gate = self.context.gate.clone();
        let budget = self.context.budget.node(self.context.settings.in_flight_bytes);
        let terminal = (self.terminal.mode == TerminalMode::Pty).then(|| self.terminal.size());
        let summary = Rc::new(RefCell::new(TailSummary::new(terminal)));
        let pauses = PauseTeller::new(self.context.inbox.clone());
        let mut captures: FuturesUnordered<_> = outputs
            .into_iter()
            .map(|(stream, output)| {
                let context = self.capture_context(stream, life, &budget, &pauses);
                let summary = summary.clone();
                let shown = self.shown.clone();
                let seen = move |bytes: &[u8]| {
                    summary.borrow_mut().feed(bytes);
                    shown.has_read(bytes.len());
                };
                capture(output, context, phase_seen.clone(), seen)
            })
            .collect();
        let mut program_events = events.map(ProgramEvents::new);

        let timeout = self.spec.timeout_secs.map(Duration::from_secs);
        let mut timeout_at = timeout.map(|timeout| Instant::now() + timeout);
        let mut kill_at: Option<Instant> = None;
        let mut reason: Option<EndReason> = None;
        let mut end: Option<ProcessEnd> = None;
        let mut truncated = false;
        loop {
            if end.is_some() && captures.is_empty() && kill_at.is_none() {
                break;
            }
            if end.is_some() && reason.is_some() && kill_at.is_none() {
                phase.send_if_modified(|phase| {
                    std::mem::replace(phase, Phase::Leaving) != Phase::Leaving
                });
            }
            let mut begin_end = None;
            tokio::select! {
                Some(captured) = captures.next(), if !captures.is_empty() => {
                    truncated |= captured.truncated;
                }
                ended = process.wait(), if end.is_none() => {
                    end = Some(ended);
                    if reason.is_none() {
                        phase.send_replace(Phase::Draining);
                    }
                }
                () = tokio::time::sleep(GROUP_POLL), if end.is_some() && kill_at.is_some() => {
                    // What its process had started may use the rest of the grace.
                    if !process.has_group() {
                        kill_at = None;
                        phase.send_replace(Phase::Leaving);
                    }
                }
                told = next_events(&mut program_events, &gate, &budget) => self.push_told(told, life),
                command = self.commands.recv() => match command {
                    Some(NodeControl::Resize(size)) => self.resize(process.as_mut(), size, life),
                    Some(NodeControl::Marker(label)) => self.push_marker(label, life),
                    Some(NodeControl::End(wanted)) => begin_end = Some(wanted),
                    None => begin_end = Some(EndReason::Stopping),
                },
                () = sleep_until(timeout_at) => begin_end = Some(EndReason::NodeTimeout),
                () = sleep_until(kill_at) => {
                    kill_at = None;
                    process.kill();
                    if end.is_some() {
                        phase.send_replace(Phase::Leaving);
                    }
                }
            }
            if let Some(wanted) = begin_end
                && reason.is_none()
            {
                timeout_at = None;
                reason = Some(wanted);
                process.terminate();
                kill_at = Some(Instant::now() + self.context.settings.kill_grace);
            }
        }
        if let Some(mut events) = program_events {
            self.push_told(events.read_rest(), life);
        }
        // What is left of the group goes with the process.
        drop(process);
        let end = end.unwrap_or(ProcessEnd::Unknown);
        let ended_well = end == ProcessEnd::Code(0) && reason.is_none();
        let output_summary =
            (!ended_well).then(|| summary.borrow().lines(SUMMARY_LINES).join("\n"));
        let outcome = NodeOutcome::Ended {
            end,
            reason,
            output_summary: output_summary.filter(|text| !text.is_empty()),
        };
        (outcome, truncated)
    }

    fn command(&self, attempt: u32) -> NodeCommand {
        NodeCommand {
            run: self.context.run.clone(),
            node_ref: self.spec.node_ref.clone(),
            attempt,
            argv: self.spec.argv(),
            env: self.spec.env.clone(),
            cwd: self.spec.cwd.clone(),
            terminal: self.terminal,
            inputs: self.context.inputs.as_ref().clone(),
        }
    }

    fn capture_context(
        &self,
        stream: StreamName,
        life: &Life,
        budget: &NodeBudget,
        pauses: &PauseTeller,
    ) -> CaptureContext {
        let settings = self.context.settings;
        CaptureContext {
            stream: self.stream_key(stream),
            node_started: life.started.unwrap_or_else(Moment::now),
            runner_kind: life.runner_kind,
            inbox: self.context.inbox.clone(),
            gate: self.context.gate.clone(),
            budget: budget.clone(),
            pauses: pauses.clone(),
            max_chunk_bytes: settings.max_chunk_bytes,
            flush_after: settings.flush_after,
            drain: settings.drain,
        }
    }

    fn stream_key(&self, stream: StreamName) -> StreamKey {
        StreamKey { node_ref: self.spec.node_ref.clone(), stream }
    }

    fn open_streams(&self, attempt: u32, life: &mut Life) {
        let first_time = !std::mem::replace(&mut life.streams_open, true);
        for stream in self.terminal.mode.streams() {
            if !first_time {
                let label = format!("attempt {attempt}");
                self.push_chunk(*stream, DraftChunkKind::Marker(label), life);
            }
            let size = self.terminal.size();
            if *stream == StreamName::Pty && life.size != Some(size) {
                life.size = Some(size);
                self.push_chunk(*stream, DraftChunkKind::Resize(size), life);
            }
        }
    }

    fn write_exits(&self, life: &Life, outcome: &NodeOutcome) {
        let end = match outcome {
            NodeOutcome::Ended { end, .. } => *end,
            NodeOutcome::NotStarted { .. } | NodeOutcome::NeverStarted { .. } => {
                ProcessEnd::Unknown
            }
        };
        for stream in self.terminal.mode.streams() {
            let exit = DraftChunkKind::Exit { end, complete: true, truncated: life.truncated };
            self.push_chunk(*stream, exit, life);
        }
    }

    fn push_told(&self, told: Told, life: &Life) {
        let mut permit = told.permit;
        let last = told.events.len().saturating_sub(1);
        for (place, event) in told.events.into_iter().enumerate() {
            // The permit of a batch goes with its last event, so it is held until all are acknowledged.
            let permit = if place == last { permit.take() } else { None };
            match event {
                ProgramEvent::Marker { label } => {
                    let stream = self.terminal.mode.streams()[0];
                    self.push_permitted(stream, DraftChunkKind::Marker(label), life, permit);
                }
                ProgramEvent::Progress { level, message, data } => {
                    let level = level.unwrap_or(Level::Info);
                    let mut draft = Draft::trace(TraceEvent {
                        node_ref: Some(self.spec.node_ref.clone()),
                        kind: TraceKind::NodeProgress,
                        level,
                        message: message.unwrap_or_default(),
                        error: None,
                        output_summary: None,
                        data,
                        timestamp: Timestamp::now().whole_millis(),
                    });
                    draft.permit = permit;
                    self.context.inbox.push(draft);
                }
            }
        }
    }

    fn push_marker(&self, label: String, life: &Life) {
        self.push_chunk(self.terminal.mode.streams()[0], DraftChunkKind::Marker(label), life);
    }

    fn push_chunk(&self, stream: StreamName, kind: DraftChunkKind, life: &Life) {
        self.push_permitted(stream, kind, life, None);
    }

    fn push_permitted(
        &self,
        stream: StreamName,
        kind: DraftChunkKind,
        life: &Life,
        permit: Option<BytePermit>,
    ) {
        let at = Moment::now();
        let chunk = DraftChunk {
            stream: self.stream_key(stream),
            kind,
            at,
            node_started: life.started.unwrap_or(at),
            runner_kind: life.runner_kind,
        };
        self.context.inbox.push(Draft::chunk(chunk, permit));
    }

    fn set_size(&mut self, size: TerminalSize) {
        (self.terminal.cols, self.terminal.rows) = (size.cols, size.rows);
    }

    fn resize(&mut self, process: &mut dyn NodeProcess, size: TerminalSize, life: &Life) {
        if self.terminal.size() == size {
            return;
        }
        match process.resize(size) {
            Ok(()) => {
                self.set_size(size);
                self.push_chunk(StreamName::Pty, DraftChunkKind::Resize(size), life);
            }
            Err(error) => {
                tracing::warn!(node = %self.spec.node_ref, %error, "terminal was not resized");
            }
        }
    }
}

/// What goes on over the attempts of a node.
#[derive(Default)]
struct Life {
    started: Option<Moment>,
    runner_kind: RunnerKind,
    streams_open: bool,
    size: Option<TerminalSize>,
    truncated: bool,
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
