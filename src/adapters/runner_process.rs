//! A process of this machine with everything it started.
//!
//! It is waited for without being reaped, so that its number, which is also the number of its
//! session, stays its own until the session is empty. Dropping it hands it to the reaper.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;

use async_trait::async_trait;
use runcast_actors::entry::{ProcessEnd, ProcessIdentity, TerminalSize};
use runcast_actors::ports::NodeProcess;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;

use super::process_group;
use super::process_guard::ProcessGuard;
use super::process_reaper::ProcessReaper;
use super::process_spawner::ProcessSpawner;
use super::runner_output::watch_readable;

/// What a process needs of the service while it lives and dies.
#[derive(Clone)]
pub struct Caretakers {
    /// Forks; its thread must live as long as the process.
    pub spawner: ProcessSpawner,
    /// Ends it when the service dies.
    pub guard: ProcessGuard,
    /// Ends and reaps it.
    pub reaper: ProcessReaper,
}

/// A child that leads its session. Dropping it kills the session and reaps the child.
pub struct SessionLeader {
    child: Option<Child>,
    identity: ProcessIdentity,
    caretakers: Caretakers,
}

impl SessionLeader {
    /// Takes charge of a child that was just started by `start`. Runs on the spawner's thread.
    pub(super) fn start(
        caretakers: Caretakers,
        start: impl FnOnce() -> io::Result<Child>,
    ) -> io::Result<Self> {
        let mut child = start()?;
        match process_group::identify(child.id().cast_signed()) {
            Ok(identity) => {
                caretakers.guard.register(identity);
                Ok(Self { child: Some(child), identity, caretakers })
            }
            Err(error) => {
                // It was not reaped, so the number is its own.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Who it is.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    fn end(&self) -> io::Result<Option<ProcessEnd>> {
        let Some(pid) = Pid::from_raw(self.identity.pid) else { return Ok(None) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(status) = waitid(WaitId::Pid(pid), options)? else { return Ok(None) };
        let code = status.exit_status().map(ProcessEnd::Code);
        Ok(code.or_else(|| status.terminating_signal().map(ProcessEnd::Signal)))
    }
}

impl Drop for SessionLeader {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.caretakers.reaper.bury(child, self.identity);
        }
    }
}

/// The terminal of a process, as far as we keep it open.
pub struct KeptTerminal {
    /// Our side.
    pub master: Arc<OwnedFd>,
    /// The program's side, until the process has ended.
    pub slave: Option<OwnedFd>,
}

/// A process that was started here.
pub struct LocalProcess {
    leader: SessionLeader,
    /// Readable when the process has ended.
    pidfd: AsyncFd<Arc<OwnedFd>>,
    terminal: Option<KeptTerminal>,
    end: Option<ProcessEnd>,
}

impl LocalProcess {
    /// Watches a process with the runtime of this thread.
    pub fn new(leader: SessionLeader, terminal: Option<KeptTerminal>) -> io::Result<Self> {
        let pid = Pid::from_raw(leader.identity.pid)
            .ok_or_else(|| io::Error::other("a process without a number"))?;
        let pidfd = watch_readable(Arc::new(pidfd_open(pid, PidfdFlags::NONBLOCK)?))?;
        Ok(Self { leader, pidfd, terminal, end: None })
    }
}

#[async_trait(?Send)]
impl NodeProcess for LocalProcess {
    async fn wait(&mut self) -> ProcessEnd {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            let end = match self.pidfd.readable().await {
                Ok(mut ready) => match self.leader.end() {
                    Ok(None) => {
                        ready.clear_ready();
                        continue;
                    }
                    Ok(Some(end)) => Ok(end),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            self.end = Some(end.unwrap_or_else(|error| {
                let pid = self.leader.identity.pid;
                tracing::error!(pid, %error, "the end of a process cannot be learned");
                ProcessEnd::Unknown
            }));
            if let Some(terminal) = &mut self.terminal {
                terminal.slave = None;
            }
        }
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        let Some(terminal) = &self.terminal else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the node has no terminal"));
        };
        let size = Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&terminal.master, size)?)
    }

    fn has_group(&mut self) -> bool {
        process_group::Processes::read().has_members(&self.leader.identity)
    }

    fn terminate(&mut self) {
        self.leader.caretakers.reaper.terminate(self.leader.identity);
    }

    fn kill(&mut self) {
        self.leader.caretakers.reaper.kill(self.leader.identity);
    }
}

/// A started process with the descriptors of its outputs, before a runtime watches them.
pub struct Spawned {
    /// The process.
    pub leader: SessionLeader,
    /// Its terminal, if it has one.
    pub terminal: Option<KeptTerminal>,
    /// Where its outputs are read.
    pub outputs: Vec<(runcast_actors::ids::StreamName, Arc<OwnedFd>)>,
}

/// Starts a command whose outputs and session are set up: what is left is to fork it.
pub(super) fn fork(command: &mut Command, caretakers: &Caretakers) -> io::Result<SessionLeader> {
    SessionLeader::start(caretakers.clone(), || command.spawn())
}
