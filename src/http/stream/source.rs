//! The events of one connection, in order: first the run, then what it asked for, then what happens.
//!
//! A pull: nothing is prepared before the connection has room for it, and what is prepared is bounded.

use std::sync::Arc;
use std::time::Duration;

use runcast_actors::event_json::Millis;
use runcast_actors::flow::frame::{Ends, Frame};
use runcast_actors::history::{HistoryError, Item};
use runcast_actors::ids::{ChunkIndex, NodeRef, RunKey, Seq, StreamName};
use runcast_actors::roles::broker::{Brokers, Viewer, WatchError};
use runcast_actors::roles::screens::{Screens, Snapshot, SnapshotError, TerminalSnapshot};
use runcast_actors::run_view::{NodeView, RunStatus, RunView, StreamFinal};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::http::api::Api;
use crate::http::sse;
use crate::http::stream::options::{Begin, Filter};

/// Bytes of events that are prepared at once.
const PULL_BYTES: usize = 16 * 1024;

/// What streams share.
#[derive(Clone)]
pub struct Streaming {
    /// The windows of watched runs.
    pub brokers: Arc<Brokers>,
    /// The screens of followed runs.
    pub screens: Arc<Screens>,
    /// The comment after so much silence.
    pub keep_alive: Duration,
    /// A stream ends after this.
    pub max_duration: Duration,
    /// Becomes true when the service ends all streams.
    pub closing: watch::Receiver<bool>,
}

/// One thing to write.
#[derive(Debug)]
pub enum Part {
    /// The run with its nodes as it is now.
    Run(Box<RunView>),
    /// The screen of a node, as of an entry.
    Snapshot(Seq, Box<TerminalSnapshot>),
    /// A chunk that belongs to a snapshot; it does not move the cursor.
    SnapshotChunk(Arc<Frame>),
    /// Events of the run that pass the filter.
    Events(Vec<Arc<Frame>>),
    /// Everything up to here was looked at; nothing of it passed.
    Cursor(Seq),
    /// Everything that was there when the client came has been sent.
    Live(Seq),
    /// Nothing has happened for a while.
    Silence,
    /// The run (or the node) has ended and everything was sent; the last part.
    Done(Box<Done>),
    /// The stream ends, and the client should come back; the last part.
    ComeBack(Option<Passing>),
}

/// A condition that passes.
#[derive(Debug, Clone, Serialize)]
pub struct Passing {
    /// As in error bodies.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Always true.
    pub retryable: bool,
}

impl Passing {
    /// A condition that passes.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: "UNAVAILABLE", message: message.into(), retryable: true }
    }
}

/// The end of a stream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// How the run (or the node) ended.
    pub status: RunOrNodeStatus,
    /// The last entry.
    pub final_seq: Seq,
    /// What the streams hold.
    pub streams: Vec<DoneStream>,
}

impl Done {
    /// The end of a run, or of one node of it.
    pub fn of(view: &RunView, node_ref: Option<&NodeRef>, filter: &Filter, final_seq: Seq) -> Self {
        let status = node_ref
            .and_then(|node_ref| node(view, node_ref))
            .map_or(RunOrNodeStatus::Run(view.status), |node| RunOrNodeStatus::Node(node.status));
        let of_node = |node: &NodeView| {
            let node_ref = node.node_ref.clone();
            node.totals
                .iter()
                .map(move |totals| DoneStream {
                    node_ref: node_ref.clone(),
                    totals: totals.clone(),
                })
                .collect::<Vec<_>>()
        };
        let nodes = view.nodes.iter().flatten();
        let streams =
            nodes.filter(|node| filter.has_node(&node.node_ref)).flat_map(of_node).collect();
        Self { status, final_seq, streams }
    }
}

/// The status of what has ended.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RunOrNodeStatus {
    Run(RunStatus),
    Node(runcast_actors::run_view::NodeStatus),
}

/// What one stream holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct DoneStream {
    pub node_ref: NodeRef,
    #[serde(flatten)]
    pub totals: StreamFinal,
}

/// The data of a snapshot event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as in the contract of the event")]
pub struct SnapshotData<'a> {
    pub node_ref: &'a NodeRef,
    pub stream: StreamName,
    pub cols: u16,
    pub rows: u16,
    pub seq: Seq,
    pub chunk_index: Option<ChunkIndex>,
    pub at_ms: Millis,
    pub payload: String,
    pub lines_above: usize,
}

/// The events of one connection.
pub struct Source {
    api: actix_web::web::Data<Api>,
    run: RunKey,
    /// The stream ends with this node, if it is one node's.
    node: Option<NodeRef>,
    filter: Filter,
    begin: Begin,
    scrollback: usize,
    streaming: Streaming,
    ends_at: Instant,
    expires_at: Option<Instant>,
    state: State,
}

enum State {
    First,
    Begin(Box<RunView>),
    Snapshot { snapshot: Box<Snapshot>, at: SnapshotAt },
    Follow(Box<Following>),
    Ended,
}

/// Where a run stood when its snapshot was asked for.
#[derive(Clone, Copy)]
struct SnapshotAt {
    live_at: Seq,
    /// The run was told as of this entry.
    run_told: Seq,
}

struct Following {
    viewer: Viewer,
    live_at: Option<Seq>,
    /// The last id that the client has.
    told: Seq,
    end_seen: Option<Seq>,
    /// Whether the end may lie before the cursor is asked once; after that the end comes as an event.
    end_checked: bool,
    /// Set when the service ends all streams: up to here the viewer is still served.
    closing_at: Option<Seq>,
}

impl Source {
    /// A stream of a run, or of one node of it. `expires_at` is the end of the credential.
    #[expect(clippy::too_many_arguments, reason = "each is a word of the request")]
    pub fn new(
        api: actix_web::web::Data<Api>,
        streaming: Streaming,
        run: RunKey,
        node: Option<NodeRef>,
        filter: Filter,
        begin: Begin,
        scrollback: usize,
        expires_at: Option<Instant>,
    ) -> Self {
        let ends_at = Instant::now() + sse::jittered(streaming.max_duration);
        let state = State::First;
        Self { api, run, node, filter, begin, scrollback, streaming, ends_at, expires_at, state }
    }

    /// The next part; none after the last.
    pub async fn next(&mut self) -> Option<Part> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        match self.advance(state).await {
            Ok(part) => part,
            Err(passing) => {
                self.state = State::Ended;
                Some(Part::ComeBack(Some(passing)))
            }
        }
    }

    async fn advance(&mut self, state: State) -> Result<Option<Part>, Passing> {
        match state {
            State::First => {
                let view = self.view().await?;
                self.state = State::Begin(Box::new(view.clone()));
                Ok(Some(Part::Run(Box::new(view))))
            }
            State::Begin(view) => self.begin(&view).await,
            State::Snapshot { snapshot, at } => Ok(self.show(snapshot, at).await?),
            State::Follow(following) => self.follow(following).await,
            State::Ended => Ok(None),
        }
    }

    async fn begin(&mut self, view: &RunView) -> Result<Option<Part>, Passing> {
        let live_at = self
            .api
            .history
            .tail(&self.run)
            .await
            .map_err(|error| history(&error))?
            .max(view.last_seq);
        let cursor = match self.begin {
            Begin::After(seq) => seq,
            Begin::Start => Seq::START,
            Begin::Live => {
                let wanted = |node_ref: &NodeRef| {
                    self.filter.has_terminal() && self.filter.has_node(node_ref)
                };
                let snapshot = self.streaming.screens.snapshot(&self.run, wanted, self.scrollback);
                let mut snapshot = snapshot.await.map_err(|error| match error {
                    SnapshotError::Busy => Passing::new("the screens of the run are busy"),
                    SnapshotError::History(error) => history(&error),
                })?;
                // They are taken from the end of the lists.
                snapshot.terminals.reverse();
                snapshot.pipe_chunks.reverse();
                let at = SnapshotAt { live_at, run_told: view.last_seq };
                return self.show(Box::new(snapshot), at).await;
            }
        };
        self.watch(cursor, live_at).await?;
        let state = std::mem::replace(&mut self.state, State::Ended);
        let State::Follow(following) = state else { return Ok(None) };
        self.follow(following).await
    }

    async fn show(
        &mut self,
        mut snapshot: Box<Snapshot>,
        at: SnapshotAt,
    ) -> Result<Option<Part>, Passing> {
        let part = if let Some(terminal) = snapshot.terminals.pop() {
            Part::Snapshot(snapshot.seq, Box::new(terminal))
        } else if let Some(item) = snapshot.pipe_chunks.pop() {
            Part::SnapshotChunk(Arc::new(Frame::of_item(&self.run.run, &item)))
        } else if at.run_told < snapshot.seq {
            // What happened to the run until the snapshot was taken does not come as events.
            let view = self.view().await?;
            let at = SnapshotAt { run_told: view.last_seq.max(snapshot.seq), ..at };
            self.state = State::Snapshot { snapshot, at };
            return Ok(Some(Part::Run(Box::new(view))));
        } else {
            self.watch(snapshot.seq, at.live_at).await?;
            return Ok(Some(Part::Cursor(snapshot.seq)));
        };
        self.state = State::Snapshot { snapshot, at };
        Ok(Some(part))
    }

    async fn watch(&mut self, cursor: Seq, live_at: Seq) -> Result<(), Passing> {
        let watching = self.streaming.brokers.watch(&self.run, cursor).await;
        let viewer = watching.map_err(|error| match error {
            WatchError::TooManyViewers(error) => Passing::new(error.to_string()),
            WatchError::History(error) => history(&error),
        })?;
        let following = Following {
            viewer,
            live_at: Some(live_at),
            told: cursor,
            end_seen: None,
            end_checked: false,
            closing_at: None,
        };
        self.state = State::Follow(Box::new(following));
        Ok(())
    }

    async fn follow(&mut self, mut following: Box<Following>) -> Result<Option<Part>, Passing> {
        if let Some(live_at) = following.live_at
            && following.viewer.cursor() >= live_at
        {
            following.live_at = None;
            self.state = State::Follow(following);
            return Ok(Some(Part::Live(live_at)));
        }
        if let Some(final_seq) = following.end_seen {
            return self.done(final_seq).await.map(Some);
        }
        if following.live_at.is_none()
            && !std::mem::replace(&mut following.end_checked, true)
            && self.has_ended_before(following.viewer.cursor()).await?
        {
            let end = following.viewer.cursor();
            return self.done(end).await.map(Some);
        }
        let quiet_until = Instant::now() + self.streaming.keep_alive;
        loop {
            if following.closing_at.is_some_and(|at| following.viewer.cursor() >= at) {
                return Err(Passing::new("the service is stopping"));
            }
            let frames = tokio::select! {
                biased;
                _ = self.streaming.closing.wait_for(|closing| *closing),
                    if following.closing_at.is_none() =>
                {
                    // What is there, the end of the run above all, is still sent.
                    let tail = self.api.history.tail(&self.run).await;
                    following.closing_at = Some(tail.map_err(|error| history(&error))?);
                    continue;
                }
                () = sleep_until(self.expires_at) => {
                    return Err(Passing::new("the credential has expired"));
                }
                () = tokio::time::sleep_until(self.ends_at) => return Ok(Some(Part::ComeBack(None))),
                frames = following.viewer.next(PULL_BYTES) => {
                    Some(frames.map_err(|error| history(&error))?)
                }
                () = tokio::time::sleep_until(quiet_until) => None,
            };
            let Some(frames) = frames else { return self.keep_alive(following).await.map(Some) };
            let end = frames.iter().position(|frame| self.ends_with(frame));
            let wanted = &frames[..end.map_or(frames.len(), |place| place + 1)];
            following.end_seen = end.map(|place| frames[place].seq);
            let passed: Vec<Arc<Frame>> =
                wanted.iter().filter(|frame| self.filter.passes(frame)).cloned().collect();
            let is_due = following.live_at.is_some_and(|at| following.viewer.cursor() >= at);
            if let Some(last) = passed.last() {
                following.told = last.seq;
                self.state = State::Follow(following);
                return Ok(Some(Part::Events(passed)));
            }
            if following.end_seen.is_some() || is_due || Instant::now() >= quiet_until {
                let cursor = following.viewer.cursor();
                following.told = cursor;
                self.state = State::Follow(following);
                return Ok(Some(Part::Cursor(cursor)));
            }
        }
    }

    async fn keep_alive(&mut self, mut following: Box<Following>) -> Result<Part, Passing> {
        // Of a run that was purged nothing will ever come again.
        if self.api.history.live().get(&self.run).is_none() {
            self.view().await?;
        }
        let cursor = following.viewer.cursor();
        let part = if cursor > following.told {
            following.told = cursor;
            Part::Cursor(cursor)
        } else {
            Part::Silence
        };
        self.state = State::Follow(following);
        Ok(part)
    }

    fn ends_with(&self, frame: &Frame) -> bool {
        match &self.node {
            None => frame.ends == Ends::Run,
            Some(node_ref) => {
                frame.ends == Ends::Run
                    || (frame.ends == Ends::Node && frame.node_ref.as_ref() == Some(node_ref))
            }
        }
    }

    /// True if the cursor already lies behind the end of what is watched, so that no event will tell it.
    async fn has_ended_before(&self, cursor: Seq) -> Result<bool, Passing> {
        let view = self.view().await?;
        let node_ended = self.node.as_ref().is_some_and(|node_ref| {
            node(&view, node_ref).is_some_and(|node| node.status.is_terminal())
        });
        // A node may have ended while the past was sent: then its end comes as an event.
        Ok((node_ended || view.status.is_terminal()) && cursor >= view.last_seq)
    }

    async fn done(&mut self, final_seq: Seq) -> Result<Part, Passing> {
        self.state = State::Ended;
        let view = self.view().await?;
        let done = Done::of(&view, self.node.as_ref(), &self.filter, final_seq);
        Ok(Part::Done(Box::new(done)))
    }

    async fn view(&self) -> Result<RunView, Passing> {
        let found = self.api.history.run(&self.run).await.map_err(|error| history(&error))?;
        let stored = found.filter(|stored| !stored.purged);
        stored.map(|stored| stored.view).ok_or_else(|| Passing::new("the run is gone"))
    }
}

fn node<'a>(view: &'a RunView, node_ref: &NodeRef) -> Option<&'a NodeView> {
    view.nodes.iter().flatten().find(|node| node.node_ref == *node_ref)
}

fn history(error: &HistoryError) -> Passing {
    tracing::warn!(%error, "a stream ends: the run cannot be read");
    match error {
        HistoryError::Log(_) => Passing::new("the log is away"),
        HistoryError::Store(_) => Passing::new("the database is away"),
        HistoryError::Archive(_) => Passing::new("the archive is away"),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// True if nothing that passes the filter stands behind the cursor of a run that has ended.
pub async fn has_nothing_after(
    api: &Api,
    run: &RunKey,
    node_ref: Option<&NodeRef>,
    filter: &Filter,
    view: &RunView,
    cursor: Seq,
) -> Result<bool, HistoryError> {
    let node_ended = node_ref
        .and_then(|node_ref| node(view, node_ref))
        .is_some_and(|node| node.status.is_terminal());
    if !view.status.is_terminal() && !node_ended {
        return Ok(false);
    }
    if cursor >= view.last_seq {
        return Ok(true);
    }
    let mut after = cursor;
    loop {
        let stretch = api.history.read(run, after, 256 * 1024).await?;
        for item in &stretch.items {
            let frame = Frame::of_item(&run.run, item);
            // The stream of a node has its end at the end of the node.
            if filter.passes(&frame) && (node_ref.is_none() || is_of_node(item, node_ref)) {
                return Ok(false);
            }
        }
        if stretch.items.is_empty() || stretch.through >= stretch.tail {
            return Ok(true);
        }
        after = stretch.through;
    }
}

fn is_of_node(item: &Item, node_ref: Option<&NodeRef>) -> bool {
    match item {
        Item::Entry(entry) => entry.node_ref() == node_ref,
        Item::Gap(_) => true,
    }
}
