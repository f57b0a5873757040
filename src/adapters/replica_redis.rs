//! The replica of the logs of runs in Redis: the port [`Replica`].
//!
//! Each stream of a run is a stream of Redis, entry ids are `SEQ-0`; `meta` says where the copy ends. One
//! script a batch checks, appends and tells; so a batch is there as a whole or, for readers, not at all.
//! Everything is done on the runtime of the clients, whatever thread asks. A server that is away is answered
//! with `Unavailable` at once and tried again after a jittered wait.

mod batch;
mod condition;
mod connections;
mod ears;
mod fields;
mod health;
mod inbox;
mod keys;
mod meta;
mod reader;
mod scripts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_redis::redis::{Cmd, Pipeline, Script, Value};
use runcast_actors::entry::Entry;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::ports::{
    CommandFeed, LogError, OwnerCommand, Page, Replica, ReplicaBatch, ReplicaHealth,
    ReplicaScreens, RunReader, Tail, Wake,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::condition::Condition;
use self::connections::Connections;
use self::ears::Ears;
use self::inbox::{COMMAND_LIFE_MS, MAX_COMMANDS, RedisFeed};
use self::keys::{QUEUED_CHANNEL, RunKeys, stream_field, stream_of};
use self::meta::{Meta, array, bytes, corrupt, number, text};
use self::scripts::{APPEND, EXPIRE, FENCE, REMOVE, SCREENS, SEND, TRIM, call};

/// How long keys live while a run is appended to; an owner that never returns leaves nothing for ever.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the screens of a run say as of which entry they are; no stream is called so.
const SCREENS_SEQ_FIELD: &str = "seq";

/// Why there is no replica.
#[derive(Debug, thiserror::Error)]
#[error("the address of Redis cannot be used: {0}")]
pub struct RedisUrlError(String);

/// The replica in one Redis. Dropping it closes its connections.
pub struct RedisReplica {
    connections: Arc<Connections>,
    condition: Arc<Condition>,
    ears: Arc<Ears>,
    runtime: Handle,
    tasks: Vec<JoinHandle<()>>,
}

impl RedisReplica {
    /// At this address (`redis://` or `rediss://`, with user, password and database), on this runtime.
    /// Nobody waits for the server: while it is away, calls say so.
    pub fn new(url: &str, runtime: &Handle) -> Result<Self, RedisUrlError> {
        // TLS takes the provider of the process; with two in the tree none is a default by itself.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let condition = Arc::new(Condition::default());
        let connections = Connections::new(url, condition.clone())
            .map_err(|error| RedisUrlError(condition::describe(&error)))?;
        let connections = Arc::new(connections);
        let ears = Arc::new(Ears::default());
        let tasks = vec![
            runtime.spawn(ears.clone().hear(connections.clone())),
            runtime.spawn(ears.clone().poll(connections.clone())),
            runtime.spawn(health::watch(connections.clone(), condition.clone())),
        ];
        Ok(Self { connections, condition, ears, runtime: runtime.clone(), tasks })
    }

    /// Runs calls of one script; each answer begins with a word that says how it went.
    async fn run(
        &self,
        script: &'static Script,
        calls: Vec<Cmd>,
    ) -> Result<Vec<Vec<Value>>, LogError> {
        let connections = self.connections.clone();
        let answers = self.on_runtime(async move { connections.run(script, calls).await }).await?;
        let read = |answer| match answer {
            Value::ServerError(error) => Err(self.connections.refusal(&error.into())),
            answer => array(answer),
        };
        answers.into_iter().map(read).collect()
    }

    /// Runs one call of a script that answers `done`.
    async fn run_one(&self, script: &'static Script, call: Cmd) -> Result<Vec<Value>, LogError> {
        Ok(self.run(script, vec![call]).await?.pop().unwrap_or_default())
    }

    async fn read_one(&self, command: Cmd) -> Result<Value, LogError> {
        let connections = self.connections.clone();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let reading = async move { connections.read(&pipeline).await };
        Ok(self.on_runtime(reading).await?.pop().unwrap_or_default())
    }

    /// Does it in a task of its own, so that what was begun is finished, and that batches are encoded on the
    /// threads of the clients and not on those of runs.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, LogError>> + Send + 'static,
    ) -> Result<T, LogError> {
        let ended = |error: tokio::task::JoinError| LogError::Unavailable(error.to_string());
        self.runtime.spawn(work).await.map_err(ended)?
    }
}

impl Drop for RedisReplica {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Makes an error of an answer that does not begin with `done`.
fn done(mine: Epoch, answer: &[Value]) -> Result<(), LogError> {
    let word = |place: usize| answer.get(place).map_or(Ok(""), text);
    match word(0)? {
        "done" => Ok(()),
        "fenced" => Err(LogError::Fenced { mine, current: Epoch(number("epoch", word(1)?)?) }),
        "behind" => Err(LogError::Behind {
            tail: Seq(number("tail", word(1)?)?),
            first: Seq(number("first", word(2)?)?),
        }),
        "full" => Err(LogError::Unavailable("too many commands wait for the owner".to_owned())),
        other => Err(corrupt("an answer", format_args!("`{other}` is not known"))),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl RunReader for RedisReplica {
    async fn read(&self, run: &RunKey, after: Seq, limit: usize) -> Result<Page, LogError> {
        let (connections, run) = (self.connections.clone(), run.clone());
        self.on_runtime(async move { reader::read(&connections, &run, after, limit).await }).await
    }

    fn follow(&self, run: &RunKey) -> Wake {
        self.ears.tail(run)
    }
}

#[async_trait]
impl Replica for RedisReplica {
    async fn fence(&self, run: &RunKey, epoch: Epoch) -> Result<Tail, LogError> {
        let keys = RunKeys::new(run);
        let mut call = call(&FENCE, &[keys.meta()]);
        call.arg(keys.tag()).arg(millis(LIFE)).arg(epoch.0);
        let answer = self.run_one(&FENCE, call).await?;
        done(epoch, &answer)?;
        Ok(Meta::parse(&answer[1..])?.unwrap_or_default().tail())
    }

    async fn append(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ReplicaBatch,
    ) -> Result<(), LogError> {
        let asked = Instant::now();
        let (keys, connections) = (RunKeys::new(run), self.connections.clone());
        let appending = async move {
            let calls = batch::calls(&keys, epoch, millis(LIFE), &batch);
            connections.run(&APPEND, calls).await
        };
        for answer in self.on_runtime(appending).await? {
            match answer {
                Value::ServerError(error) => return Err(self.connections.refusal(&error.into())),
                answer => done(epoch, &array(answer)?)?,
            }
        }
        self.condition.set_full(false);
        metrics::histogram!("runcast_replica_append_seconds").record(asked.elapsed());
        Ok(())
    }

    fn cost(&self, entry: &Entry) -> u64 {
        batch::cost(entry)
    }

    async fn trim(&self, run: &RunKey, through: Seq) -> Result<(), LogError> {
        let keys = RunKeys::new(run);
        let mut call = call(&TRIM, &[keys.meta()]);
        call.arg(keys.tag()).arg(keys.tail_channel()).arg(through.0);
        done(Epoch::MAX, &self.run_one(&TRIM, call).await?)
    }

    async fn expire(&self, run: &RunKey, after: Duration) -> Result<(), LogError> {
        let keys = RunKeys::new(run);
        let mut call = call(&EXPIRE, &[keys.meta()]);
        call.arg(keys.tag()).arg(millis(after));
        done(Epoch::MAX, &self.run_one(&EXPIRE, call).await?)
    }

    async fn remove(&self, run: &RunKey) -> Result<(), LogError> {
        let keys = RunKeys::new(run);
        let mut call = call(&REMOVE, &[keys.meta()]);
        call.arg(keys.tag()).arg(keys.tail_channel());
        done(Epoch::MAX, &self.run_one(&REMOVE, call).await?)
    }

    async fn put_screens(
        &self,
        run: &RunKey,
        epoch: Epoch,
        after: Seq,
        screens: ReplicaScreens,
    ) -> Result<(), LogError> {
        let keys = RunKeys::new(run);
        let mut call = call(&SCREENS, &[keys.meta(), keys.screens()]);
        call.arg(epoch.0).arg(after.0).arg(screens.seq.0);
        for (stream, screen) in screens.streams {
            call.arg(stream_field(&stream)).arg(screen.as_ref());
        }
        done(epoch, &self.run_one(&SCREENS, call).await?)
    }

    async fn screens(&self, run: &RunKey) -> Result<ReplicaScreens, LogError> {
        let mut command = deadpool_redis::redis::cmd("HGETALL");
        command.arg(RunKeys::new(run).screens());
        let mut words = array(self.read_one(command).await?)?.into_iter();
        let mut screens = ReplicaScreens::default();
        while let (Some(field), Some(value)) = (words.next(), words.next()) {
            let field = text(&field)?.to_owned();
            if field == SCREENS_SEQ_FIELD {
                screens.seq = Seq(number("seq", text(&value)?)?);
                continue;
            }
            let stream = stream_of(&field).ok_or_else(|| corrupt("screen", field))?;
            screens.streams.push((stream, bytes(value)?));
        }
        Ok(screens)
    }

    async fn send(&self, run: &RunKey, command: OwnerCommand) -> Result<(), LogError> {
        let keys = RunKeys::new(run);
        let command =
            serde_json::to_vec(&command).map_err(|error| corrupt("the command", error))?;
        let mut call = call(&SEND, &[keys.inbox()]);
        call.arg(keys.inbox_channel()).arg(COMMAND_LIFE_MS).arg(MAX_COMMANDS).arg(command);
        done(Epoch::MAX, &self.run_one(&SEND, call).await?)
    }

    fn commands(&self, run: &RunKey) -> Box<dyn CommandFeed> {
        let keys = RunKeys::new(run);
        let wake = self.ears.inbox(&keys);
        Box::new(RedisFeed::new(&self.runtime, self.connections.clone(), &keys, wake))
    }

    async fn announce_queued(&self) -> Result<(), LogError> {
        let connections = self.connections.clone();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("PUBLISH").arg(QUEUED_CHANNEL).arg("1");
        let telling = async move { connections.write(&pipeline).await };
        match self.on_runtime(telling).await?.pop() {
            Some(Value::ServerError(error)) => Err(self.connections.refusal(&error.into())),
            _ => Ok(()),
        }
    }

    fn queued(&self) -> Wake {
        self.ears.queued()
    }

    fn health(&self) -> ReplicaHealth {
        self.condition.health()
    }
}
