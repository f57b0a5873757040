//! A run as its events tell it, and the summary at its end.

use std::collections::{HashMap, HashSet};

use runcast_actors::ids::{NodeRef, Seq};
use runcast_actors::run_view::{NodeStatus, NodeView, RunView};
use serde::Deserialize;

use super::event_feed::FeedEvent;
use super::text::{bytes, clean, node_sign, span, table};

/// The `done` event.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Done {
    status: String,
    streams: Vec<DoneStream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DoneStream {
    node_ref: String,
    stream: String,
    bytes: u64,
    sha256: String,
    complete: bool,
}

#[derive(Deserialize)]
struct StatusData {
    #[serde(default)]
    seq: Option<Seq>,
    run: RunView,
    #[serde(default)]
    node: Option<NodeView>,
}

/// The run as the events have told it so far.
pub(super) struct RunProgress {
    /// The run without its nodes.
    pub(super) run: RunView,
    /// Its nodes in the order of the submission.
    pub(super) nodes: Vec<NodeView>,
    /// Changes up to here were given out; a resume sends some again.
    told_through: Seq,
    /// What was last given out of each node.
    told: HashMap<NodeRef, (NodeStatus, u32)>,
}

impl RunProgress {
    pub(super) fn new(mut run: RunView) -> Self {
        let nodes = run.nodes.take().unwrap_or_default();
        Self { run, nodes, told_through: Seq::START, told: HashMap::new() }
    }

    /// Takes a `status` event in; the node, if its status is news to one who reads the events in
    /// order. Events from before the view that is known are news too, but do not change the view.
    pub(super) fn apply(&mut self, event: &FeedEvent) -> Option<NodeView> {
        if event.name != "status" {
            return None;
        }
        // A status of a newer service that is not understood here must not end the watching.
        let mut data: StatusData = serde_json::from_str(&event.data).ok()?;
        let seq = data.seq.unwrap_or(data.run.last_seq);
        let nodes = data.run.nodes.take();
        if seq > self.run.last_seq || (nodes.is_some() && seq == self.run.last_seq) {
            if let Some(nodes) = nodes {
                self.nodes = nodes;
            }
            if let Some(node) = &data.node
                && let Some(known) =
                    self.nodes.iter_mut().find(|known| known.node_ref == node.node_ref)
            {
                *known = node.clone();
            }
            self.run = data.run;
            self.run.last_seq = seq;
        }
        let node = data.node.filter(|_| seq > self.told_through)?;
        self.told_through = seq;
        let now = (node.status, node.attempt);
        let before = self.told.insert(node.node_ref.clone(), now);
        (before != Some(now)).then_some(node)
    }

    /// Status, then a line a node and stream: duration, bytes, hash, complete or not.
    pub(super) fn summary(&self, done: &Done, only: Option<&NodeRef>) -> String {
        let mut rows = Vec::new();
        let mut named = HashSet::new();
        for node in &self.nodes {
            let name = node.node_ref.as_str();
            if only.is_some_and(|only| only.as_str() != name) || !named.insert(name) {
                continue;
            }
            let lead = |stream: &str| {
                let label = clean(&format!("{name} {stream}"));
                vec![
                    format!("{} {}", node_sign(node.status), label.trim_end()),
                    span(node.started_at, node.finished_at.or(self.run.finished_at)),
                ]
            };
            let streams: Vec<&DoneStream> =
                done.streams.iter().filter(|stream| stream.node_ref == name).collect();
            if streams.is_empty() {
                rows.push(lead(""));
            }
            for stream in &streams {
                let shown = if streams.len() > 1 { stream.stream.as_str() } else { "" };
                let hash: String = clean(&stream.sha256).chars().take(12).collect();
                let complete = if stream.complete { "complete" } else { "NOT complete" };
                let mut row = lead(shown);
                row.extend([bytes(stream.bytes), format!("sha256 {hash}"), complete.to_owned()]);
                rows.push(row);
            }
        }
        let status = if done.status.is_empty() {
            self.run.status.as_str().to_owned()
        } else {
            clean(&done.status)
        };
        let took = span(self.run.started_at, self.run.finished_at);
        let head = format!("{} {status} {took}", self.run.run_id);
        format!("\n{}\n{}", head.trim_end(), table(&rows))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(last_seq: u64, node_status: &str) -> serde_json::Value {
        json!({"runId": "r", "tenant": "default", "status": "RUNNING",
            "createdAt": "2026-01-01T00:00:00.000Z", "startedAt": "2026-01-01T00:00:00.000Z",
            "progress": {"total": 1, "pending": 0, "running": 1, "completed": 0, "failed": 0,
                "skipped": 0, "cancelled": 0},
            "lastSeq": last_seq, "epoch": 0,
            "recordings": {"live": 0, "complete": 0, "incomplete": 0},
            "nodes": [node(node_status)]})
    }

    fn node(status: &str) -> serde_json::Value {
        json!({"ref": "build", "command": ["true"], "status": status, "attempt": 1,
            "dependsOn": [], "runnerKind": "local",
            "terminal": {"mode": "pty", "cols": 80, "rows": 24}, "streams": ["pty"],
            "startedAt": "2026-01-01T00:00:00.000Z", "finishedAt": "2026-01-01T00:00:02.500Z"})
    }

    fn status(data: &serde_json::Value) -> FeedEvent {
        FeedEvent { name: "status".to_owned(), data: data.to_string() }
    }

    #[test]
    fn an_older_status_is_told_but_does_not_change_the_view() {
        let view = serde_json::from_value(run(7, "RUNNING")).expect("a run");
        let mut progress = RunProgress::new(view);
        let mut plain = run(7, "RUNNING");
        plain.as_object_mut().expect("an object").remove("nodes");
        let event =
            |seq: u64, state: &str| status(&json!({"seq": seq, "run": plain, "node": node(state)}));
        assert!(progress.apply(&event(6, "FAILED")).is_some());
        assert_eq!(progress.nodes[0].status, NodeStatus::Running);
        assert!(progress.apply(&event(6, "FAILED")).is_none(), "it came again");
        assert!(progress.apply(&event(8, "COMPLETED")).is_some());
        assert_eq!(progress.nodes[0].status, NodeStatus::Completed);
        assert!(progress.apply(&event(9, "COMPLETED")).is_none(), "the same status is no news");
    }

    #[test]
    fn the_summary_says_what_is_complete() {
        let view = serde_json::from_value(run(7, "COMPLETED")).expect("a run");
        let done: Done = serde_json::from_value(json!({"status": "COMPLETED", "finalSeq": 9,
            "streams": [{"nodeRef": "build", "stream": "pty", "chunks": 3, "bytes": 2048,
                "sha256": "0123456789abcdef", "complete": false}]}))
        .expect("a done event");
        let summary =
            console::strip_ansi_codes(&RunProgress::new(view).summary(&done, None)).into_owned();
        assert!(summary.contains("r COMPLETED"), "{summary}");
        assert!(
            summary.contains("✓ build  2.5s  2.00 KiB  sha256 0123456789ab  NOT complete"),
            "{summary}"
        );
    }
}
