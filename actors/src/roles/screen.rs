//! Owns: the virtual terminals of one run.
//! Takes: requests for a snapshot, answered in one turn: every stream as of one entry.
//! Sends: nothing; it follows the history of the run and may lag, nothing waits for it.
//! Queue: 64 requests; one that finds it full is told that the screens are busy.
//! Stops: some time after the run has ended and nobody has asked.
//! Restart: yes, from the beginning of the run.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::entry::{Body, Chunk, ChunkKind, TerminalSize};
use crate::history::{History, HistoryError, Item};
use crate::ids::{ChunkIndex, NodeRef, RunKey, Seq, StreamKey, StreamName, hash_of};
use crate::kernel::{
    ArbiterPool, Backoff, ExitStatus, KillSwitch, Observers, RestartPolicy, Supervisor,
};
use crate::screen::{FrozenTerminal, Keyframe, KeyframePlace, KeyframeRing, VirtualTerminal};

/// Bytes of history that are fed between two looks at the requests.
const READ_BYTES: usize = 64 * 1024;
/// Requests that may wait.
const REQUESTS: usize = 64;
/// A terminal without output for this long keeps its repaint instead of its cells.
const FREEZE_AFTER: Duration = Duration::from_secs(5);
/// How long the screens of a run that has ended are kept after the last request.
const KEEP: Duration = Duration::from_secs(60);
/// Chunks of a pipe stream that are remembered as its last lines, at most.
const PIPE_CHUNKS: usize = 256;
/// Lines of a pipe stream that a snapshot shows.
const PIPE_LINES: u64 = 200;
/// History that is read again for the lines above the screens, for one snapshot, at most.
const SCROLLBACK_BUDGET_BYTES: u64 = 16 * 1024 * 1024;

/// The screens of all followed runs of the process.
pub struct Screens {
    history: History,
    arbiters: Arc<ArbiterPool>,
    observers: Observers,
    root: KillSwitch,
    runs: Mutex<HashMap<RunKey, Followed>>,
}

struct Followed {
    requests: mpsc::Sender<Request>,
    group: Supervisor,
}

type Request = oneshot::Sender<ScreensAt>;

/// Every stream of a run as of one entry.
#[derive(Debug, Clone, Default)]
struct ScreensAt {
    seq: Seq,
    streams: Vec<StreamAt>,
}

#[derive(Debug, Clone)]
struct StreamAt {
    key: StreamKey,
    last: KeyframePlace,
    kind: StreamAtKind,
}

#[derive(Debug, Clone)]
enum StreamAtKind {
    Terminal { now: FrozenTerminal, far: Box<Keyframe>, run_bytes_since_far: u64 },
    Pipe { chunks_from: Option<Seq>, run_bytes_since: u64 },
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
    /// Screens computed on these threads, which should have a low priority.
    pub fn new(
        history: History,
        arbiters: Arc<ArbiterPool>,
        observers: Observers,
        root: KillSwitch,
    ) -> Arc<Self> {
        Arc::new(Self { history, arbiters, observers, root, runs: Mutex::default() })
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
        let requests = self.requests(run, false);
        let (request, answer) = oneshot::channel();
        requests.try_send(request).map_err(|_| SnapshotError::Busy)?;
        let mut screens = answer.await.map_err(|_| SnapshotError::Busy)?;
        screens.streams.retain(|stream| wanted(&stream.key.node_ref));
        self.compose(run, screens, scrollback).await
    }

    fn requests(self: &Arc<Self>, run: &RunKey, begins_now: bool) -> mpsc::Sender<Request> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = runs.get(run).filter(|followed| !followed.requests.is_closed()) {
            return followed.requests.clone();
        }
        let (requests, received) = mpsc::channel(REQUESTS);
        let group = Supervisor::new(run.to_string(), &self.root, self.observers.clone());
        let screen = Arc::new(Screen {
            run: run.clone(),
            screens: Arc::downgrade(self),
            history: self.history.clone(),
            requests: AsyncMutex::new(received),
        });
        let policy = RestartPolicy::OnFault(Backoff::default());
        let arbiter = self.arbiters.pick(hash_of(run));
        group.spawn_follower("Screen", policy, &arbiter, move |child| {
            // What begins later, or again, first catches up with what is there.
            screen.clone().paint(begins_now && child.incarnation == 1)
        });
        runs.insert(run.clone(), Followed { requests: requests.clone(), group });
        requests
    }

    fn forget(&self, run: &RunKey) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = runs.remove(run) {
            followed.group.kill_switch().kill(ExitStatus::Finished);
        }
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
            let StreamAt { key, last, kind } = stream;
            match kind {
                StreamAtKind::Terminal { now, far, run_bytes_since_far } => {
                    let affordable = scrollback > 0 && run_bytes_since_far <= budget;
                    let size = now.size();
                    let (payload, lines_above) = if affordable {
                        budget -= run_bytes_since_far;
                        self.repaint_with_scrollback(run, &key, *far, last.seq, scrollback).await?
                    } else {
                        (now.repaint().to_vec(), 0)
                    };
                    snapshot.terminals.push(TerminalSnapshot {
                        node_ref: key.node_ref,
                        size,
                        chunk_index: last.chunk_index,
                        at_us: last.at_us,
                        payload,
                        lines_above,
                    });
                }
                StreamAtKind::Pipe { chunks_from: Some(from), run_bytes_since } => {
                    if run_bytes_since <= budget {
                        budget -= run_bytes_since;
                        let after = Seq(from.0 - 1);
                        self.each_chunk(run, &key, after, last.seq, |item, _| {
                            snapshot.pipe_chunks.push(item.clone());
                        })
                        .await?;
                    }
                }
                StreamAtKind::Pipe { chunks_from: None, .. } => {}
            }
        }
        snapshot.pipe_chunks.sort_by_key(|item| match item {
            Item::Entry(entry) => entry.seq,
            Item::Gap(gap) => gap.to,
        });
        Ok(snapshot)
    }

    async fn repaint_with_scrollback(
        &self,
        run: &RunKey,
        key: &StreamKey,
        far: Keyframe,
        last: Seq,
        lines: usize,
    ) -> Result<(Vec<u8>, usize), SnapshotError> {
        let mut terminal = far.terminal.thaw_with_scrollback(lines);
        self.each_chunk(run, key, far.place.seq, last, |_, chunk| feed(&mut terminal, &chunk.kind))
            .await?;
        let repaint = terminal.repaint_with_scrollback(lines);
        Ok((repaint.payload, repaint.lines_above))
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
            let stretch = self.history.read(run, cursor, READ_BYTES).await?;
            if stretch.items.is_empty() {
                break;
            }
            for item in &stretch.items {
                let Item::Entry(entry) = item else { continue };
                if entry.seq > last {
                    break;
                }
                if let Body::Terminal(chunk) = &entry.body
                    && chunk.stream == key.stream
                    && chunk.node_ref == key.node_ref
                {
                    each(item, chunk);
                }
            }
            cursor = stretch.through;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn feed(terminal: &mut VirtualTerminal, kind: &ChunkKind) {
    match kind {
        ChunkKind::Output(bytes) => terminal.feed(bytes),
        ChunkKind::Resize(size) => terminal.resize(*size),
        _ => {}
    }
}

struct Screen {
    run: RunKey,
    screens: std::sync::Weak<Screens>,
    history: History,
    requests: AsyncMutex<mpsc::Receiver<Request>>,
}

impl Screen {
    async fn paint(self: Arc<Self>, mut answers: bool) -> ExitStatus {
        let mut requests = self.requests.lock().await;
        let mut wake = self.history.follow(&self.run);
        let mut painting = Painting::default();
        let mut asked_at = Instant::now();
        let mut looked_at = Instant::now();
        loop {
            let stretch = match self.history.read(&self.run, painting.seq, READ_BYTES).await {
                Ok(stretch) => stretch,
                Err(error) => return ExitStatus::failed(error),
            };
            let caught_up = stretch.items.is_empty();
            painting.absorb(&stretch.items);
            painting.seq = stretch.through;
            // It may lag behind a busy terminal and answers all the same: the viewer reads on from there.
            answers |= painting.is_near(stretch.tail);
            while answers && let Ok(request) = requests.try_recv() {
                asked_at = Instant::now();
                let _ = request.send(painting.screens());
            }
            if looked_at.elapsed() >= FREEZE_AFTER {
                looked_at = Instant::now();
                painting.freeze_idle();
            }
            if !caught_up {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = wake.changed() => {}
                request = requests.recv(), if answers => {
                    asked_at = Instant::now();
                    if let Some(request) = request {
                        let _ = request.send(painting.screens());
                    }
                }
                () = tokio::time::sleep(FREEZE_AFTER) => {
                    painting.freeze_idle();
                    if painting.ended && asked_at.elapsed() >= KEEP {
                        if let Some(screens) = self.screens.upgrade() {
                            screens.forget(&self.run);
                        }
                        return ExitStatus::Finished;
                    }
                }
            }
        }
    }
}

#[derive(Default)]
struct Painting {
    seq: Seq,
    run_bytes: u64,
    ended: bool,
    streams: BTreeMap<StreamKey, Painted>,
}

struct Painted {
    last: KeyframePlace,
    kind: PaintedKind,
}

enum PaintedKind {
    Terminal { terminal: Cells, ring: KeyframeRing, ring_run_bytes: [u64; 2], fed_at: Instant },
    Pipe { chunks: VecDeque<PipeChunk>, lines: u64 },
}

struct PipeChunk {
    seq: Seq,
    lines: u64,
    run_bytes: u64,
}

enum Cells {
    Live(Box<VirtualTerminal>),
    Frozen(FrozenTerminal),
}

impl Cells {
    fn live(&mut self) -> &mut VirtualTerminal {
        if let Self::Frozen(frozen) = self {
            *self = Self::Live(Box::new(frozen.thaw()));
        }
        match self {
            Self::Live(terminal) => terminal,
            Self::Frozen(_) => unreachable!("it was thawed above"),
        }
    }
}

/// How much history may be missing in a snapshot that is given at once.
const NEAR_ENTRIES: u64 = 64;

impl Painting {
    fn is_near(&self, tail: Seq) -> bool {
        tail.0.saturating_sub(self.seq.0) <= NEAR_ENTRIES
    }

    fn absorb(&mut self, items: &[Item]) {
        for item in items {
            let Item::Entry(entry) = item else { continue };
            self.run_bytes += entry.memory_cost() as u64;
            match &entry.body {
                Body::Terminal(chunk) => self.absorb_chunk(entry.seq, chunk),
                Body::Status(change) => self.ended = change.run.status.is_terminal(),
                Body::Trace(_) => {}
            }
        }
    }

    fn absorb_chunk(&mut self, seq: Seq, chunk: &Chunk) {
        let run_bytes = self.run_bytes;
        let place = KeyframePlace { seq, chunk_index: Some(chunk.index), at_us: chunk.at_us };
        let painted = self
            .streams
            .entry(chunk.stream_key())
            .or_insert_with(|| Painted::new(chunk, place, run_bytes));
        painted.last = place;
        match &mut painted.kind {
            PaintedKind::Terminal { terminal, ring, ring_run_bytes, fed_at } => {
                let cells = terminal.live();
                feed(cells, &chunk.kind);
                *fed_at = Instant::now();
                let bytes = chunk.kind.payload().map_or(0, |payload| payload.len() as u64);
                if ring.observe(place, bytes, cells).is_some() {
                    // The ring keeps two; the older one's place moves up like its own.
                    *ring_run_bytes = [ring_run_bytes[1], run_bytes];
                }
                if matches!(chunk.kind, ChunkKind::Exit(_)) {
                    *terminal = Cells::Frozen(terminal.live().freeze());
                }
            }
            PaintedKind::Pipe { chunks, lines } => {
                let Some(payload) = chunk.kind.payload() else { return };
                let newlines = payload.iter().filter(|byte| **byte == b'\n').count() as u64;
                chunks.push_back(PipeChunk { seq, lines: newlines, run_bytes });
                *lines += newlines;
                while chunks.len() > PIPE_CHUNKS
                    || chunks.front().is_some_and(|first| *lines - first.lines > PIPE_LINES)
                {
                    let Some(first) = chunks.pop_front() else { break };
                    *lines -= first.lines;
                }
            }
        }
    }

    fn freeze_idle(&mut self) {
        for painted in self.streams.values_mut() {
            if let PaintedKind::Terminal { terminal, fed_at, .. } = &mut painted.kind
                && fed_at.elapsed() >= FREEZE_AFTER
                && let Cells::Live(cells) = terminal
            {
                *terminal = Cells::Frozen(cells.freeze());
            }
        }
    }

    fn screens(&mut self) -> ScreensAt {
        let run_bytes = self.run_bytes;
        let streams = self
            .streams
            .iter_mut()
            .map(|(key, painted)| StreamAt {
                key: key.clone(),
                last: painted.last,
                kind: painted.kind.at(run_bytes),
            })
            .collect();
        ScreensAt { seq: self.seq, streams }
    }
}

impl Painted {
    fn new(chunk: &Chunk, last: KeyframePlace, run_bytes: u64) -> Self {
        let size = match chunk.kind {
            ChunkKind::Resize(size) => size,
            _ => TerminalSize { cols: 120, rows: 30 },
        };
        let kind = if chunk.stream == StreamName::Pty {
            PaintedKind::Terminal {
                terminal: Cells::Live(Box::new(VirtualTerminal::new(size))),
                ring: KeyframeRing::new(size),
                ring_run_bytes: [run_bytes, run_bytes],
                fed_at: Instant::now(),
            }
        } else {
            PaintedKind::Pipe { chunks: VecDeque::new(), lines: 0 }
        };
        Self { last, kind }
    }
}

impl PaintedKind {
    fn at(&mut self, run_bytes: u64) -> StreamAtKind {
        match self {
            Self::Terminal { terminal, ring, ring_run_bytes, .. } => {
                let now = match terminal {
                    Cells::Live(cells) => cells.freeze(),
                    Cells::Frozen(frozen) => frozen.clone(),
                };
                let run_bytes_since_far = run_bytes - ring_run_bytes[0];
                StreamAtKind::Terminal {
                    now,
                    far: Box::new(ring.far().clone()),
                    run_bytes_since_far,
                }
            }
            Self::Pipe { chunks, .. } => StreamAtKind::Pipe {
                chunks_from: chunks.front().map(|first| first.seq),
                run_bytes_since: chunks.front().map_or(0, |first| run_bytes - first.run_bytes),
            },
        }
    }
}
