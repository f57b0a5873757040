//! `runcast migrate`: changes or shows the schema of the database.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::boot::{self, MigrateCommand};
use crate::config::{Flags, Settings, Sources};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    action: Action,
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "RUNCAST_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// The directory of the embedded database
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Apply every step that is missing
    Up,
    /// Take back the newest steps
    Down {
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// Print which steps are applied
    Status,
}

pub(super) fn execute(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { data_dir: args.data_dir, ..Flags::default() };
    let settings = Settings::load(&Sources::of_process(args.config, flags))?;
    let command = match args.action {
        Action::Up => MigrateCommand::Up,
        Action::Down { steps } => MigrateCommand::Down { steps },
        Action::Status => MigrateCommand::Status,
    };
    boot::migrate(&settings, command)?;
    Ok(ExitCode::SUCCESS)
}
