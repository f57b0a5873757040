//! Owns: the virtual terminals of one run.
//! Takes: requests for its screens, answered in one turn: every stream as of one entry.
//! Sends: keyframes to the library; it follows the history of the run and may lag, nothing waits for it.
//! Queue: 64 requests; one that finds it full is told that the screens are busy.
//! Stops: some time after the run has ended and nobody has asked.
//! Restart: yes, from the last keyframes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::history::History;
use crate::ids::{RunKey, Seq};
use crate::kernel::ExitStatus;
use crate::roles::screens::Screens;
use crate::screen::{PaintedStream, Painting};
use crate::seek::{FollowedKeyframes, KeyframeLibrary};

/// Bytes of history that are fed between two looks at the requests.
const READ_BYTES: usize = 64 * 1024;
/// A terminal without output for this long keeps its repaint instead of its cells.
const FREEZE_AFTER: Duration = Duration::from_secs(5);
/// How long the screens of a run that has ended are kept after the last request.
const KEEP: Duration = Duration::from_secs(60);
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
}

impl Screen {
    /// Paints the run until it has ended. It `answers` once it has caught up with what is there.
    pub(super) async fn paint(self: Arc<Self>, mut answers: bool) -> ExitStatus {
        let mut requests = self.requests.lock().await;
        let mut wake = self.history.follow(&self.run);
        let (seq, keyframes) = self.keyframes.known();
        let mut painting = Painting::resume(seq, &keyframes);
        let mut asked_at = Instant::now();
        let mut looked_at = Instant::now();
        loop {
            let stretch = match self.history.read(&self.run, painting.seq(), READ_BYTES).await {
                Ok(stretch) => stretch,
                Err(error) => return ExitStatus::failed(error),
            };
            let caught_up = stretch.items.is_empty();
            painting.absorb(&stretch.items, stretch.through);
            self.tell(&mut painting);
            // It may lag behind a busy terminal and answers all the same: the viewer reads on from there.
            answers |= stretch.tail.0.saturating_sub(painting.seq().0) <= NEAR_ENTRIES;
            while answers && let Ok(request) = requests.try_recv() {
                asked_at = Instant::now();
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

    fn tell(&self, painting: &mut Painting) {
        let mut changed = painting.changed();
        for (stream, list) in &changed {
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

fn screens_of(painting: &Painting) -> ScreensAt {
    ScreensAt { seq: painting.seq(), streams: painting.streams() }
}
