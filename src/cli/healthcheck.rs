//! `runcast healthcheck`: asks whether the service can take and serve runs.

use std::process::ExitCode;

use clap::Args;

use super::client::{ApiClient, Connection};

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: HealthcheckArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    let status = client.ready_status().await?;
    if status.is_success() {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the service is not ready (status {})", status.as_u16());
    Ok(ExitCode::FAILURE)
}
