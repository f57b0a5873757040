//! `runcast verify`: whether recordings are complete and hold what was recorded.
//!
//! From the service the bytes of each stream are read and hashed here, and compared with what the node
//! counted at its end, as the run, the last chunk and the archive tell it. A file is checked alone.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use runcast_actors::cast::{Verdict, Verifier};
use runcast_actors::entry::StreamTotals;
use runcast_actors::ids::{NodeRef, RunId, StreamName};
use runcast_actors::run_view::RunView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::cast_file::{CastFile, is_file_name};
use super::client::{ApiClient, ClientError, Connection};
use super::text::{bytes, clean, table};
use super::transfer::progress;

/// How long the archive may take after the end of a run before its recordings count as not complete.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(30);
/// How often the archive is asked meanwhile.
const ASK_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A run, or a file that ends with .cast or .zst (or has a / in its name)
    #[arg(value_name = "RUN|FILE")]
    what: String,
    /// Only this node
    node: Option<NodeRef>,
    /// Print a line of JSON for each stream
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What was found of one stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_ref: Option<NodeRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<StreamName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// `live`, `complete` or `incomplete`.
    state: String,
    chunks: u64,
    bytes: u64,
    sha256: String,
    /// What is wrong; nothing, if it is complete and right.
    problems: Vec<String>,
}

pub(super) async fn execute(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let checked = if is_file_name(&args.what) && args.node.is_none() {
        vec![check_file(Path::new(&args.what))?]
    } else {
        let client = ApiClient::new(&args.connection)?;
        let run: RunId = args.what.parse()?;
        Check { client, run }.run(args.node.as_ref()).await?
    };
    if args.json {
        let mut stdout = std::io::stdout().lock();
        for one in &checked {
            writeln!(stdout, "{}", serde_json::to_string(one)?)?;
        }
    } else if checked.is_empty() {
        eprintln!("nothing was recorded, so nothing is proven");
    } else {
        std::io::stdout().write_all(describe(&checked).as_bytes())?;
    }
    let is_right = !checked.is_empty() && checked.iter().all(|one| one.problems.is_empty());
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(checked: &[Checked]) -> String {
    let mut rows = Vec::new();
    for one in checked {
        let sign = match one.problems.as_slice() {
            [] => console::style("✓").green(),
            _ => console::style("✗").red(),
        };
        let name = match (&one.node_ref, one.stream, &one.file) {
            (Some(node), Some(StreamName::Pty), _) => node.to_string(),
            (Some(node), Some(stream), _) => format!("{node} {stream}"),
            (_, _, file) => file.clone().unwrap_or_default(),
        };
        let hash: String = one.sha256.chars().take(12).collect();
        let said = if one.problems.is_empty() {
            one.state.clone()
        } else {
            one.problems.iter().map(|problem| clean(problem)).collect::<Vec<_>>().join("; ")
        };
        rows.push(vec![
            format!("{sign} {}", clean(&name)),
            bytes(one.bytes),
            format!("{} chunks", one.chunks),
            format!("sha256 {hash}"),
            said,
        ]);
    }
    table(&rows)
}

fn check_file(path: &Path) -> anyhow::Result<Checked> {
    let mut file = CastFile::open(path)?;
    let mut verifier = Verifier::new();
    let name = path.display().to_string();
    let bar = progress(&name, None);
    while let Some(line) = file.next_line()? {
        bar.inc(line.len() as u64 + 1);
        verifier.push_line(line).with_context(|| name.clone())?;
    }
    bar.finish_and_clear();
    let mut checked = Checked {
        node_ref: None,
        stream: None,
        file: Some(name),
        state: "incomplete".to_owned(),
        chunks: 0,
        bytes: 0,
        sha256: String::new(),
        problems: Vec::new(),
    };
    match verifier.finish() {
        Verdict::Complete { chunks, bytes, sha256 } => {
            let state = "complete".to_owned();
            checked = Checked { state, chunks, bytes, sha256, ..checked };
        }
        Verdict::Incomplete(defect) => checked.problems.push(defect.to_string()),
        Verdict::NotOurs => {
            let problem = "it has no hash: only the asciicast v3 of one stream can be checked";
            checked.problems.push(problem.to_owned());
        }
    }
    Ok(checked)
}

/// A row of the archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    node_ref: NodeRef,
    stream: StreamName,
    state: String,
    #[serde(default)]
    reason: Option<String>,
    chunk_count: u64,
    byte_count: u64,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    purged_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rows {
    recordings: Vec<Row>,
}

struct Check {
    client: ApiClient,
    run: RunId,
}

impl Check {
    async fn run(&self, only: Option<&NodeRef>) -> anyhow::Result<Vec<Checked>> {
        let view: RunView = self.client.get(&format!("/runs/{}", self.run), &[]).await?;
        let nodes = view.nodes.as_deref().unwrap_or_default();
        if let Some(only) = only
            && !nodes.iter().any(|node| node.node_ref == *only)
        {
            let names: Vec<&str> = nodes.iter().map(|node| node.node_ref.as_str()).collect();
            anyhow::bail!("{} has no node {only}; it has {}", self.run, names.join(", "));
        }
        let rows = self.rows(view.status.is_terminal()).await?;
        let mut checked = Vec::new();
        for node in nodes.iter().filter(|node| only.is_none_or(|only| node.node_ref == *only)) {
            for stream in &node.streams {
                let mut rows = rows.iter();
                let row = rows.find(|row| row.node_ref == node.node_ref && row.stream == *stream);
                let totals = node.totals.iter().find(|totals| totals.stream == *stream);
                let totals = totals.map(|totals| &totals.totals);
                checked.push(self.stream(&node.node_ref, *stream, row, totals).await?);
            }
        }
        Ok(checked)
    }

    /// The rows, once the archive has caught up with a run that has ended.
    async fn rows(&self, has_ended: bool) -> anyhow::Result<Vec<Row>> {
        let deadline = Instant::now() + ARCHIVE_LIMIT;
        let bar = progress("waiting for the archive", None);
        loop {
            let path = format!("/runs/{}/recordings", self.run);
            let rows: Rows = self.client.get(&path, &[]).await?;
            let view: RunView = self.client.get(&format!("/runs/{}", self.run), &[]).await?;
            let streams: usize = view.nodes.iter().flatten().map(|node| node.streams.len()).sum();
            let is_final = rows.recordings.len() >= streams
                && rows.recordings.iter().all(|row| row.state != "live");
            if is_final || !has_ended || Instant::now() >= deadline {
                bar.finish_and_clear();
                return Ok(rows.recordings);
            }
            bar.tick();
            tokio::time::sleep(ASK_AFTER).await;
        }
    }

    async fn stream(
        &self,
        node_ref: &NodeRef,
        stream: StreamName,
        row: Option<&Row>,
        totals: Option<&StreamTotals>,
    ) -> anyhow::Result<Checked> {
        let mut checked = Checked {
            node_ref: Some(node_ref.clone()),
            stream: Some(stream),
            file: None,
            state: row.map_or_else(|| "live".to_owned(), |row| clean(&row.state)),
            chunks: row.map_or(0, |row| row.chunk_count),
            bytes: 0,
            sha256: String::new(),
            problems: Vec::new(),
        };
        if row.is_some_and(|row| row.purged_at.is_some()) {
            checked.problems.push("it was removed, as its time is over".to_owned());
            return Ok(checked);
        }
        match self.hash(node_ref, stream, totals.map(|totals| totals.bytes)).await {
            Ok((bytes, sha256)) => (checked.bytes, checked.sha256) = (bytes, sha256),
            Err(error @ ClientError::NoService(_)) => return Err(error.into()),
            Err(error) => checked.problems.push(format!("it cannot be read: {error}")),
        }
        let last = self.last_totals(node_ref, stream, totals).await?;
        checked.problems.extend(problems(&checked, row, totals, last.as_ref()));
        Ok(checked)
    }

    /// Length and SHA-256 of the bytes, in flat memory.
    async fn hash(
        &self,
        node_ref: &NodeRef,
        stream: StreamName,
        expected: Option<u64>,
    ) -> Result<(u64, String), ClientError> {
        let path = format!("/runs/{}/terminal/{node_ref}/cast", self.run);
        let query = [("format", "raw".to_owned()), ("stream", stream.to_string())];
        let mut response = self.client.download(&path, &query).await?;
        let bar = progress(&format!("{node_ref} {stream}"), expected);
        let mut hash = Sha256::new();
        while let Some(piece) = self.client.piece(&mut response).await? {
            hash.update(&piece);
            bar.inc(piece.len() as u64);
        }
        let count = bar.position();
        bar.finish_and_clear();
        Ok((count, hex(&hash.finalize())))
    }

    /// What the last chunk says the stream holds.
    async fn last_totals(
        &self,
        node_ref: &NodeRef,
        stream: StreamName,
        totals: Option<&StreamTotals>,
    ) -> anyhow::Result<Option<StreamTotals>> {
        let Some(last) = totals.and_then(|totals| totals.chunks.checked_sub(1)) else {
            return Ok(None);
        };
        let path = format!("/runs/{}/terminal/{node_ref}", self.run);
        let after = i64::try_from(last).unwrap_or(i64::MAX) - 1;
        let query = [
            ("stream", stream.to_string()),
            ("afterChunk", after.to_string()),
            ("limit", "1".to_owned()),
        ];
        let page: Value = self.client.get(&path, &query).await?;
        let totals = page["chunks"][0]["final"].clone();
        Ok(serde_json::from_value(totals).ok())
    }
}

/// Everything in which the witnesses differ.
fn problems(
    checked: &Checked,
    row: Option<&Row>,
    totals: Option<&StreamTotals>,
    last: Option<&StreamTotals>,
) -> Vec<String> {
    let mut problems = Vec::new();
    match row {
        None => problems.push("it is not archived".to_owned()),
        Some(row) if row.state != "complete" => {
            let reason = row.reason.as_deref().map(|reason| format!(" ({})", clean(reason)));
            problems.push(format!("it is {}{}", clean(&row.state), reason.unwrap_or_default()));
        }
        Some(_) => {}
    }
    let Some(totals) = totals else {
        problems.push("the node has not ended".to_owned());
        return problems;
    };
    if !totals.complete {
        problems.push("the node did not write its end itself".to_owned());
    }
    if last != Some(totals) {
        problems.push("its last chunk does not say what the run says".to_owned());
    }
    if checked.bytes != totals.bytes {
        problems.push(format!("{} bytes instead of {}", checked.bytes, totals.bytes));
    } else if checked.sha256 != totals.sha256 {
        problems.push(format!("sha256 {} instead of {}", checked.sha256, totals.sha256));
    }
    if let Some(row) = row.filter(|row| row.state == "complete") {
        let archived = (row.chunk_count, row.byte_count, row.sha256.as_deref());
        if archived != (totals.chunks, totals.bytes, Some(totals.sha256.as_str())) {
            problems.push("the archive counted something else".to_owned());
        }
    }
    problems
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
