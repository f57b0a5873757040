//! Owns: the window of one watched run.
//! Takes: nothing; it follows the history of the run.
//! Sends: encoded events into the window; viewers pull from there, each with its own cursor.
//! Queue: the window, `sse.window_bytes`; what falls out of it is read from history.
//! Stops: when nobody has watched the run for half a minute.
//! Restart: yes; it goes on where the window ends.

mod viewers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::entry::Body;
use crate::flow::frame::Frame;
use crate::flow::window::{Window, WindowRead};
use crate::history::{History, HistoryError, Item};
use crate::ids::{RunKey, Seq, hash_of};
use crate::kernel::{
    ArbiterPool, Backoff, ChildContext, ExitStatus, KillSwitch, Observers, RestartPolicy, Shown,
    Supervisor,
};
use crate::moment::Timestamp;

use self::viewers::{ShownViewer, ShownViewers};

pub use self::viewers::ViewerFigures;

/// Bytes that are read and encoded at once.
const READ_BYTES: usize = 256 * 1024;
/// How long a window is kept without viewers.
const IDLE: Duration = Duration::from_secs(30);
/// The wait after a failed read.
const RETRY: Duration = Duration::from_millis(500);

/// All watched runs of the process.
pub struct Brokers {
    history: History,
    arbiters: Arc<ArbiterPool>,
    observers: Observers,
    root: KillSwitch,
    window_bytes: usize,
    max_viewers: usize,
    viewers: Arc<AtomicUsize>,
    shown: Arc<ShownViewers>,
    watched: Mutex<HashMap<RunKey, Watched>>,
}

struct Watched {
    window: Arc<Window>,
    viewers: Arc<AtomicUsize>,
    group: Supervisor,
}

/// There are as many viewers as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} viewers, as many as there may be")]
pub struct TooManyViewers(pub usize);

impl Brokers {
    /// Windows of at most `window_bytes` each, for at most `max_viewers` viewers.
    pub fn new(
        history: History,
        arbiters: Arc<ArbiterPool>,
        observers: Observers,
        root: KillSwitch,
        window_bytes: usize,
        max_viewers: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            history,
            arbiters,
            observers,
            root,
            window_bytes,
            max_viewers,
            viewers: Arc::default(),
            shown: Arc::default(),
            watched: Mutex::default(),
        })
    }

    /// A viewer of the run, behind this cursor. It counts until it is dropped.
    pub async fn watch(self: &Arc<Self>, run: &RunKey, cursor: Seq) -> Result<Viewer, WatchError> {
        let total = Counted::new(self.viewers.clone());
        if total.count > self.max_viewers {
            return Err(TooManyViewers(self.max_viewers).into());
        }
        let tail = self.history.tail(run).await?;
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = watched.entry(run.clone()).or_insert_with(|| self.begin(run, tail));
        let viewers = Counted::new(broker.viewers.clone());
        let window = broker.window.clone();
        drop(watched);
        let grown = window.subscribe();
        metrics::gauge!("runcast_stream_subscribers_active").increment(1.0);
        Ok(Viewer {
            shown: self.shown.add(run.clone(), window.clone(), cursor),
            run: run.clone(),
            history: self.history.clone(),
            window,
            grown,
            cursor,
            _counts: [total, viewers],
        })
    }

    /// How many viewers there are.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// The viewers after this one, oldest first, at most `limit`; and whether there are more.
    pub fn list(&self, after: u64, limit: usize) -> (Vec<ViewerFigures>, bool) {
        self.shown.list(after, limit)
    }

    /// Bytes held by all windows.
    pub fn window_bytes(&self) -> usize {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values().map(|watched| watched.window.bytes()).sum()
    }

    /// Lets every window keep no more than this.
    pub fn shrink_windows(&self, max_bytes: usize) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values().for_each(|watched| watched.window.shrink_to(max_bytes));
    }

    fn begin(self: &Arc<Self>, run: &RunKey, tail: Seq) -> Watched {
        let window = Arc::new(Window::new(tail, self.window_bytes));
        let viewers = Arc::new(AtomicUsize::new(0));
        let group = Supervisor::new(run.to_string(), &self.root, self.observers.clone());
        let broker = Arc::new(Broker {
            run: run.clone(),
            brokers: Arc::downgrade(self),
            history: self.history.clone(),
            window: window.clone(),
            viewers: viewers.clone(),
        });
        let policy =
            RestartPolicy::OnFault(Backoff { max_restarts: u32::MAX, ..Backoff::default() });
        // Not on the thread that captures the run, where there is another one.
        let hash = hash_of(run).wrapping_add(1);
        group.spawn_follower("Broker", policy, &self.arbiters.pick(hash), move |child| {
            broker.clone().follow(child)
        });
        Watched { window, viewers, group }
    }

    /// Forgets the run if nobody watches it.
    fn end_if_idle(&self, run: &RunKey) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let idle =
            watched.get(run).is_none_or(|watched| watched.viewers.load(Ordering::Relaxed) == 0);
        if idle && let Some(watched) = watched.remove(run) {
            watched.group.kill_switch().kill(ExitStatus::Finished);
        }
        idle
    }
}

/// Why a run cannot be watched now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// There is no room for another viewer.
    #[error(transparent)]
    TooManyViewers(#[from] TooManyViewers),
    /// Its history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

struct Broker {
    run: RunKey,
    brokers: std::sync::Weak<Brokers>,
    history: History,
    window: Arc<Window>,
    viewers: Arc<AtomicUsize>,
}

impl Broker {
    /// What is lost of a run while somebody watches it. What was lost before, or is lost while nobody does, shows in
    /// its recordings.
    fn count_gap(&self, item: &Item) {
        let Item::Gap(gap) = item else { return };
        let (run, reason) = (&self.run, gap.reason);
        metrics::counter!("runcast_gaps_total", "reason" => reason).increment(1);
        tracing::error!(%run, from = %gap.from, to = %gap.to, reason, "output is lost");
    }

    fn shown(&self) -> Shown {
        let published_through = self.window.end();
        let viewers = self.viewers.load(Ordering::Relaxed);
        let window_bytes = self.window.bytes();
        Shown::new(BrokerState { published_through, window_bytes, viewers })
            .with_queue(self.history.live().behind(&self.run, published_through))
    }

    async fn follow(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let broker = self.clone();
        child.observe(move || broker.shown());
        let mut wake = self.history.follow(&self.run);
        loop {
            match self.history.read(&self.run, self.window.end(), READ_BYTES).await {
                Ok(stretch) if stretch.items.is_empty() => {
                    let quiet = tokio::time::timeout(IDLE, wake.changed()).await.is_err();
                    let unwatched = quiet && self.viewers.load(Ordering::Relaxed) == 0;
                    if unwatched
                        && self.brokers.upgrade().is_none_or(|all| all.end_if_idle(&self.run))
                    {
                        return ExitStatus::Finished;
                    }
                }
                Ok(stretch) => {
                    let count = stretch.items.len() as u64;
                    observe_latency(stretch.items.last());
                    stretch.items.iter().for_each(|item| self.count_gap(item));
                    self.window
                        .push(stretch.items.iter().map(|item| Frame::of_item(&self.run.run, item)));
                    metrics::counter!("runcast_stream_events_published_total").increment(count);
                    child.handled(count);
                }
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "the run cannot be followed");
                    tokio::time::sleep(RETRY).await;
                }
            }
            // A busy run must not keep the other tasks of this thread waiting.
            tokio::task::yield_now().await;
        }
    }
}

/// What a broker shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerState {
    published_through: Seq,
    window_bytes: usize,
    viewers: usize,
}

fn observe_latency(item: Option<&Item>) {
    let Some(Item::Entry(entry)) = item else { return };
    let Body::Terminal(chunk) = &entry.body else { return };
    let micros = Timestamp::now().0.saturating_sub(chunk.recorded_at.0).max(0);
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 µs")]
    metrics::histogram!("runcast_stream_latency_seconds").record(micros as f64 / 1e6);
}

struct Counted {
    counter: Arc<AtomicUsize>,
    count: usize,
}

impl Counted {
    fn new(counter: Arc<AtomicUsize>) -> Self {
        let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
        Self { counter, count }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One viewer: a cursor that pulls.
pub struct Viewer {
    shown: ShownViewer,
    run: RunKey,
    history: History,
    window: Arc<Window>,
    grown: watch::Receiver<Seq>,
    cursor: Seq,
    _counts: [Counted; 2],
}

impl Viewer {
    /// The events after the cursor, at least one, at most `max_bytes` where possible. Waits for them.
    /// Cancel-safe: the cursor moves when events are returned.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Vec<Arc<Frame>>, HistoryError> {
        loop {
            self.grown.borrow_and_update();
            if let Some(frames) = self.read_now(max_bytes).await? {
                return Ok(frames);
            }
            if self.grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The events after the cursor that are there now; none if there are none.
    pub async fn read_now(
        &mut self,
        max_bytes: usize,
    ) -> Result<Option<Vec<Arc<Frame>>>, HistoryError> {
        let frames = match self.window.read(self.cursor, max_bytes) {
            WindowRead::AtEnd => return Ok(None),
            WindowRead::Frames(frames) => frames,
            WindowRead::Behind => {
                let stretch = self.history.read(&self.run, self.cursor, max_bytes).await?;
                let encode = |item| Arc::new(Frame::of_item(&self.run.run, item));
                stretch.items.iter().map(encode).collect()
            }
        };
        let Some(last) = frames.last() else { return Ok(None) };
        self.cursor = last.seq;
        self.shown.has_sent(last.seq, frames.iter().map(|frame| frame.text().len()).sum());
        metrics::counter!("runcast_stream_events_delivered_total").increment(frames.len() as u64);
        Ok(Some(frames))
    }

    /// The last event this viewer has.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Up to where events are there now.
    pub fn end(&self) -> Seq {
        self.window.end()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        metrics::gauge!("runcast_stream_subscribers_active").decrement(1.0);
    }
}
