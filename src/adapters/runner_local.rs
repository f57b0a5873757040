//! Runs nodes as processes of this machine, under a terminal or with pipes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use runcast_actors::entry::{ProcessIdentity, RunnerKind};
use runcast_actors::ids::RunKey;
use runcast_actors::ports::{NodeCommand, Output, Runner, StartError, Started};
use runcast_actors::run_view::TerminalMode;

use super::process_group;
use super::process_guard::ProcessGuard;
use super::process_reaper::ProcessReaper;
use super::process_spawner::ProcessSpawner;
use super::runner_output::FdOutput;
use super::runner_process::{Caretakers, LocalProcess, Spawned};
use super::{runner_directory, runner_environment, runner_pipe, runner_pty};

/// How nodes are run here.
#[derive(Debug, Clone)]
pub struct LocalRunnerSettings {
    /// Below it every run has its directory.
    pub work_dir: PathBuf,
    /// What every node finds in its environment before anything of its own.
    pub environment: BTreeMap<OsString, OsString>,
}

impl LocalRunnerSettings {
    /// Nodes work below `work_dir` and get what is allowed of the service's environment.
    pub fn new(work_dir: PathBuf) -> Self {
        Self { work_dir, environment: runner_environment::allowed(std::env::vars_os()) }
    }
}

/// Runs nodes as processes of this machine.
pub struct LocalRunner {
    settings: Arc<LocalRunnerSettings>,
    caretakers: Caretakers,
}

impl LocalRunner {
    /// A runner whose processes are forked by `spawner` and watched by `guard`.
    pub fn new(
        mut settings: LocalRunnerSettings,
        guard: ProcessGuard,
        spawner: ProcessSpawner,
    ) -> io::Result<Self> {
        // Nodes get paths below it and run elsewhere.
        settings.work_dir = std::path::absolute(&settings.work_dir)?;
        fs::create_dir_all(&settings.work_dir)?;
        let reaper = ProcessReaper::start(guard.clone())?;
        let caretakers = Caretakers { spawner, guard, reaper };
        Ok(Self { settings: Arc::new(settings), caretakers })
    }

    /// Who starts, guards and reaps its processes.
    pub(super) fn caretakers(&self) -> Caretakers {
        self.caretakers.clone()
    }

    /// Removes the directory of a run with everything its nodes left there.
    pub async fn remove_run_dir(&self, run: &RunKey) -> io::Result<()> {
        let path = runner_directory::run_dir(&self.settings.work_dir, run);
        // On a thread of its own: a runtime that ends waits for its own, and this may take minutes.
        let (told, removed) = tokio::sync::oneshot::channel();
        let removing = move || drop(told.send(fs::remove_dir_all(path)));
        std::thread::Builder::new().name("cleaner".to_owned()).spawn(removing)?;
        match removed.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

#[async_trait]
impl Runner for LocalRunner {
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let settings = Arc::clone(&self.settings);
        let caretakers = self.caretakers.clone();
        // If this call is dropped meanwhile, what was started is dropped there, and so killed.
        let spawned = self.caretakers.spawner.run(move || spawn(&settings, &command, &caretakers));
        let (spawned, events) =
            spawned.await.map_err(|error| StartError(error.to_string())).flatten()?;
        assemble(spawned, events)
            .map_err(|error| StartError(format!("cannot watch `{program}`: {error}")))
    }

    async fn kill_leftovers(&self, identity: ProcessIdentity) {
        let killing = move || process_group::kill_leftovers(&identity);
        match tokio::task::spawn_blocking(killing).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(pid = identity.pid, count, "leftover processes were killed");
            }
            Err(error) => tracing::error!(%error, "leftover processes were not killed"),
        }
    }

    async fn directories(&self) -> Vec<RunKey> {
        let settings = Arc::clone(&self.settings);
        let listing = move || runner_directory::runs(&settings.work_dir);
        let listed = tokio::task::spawn_blocking(listing).await.map_err(io::Error::other).flatten();
        listed.unwrap_or_else(|error| {
            tracing::warn!(%error, "the directories of runs were not listed");
            Vec::new()
        })
    }

    async fn remove_directory(&self, run: &RunKey) {
        if let Err(error) = self.remove_run_dir(run).await {
            tracing::warn!(%run, %error, "the directory of a run was not removed");
        }
    }
}

type Events = Arc<std::os::fd::OwnedFd>;

/// Everything that blocks, on the spawner's thread.
fn spawn(
    settings: &LocalRunnerSettings,
    command: &NodeCommand,
    caretakers: &Caretakers,
) -> Result<(Spawned, Events), StartError> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(StartError("cannot start: there is no program".to_owned()));
    };
    let files = runner_directory::prepare(&settings.work_dir, command)?;
    let environment = runner_environment::of_node(&settings.environment, command, &files);
    let mut process = Command::new(program);
    process.args(arguments).current_dir(&files.cwd).env_clear().envs(&environment);
    let spawned = match command.terminal.mode {
        TerminalMode::Pty => runner_pty::spawn(process, command.terminal.size(), caretakers),
        TerminalMode::Pipe => runner_pipe::spawn(process, caretakers),
    };
    match spawned {
        Ok(spawned) => Ok((spawned, Arc::new(files.events_fd))),
        Err(error) => {
            let reason = reason(program, &files.cwd, &error);
            Err(StartError(format!("cannot start `{program}`: {reason}")))
        }
    }
}

/// Gives everything to the runtime of this thread.
fn assemble(spawned: Spawned, events: Events) -> io::Result<Started> {
    let identity = spawned.leader.identity();
    let process = LocalProcess::new(spawned.leader, spawned.terminal)?;
    let mut outputs = Vec::new();
    for (stream, fd) in spawned.outputs {
        let output: Box<dyn Output> = Box::new(FdOutput::new(fd)?);
        outputs.push((stream, output));
    }
    Ok(Started {
        process: Box::new(process),
        outputs,
        events: Some(Box::new(FdOutput::new(events)?)),
        identity: Some(identity),
        kind: RunnerKind::Local,
    })
}

/// Why a program was not started, in words that tell what to do about it.
pub(super) fn reason(program: &str, cwd: &Path, error: &io::Error) -> String {
    let is_path = program.contains('/');
    match error.kind() {
        io::ErrorKind::NotFound if !is_path => "no such program in PATH".to_owned(),
        io::ErrorKind::NotFound if cwd.join(program).exists() => {
            "its interpreter does not exist".to_owned()
        }
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied if is_path && cwd.join(program).is_dir() => {
            "it is a directory".to_owned()
        }
        io::ErrorKind::PermissionDenied => "it is not executable".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
#[path = "runner_local_tests.rs"]
mod tests;
