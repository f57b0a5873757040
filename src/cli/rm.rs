//! `runcast rm`: purges a run with its log, recordings and rows.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use runcast_actors::ids::RunId;

use super::client::{ApiClient, Connection};

#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// The run
    run: RunId,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: RmArgs) -> anyhow::Result<ExitCode> {
    if !args.yes && !is_confirmed(&args.run)? {
        println!("nothing was removed");
        return Ok(ExitCode::FAILURE);
    }
    ApiClient::new(&args.connection)?.delete(&format!("/runs/{}", args.run)).await?;
    println!("{} is purged", args.run);
    Ok(ExitCode::SUCCESS)
}

fn is_confirmed(run: &RunId) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here; say --yes to purge {run}");
    }
    eprint!("Purge {run} with everything that was recorded? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
