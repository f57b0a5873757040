//! Owns: the followers of runs whose screens are wanted, one a run.
//! Takes: wishes for snapshots of a run, running or not.
//! Sends: requests to the followers.
//! Queue: none of its own; a wish waits in the queue of its follower.
//! Stops: with the service.
//! Restart: it is no actor; who asks runs it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use super::screen::{Request, Screen, ScreensAt};
use crate::entry::{Body, Chunk, ChunkKind, TerminalSize};
use crate::history::{History, HistoryError, Item};
use crate::ids::{ChunkIndex, NodeRef, RunKey, Seq, StreamKey, hash_of};
use crate::kernel::{
    ArbiterPool, Backoff, ExitStatus, KillSwitch, Observers, RestartPolicy, Supervisor,
};
use crate::ports::Replica;
use crate::screen::{At, FrozenTerminal, PaintedStream, StreamPainter, VirtualTerminal};
use crate::seek::KeyframeLibrary;

/// Requests that may wait for one follower.
const REQUESTS: usize = 64;
/// Bytes of history that are read at once for what a snapshot shows.
const READ_BYTES: usize = 64 * 1024;
/// Chunks of a pipe stream that a snapshot shows, at most.
const PIPE_CHUNKS: usize = 256;
/// Lines of a pipe stream that a snapshot shows.
const PIPE_LINES: u64 = 200;
/// Output that is read again for the lines above the screens, for one snapshot, at most.
const SCROLLBACK_BUDGET_BYTES: u64 = 16 * 1024 * 1024;

/// The screens of all runs of the process.
pub struct Screens {
    history: History,
    library: Arc<KeyframeLibrary>,
    arbiters: Arc<ArbiterPool>,
    observers: Observers,
    root: KillSwitch,
    replica: Option<Arc<dyn Replica>>,
    runs: Mutex<HashMap<RunKey, Followed>>,
}

struct Followed {
    requests: mpsc::Sender<Request>,
    group: Supervisor,
}

/// What one who joins late is shown.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Everything up to here is in it.
    pub seq: Seq,
    /// The terminals.
    pub terminals: Vec<TerminalSnapshot>,
    /// The last chunks of streams without a terminal, in order.
    pub pipe_chunks: Vec<Item>,
}

/// The repaint of one terminal.
#[derive(Debug, Clone)]
pub struct TerminalSnapshot {
    /// The node.
    pub node_ref: NodeRef,
    /// Its size.
    pub size: TerminalSize,
    /// The last chunk in it.
    pub chunk_index: Option<ChunkIndex>,
    /// The place of that chunk on the time axis, in microseconds.
    pub at_us: u64,
    /// Lines above the screen, then what repaints it, then bytes of an unfinished sequence.
    pub payload: Vec<u8>,
    /// How many lines stand above.
    pub lines_above: usize,
}

/// Why there is no snapshot now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SnapshotError {
    /// Too many ask at once.
    #[error("the screens of the run are busy")]
    Busy,
    /// The history of the run cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Screens {
    /// Screens computed on these threads, which should have a low priority; copied to the replica and begun from
    /// there, if there is one.
    pub fn new(
        history: History,
        library: Arc<KeyframeLibrary>,
        arbiters: Arc<ArbiterPool>,
        observers: Observers,
        root: KillSwitch,
        replica: Option<Arc<dyn Replica>>,
    ) -> Arc<Self> {
        let runs = Mutex::default();
        Arc::new(Self { history, library, arbiters, observers, root, replica, runs })
    }

    /// Begins to follow a run that begins now, so that its screens are there when somebody asks.
    pub fn follow(self: &Arc<Self>, run: &RunKey) {
        self.requests(run, true);
    }

    /// The run's screens as of now. `nodes` selects; `scrollback` is the number of lines wanted above each.
    pub async fn snapshot(
        self: &Arc<Self>,
        run: &RunKey,
        wanted: impl Fn(&NodeRef) -> bool,
        scrollback: usize,
    ) -> Result<Snapshot, SnapshotError> {
        let followed = self.lock().get(run).map(|followed| followed.requests.clone());
        let followed = followed.filter(|requests| !requests.is_closed());
        let screens = match followed {
            Some(requests) => {
                let screens = self.ask(requests, &wanted).await?;
                // It may lag; who comes after the end of a run is shown the end.
                let is_behind = screens.seq < self.history.tail(run).await?;
                let ended = if is_behind { self.ended(run, &wanted).await? } else { None };
                ended.unwrap_or(screens)
            }
            None => match self.ended(run, &wanted).await? {
                Some(screens) => screens,
                None => self.ask(self.requests(run, false), &wanted).await?,
            },
        };
        self.compose(run, screens, scrollback).await
    }

    async fn ask(
        &self,
        requests: mpsc::Sender<Request>,
        wanted: impl Fn(&NodeRef) -> bool,
    ) -> Result<ScreensAt, SnapshotError> {
        let (request, answer) = oneshot::channel();
        requests.try_send(request).map_err(|_| SnapshotError::Busy)?;
        let mut screens = answer.await.map_err(|_| SnapshotError::Busy)?;
        screens.streams.retain(|stream| wanted(&stream.key.node_ref));
        Ok(screens)
    }

    /// The screens of a run that has ended, each from its own keyframes. None if it goes on.
    async fn ended(
        &self,
        run: &RunKey,
        wanted: impl Fn(&NodeRef) -> bool,
    ) -> Result<Option<ScreensAt>, SnapshotError> {
        let stored = self.history.run(run).await?;
        let Some(view) = stored.map(|stored| stored.view).filter(|view| view.status.is_terminal())
        else {
            return Ok(None);
        };
        let mut screens = ScreensAt { seq: view.last_seq, streams: Vec::new() };
        for node in view.nodes.iter().flatten().filter(|node| wanted(&node.node_ref)) {
            for stream in &node.streams {
                let key = StreamKey { node_ref: node.node_ref.clone(), stream: *stream };
                if let Some(painted) = self.painted(run, key, view.last_seq).await? {
                    screens.streams.push(painted);
                }
            }
        }
        Ok(Some(screens))
    }

    async fn painted(
        &self,
        run: &RunKey,
        key: StreamKey,
        last: Seq,
    ) -> Result<Option<PaintedStream>, SnapshotError> {
        let Some(mut keyframes) = self.library.list(run, &key).await? else { return Ok(None) };
        let from = keyframes.before(At::Now).clone();
        if keyframes.is_end(&from) {
            let screen = from.state.screen().cloned();
            return Ok(Some(PaintedStream { key, screen, keyframes }));
        }
        let mut painter = StreamPainter::resume(&from);
        self.each_chunk(run, &key, from.place.seq, last, |item, chunk| {
            if let Item::Entry(entry) = item {
                painter.absorb(entry.seq, chunk, |_| ());
                keyframes.observe(painter.extent(), painter.collector());
            }
        })
        .await?;
        let screen = painter.collector().screen().map(VirtualTerminal::freeze);
        Ok(Some(PaintedStream { key, screen, keyframes }))
    }

    fn requests(self: &Arc<Self>, run: &RunKey, begins_now: bool) -> mpsc::Sender<Request> {
        let mut runs = self.lock();
        if let Some(followed) = runs.get(run).filter(|followed| !followed.requests.is_closed()) {
            return followed.requests.clone();
        }
        let (requests, received) = mpsc::channel(REQUESTS);
        let group = Supervisor::new(run.to_string(), &self.root, self.observers.clone());
        let screen = Arc::new(Screen {
            run: run.clone(),
            screens: Arc::downgrade(self),
            history: self.history.clone(),
            library: self.library.clone(),
            keyframes: self.library.follow(run),
            requests: AsyncMutex::new(received),
            replica: self.replica.clone(),
        });
        let policy = RestartPolicy::OnFault(Backoff::default());
        let arbiter = self.arbiters.pick(hash_of(run));
        let waiting = requests.downgrade();
        group.spawn_follower("Screen", policy, &arbiter, move |child| {
            let (shown, waiting) = (screen.clone(), waiting.clone());
            child.observe(move || shown.shown(&waiting));
            // What begins later, or again, first catches up with what is there.
            let is_first = child.incarnation == 1;
            screen.clone().paint(child, begins_now && is_first)
        });
        runs.insert(run.clone(), Followed { requests: requests.clone(), group });
        requests
    }

    /// The follower of a run ends; its keyframes stay.
    pub(super) fn forget(&self, run: &RunKey) {
        self.library.unfollow(run);
        if let Some(followed) = self.lock().remove(run) {
            followed.group.kill_switch().kill(ExitStatus::Finished);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunKey, Followed>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what stands above the screens, which only history has.
    async fn compose(
        &self,
        run: &RunKey,
        screens: ScreensAt,
        scrollback: usize,
    ) -> Result<Snapshot, SnapshotError> {
        let seq = screens.seq;
        let mut budget = SCROLLBACK_BUDGET_BYTES;
        let mut snapshot = Snapshot { seq, terminals: Vec::new(), pipe_chunks: Vec::new() };
        for stream in screens.streams {
            let PaintedStream { key, screen, keyframes } = &stream;
            let extent = keyframes.extent();
            let Some(screen) = screen else {
                let chunks = self.last_chunks(run, &stream, &mut budget).await?;
                snapshot.pipe_chunks.extend(chunks);
                continue;
            };
            let above = self.scrollback(run, &stream, scrollback, &mut budget).await?;
            let (payload, lines_above) = above.unwrap_or_else(|| (screen.repaint().to_vec(), 0));
            snapshot.terminals.push(TerminalSnapshot {
                node_ref: key.node_ref.clone(),
                size: screen.size(),
                chunk_index: extent.place.chunk_index,
                at_us: extent.place.at_us,
                payload,
                lines_above,
            });
        }
        snapshot.pipe_chunks.sort_by_key(|item| match item {
            Item::Entry(entry) => entry.seq,
            Item::Gap(gap) => gap.to,
        });
        Ok(snapshot)
    }

    /// The repaint below at most `lines` lines; none if they cost more than the budget has left.
    async fn scrollback(
        &self,
        run: &RunKey,
        stream: &PaintedStream,
        lines: usize,
        budget: &mut u64,
    ) -> Result<Option<(Vec<u8>, usize)>, SnapshotError> {
        let extent = stream.keyframes.extent();
        let from = stream.keyframes.before_line(extent.lines.saturating_sub(lines as u64));
        let cost = extent.bytes - from.bytes.min(extent.bytes);
        let Some(frozen) = from.state.screen().filter(|_| lines > 0 && cost <= *budget) else {
            return Ok(None);
        };
        *budget -= cost;
        let mut terminal = FrozenTerminal::thaw_with_scrollback(frozen, lines);
        let last = extent.place.seq;
        self.each_chunk(run, &stream.key, from.place.seq, last, |_, chunk| match &chunk.kind {
            ChunkKind::Output(bytes) => terminal.feed(bytes),
            ChunkKind::Resize(size) => terminal.resize(*size),
            _ => {}
        })
        .await?;
        let repaint = terminal.repaint_with_scrollback(lines);
        Ok(Some((repaint.payload, repaint.lines_above)))
    }

    /// The chunks with the last lines of a pipe stream; none if they cost more than the budget has left.
    async fn last_chunks(
        &self,
        run: &RunKey,
        stream: &PaintedStream,
        budget: &mut u64,
    ) -> Result<VecDeque<Item>, SnapshotError> {
        let extent = stream.keyframes.extent();
        let from = stream.keyframes.before_line(extent.lines.saturating_sub(PIPE_LINES));
        let cost = extent.bytes - from.bytes.min(extent.bytes);
        if cost > *budget {
            return Ok(VecDeque::new());
        }
        *budget -= cost;
        let (mut items, mut lines) = (VecDeque::new(), 0);
        self.each_chunk(run, &stream.key, from.place.seq, extent.place.seq, |item, chunk| {
            let ChunkKind::Output(bytes) = &chunk.kind else { return };
            let ended = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            items.push_back((item.clone(), ended));
            lines += ended;
            while items.len() > PIPE_CHUNKS
                || items.front().is_some_and(|(_, first)| lines - first > PIPE_LINES)
            {
                let Some((_, first)) = items.pop_front() else { break };
                lines -= first;
            }
        })
        .await?;
        Ok(items.into_iter().map(|(item, _)| item).collect())
    }

    async fn each_chunk(
        &self,
        run: &RunKey,
        key: &StreamKey,
        after: Seq,
        last: Seq,
        mut each: impl FnMut(&Item, &Chunk),
    ) -> Result<(), SnapshotError> {
        let mut cursor = after;
        while cursor < last {
            let stretch = self.history.read_stream(run, key, cursor, READ_BYTES).await?;
            if stretch.through <= cursor {
                break;
            }
            for item in &stretch.items {
                let Item::Entry(entry) = item else { continue };
                if entry.seq > last {
                    break;
                }
                if let Body::Terminal(chunk) = &entry.body {
                    each(item, chunk);
                }
            }
            cursor = stretch.through;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
