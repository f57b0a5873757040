//! `runcast config`: checks or prints the configuration that `serve` would use.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Flags, Settings, Sources};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "RUNCAST_CONFIG", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Say `ok`, or list everything that is wrong
    Check,
    /// Print what is in effect as TOML, secrets hidden
    Print,
}

pub(super) fn execute(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&Sources::of_process(args.config.clone(), Flags::default()))?;
    let mut stdout = std::io::stdout().lock();
    match args.action {
        Action::Check => writeln!(stdout, "ok")?,
        Action::Print => stdout.write_all(settings.to_toml().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
