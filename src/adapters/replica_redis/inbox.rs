//! Commands for the owner of a run: a short stream that whoever deletes an entry of may act on it.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_redis::redis::{Pipeline, Value};
use runcast_actors::ports::{CommandFeed, LogError, OwnerCommand, Wake};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::condition::wait;
use super::connections::Connections;
use super::keys::RunKeys;
use super::meta::{array, bytes, corrupt, number, text};

/// How long a command waits for an owner, in milliseconds.
pub(super) const COMMAND_LIFE_MS: u64 = 60_000;
/// How many commands may wait; one more is refused.
pub(super) const MAX_COMMANDS: usize = 256;
/// Commands that are looked at together.
const PAGE: usize = 16;

/// What takes commands out of the inbox of one run, in a task that goes with it.
pub(super) struct RedisFeed {
    commands: mpsc::Receiver<OwnerCommand>,
    task: JoinHandle<()>,
}

impl RedisFeed {
    /// Takes commands from now on, on this runtime; `wake` listens to the inbox already.
    pub(super) fn new(
        runtime: &tokio::runtime::Handle,
        connections: Arc<Connections>,
        keys: &RunKeys,
        wake: Wake,
    ) -> Self {
        let (sender, commands) = mpsc::channel(1);
        let inbox = Inbox { connections, key: keys.inbox(), last: None, sender };
        Self { commands, task: runtime.spawn(inbox.take(wake)) }
    }
}

impl Drop for RedisFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl CommandFeed for RedisFeed {
    async fn next(&mut self) -> OwnerCommand {
        match self.commands.recv().await {
            Some(command) => command,
            // The runtime of the clients has ended, and the process with it.
            None => std::future::pending().await,
        }
    }
}

struct Inbox {
    connections: Arc<Connections>,
    key: String,
    /// The last entry that was looked at.
    last: Option<String>,
    sender: mpsc::Sender<OwnerCommand>,
}

impl Inbox {
    async fn take(mut self, mut wake: Wake) {
        let mut failures = 0;
        loop {
            match self.take_some().await {
                Ok(0) => wake.changed().await,
                Ok(_) => {}
                Err(error) => {
                    failures += 1;
                    tracing::debug!(%error, failures, "commands for the owner wait");
                    tokio::time::sleep(wait(failures)).await;
                    continue;
                }
            }
            failures = 0;
        }
    }

    /// Hands over what has come; says how much was looked at.
    async fn take_some(&mut self) -> Result<usize, LogError> {
        let mut pipeline = Pipeline::with_capacity(2);
        let from = self.last.as_ref().map_or_else(|| "-".to_owned(), |last| format!("({last}"));
        pipeline.cmd("TIME");
        pipeline.cmd("XRANGE").arg(&self.key).arg(from).arg("+").arg("COUNT").arg(PAGE);
        let mut answers = self.connections.read(&pipeline).await?;
        let entries = array(answers.pop().unwrap_or_default())?;
        let now_ms = millis(answers.pop().unwrap_or_default())?;
        let count = entries.len();
        for entry in entries {
            let (id, command) = id_and_command(entry)?;
            // Only what can be handed over is taken.
            let Ok(room) = self.sender.clone().reserve_owned().await else { return Ok(0) };
            let is_mine = self.delete(&id).await;
            let sent_ms: u64 = number("a command", id.split('-').next().unwrap_or_default())?;
            let is_young = now_ms.saturating_sub(sent_ms) < COMMAND_LIFE_MS;
            self.last = Some(id);
            match serde_json::from_slice(&command) {
                Ok(command) if is_mine && is_young => drop(room.send(command)),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a command is not known here"),
            }
        }
        Ok(count)
    }

    /// True unless another one has it: of several that look, one deletes.
    async fn delete(&self, id: &str) -> bool {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("XDEL").arg(&self.key).arg(id);
        match self.connections.write(&pipeline).await {
            Ok(answers) => answers.first() != Some(&Value::Int(0)),
            // Whether it was deleted is not known; twice is better than never.
            Err(_) => true,
        }
    }
}

/// The time of the server.
fn millis(time: Value) -> Result<u64, LogError> {
    let parts = array(time)?;
    let [secs, micros] = parts.as_slice() else {
        return Err(corrupt("the time", "two numbers were expected"));
    };
    let (secs, micros): (u64, u64) = (number("secs", text(secs)?)?, number("µs", text(micros)?)?);
    Ok(secs * 1000 + micros / 1000)
}

fn id_and_command(entry: Value) -> Result<(String, bytes::Bytes), LogError> {
    let mut parts = array(entry)?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
        return Err(corrupt("the inbox", "an entry has an id and fields"));
    };
    let command = array(fields)?.pop().unwrap_or_default();
    Ok((text(&id)?.to_owned(), bytes(command)?))
}
