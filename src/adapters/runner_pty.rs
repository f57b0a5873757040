//! A node under a real terminal: one stream, the terminal's side of everything the program writes.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;

use pty_process::Size;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::StreamName;

use super::process_spawner::bind_to_service;
use super::runner_process::{Caretakers, SessionLeader, Spawned};

/// Starts the program as the leader of a session whose terminal has this size. Runs on the
/// spawner's thread: the terminal is marked close-on-exec only after it was opened.
pub(super) fn spawn(
    mut command: Command,
    size: TerminalSize,
    caretakers: &Caretakers,
) -> io::Result<Spawned> {
    let (master, slave) = pty_process::blocking::open().map_err(into_io)?;
    master.resize(Size::new(size.rows, size.cols)).map_err(into_io)?;
    bind_to_service(&mut command);
    // It makes the child lead a session with this terminal, and closes our side of the slave.
    let command = pty_process::blocking::Command::from(command);
    let leader =
        SessionLeader::start(caretakers.clone(), || command.spawn(slave).map_err(into_io))?;
    let master = Arc::new(OwnedFd::from(master));
    let outputs = vec![(StreamName::Pty, Arc::clone(&master))];
    Ok(Spawned { leader, terminal: Some(master), outputs })
}

fn into_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other),
    }
}
