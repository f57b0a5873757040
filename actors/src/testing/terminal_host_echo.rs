//! Terminals without processes: what is typed is written. A real variant of the port, for tests.
//!
//! A line `exit N` ends the program with that code, `flood N` writes N bytes, `ignore` makes it ignore the
//! request to end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use tokio::sync::Notify;

use crate::entry::{ProcessEnd, ProcessIdentity, TerminalSize};
use crate::ports::{
    Input, NodeProcess, OpenTerminal, Output, StartError, TerminalCommand, TerminalHost,
};

/// What the terminal takes before it is read.
const KERNEL_BYTES: usize = 64 * 1024;
/// The program that is not there.
pub const MISSING_PROGRAM: &str = "missing";
/// The program that cannot be started.
pub const BROKEN_PROGRAM: &str = "broken";
/// The directory that is there, with everything below it.
pub const DIRECTORY: &str = "/projects";
/// Where terminals start that do not say where.
pub const HOME: &str = "/home/echo";

/// Opens terminals that echo.
#[derive(Default)]
pub struct EchoHost {
    opened: Mutex<Vec<TerminalCommand>>,
}

impl EchoHost {
    /// What was opened, in order.
    pub fn opened(&self) -> Vec<TerminalCommand> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl TerminalHost for EchoHost {
    async fn open(&self, command: TerminalCommand) -> Result<OpenTerminal, StartError> {
        tokio::task::yield_now().await;
        let directory = command.directory.clone().unwrap_or_else(|| PathBuf::from(HOME));
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if command.argv.iter().any(|word| word == BROKEN_PROGRAM) {
            return Err(StartError("cannot start `broken`: it is broken".to_owned()));
        }
        opened.push(command);
        let pid = i32::try_from(opened.len()).unwrap_or(i32::MAX);
        drop(opened);
        let terminal = Echo::default();
        let identity = ProcessIdentity { pid, start_ticks: 1, boot_id: uuid::Uuid::nil() };
        Ok(OpenTerminal {
            process: Box::new(terminal.clone()),
            output: Box::new(terminal.clone()),
            input: Box::new(terminal),
            identity,
            directory,
        })
    }

    fn directory_of(&self, _: &ProcessIdentity) -> Option<PathBuf> {
        None
    }

    fn has_program(&self, program: &str) -> bool {
        program != MISSING_PROGRAM
    }

    fn directory(&self, path: &Path) -> Option<PathBuf> {
        let is_plain = path.components().all(|part| part != std::path::Component::ParentDir);
        (is_plain && (path.starts_with(DIRECTORY) || path == Path::new(HOME)))
            .then(|| path.to_owned())
    }
}

#[derive(Clone, Default)]
struct Echo(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    line: Vec<u8>,
    written: VecDeque<u8>,
    ignores: bool,
    end: Option<ProcessEnd>,
}

impl Echo {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: ProcessEnd) {
        self.lock().end.get_or_insert(end);
        self.0.changed.notify_waiters();
    }

    async fn wait_for<T>(&self, mut look: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let changed = self.0.changed.notified();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Inner {
    fn obey(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        match line.trim().split_once(' ') {
            Some(("exit", code)) => self.end = Some(ProcessEnd::Code(code.parse().unwrap_or(1))),
            Some(("flood", count)) => {
                self.written.extend(std::iter::repeat_n(b'x', count.parse().unwrap_or(0)));
            }
            _ if line.trim() == "ignore" => self.ignores = true,
            _ => {}
        }
    }
}

#[async_trait(?Send)]
impl NodeProcess for Echo {
    async fn wait(&mut self) -> ProcessEnd {
        self.wait_for(|inner| inner.end).await
    }

    fn resize(&mut self, _: TerminalSize) -> std::io::Result<()> {
        Ok(())
    }

    fn has_group(&mut self) -> bool {
        self.lock().end.is_none()
    }

    fn terminate(&mut self) {
        if !self.lock().ignores {
            self.end(ProcessEnd::Signal(1));
        }
    }

    fn kill(&mut self) {
        self.end(ProcessEnd::Signal(9));
    }
}

#[async_trait(?Send)]
impl Output for Echo {
    async fn readable(&mut self) -> std::io::Result<()> {
        let ready =
            |inner: &mut Inner| (!inner.written.is_empty() || inner.end.is_some()).then_some(());
        self.wait_for(ready).await;
        Ok(())
    }

    fn try_read(&mut self, buffer: &mut BytesMut, limit: usize) -> std::io::Result<Option<usize>> {
        let mut inner = self.lock();
        let count = inner.written.len().min(limit);
        if count == 0 {
            return Ok(inner.end.map(|_| 0));
        }
        buffer.extend(inner.written.drain(..count));
        drop(inner);
        self.0.changed.notify_waiters();
        Ok(Some(count))
    }
}

#[async_trait(?Send)]
impl Input for Echo {
    async fn writable(&mut self) -> std::io::Result<()> {
        self.wait_for(|inner| (inner.written.len() < KERNEL_BYTES).then_some(())).await;
        Ok(())
    }

    fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<Option<usize>> {
        let mut inner = self.lock();
        let count = KERNEL_BYTES.saturating_sub(inner.written.len()).min(bytes.len());
        if count == 0 {
            return Ok(None);
        }
        for byte in &bytes[..count] {
            inner.written.push_back(*byte);
            inner.line.push(*byte);
            if *byte == b'\r' {
                inner.obey();
            }
        }
        drop(inner);
        self.0.changed.notify_waiters();
        Ok(Some(count))
    }
}
