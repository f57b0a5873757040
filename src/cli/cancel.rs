//! `runcast cancel`: asks a run to end.

use std::process::ExitCode;

use clap::Args;
use runcast_actors::ids::RunId;

use super::client::{ApiClient, Connection};

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The run
    run: RunId,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: CancelArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    client.post_empty(&format!("/runs/{}/cancel", args.run)).await?;
    println!("{} is asked to end", args.run);
    Ok(ExitCode::SUCCESS)
}
