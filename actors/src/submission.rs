//! What a submission means for every store: the view of the new run, and when two documents are the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::ids::{Epoch, Seq};
use crate::moment::Timestamp;
use crate::ports::Submission;
use crate::run_spec::{RunSpec, TerminalSpec};
use crate::run_view::{NodeStatus, NodeView, Progress, RecordingCounts, RunStatus, RunView};

impl Submission {
    /// The run as it stands before anybody claimed it. The creation time is cut to milliseconds, which is
    /// what clients see, so that a cursor made of it meets the row again.
    pub fn queued_view(&self, created_at: Timestamp) -> RunView {
        let spec = &self.spec;
        let nodes: Vec<NodeView> = spec
            .nodes
            .iter()
            .map(|node| NodeView {
                node_ref: node.node_ref.clone(),
                name: node.name.clone(),
                command: node.argv(),
                status: NodeStatus::Pending,
                attempt: 0,
                depends_on: node.depends_on.clone(),
                runner_kind: node.runner_kind(),
                terminal: TerminalSpec::resolve(
                    node.terminal,
                    spec.terminal,
                    self.default_terminal,
                ),
                streams: Vec::new(),
                started_at: None,
                finished_at: None,
                exit_code: None,
                signal: None,
                failure: None,
                totals: Vec::new(),
            })
            .collect();
        RunView {
            run_id: self.run.run.clone(),
            tenant: self.run.tenant.clone(),
            workflow_id: spec.workflow_id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            metadata: spec.metadata.clone(),
            links: spec.links.clone(),
            status: RunStatus::Queued,
            created_at: created_at.whole_millis(),
            started_at: None,
            finished_at: None,
            failure: None,
            progress: Progress::of(&nodes),
            last_seq: Seq::START,
            epoch: Epoch(0),
            recordings: RecordingCounts::default(),
            nodes: Some(nodes),
        }
    }

    /// SHA-256 of the canonical document, in lower-case hexadecimal: the order of members does not count,
    /// nor whether the id stands in the document.
    pub fn fingerprint(&self) -> String {
        let spec = RunSpec { run_id: None, ..self.spec.clone() };
        let document = serde_json::to_value(spec)
            .expect("a spec holds only strings as keys and finite numbers");
        let digest = Sha256::digest(canonical(document).to_string());
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
    }
}

fn canonical(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            let sorted: Map<String, Value> =
                members.into_iter().map(|(name, member)| (name, canonical(member))).collect();
            Value::Object(sorted)
        }
        other => other,
    }
}

/// What is left of the document of a purged run.
pub fn purged_spec() -> RunSpec {
    RunSpec {
        run_id: None,
        workflow_id: None,
        name: None,
        labels: BTreeMap::new(),
        timeout_secs: None,
        inputs: Map::new(),
        metadata: Map::new(),
        links: Vec::new(),
        terminal: None,
        nodes: Vec::new(),
    }
}
