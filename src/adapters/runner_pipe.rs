//! A node without a terminal: standard output and error apart, nothing to read.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;

use runcast_actors::ids::StreamName;
use rustix::pipe::{PipeFlags, pipe_with};

use super::process_spawner::{bind_to_service, lead_session};
use super::runner_process::{Caretakers, Spawned, fork};

/// Starts the program as the leader of a session without a terminal. Runs on the spawner's thread.
pub(super) fn spawn(mut command: Command, caretakers: &Caretakers) -> io::Result<Spawned> {
    let (stdout, stdout_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, stderr_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    command.stdin(Stdio::null()).stdout(stdout_writer).stderr(stderr_writer);
    bind_to_service(&mut command);
    caretakers.guard.announce(&mut command);
    lead_session(&mut command);
    let leader = fork(&mut command, caretakers)?;
    let outputs = [(StreamName::Stdout, stdout), (StreamName::Stderr, stderr)];
    let outputs = outputs.map(|(stream, fd): (StreamName, OwnedFd)| (stream, Arc::new(fd)));
    Ok(Spawned { leader, terminal: None, outputs: outputs.into() })
}
