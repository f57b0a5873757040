//! Opens interactive terminals as processes of this machine.
//!
//! They are started, guarded and reaped as nodes are. What they get of the service's environment is what every
//! node gets; what clients add has passed the list of its profile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use runcast_actors::entry::ProcessIdentity;
use runcast_actors::ports::{Input, OpenTerminal, StartError, TerminalCommand, TerminalHost};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::runner_environment::{TERMINAL_TYPE, allowed};
use super::runner_local::{LocalRunner, reason};
use super::runner_output::FdOutput;
use super::runner_process::{Caretakers, LocalProcess, Spawned};
use super::runner_pty;

/// Opens terminals beside the nodes of a [`LocalRunner`].
pub struct LocalTerminalHost {
    caretakers: Caretakers,
    environment: BTreeMap<OsString, OsString>,
    home: PathBuf,
}

impl LocalTerminalHost {
    /// With the caretakers of this runner.
    pub fn beside(runner: &LocalRunner) -> Self {
        let environment = allowed(std::env::vars_os());
        let home = environment.get(&OsString::from("HOME")).map(PathBuf::from);
        let home = home.filter(|home| home.is_dir()).unwrap_or_else(|| PathBuf::from("/"));
        Self { caretakers: runner.caretakers(), environment, home }
    }
}

#[async_trait]
impl TerminalHost for LocalTerminalHost {
    async fn open(&self, command: TerminalCommand) -> Result<OpenTerminal, StartError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let directory = command.directory.clone().unwrap_or_else(|| self.home.clone());
        let mut environment = self.environment.clone();
        environment.insert("TERM".into(), TERMINAL_TYPE.into());
        environment.insert("COLORTERM".into(), "truecolor".into());
        environment.insert("PWD".into(), directory.clone().into());
        environment.extend(command.env.iter().map(|(name, value)| (name.into(), value.into())));
        let caretakers = self.caretakers.clone();
        let start_in = directory.clone();
        // If this call is dropped meanwhile, what was started is dropped there, and so killed.
        let spawned = self.caretakers.spawner.run(move || {
            let mut process = Command::new(&command.argv[0]);
            process.args(&command.argv[1..]).current_dir(&start_in).env_clear().envs(environment);
            runner_pty::spawn(process, command.size, &caretakers)
                .map_err(|error| reason(&command.argv[0], &start_in, &error))
        });
        let spawned = spawned
            .await
            .map_err(|error| error.to_string())
            .flatten()
            .map_err(|reason| StartError(format!("cannot start `{program}`: {reason}")))?;
        assemble(spawned, directory)
            .map_err(|error| StartError(format!("cannot watch `{program}`: {error}")))
    }

    fn directory_of(&self, identity: &ProcessIdentity) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/cwd", identity.pid)).ok()
    }

    fn has_program(&self, program: &str) -> bool {
        let is_executable = |path: &Path| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        };
        if program.contains('/') {
            return is_executable(Path::new(program));
        }
        let paths = self.environment.get(&OsString::from("PATH")).cloned().unwrap_or_default();
        !program.is_empty()
            && std::env::split_paths(&paths).any(|folder| is_executable(&folder.join(program)))
    }

    fn directory(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok().filter(|path| path.is_dir())
    }
}

/// The shell of the service's user: what the environment says, else the list of users, else `/bin/sh`.
pub fn login_shell() -> String {
    let is_there = |shell: &String| Path::new(shell).is_file();
    std::env::var("SHELL")
        .ok()
        .filter(is_there)
        .or_else(|| shell_of(&std::fs::read_to_string("/etc/passwd").ok()?).filter(is_there))
        .unwrap_or_else(|| "/bin/sh".to_owned())
}

/// The shell of this process's user in a list as `passwd(5)` describes it.
fn shell_of(users: &str) -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = fields.into_iter().find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    user.get(6).map(|&shell| shell.to_owned())
}

/// Gives everything to the runtime of this thread.
fn assemble(spawned: Spawned, directory: PathBuf) -> io::Result<OpenTerminal> {
    let identity = spawned.leader.identity();
    let Some(terminal) = spawned.terminal else {
        return Err(io::Error::other("the process has no terminal"));
    };
    // Reading and writing are watched apart, and one descriptor can be watched once.
    let (reader, writer) = (terminal.master.clone(), terminal.master.try_clone()?);
    let process = LocalProcess::new(spawned.leader, Some(terminal))?;
    Ok(OpenTerminal {
        process: Box::new(process),
        output: Box::new(FdOutput::new(reader)?),
        input: Box::new(FdInput::new(writer)?),
        identity,
        directory,
    })
}

/// The writing side of a terminal.
struct FdInput(AsyncFd<OwnedFd>);

impl FdInput {
    /// Shares its flags with the reading side, which is not blocking.
    #[allow(unsafe_code)]
    fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the `AsyncFd` owns the descriptor, so it stays open for as long as it is watched.
        Ok(Self(unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE)? }))
    }
}

#[async_trait(?Send)]
impl Input for FdInput {
    async fn writable(&mut self) -> io::Result<()> {
        // The readiness is left as it is: `try_write` clears it when nothing is taken.
        self.0.writable().await?.retain_ready();
        Ok(())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let written = self.0.try_io(Interest::WRITABLE, |fd| {
            loop {
                match rustix::io::write(fd, bytes) {
                    Err(Errno::INTR) => {}
                    result => return result.map_err(io::Error::from),
                }
            }
        });
        match written {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_that_of_the_user() {
        let uid = rustix::process::getuid().as_raw();
        let users =
            format!("other:x:{}:0::/:/bin/zsh\nme:x:{uid}:0:Me:/home/me:/bin/fish\n", uid + 1);
        assert_eq!(shell_of(&users).as_deref(), Some("/bin/fish"));
        assert_eq!(shell_of("broken\n"), None);
        assert!(Path::new(&login_shell()).is_file());
    }
}
