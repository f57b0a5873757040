//! `runcast watch`: follows the console of a run or of one of its nodes.

use std::process::ExitCode;

use clap::Args;
use runcast_actors::ids::{NodeRef, RunId};

use super::client::{ApiClient, Connection};
use super::follow::{Followed, Target, follow};

/// What shells give for a program that Ctrl-C ended.
pub(super) const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The run
    run: RunId,
    /// Only this node: its bytes as they are
    node: Option<NodeRef>,
    /// Print every event as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    let target = Target { run: args.run, node: args.node, json: args.json };
    match follow(&client, &target).await? {
        Followed::ToTheEnd(_) => Ok(ExitCode::SUCCESS),
        Followed::Left => Ok(ExitCode::from(INTERRUPTED)),
    }
}
