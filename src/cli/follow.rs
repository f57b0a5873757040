//! Follows a run to its end: as raw terminal bytes, as prefixed lines, or as JSON lines.
//!
//! Output of the run goes to standard output, everything else to standard error.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runcast_actors::ids::{NodeRef, RunId, Seq};
use runcast_actors::run_view::{NodeView, RunStatus, RunView};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{ApiClient, ClientError};
use super::event_feed::{EventFeed, FeedEvent, FeedItem};
use super::prefixed::PrefixedLines;
use super::run_progress::{Done, RunProgress};
use super::text::clean;

/// Brings a terminal back from what an unfinished program may have left on: alternate screen, scroll
/// region, mouse, focus, keypad, bracketed paste, line drawing, hidden cursor, colours.
pub(super) const TERMINAL_RESET: &[u8] =
    b"\x1b[?1047l\x1b7\x1b[r\x1b8\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\
    \x1b[?1l\x1b>\x1b[?2004l\x1b[?7h\x1b(B\x0f\x1b[?25h\x1b[0m";

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
