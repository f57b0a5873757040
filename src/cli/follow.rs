//! Follows a run to its end: as raw terminal bytes, as prefixed lines, or as JSON lines.
//!
//! Output of the run goes to standard output, everything else to standard error.

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runcast_actors::ids::{NodeRef, RunId, Seq};
use runcast_actors::run_view::{NodeStatus, NodeView, RunStatus, RunView};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{ApiClient, ClientError};
use super::event_feed::{EventFeed, FeedEvent, FeedItem};
use super::prefixed::PrefixedLines;
use super::text::{bytes, clean, node_sign, span};

/// Brings a terminal back from what an unfinished program may have left on: alternate screen,
/// mouse, bracketed paste, hidden cursor, colours.
const TERMINAL_RESET: &[u8] =
    b"\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[0m";

/// How the following of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// Everything was shown; where the run stands.
    ToTheEnd(RunStatus),
    /// The user pressed Ctrl-C.
    Left,
}

/// What is followed.
pub(super) struct Target {
    /// The run.
    pub(super) run: RunId,
    /// Only this node.
    pub(super) node: Option<NodeRef>,
    /// Print every event as a line of JSON.
    pub(super) json: bool,
}

/// Follows until the end or Ctrl-C.
pub(super) async fn follow(client: &ApiClient, target: &Target) -> anyhow::Result<Followed> {
    let run: RunView = client.get(&format!("/runs/{}", target.run), &[]).await?;
    let nodes = run.nodes.as_deref().unwrap_or_default();
    let only = match (&target.node, nodes) {
        (Some(node), _) => Some(node.clone()),
        (None, [node]) => Some(node.node_ref.clone()),
        _ => None,
    };
    if let Some(node) = &target.node
        && !nodes.iter().any(|known| known.node_ref == *node)
    {
        let names: Vec<&str> = nodes.iter().map(|known| known.node_ref.as_str()).collect();
        anyhow::bail!("{} has no node {node}; it has {}", target.run, names.join(", "));
    }
    let path = match &target.node {
        Some(node) => format!("/runs/{}/terminal/{node}/stream", target.run),
        None => format!("/runs/{}/stream", target.run),
    };
    let mut query = Vec::new();
    let mut view = match (target.json, only) {
        (true, _) => View::Json,
        (false, Some(_)) => View::Raw(RawTerminal::default()),
        (false, None) => {
            query.push(("format", "lines".to_owned()));
            View::Lines(Box::new(PrefixedLines::new(&run)))
        }
    };
    let mut progress = RunProgress::new(run);
    let mut feed = EventFeed::new(client.clone(), path, query);
    let end = watch(&mut feed, &mut view, &mut progress).await;
    view.finish();
    match end? {
        None => {
            let run = &target.run;
            eprintln!(
                "\n{run} goes on: come back with `runcast watch {run}`, \
                 end it with `runcast cancel {run}`"
            );
            Ok(Followed::Left)
        }
        Some(done) => {
            if !target.json {
                eprint!("{}", progress.summary(&done, target.node.as_ref()));
            }
            let fresh: RunView = client.get(&format!("/runs/{}/status", target.run), &[]).await?;
            Ok(Followed::ToTheEnd(fresh.status))
        }
    }
}

/// Shows events until the end; none if Ctrl-C came first.
async fn watch(
    feed: &mut EventFeed,
    view: &mut View,
    progress: &mut RunProgress,
) -> anyhow::Result<Option<Done>> {
    let mut done = Done::default();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let item: Result<Option<FeedItem>, ClientError> = tokio::select! {
            item = feed.next() => item,
            signal = &mut interrupt => {
                signal?;
                return Ok(None);
            }
        };
        match item? {
            None => return Ok(Some(done)),
            Some(FeedItem::Interrupted(reason)) => view.interrupted(&reason),
            Some(FeedItem::Event(event)) => {
                if event.name == "done" {
                    done = serde_json::from_str(&event.data).context("the `done` event")?;
                }
                let changed = progress.apply(&event);
                view.show(&event, progress, changed)?;
            }
        }
    }
}

enum View {
    Json,
    Raw(RawTerminal),
    Lines(Box<PrefixedLines>),
}

impl View {
    fn show(
        &mut self,
        event: &FeedEvent,
        progress: &RunProgress,
        changed: Option<NodeView>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Json => {
                let data: &RawValue = serde_json::from_str(&event.data).context("an event")?;
                let name = serde_json::to_string(&event.name)?;
                let mut stdout = std::io::stdout().lock();
                writeln!(stdout, r#"{{"event":{name},"data":{data}}}"#)?;
                Ok(stdout.flush()?)
            }
            Self::Raw(terminal) => terminal.show(event),
            Self::Lines(lines) => lines.show(event, progress, changed),
        }
    }

    fn interrupted(&mut self, reason: &str) {
        match self {
            // A word in the middle of a full-screen program would destroy the picture.
            Self::Raw(_) if std::io::stdout().is_terminal() => {}
            Self::Json | Self::Raw(_) => eprintln!("connection lost, trying again: {reason}"),
            Self::Lines(lines) => lines.interrupted(reason),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Json => {}
            Self::Raw(_) => {
                if std::io::stdout().is_terminal() {
                    let mut stdout = std::io::stdout().lock();
                    // Nothing can be done if the terminal has gone.
                    let _ = stdout.write_all(TERMINAL_RESET).and_then(|()| stdout.flush());
                }
            }
            Self::Lines(lines) => lines.finish(),
        }
    }
}

/// Passes the bytes of one node on as they are.
#[derive(Default)]
struct RawTerminal {
    /// Everything up to here was written; a chunk that comes again is skipped.
    last_seq: Seq,
}

#[derive(Deserialize)]
struct TerminalData<'a> {
    seq: Seq,
    #[serde(borrow)]
    stream: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<std::borrow::Cow<'a, str>>,
}

impl RawTerminal {
    fn show(&mut self, event: &FeedEvent) -> anyhow::Result<()> {
        if event.name == "gap" {
            eprintln!("{}", gap_text(&event.data));
        }
        if event.name != "terminal" {
            return Ok(());
        }
        let data: TerminalData<'_> =
            serde_json::from_str(&event.data).context("a `terminal` event")?;
        if data.seq <= self.last_seq {
            return Ok(());
        }
        self.last_seq = data.seq;
        if data.kind == "gap" {
            eprintln!("runcast: output is missing here");
        }
        let Some(payload) = data.payload.filter(|_| data.kind == "output") else { return Ok(()) };
        let payload = STANDARD.decode(payload.as_bytes()).context("a `terminal` event")?;
        if data.stream == "stderr" {
            let mut stderr = std::io::stderr().lock();
            stderr.write_all(&payload)?;
            return Ok(stderr.flush()?);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&payload)?;
        Ok(stdout.flush()?)
    }
}

/// A `gap` event in words.
pub(super) fn gap_text(data: &str) -> String {
    let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let node = data["nodeRef"].as_str().map(clean).unwrap_or_default();
    let reason = data["reason"].as_str().map_or_else(|| "lost".to_owned(), clean);
    format!(
        "runcast: output is missing here ({reason}, events {} to {}) {node}",
        data["fromSeq"], data["toSeq"]
    )
    .trim_end()
    .to_owned()
}

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
    fn summary(&self, done: &Done, only: Option<&NodeRef>) -> String {
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
        format!("\n{}\n{}", head.trim_end(), super::text::table(&rows))
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
