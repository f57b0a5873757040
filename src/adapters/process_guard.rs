//! No process of a node outlives the service, also when the service is killed.
//!
//! The parent-death signal ends only the first process of a node. So the service starts its own
//! binary again as a guard, and tells it through a pipe, in lines, which sessions live:
//! `+PID START_TICKS` and `-PID`; a child tells of itself, `+PID`, before its program begins.
//! The pipe ends when the service does, however it dies. What the guard does then is in
//! [`process_guard_main`](super::process_guard_main). A guard that dies is started again and told everything.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use runcast_actors::entry::ProcessIdentity;
use rustix::fs::{OFlags, fcntl_setfl};

use super::process_guard_main::{GUARD_ARGUMENT, write_announcement};
use super::process_spawner::ProcessSpawner;

/// Messages to the guard that wait; the next caller waits for room.
const QUEUE_LEN: usize = 1024;
/// How often a silent guard is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A guard that lived this long starts with a clean record.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// Starts in a row without one that settled, after which there is no guard any more.
const MAX_FAILURES: u32 = 10;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// How the guard is started: by default our own binary with `guard`.
#[derive(Debug, Clone)]
pub struct GuardCommand {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl GuardCommand {
    /// The binary as a guard that gives `grace` to what it ends.
    pub fn new(program: PathBuf, grace: Duration) -> Self {
        let arguments = vec![GUARD_ARGUMENT.to_owned(), grace.as_millis().to_string()];
        Self { program, arguments }
    }
}

/// The service's side: keeps a guard running and tells it what lives.
#[derive(Clone)]
pub struct ProcessGuard {
    messages: SyncSender<Message>,
    pipe: GuardPipe,
}

/// The way to the guard that runs now; none while there is none. Its writer never blocks.
type GuardPipe = Arc<Mutex<Option<Arc<OwnedFd>>>>;

enum Message {
    Register(ProcessIdentity),
    Unregister(ProcessIdentity),
}

impl ProcessGuard {
    /// Starts a guard. The last clone that is dropped lets it end what still lives.
    /// Fails if the program cannot be started. Waits for the start.
    pub fn start(command: GuardCommand, spawner: ProcessSpawner) -> io::Result<Self> {
        let (messages, queue) = sync_channel(QUEUE_LEN);
        let (started, first_start) = sync_channel(1);
        let pipe = GuardPipe::default();
        let kept_pipe = Arc::clone(&pipe);
        thread::Builder::new().name("guard".to_owned()).spawn(move || {
            let mut keeper = Keeper::new(command, spawner, kept_pipe);
            let result = keeper.start();
            let is_running = result.is_ok();
            if started.send(result).is_ok() && is_running {
                keeper.work(&queue);
            }
        })?;
        first_start.recv().map_err(io::Error::other)??;
        Ok(Self { messages, pipe })
    }

    /// Makes the child tell the guard of itself before its program begins, so that there is no moment
    /// in which it runs unguarded. What [`Self::register`] says later is the same again.
    #[allow(unsafe_code)]
    pub fn announce(&self, command: &mut Command) {
        let Some(pipe) = lock(&self.pipe).clone() else { return };
        let announce = move || {
            let mut line = [0_u8; 16];
            let start = write_announcement(rustix::process::getpid().as_raw_pid(), &mut line);
            // Without room in the pipe it is told a moment later, by the service.
            let _ = rustix::io::write(&pipe, &line[start..]);
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe { command.pre_exec(announce) };
    }

    /// From now on the session of `identity` dies with the service. May wait: not for async threads.
    pub fn register(&self, identity: ProcessIdentity) {
        self.tell(Message::Register(identity));
    }

    /// The session of `identity` is gone. May wait: not for async threads.
    pub fn unregister(&self, identity: ProcessIdentity) {
        self.tell(Message::Unregister(identity));
    }

    fn tell(&self, message: Message) {
        if self.messages.send(message).is_err() {
            tracing::error!("the thread that keeps the guard is gone");
        }
    }
}

fn lock(pipe: &GuardPipe) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Running {
    child: Child,
    input: ChildStdin,
    since: Instant,
}

impl Running {
    /// Ends a guard without letting it end what it guards.
    fn replace(mut self) {
        // Killed before its input is closed, or it would take that for the end of the service.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps one guard running.
struct Keeper {
    command: GuardCommand,
    spawner: ProcessSpawner,
    live: HashMap<i32, ProcessIdentity>,
    running: Option<Running>,
    failures: u32,
    next_start: Instant,
    pipe: GuardPipe,
}

impl Keeper {
    fn new(command: GuardCommand, spawner: ProcessSpawner, pipe: GuardPipe) -> Self {
        let (live, next_start) = (HashMap::new(), Instant::now());
        Self { command, spawner, live, running: None, failures: 0, next_start, pipe }
    }

    fn work(&mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(self.next_look()) {
                Ok(message) => self.pass_on(&message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            self.look();
        }
    }

    fn next_look(&self) -> Duration {
        if self.running.is_some() || self.failures >= MAX_FAILURES {
            return LOOK_EVERY;
        }
        self.next_start.saturating_duration_since(Instant::now()).min(LOOK_EVERY)
    }

    fn pass_on(&mut self, message: &Message) {
        let line = match message {
            Message::Register(identity) => {
                self.live.insert(identity.pid, *identity);
                format!("+{} {}\n", identity.pid, identity.start_ticks)
            }
            Message::Unregister(identity) => {
                self.live.remove(&identity.pid);
                format!("-{}\n", identity.pid)
            }
        };
        let Some(running) = &mut self.running else { return };
        if let Err(error) = running.input.write_all(line.as_bytes()) {
            self.fail(&error.to_string());
        }
    }

    /// Notices the death of a guard, and starts the next one when it is time.
    fn look(&mut self) {
        if let Some(running) = &mut self.running {
            match running.child.try_wait() {
                Ok(None) if running.since.elapsed() >= SETTLED_AFTER => self.failures = 0,
                Ok(None) => {}
                Ok(Some(status)) => self.fail(&status.to_string()),
                Err(error) => self.fail(&error.to_string()),
            }
            return;
        }
        if self.failures >= MAX_FAILURES || Instant::now() < self.next_start {
            return;
        }
        if let Err(error) = self.start() {
            self.fail(&error.to_string());
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let command = self.command.clone();
        let mut child =
            self.spawner.run_blocking(move || spawn(&command)).map_err(io::Error::other)??;
        let Some(input) = child.stdin.take() else {
            return Err(io::Error::other("the guard has no input"));
        };
        let mut running = Running { child, input, since: Instant::now() };
        let told = tell_all(&mut running, self.live.values());
        *lock(&self.pipe) = running.input.as_fd().try_clone_to_owned().ok().map(Arc::new);
        self.running = Some(running);
        told
    }

    fn fail(&mut self, reason: &str) {
        *lock(&self.pipe) = None;
        if let Some(running) = self.running.take() {
            running.replace();
        }
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(16)).min(MAX_BACKOFF);
        self.failures += 1;
        self.next_start = Instant::now() + backoff;
        if self.failures >= MAX_FAILURES {
            tracing::error!(reason, "the guard failed too often; processes are unguarded");
        } else {
            tracing::warn!(reason, failures = self.failures, "the guard failed; starting it again");
        }
    }

    /// Ends the guard the way the death of the service does.
    fn close(&mut self) {
        *lock(&self.pipe) = None;
        let Some(running) = self.running.take() else { return };
        let Running { mut child, input, .. } = running;
        drop(input);
        // Bounded: the guard itself waits no longer than its grace and its last rounds.
        let _ = child.wait();
    }
}

fn tell_all<'a>(
    running: &mut Running,
    live: impl Iterator<Item = &'a ProcessIdentity>,
) -> io::Result<()> {
    let mut lines = String::new();
    for identity in live {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "+{} {}", identity.pid, identity.start_ticks);
    }
    running.input.write_all(lines.as_bytes())?;
    // A guard that does not read must not stop the service.
    Ok(fcntl_setfl(&running.input, OFlags::NONBLOCK)?)
}

fn spawn(command: &GuardCommand) -> io::Result<Child> {
    Command::new(&command.program)
        .args(&command.arguments)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_dies_is_started_again_and_told_everything() {
        let dir = tempfile::tempdir().unwrap();
        let heard = dir.path().join("heard");
        let line = format!("read line; echo \"$line\" >> {}; exit 1", heard.display());
        let arguments = vec!["-c".to_owned(), line];
        let command = GuardCommand { program: "sh".into(), arguments };
        let guard = ProcessGuard::start(command, ProcessSpawner::start().unwrap()).unwrap();
        let identity =
            ProcessIdentity { pid: i32::MAX, start_ticks: 5, boot_id: uuid::Uuid::nil() };
        guard.register(identity);
        let deadline = Instant::now() + Duration::from_secs(20);
        let expected = format!("+{} 5\n", i32::MAX).repeat(2);
        while !std::fs::read_to_string(&heard).unwrap_or_default().starts_with(&expected) {
            assert!(Instant::now() < deadline, "the second guard was told");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_guard_that_cannot_be_started_is_an_error() {
        let command = GuardCommand { program: "/no/such/guard".into(), arguments: Vec::new() };
        assert!(ProcessGuard::start(command, ProcessSpawner::start().unwrap()).is_err());
    }
}
