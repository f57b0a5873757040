//! The command line: one file a command.
//!
//! Exit codes: 0, 1 for a failure, 2 for wrong usage, 130 when Ctrl-C ended the watching of a run.

mod cancel;
mod cast;
mod cast_file;
mod client;
mod config;
mod event_feed;
mod follow;
mod healthcheck;
mod keys;
mod ls;
mod migrate;
mod openapi;
mod own_terminal;
mod prefixed;
mod replay;
mod rm;
mod run;
mod run_progress;
mod serve;
mod show;
mod term;
mod text;
mod top;
mod transfer;
mod verify;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Streams the console of every step of a workflow run, live and byte-exact, keeps it, and plays
/// it back.
#[derive(Debug, Parser)]
#[command(name = "runcast", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::ServeArgs),
    /// Submit a run from a YAML or JSON file
    Run(run::RunArgs),
    /// Follow the console of a run or of one of its nodes
    Watch(watch::WatchArgs),
    /// Play a recording in this terminal
    Replay(replay::ReplayArgs),
    /// Download a recording: an asciicast, its lines, or its bytes
    // It has a `--version` of its own: that of the asciicast.
    #[command(disable_version_flag = true)]
    Cast(cast::CastArgs),
    /// Check that recordings are complete and what was recorded
    Verify(verify::VerifyArgs),
    /// List runs, newest first
    Ls(ls::LsArgs),
    /// Show a run and its nodes
    Show(show::ShowArgs),
    /// Ask a run to end
    Cancel(cancel::CancelArgs),
    /// Purge a run with everything that was recorded
    Rm(rm::RmArgs),
    /// Open an interactive terminal of the service, or come back to it
    Term(term::TermArgs),
    /// Show what an instance does: memory, sessions, viewers, actors
    Top(top::TopArgs),
    /// Change or show the schema of the database
    Migrate(migrate::MigrateArgs),
    /// Check or print the configuration
    Config(config::ConfigArgs),
    /// Ask whether the service is ready
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print the API as an OpenAPI document, as a service gives it
    #[command(hide = true)]
    Openapi,
}

/// Parses the command line of this process and carries it out.
pub fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::execute(args),
        Command::Migrate(args) => migrate::execute(args),
        Command::Config(args) => config::execute(&args),
        Command::Openapi => openapi::execute(),
        Command::Run(args) => block_on(run::execute(args)),
        Command::Watch(args) => block_on(watch::execute(args)),
        Command::Replay(args) => block_on(replay::execute(args)),
        Command::Cast(args) => block_on(cast::execute(args)),
        Command::Verify(args) => block_on(verify::execute(args)),
        Command::Ls(args) => block_on(ls::execute(args)),
        Command::Show(args) => block_on(show::execute(args)),
        Command::Cancel(args) => block_on(cancel::execute(args)),
        Command::Rm(args) => block_on(rm::execute(args)),
        Command::Term(args) => block_on(term::execute(args)),
        Command::Top(args) => block_on(top::execute(args)),
        Command::Healthcheck(args) => block_on(healthcheck::execute(args)),
    }
}

fn block_on<F: Future<Output = anyhow::Result<ExitCode>>>(work: F) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// True if whoever read our output has gone, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(line: &str) -> ErrorKind {
        Cli::try_parse_from(line.split(' ')).expect_err(line).kind()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        for line in [
            "runcast serve",
            "runcast serve --config a.toml --listen 127.0.0.1:0 --data-dir d --role worker",
            "runcast run -",
            "runcast run a.yaml --follow --json",
            "runcast watch run-1 --server http://h:1",
            "runcast watch run-1 build",
            "runcast replay run-1 build --speed 2 --idle-limit 1.5 --from 1:23",
            "runcast replay a.cast --from 1h2m3s --stream stdout",
            "runcast cast run-1 build -o a.cast --version 2",
            "runcast cast run-1 build --format raw --stream stderr --follow",
            "runcast verify run-1 build --json",
            "runcast verify ./a.cast",
            "runcast ls --status RUNNING --label team:sec --workflow nightly --limit 5 --json",
            "runcast show run-1",
            "runcast cancel run-1",
            "runcast rm run-1 --yes",
            "runcast term",
            "runcast term demo --type claude --tab two --path /srv/demo",
            "runcast term --session session_1_abcdefgh --readonly",
            "runcast term --list --json",
            "runcast migrate up",
            "runcast migrate down --steps 2",
            "runcast migrate status",
            "runcast config check --config a.toml",
            "runcast config print",
            "runcast healthcheck",
            "runcast openapi",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert_eq!(refused("runcast fly"), ErrorKind::InvalidSubcommand);
        assert_eq!(refused("runcast run"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("runcast watch ../etc"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast replay a b --speed 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast replay a b --from 1:99"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast cast a"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("runcast cast a b --version 1"), ErrorKind::InvalidValue);
        assert_eq!(refused("runcast cast a b --format gif"), ErrorKind::InvalidValue);
        assert_eq!(refused("runcast ls --limit 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast ls --status DONE"), ErrorKind::InvalidValue);
        assert_eq!(refused("runcast serve --listen here"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast term a/b"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast term --session x"), ErrorKind::ValueValidation);
        assert_eq!(refused("runcast term --json"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("runcast migrate down --steps 0"), ErrorKind::ValueValidation);
    }
}
