//! A node under a real terminal: one stream, the terminal's side of everything the program writes.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;

use pty_process::Size;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::StreamName;
use rustix::fs::{Mode, OFlags};

use super::process_spawner::bind_to_service;
use super::runner_process::{Caretakers, KeptTerminal, SessionLeader, Spawned};

/// Starts the program as the leader of a session whose terminal has this size. Runs on the
/// spawner's thread: the terminal is marked close-on-exec only after it was opened.
pub(super) fn spawn(
    mut command: Command,
    size: TerminalSize,
    caretakers: &Caretakers,
) -> io::Result<Spawned> {
    let (master, slave) = pty_process::blocking::open().map_err(into_io)?;
    master.resize(Size::new(size.rows, size.cols)).map_err(into_io)?;
    // A program may close its terminal and open it again. As long as the leader lives we keep the
    // terminal open, so that reading it ends when its last user is gone and not before.
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let kept = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    bind_to_service(&mut command);
    caretakers.guard.announce(&mut command);
    // It makes the child lead a session with this terminal, and closes our side of the slave.
    let command = pty_process::blocking::Command::from(command);
    let leader =
        SessionLeader::start(caretakers.clone(), || command.spawn(slave).map_err(into_io))?;
    let master = Arc::new(OwnedFd::from(master));
    let outputs = vec![(StreamName::Pty, Arc::clone(&master))];
    let terminal = Some(KeptTerminal { master, slave: Some(kept) });
    Ok(Spawned { leader, terminal, outputs })
}

fn into_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other),
    }
}
