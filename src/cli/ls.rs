//! `runcast ls`: lists runs, newest first.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use runcast_actors::run_view::RunView;
use serde::Deserialize;
use serde_json::Value;

use super::client::{ApiClient, Connection};
use super::text::{clean, run_status, span, table};

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// Only runs that stand here
    #[arg(
        long,
        ignore_case = true,
        value_parser = PossibleValuesParser::new(
            ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
    )]
    status: Option<String>,
    /// Only runs with this label
    #[arg(long, value_name = "KEY:VALUE")]
    label: Option<String>,
    /// Only runs of this workflow
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the page as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Page {
    runs: Vec<RunView>,
}

pub(super) async fn execute(args: LsArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.status.map(|status| ("status", status.to_ascii_uppercase())));
    query.extend(args.label.map(|label| ("label", label)));
    query.extend(args.workflow.map(|workflow| ("workflowId", workflow)));
    let mut stdout = std::io::stdout().lock();
    if args.json {
        let page: Value = client.get("/runs", &query).await?;
        writeln!(stdout, "{page}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let page: Page = client.get("/runs", &query).await?;
    if page.runs.is_empty() {
        eprintln!("no runs");
        return Ok(ExitCode::SUCCESS);
    }
    let head = ["ID", "STATUS", "NAME", "NODES", "STARTED", "DURATION"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(page.runs.iter().map(row));
    stdout.write_all(table(&rows).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn row(run: &RunView) -> Vec<String> {
    let progress = run.progress;
    let ended = progress.total.saturating_sub(progress.pending + progress.running);
    vec![
        run.run_id.to_string(),
        run_status(run.status).to_string(),
        clean(run.name.as_deref().or(run.workflow_id.as_deref()).unwrap_or_default()),
        format!("{ended}/{}", progress.total),
        run.started_at.map(|started| started.to_string()).unwrap_or_default(),
        span(run.started_at, run.finished_at),
    ]
}
