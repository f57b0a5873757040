//! `runcast run`: submits a run from a YAML or JSON file.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use runcast_actors::run_spec::{RunSpec, validate};
use runcast_actors::run_view::{RunStatus, RunView};
use serde_json::Value;

use super::client::{ApiClient, Connection};
use super::follow::{Followed, Target, follow};
use super::watch::INTERRUPTED;

/// The service takes no larger body.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The file, `-` for standard input
    file: PathBuf,
    /// Show the console until the run ends; exit with 1 if it did not complete
    #[arg(long, short)]
    follow: bool,
    /// Print the run as JSON; with --follow, every event as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: RunArgs) -> anyhow::Result<ExitCode> {
    let name = args.file.display().to_string();
    let spec = parse(&read(&args.file).with_context(|| format!("reading {name}"))?)
        .with_context(|| format!("in {name}"))?;
    let client = ApiClient::new(&args.connection)?;
    let submitted: Value = client.post("/runs", &spec).await?;
    let run: RunView =
        serde_json::from_value(submitted.clone()).context("reading the submitted run")?;
    if !args.follow {
        if args.json {
            println!("{submitted}");
        } else {
            println!("{}", run.run_id);
            eprintln!("watch it with `runcast watch {}`, or at {}", run.run_id, client.base());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json {
        eprintln!("{} at {}", run.run_id, client.base());
    }
    let target = Target { run: run.run_id, node: None, json: args.json };
    match follow(&client, &target).await? {
        Followed::ToTheEnd(RunStatus::Completed) => Ok(ExitCode::SUCCESS),
        Followed::ToTheEnd(_) => Ok(ExitCode::FAILURE),
        Followed::Left => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    let limit = MAX_FILE_BYTES + 1;
    let count = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)?
    } else {
        std::fs::File::open(file)?.take(limit).read_to_string(&mut text)?
    };
    if count as u64 > MAX_FILE_BYTES {
        bail!("more than {MAX_FILE_BYTES} bytes");
    }
    Ok(text)
}

/// JSON is YAML too, so one reader takes both; its errors have lines.
fn parse(text: &str) -> anyhow::Result<RunSpec> {
    let spec: RunSpec = serde_saphyr::from_str(text)?;
    validate(&spec)?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read() {
        let yaml =
            parse("runId: a\nnodes:\n  - ref: one\n    shell: |\n      echo 1\n      echo 2\n");
        assert_eq!(yaml.expect("valid").nodes[0].shell.as_deref(), Some("echo 1\necho 2\n"));
        let json = parse(r#"{"nodes": [{"ref": "one", "command": ["true"]}]}"#).expect("valid");
        assert_eq!(json.nodes[0].node_ref.as_str(), "one");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let error = parse("nodes:\n  - ref: one\n    shel: true\n").expect_err("unknown field");
        let text = format!("{error:#}");
        assert!(text.contains("shel") && text.contains('3'), "{text}");
        let error = parse("nodes:\n  - ref: a\n    shell: x\n    dependsOn: [z]\n");
        let text = format!("{:#}", error.expect_err("unknown node"));
        assert!(text.contains("nodes[0].dependsOn"), "{text}");
    }
}
