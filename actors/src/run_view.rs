//! A run and its nodes as the outside sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::entry::{RunnerKind, StreamTotals, TerminalSize, json_cost};
use crate::ids::{Epoch, NodeRef, RunId, Seq, StreamName, TenantId};
use crate::moment::Timestamp;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its id.
    pub run_id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The workflow it is an execution of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it can be found by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What is shown with it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Where else to look.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When an instance claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How many nodes stand where.
    pub progress: Progress,
    /// Everything up to this entry is in this view.
    pub last_seq: Seq,
    /// Under which owner.
    pub epoch: Epoch,
    /// How many recordings stand where.
    pub recordings: RecordingCounts,
    /// The nodes in the order of the submission; left out where only the run is told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<NodeView>>,
}

impl RunView {
    /// What its texts take in memory, about; nodes are not counted.
    pub(crate) fn memory_cost(&self) -> usize {
        let labels: usize =
            self.labels.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.len() + json_cost(value)).sum();
        let links: usize = self
            .links
            .iter()
            .map(|link| link.rel.len() + link.label.len() + link.url.len() + 96)
            .sum();
        labels + metadata + links
    }

    /// The same run without its nodes.
    pub fn without_nodes(&self) -> Self {
        let mut view = self.clone();
        view.nodes = None;
        view
    }
}

/// A place on the web that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Link {
    /// What it is to the run.
    pub rel: String,
    /// What people see.
    pub label: String,
    /// Where it leads, http or https.
    pub url: String,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RunStatus {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl RunStatus {
    /// All of them, in the order of a run's life.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// The name as it stands in events and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// True if the run will never change again.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum NodeStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Skipped,
    Cancelled,
    TimedOut,
}

impl NodeStatus {
    /// The name as it stands in events and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// True if the node will never change again.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// Why a run or node did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The kind, for machines.
    pub kind: FailureKind,
    /// A sentence for people.
    pub message: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureKind {
    /// The program returned a code other than 0.
    ExitCode,
    /// A signal ended the program.
    Signal,
    /// The program could not be started.
    Spawn,
    /// It took longer than allowed.
    Timeout,
    /// Somebody asked for its end.
    Cancelled,
    /// A node it depends on did not complete.
    Dependency,
    /// The instance that ran it died.
    Lost,
    /// Its output could not be kept.
    Capture,
    /// A fault of the service.
    Internal,
}

/// How many nodes stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it; failed counts timed-out nodes too")]
pub struct Progress {
    pub total: u32,
    pub pending: u32,
    pub running: u32,
    pub completed: u32,
    pub failed: u32,
    pub skipped: u32,
    pub cancelled: u32,
}

impl Progress {
    /// Counts the nodes.
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a NodeView>) -> Self {
        let mut progress = Self::default();
        for node in nodes {
            progress.total += 1;
            *match node.status {
                NodeStatus::Pending => &mut progress.pending,
                NodeStatus::Running => &mut progress.running,
                NodeStatus::Completed => &mut progress.completed,
                NodeStatus::Failed | NodeStatus::TimedOut => &mut progress.failed,
                NodeStatus::Skipped => &mut progress.skipped,
                NodeStatus::Cancelled => &mut progress.cancelled,
            } += 1;
        }
        progress
    }
}

/// How many recordings of a run stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct RecordingCounts {
    pub live: u32,
    pub complete: u32,
    pub incomplete: u32,
}

/// A node of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its name in the run.
    #[serde(rename = "ref")]
    pub node_ref: NodeRef,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The command line as it is executed.
    pub command: Vec<String>,
    /// Where it stands.
    pub status: NodeStatus,
    /// Which try this is, from 1; 0 before the first.
    pub attempt: u32,
    /// The nodes that must complete before it.
    pub depends_on: Vec<NodeRef>,
    /// What runs it.
    pub runner_kind: RunnerKind,
    /// Its terminal.
    pub terminal: TerminalView,
    /// The streams it has; none before it started.
    pub streams: Vec<StreamName>,
    /// When its current attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The code it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What its streams hold, once they have ended: what a client checks to know that it has everything.
    #[serde(rename = "final", default, skip_serializing_if = "Vec::is_empty")]
    pub totals: Vec<StreamFinal>,
}

/// What one stream of a node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFinal {
    /// Which stream.
    pub stream: StreamName,
    /// What it holds.
    #[serde(flatten)]
    pub totals: StreamTotals,
}

impl NodeView {
    /// What its texts take in memory, about.
    pub(crate) fn memory_cost(&self) -> usize {
        let command: usize = self.command.iter().map(|argument| argument.len() + 24).sum();
        let failure = self.failure.as_ref().map_or(0, |failure| failure.message.len());
        command + failure + self.depends_on.len() * 16 + self.totals.len() * 128
    }
}

/// How a node sees its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminalView {
    /// With or without a terminal.
    pub mode: TerminalMode,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl TerminalView {
    /// Its size.
    pub fn size(self) -> TerminalSize {
        TerminalSize { cols: self.cols, rows: self.rows }
    }
}

/// With or without a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerminalMode {
    /// A real terminal: one merged stream `pty`.
    #[default]
    Pty,
    /// No terminal: `stdout` and `stderr` apart.
    Pipe,
}

impl TerminalMode {
    /// The streams a node in this mode has.
    pub fn streams(self) -> &'static [StreamName] {
        match self {
            Self::Pty => &[StreamName::Pty],
            Self::Pipe => &[StreamName::Stdout, StreamName::Stderr],
        }
    }
}
