//! Viewers of a run: one that stays as long as the service lets it, one that is cut off again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;

use crate::support::api::Api;
use crate::support::collect::Collected;
use crate::support::sse::{Message, SseClient};

/// How soon a viewer comes back to a service that does not answer, or has sent it away.
const COME_BACK: Duration = Duration::from_millis(50);
/// After so many bytes, at most, the other one is cut.
const CUT_BYTES: usize = 1_000_000;

/// How a viewer is served at the moment.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    /// The last event that it has.
    pub(super) cursor: u64,
    /// The longest time between two events since [`Viewer::mark`].
    pub(super) silence: Duration,
    last: Instant,
}

/// A viewer that watches to the end.
pub(super) struct Viewer {
    progress: Arc<Mutex<Progress>>,
    task: JoinHandle<Collected>,
}

impl Viewer {
    /// One that stays.
    pub(super) fn staying(api: Api, run: &str) -> Self {
        Self::begin(api, run, None)
    }

    /// One whose connection is cut at random places.
    pub(super) fn cut(api: Api, run: &str, seed: u64) -> Self {
        Self::begin(api, run, Some(StdRng::seed_from_u64(seed)))
    }

    fn begin(api: Api, run: &str, cuts: Option<StdRng>) -> Self {
        let progress = Progress { cursor: 0, silence: Duration::ZERO, last: Instant::now() };
        let progress = Arc::new(Mutex::new(progress));
        let watching = Watching { api, run: run.to_owned(), cuts, progress: progress.clone() };
        Self { progress, task: tokio::spawn(watching.watch()) }
    }

    /// How it is served; panics if it has failed.
    pub(super) async fn progress(&mut self) -> Progress {
        if self.task.is_finished() {
            let _: Collected = (&mut self.task).await.expect("a viewer");
            panic!("a viewer has ended before its run");
        }
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Silence is measured from now on.
    pub(super) fn mark(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.silence = Duration::ZERO;
        progress.last = Instant::now();
    }

    /// All that it has got, at the end.
    pub(super) async fn end(self) -> Collected {
        self.task.await.expect("a viewer")
    }
}

struct Watching {
    api: Api,
    run: String,
    cuts: Option<StdRng>,
    progress: Arc<Mutex<Progress>>,
}

impl Watching {
    async fn watch(mut self) -> Collected {
        let mut seen = Collected::new();
        while seen.done.is_none() {
            let request = self.api.stream(&self.run).last_event_id(seen.cursor);
            if let Ok(mut client) = request.try_open().await {
                if client.status() == 204 {
                    break;
                }
                assert_eq!(client.status(), 200, "what passes is told in the stream");
                self.read(&mut client, &mut seen).await;
            }
            tokio::time::sleep(COME_BACK).await;
        }
        seen
    }

    /// Reads until the stream ends, or until it is cut, somewhere in an event.
    async fn read(&mut self, client: &mut SseClient, seen: &mut Collected) {
        if let Some(random) = &mut self.cuts {
            let (messages, _) = client.read_bytes(random.random_range(1..=CUT_BYTES)).await;
            return messages.into_iter().for_each(|message| self.take(message, seen));
        }
        while let Some(message) = client.next().await {
            self.take(message, seen);
        }
    }

    fn take(&self, message: Message, seen: &mut Collected) {
        self.note(&message);
        seen.push(message);
    }

    fn note(&self, message: &Message) {
        let Message::Event(event) = message else { return };
        let Some(cursor) = event.id else { return };
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.cursor = cursor;
        progress.silence = progress.silence.max(progress.last.elapsed());
        progress.last = Instant::now();
    }
}
