//! Owns: the virtual terminals of one run.
//! Takes: requests for its screens, answered in one turn: every stream as of one entry.
//! Sends: keyframes to the library, the newest ones of an own run to the replica; it follows the history of
//! the run and may lag, nothing waits for it.
//! Queue: 64 requests; one that finds it full is told that the screens are busy.
//! Stops: some time after the run has ended and nobody has asked.
//! Restart: yes, from the last keyframes; it begins from those in the replica if another instance owns the run.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::history::History;
use crate::ids::{RunKey, Seq, StreamKey};
use crate::kernel::{ChildContext, ExitStatus, Shown};
use crate::ports::{Replica, ReplicaScreens};
use crate::roles::screens::Screens;
use crate::screen::{PaintedStream, Painting, keyframe_codec};
use crate::seek::{FollowedKeyframes, KeyframeLibrary};

/// Bytes of history that are fed between two looks at the requests.
const READ_BYTES: usize = 64 * 1024;
/// A terminal without output for this long keeps its repaint instead of its cells.
const FREEZE_AFTER: Duration = Duration::from_secs(5);
/// How long the screens of a run that has ended are kept after the last request.
const KEEP: Duration = Duration::from_secs(60);
/// How often the screens of an own run are copied to the replica.
const COPY_EVERY: Duration = Duration::from_secs(2);
/// The longest screen that is copied.
const MAX_COPY_BYTES: usize = 1024 * 1024;
/// How much history may be missing in an answer that is given at once, in entries.
const NEAR_ENTRIES: u64 = 64;

/// Asks for the screens of a run.
pub(super) type Request = oneshot::Sender<ScreensAt>;

/// Every stream of a run as of one entry.
#[derive(Debug, Clone, Default)]
pub(super) struct ScreensAt {
    pub(super) seq: Seq,
    pub(super) streams: Vec<PaintedStream>,
}

/// Follows one run.
pub(super) struct Screen {
    pub(super) run: RunKey,
    pub(super) screens: Weak<Screens>,
    pub(super) history: History,
    pub(super) library: Arc<KeyframeLibrary>,
    pub(super) keyframes: Arc<FollowedKeyframes>,
    pub(super) requests: AsyncMutex<mpsc::Receiver<Request>>,
    /// None if there are no other instances.
    pub(super) replica: Option<Arc<dyn Replica>>,
}

/// What a follower shows of itself; what waits for it are requests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScreenState {
    painted_through: Seq,
    streams: usize,
}

impl Screen {
    /// Paints the run until it has ended. It `answers` once it has caught up with what is there.
    pub(super) async fn paint(
        self: Arc<Self>,
        child: ChildContext,
        mut answers: bool,
    ) -> ExitStatus {
        let mut requests = self.requests.lock().await;
        let mut wake = self.history.follow(&self.run);
        self.learn_from_replica().await;
        let (seq, keyframes) = self.keyframes.known();
        let mut painting = Painting::resume(seq, &keyframes);
        let mut copies = Copies { changed: painting.keys(), ..Copies::default() };
        let mut asked_at = Instant::now();
        let mut looked_at = Instant::now();
        loop {
            let stretch = match self.history.read(&self.run, painting.seq(), READ_BYTES).await {
                Ok(stretch) => stretch,
                Err(error) => return ExitStatus::failed(error),
            };
            let caught_up = stretch.items.is_empty();
            painting.absorb(&stretch.items, stretch.through);
            self.tell(&mut painting, &mut copies);
            self.copy(&painting, &mut copies).await;
            // It may lag behind a busy terminal and answers all the same: the viewer reads on from there.
            answers |= stretch.tail.0.saturating_sub(painting.seq().0) <= NEAR_ENTRIES;
            while answers && let Ok(request) = requests.try_recv() {
                asked_at = Instant::now();
                child.handled(1);
                let _ = request.send(screens_of(&painting));
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
                    // Nobody can ask any more: whoever keeps the screens is gone.
                    let Some(request) = request else { return ExitStatus::Finished };
                    asked_at = Instant::now();
                    child.handled(1);
                    let _ = request.send(screens_of(&painting));
                }
                () = tokio::time::sleep(FREEZE_AFTER) => {
                    painting.freeze_idle();
                    if painting.has_ended() && asked_at.elapsed() >= KEEP {
                        if let Some(screens) = self.screens.upgrade() {
                            screens.forget(&self.run);
                        }
                        return ExitStatus::Finished;
                    }
                }
            }
        }
    }

    pub(super) fn shown(&self, waiting: &mpsc::WeakSender<Request>) -> Shown {
        let waiting = waiting.upgrade();
        let waiting = waiting.map_or(0, |queue| queue.max_capacity() - queue.capacity());
        let (painted_through, keyframes) = self.keyframes.known();
        Shown::new(ScreenState { painted_through, streams: keyframes.len() })
            .with_queue(waiting as u64)
    }

    /// Screens of a run of another instance need not be painted from its first entry on.
    async fn learn_from_replica(&self) {
        let Some(replica) = &self.replica else { return };
        if self.keyframes.known().0 > Seq::START || self.history.live().contains(&self.run) {
            return;
        }
        // Without them it takes longer, that is all.
        let Ok(ReplicaScreens { seq, streams }) = replica.screens(&self.run).await else { return };
        let decoded = streams.into_iter().map(|(stream, screen)| {
            keyframe_codec::decode(&screen).ok().map(|list| (stream, list))
        });
        if let Some(lists) = decoded.collect::<Option<Vec<_>>>() {
            self.keyframes.note(seq, lists);
        }
    }

    /// The newest screens of an own run, for those who join on another instance. They are copied beside the
    /// painting: a replica that does not answer keeps nobody waiting here.
    async fn copy(&self, painting: &Painting, copies: &mut Copies) {
        let Some(replica) = &self.replica else { return };
        if copies.underway.as_ref().is_some_and(|underway| !underway.is_finished()) {
            return;
        }
        if let Some(copied) = copies.underway.take() {
            copies.through = copied.await.ok().flatten().unwrap_or(Seq::START);
            if copies.through == Seq::START {
                // It may have lost them: all of them the next time.
                copies.changed = painting.keys();
            }
        }
        if copies.changed.is_empty() || copies.at.is_some_and(|at| at.elapsed() < COPY_EVERY) {
            return;
        }
        let Some(epoch) = self.history.live().epoch(&self.run) else { return };
        copies.at = Some(Instant::now());
        let mut streams = Vec::with_capacity(copies.changed.len());
        for (stream, list) in painting.newest(&copies.changed) {
            match keyframe_codec::encode(&list) {
                Ok(screen) if screen.len() <= MAX_COPY_BYTES => streams.push((stream, screen)),
                // All or none: a stream that is missing would be taken for one that has not begun.
                _ => return,
            }
        }
        copies.changed.clear();
        let (replica, run, after) = (replica.clone(), self.run.clone(), copies.through);
        let screens = ReplicaScreens { seq: painting.seq(), streams };
        copies.underway = Some(tokio::spawn(async move {
            let seq = screens.seq;
            match replica.put_screens(&run, epoch, after, screens).await {
                Ok(()) => Some(seq),
                Err(error) => {
                    tracing::debug!(%run, %error, "screens were not copied");
                    None
                }
            }
        }));
    }

    fn tell(&self, painting: &mut Painting, copies: &mut Copies) {
        let mut changed = painting.changed();
        for (stream, list) in &changed {
            if self.replica.is_some() {
                copies.changed.insert(stream.clone());
            }
            if list.extent().has_ended {
                self.library.store(&self.run, stream, list.clone());
            }
        }
        // What is stored has all its keyframes; what stays in memory may have fewer.
        painting.thin_keyframes(self.keyframes.bytes_per_stream());
        changed.extend(painting.changed());
        self.keyframes.note(painting.seq(), changed);
    }
}

/// What the replica has not been told.
#[derive(Default)]
struct Copies {
    /// The replica has the screens as of this entry; 0: none that count.
    through: Seq,
    changed: BTreeSet<StreamKey>,
    at: Option<Instant>,
    /// Tells as of which entry the replica has them then, unless it failed.
    underway: Option<JoinHandle<Option<Seq>>>,
}

fn screens_of(painting: &Painting) -> ScreensAt {
    ScreensAt { seq: painting.seq(), streams: painting.streams() }
}
