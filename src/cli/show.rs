//! `runcast show`: a run, its nodes, and the last lines of what failed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use runcast_actors::ids::{NodeRef, RunId};
use runcast_actors::run_view::{NodeView, RunView};
use serde_json::Value;

use super::client::{ApiClient, Connection};
use super::text::{clean, node_sign, run_status, span, table};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run
    run: RunId,
    /// Print the run as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    let path = format!("/runs/{}", args.run);
    if args.json {
        let run: Value = client.get(&path, &[]).await?;
        writeln!(std::io::stdout(), "{run}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let run: RunView = client.get(&path, &[]).await?;
    let summaries =
        if run.progress.failed > 0 { last_lines(&client, &path).await? } else { HashMap::new() };
    std::io::stdout().write_all(describe(&run, &summaries).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The last lines of each failed node, as its `NODE_FAILED` carries them.
async fn last_lines(client: &ApiClient, path: &str) -> anyhow::Result<HashMap<String, String>> {
    let query = [("type", "NODE_FAILED".to_owned()), ("limit", "1000".to_owned())];
    let page: Value = client.get(&format!("{path}/trace"), &query).await?;
    let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let summary = |event: &Value| {
        let node = event["nodeRef"].as_str()?;
        let lines = event["outputSummary"].as_str()?;
        Some((node.to_owned(), lines.to_owned()))
    };
    Ok(events.iter().filter_map(summary).collect())
}

fn describe(run: &RunView, summaries: &HashMap<String, String>) -> String {
    let mut text = format!("{}  {}", run.run_id, run_status(run.status));
    for part in [&run.name, &run.workflow_id].into_iter().flatten() {
        let _ = write!(text, "  {}", clean(part));
    }
    let took = span(run.started_at, run.finished_at);
    let _ = writeln!(text, "\ncreated {}  {took}", run.created_at);
    if let Some(failure) = &run.failure {
        let _ = writeln!(text, "failure: {}", clean(&failure.message));
    }
    for (key, value) in &run.labels {
        let _ = writeln!(text, "label {}: {}", clean(key), clean(value));
    }
    for link in &run.links {
        let _ = writeln!(text, "{}: {}", clean(&link.label), clean(&link.url));
    }
    let nodes = run.nodes.as_deref().unwrap_or_default();
    let head = ["  NODE", "STATUS", "EXIT", "DURATION", "AFTER", "FAILURE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(nodes.iter().map(row));
    let _ = write!(text, "\n{}", table(&rows));
    for node in nodes {
        if let Some(lines) = summaries.get(node.node_ref.as_str()) {
            let _ = writeln!(text, "\nlast lines of {}:", node.node_ref);
            for line in lines.lines() {
                let _ = writeln!(text, "  {}", clean(line));
            }
        }
    }
    text
}

fn row(node: &NodeView) -> Vec<String> {
    let exit = match (node.exit_code, node.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => String::new(),
    };
    let after: Vec<&str> = node.depends_on.iter().map(NodeRef::as_str).collect();
    vec![
        format!("{} {}", node_sign(node.status), node.node_ref),
        node.status.as_str().to_owned(),
        exit,
        span(node.started_at, node.finished_at),
        after.join(", "),
        node.failure.as_ref().map(|failure| clean(&failure.message)).unwrap_or_default(),
    ]
}
