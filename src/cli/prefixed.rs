//! The console of several nodes as lines, each with the name of its node, above a line of progress.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runcast_actors::run_view::{NodeStatus, NodeView, RunView};
use serde::Deserialize;

use super::event_feed::FeedEvent;
use super::follow::gap_text;
use super::run_progress::RunProgress;
use super::text::{clean, node_sign, span};

const COLOURS: [u8; 6] = [6, 5, 4, 3, 2, 14];
/// Longer names are cut in the prefix.
const MAX_NAME_WIDTH: usize = 24;
/// How many running nodes the line of progress names.
const MAX_NAMES: usize = 4;

/// Lines with the name of their node.
pub(super) struct PrefixedLines {
    prefixes: HashMap<String, String>,
    bar: ProgressBar,
    repeats: Repeats,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputData {
    seq: u64,
    node_ref: String,
    text: String,
}

impl PrefixedLines {
    pub(super) fn new(run: &RunView) -> Self {
        let nodes = run.nodes.as_deref().unwrap_or_default();
        let widest = nodes.iter().map(|node| node.node_ref.as_str().len()).max().unwrap_or(0);
        let width = widest.min(MAX_NAME_WIDTH);
        let prefixes = nodes.iter().enumerate().map(|(index, node)| {
            let name = node.node_ref.as_str();
            let shown = console::pad_str(name, width, console::Alignment::Left, Some("…"));
            let colour = COLOURS[index % COLOURS.len()];
            let prefix = console::style(format!("{shown} │ ")).color256(colour).to_string();
            (name.to_owned(), prefix)
        });
        Self {
            prefixes: prefixes.collect(),
            bar: progress_bar(nodes.len()),
            repeats: Repeats::default(),
        }
    }

    pub(super) fn show(
        &mut self,
        event: &FeedEvent,
        progress: &RunProgress,
        changed: Option<NodeView>,
    ) -> anyhow::Result<()> {
        match event.name.as_str() {
            "output" => {
                let data: OutputData =
                    serde_json::from_str(&event.data).context("an `output` event")?;
                if self.repeats.is_new(data.seq) {
                    let prefix = self.prefixes.get(&data.node_ref).map_or("", String::as_str);
                    let text = clean(&data.text);
                    self.bar.suspend(|| {
                        let mut stdout = std::io::stdout().lock();
                        writeln!(stdout, "{prefix}{text}").and_then(|()| stdout.flush())
                    })?;
                }
            }
            "gap" => self.note(&gap_text(&event.data)),
            "status" => self.update(progress),
            _ => {}
        }
        if let Some(node) = changed {
            self.note(&status_line(&node));
        }
        Ok(())
    }

    pub(super) fn interrupted(&mut self, reason: &str) {
        self.repeats.resume();
        self.note(&format!("connection lost, trying again: {reason}"));
    }

    pub(super) fn finish(&mut self) {
        self.bar.finish_and_clear();
    }

    fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn update(&self, progress: &RunProgress) {
        let ended = progress.nodes.iter().filter(|node| node.status.is_terminal()).count();
        self.bar.set_position(ended as u64);
        let running: Vec<String> = progress
            .nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Running)
            .map(|node| clean(node.node_ref.as_str()))
            .collect();
        let more = running.len().saturating_sub(MAX_NAMES);
        let mut names = running[..running.len() - more].join(", ");
        if more > 0 {
            names = format!("{names} and {more} more");
        }
        self.bar.set_message(names);
    }
}

/// `✓ build completed (2.4s)`
fn status_line(node: &NodeView) -> String {
    let mut line = format!(
        "{} {} {}",
        node_sign(node.status),
        node.node_ref,
        node.status.as_str().to_lowercase().replace('_', " ")
    );
    if node.status == NodeStatus::Running && node.attempt > 1 {
        line = format!("{line}, attempt {}", node.attempt);
    }
    if node.status.is_terminal() && node.started_at.is_some() {
        line = format!("{line} ({})", span(node.started_at, node.finished_at));
    }
    match &node.failure {
        Some(failure) => format!("{line}: {}", clean(&failure.message)),
        None => line,
    }
}

/// Drawn on standard error if that is a terminal, else hidden.
fn progress_bar(nodes: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(nodes as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} nodes  {wide_msg} {elapsed}")
        .expect("the template is well-formed");
    bar.set_style(style);
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(120));
    }
    bar
}

/// Tells lines that come again after a cut: the cursor moves at the last line of a chunk, so a
/// resume in the middle of a chunk sends its first lines once more.
#[derive(Debug, Default)]
struct Repeats {
    /// The chunk of the newest line.
    seq: u64,
    /// How many of its lines were shown.
    shown: u64,
    /// How many of them are still to come again.
    to_skip: u64,
}

impl Repeats {
    fn is_new(&mut self, seq: u64) -> bool {
        if seq < self.seq {
            return false;
        }
        if seq > self.seq {
            *self = Self { seq, shown: 1, to_skip: 0 };
            return true;
        }
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return false;
        }
        self.shown += 1;
        true
    }

    fn resume(&mut self) {
        self.to_skip = self.shown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_come_again_are_shown_once() {
        let mut repeats = Repeats::default();
        let first: Vec<bool> = [5, 5, 5].map(|seq| repeats.is_new(seq)).to_vec();
        assert_eq!(first, [true; 3]);
        repeats.resume();
        let again: Vec<bool> = [5, 5, 5, 5, 8].map(|seq| repeats.is_new(seq)).to_vec();
        assert_eq!(again, [false, false, false, true, true]);
        assert!(!repeats.is_new(5));
    }
}
