//! `runcast serve`: runs the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::boot;
use crate::config::{Flags, Role, Settings, Sources};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "RUNCAST_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The directory of log, embedded database and identity
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Which parts of the service run here
    #[arg(long)]
    role: Option<Role>,
}

pub(super) fn execute(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { listen: args.listen, data_dir: args.data_dir, role: args.role };
    let settings = Settings::load(&Sources::of_process(args.config, flags))?;
    boot::serve(settings)?;
    Ok(ExitCode::SUCCESS)
}
