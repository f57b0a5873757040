//! Who wants to know of what: notifications over one connection, and a poll as a net under lost ones.
//!
//! A notification says only that it is worth looking. Who begins to listen is woken once when the server
//! has confirmed it, and all are after the connection was made again: what came before is not missed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use deadpool_redis::redis::{Pipeline, RedisResult, Value};
use futures_util::StreamExt as _;
use runcast_actors::ids::{RunKey, Seq};
use runcast_actors::ports::{LogError, Wake};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::condition::wait;
use super::connections::Connections;
use super::keys::{QUEUED_CHANNEL, RunKeys};

/// How often is looked for what no notification told.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often those are forgotten whom nobody listens for, and the connection is tried.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// Until the server has confirmed a subscription or a ping.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Channels of one subscription, and questions of one poll.
const BATCH: usize = 500;

/// The channels that somebody in this process listens to.
#[derive(Debug, Default)]
pub(super) struct Ears {
    channels: Mutex<HashMap<String, Ear>>,
    added: Notify,
}

#[derive(Debug)]
struct Ear {
    wakes: watch::Sender<Seq>,
    poll: Poll,
    /// What the last poll saw.
    seen: Option<Value>,
}

/// How to find out without a notification.
#[derive(Debug, Clone)]
enum Poll {
    /// By the ends of the copy: the key of its `meta`.
    Ends(String),
    /// By the number of commands: the key of the inbox.
    Commands(String),
    /// Who listens looks for himself.
    Never,
}

impl Ears {
    /// Wakes when the run has grown, was trimmed or removed.
    pub(super) fn tail(&self, run: &RunKey) -> Wake {
        let keys = RunKeys::new(run);
        Wake::new(self.listen(keys.tail_channel(), Poll::Ends(keys.meta())))
    }

    /// Wakes when there may be a command for the owner of the run.
    pub(super) fn inbox(&self, keys: &RunKeys) -> Wake {
        Wake::new(self.listen(keys.inbox_channel(), Poll::Commands(keys.inbox())))
    }

    /// Wakes when a run waits for an owner.
    pub(super) fn queued(&self) -> Wake {
        Wake::new(self.listen(QUEUED_CHANNEL.to_owned(), Poll::Never))
    }

    fn listen(&self, channel: String, poll: Poll) -> watch::Receiver<Seq> {
        let mut channels = self.lock();
        let ear = channels.entry(channel).or_insert_with(|| {
            self.added.notify_one();
            Ear { wakes: watch::Sender::new(Seq::START), poll, seen: None }
        });
        ear.wakes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Ear>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, channel: &str, tail: Seq) {
        if let Some(ear) = self.lock().get(channel) {
            ear.wakes.send_replace(tail);
        }
    }

    /// Forgets whom nobody listens for, and names the others.
    fn tidy(&self) -> HashSet<String> {
        let mut channels = self.lock();
        channels.retain(|_, ear| ear.wakes.receiver_count() > 0);
        channels.keys().cloned().collect()
    }

    /// Listens for notifications, for ever.
    pub(super) async fn hear(self: Arc<Self>, connections: Arc<Connections>) {
        let mut failures = 0;
        loop {
            let heard = self.hear_on_a_connection(&connections, &mut failures).await;
            failures += 1;
            let wait = wait(failures);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            if let Err(error) = heard {
                tracing::debug!(%error, wait_ms, "notifications of the replica are away");
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn hear_on_a_connection(
        &self,
        connections: &Connections,
        failures: &mut u32,
    ) -> Result<(), LogError> {
        if self.tidy().is_empty() {
            self.added.notified().await;
        }
        let (mut sink, mut stream) = connections.pubsub().await?.split();
        let mut subscribed = HashSet::new();
        let mut tidying = interval(TIDY_EVERY);
        tidying.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.subscribe(&mut sink, &mut subscribed).await?;
        *failures = 0;
        loop {
            tokio::select! {
                message = next(&mut stream) => match message {
                    Some((channel, tail)) => self.wake(&channel, tail),
                    None => return Err(LogError::Unavailable("the connection has ended".to_owned())),
                },
                () = self.added.notified() => self.subscribe(&mut sink, &mut subscribed).await?,
                _ = tidying.tick() => {
                    self.unsubscribe(&mut sink, &mut subscribed).await?;
                    // A connection whose other side has gone without a word says nothing.
                    answered(sink.ping::<Value>()).await?;
                }
            }
        }
    }

    /// Subscribes to what is new, and wakes those who listen there.
    async fn subscribe(
        &self,
        sink: &mut PubSubSink,
        subscribed: &mut HashSet<String>,
    ) -> Result<(), LogError> {
        let wanted: Vec<String> =
            self.lock().keys().filter(|channel| !subscribed.contains(*channel)).cloned().collect();
        for channels in wanted.chunks(BATCH) {
            answered(sink.subscribe(channels)).await?;
            for channel in channels {
                self.wake(channel, Seq::START);
                subscribed.insert(channel.clone());
            }
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        sink: &mut PubSubSink,
        subscribed: &mut HashSet<String>,
    ) -> Result<(), LogError> {
        let wanted = self.tidy();
        let forgotten: Vec<String> = subscribed.difference(&wanted).cloned().collect();
        for channels in forgotten.chunks(BATCH) {
            answered(sink.unsubscribe(channels)).await?;
            for channel in channels {
                subscribed.remove(channel);
            }
        }
        Ok(())
    }

    /// Looks for what no notification told, for ever.
    pub(super) async fn poll(self: Arc<Self>, connections: Arc<Connections>) {
        let mut polling = interval(POLL_EVERY);
        polling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            polling.tick().await;
            self.tidy();
            let asked: Vec<(String, Poll)> = self
                .lock()
                .iter()
                .filter(|(_, ear)| !matches!(ear.poll, Poll::Never))
                .map(|(channel, ear)| (channel.clone(), ear.poll.clone()))
                .collect();
            for asked in asked.chunks(BATCH) {
                if let Err(error) = self.poll_some(&connections, asked).await {
                    tracing::debug!(%error, "the replica was not polled");
                    break;
                }
            }
        }
    }

    async fn poll_some(
        &self,
        connections: &Connections,
        asked: &[(String, Poll)],
    ) -> Result<(), LogError> {
        let mut pipeline = Pipeline::with_capacity(asked.len());
        for (_, poll) in asked {
            match poll {
                Poll::Ends(meta) => pipeline.cmd("HMGET").arg(meta).arg(&["seq", "trimmed"]),
                Poll::Commands(inbox) => pipeline.cmd("XLEN").arg(inbox),
                Poll::Never => continue,
            };
        }
        let answers = connections.read(&pipeline).await?;
        let mut channels = self.lock();
        for ((channel, _), answer) in asked.iter().zip(answers) {
            let Some(ear) = channels.get_mut(channel) else { continue };
            let is_news = ear.seen.as_ref() != Some(&answer);
            let waits = matches!(answer, Value::Int(1..));
            if is_news || waits {
                ear.wakes.send_modify(|_| {});
            }
            ear.seen = Some(answer);
        }
        Ok(())
    }
}

async fn answered<T>(answer: impl Future<Output = RedisResult<T>>) -> Result<T, LogError> {
    match timeout(ANSWER_LIMIT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(LogError::Unavailable(super::condition::describe(&error))),
        Err(_) => Err(LogError::Unavailable("no answer in time".to_owned())),
    }
}

/// The channel of the next notification, with the tail that it tells.
async fn next(stream: &mut PubSubStream) -> Option<(String, Seq)> {
    let message = stream.next().await?;
    let tail = std::str::from_utf8(message.get_payload_bytes()).unwrap_or_default();
    Some((message.get_channel_name().to_owned(), Seq(tail.parse().unwrap_or_default())))
}
