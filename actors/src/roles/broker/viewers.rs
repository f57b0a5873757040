//! What every viewer shows of itself.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::flow::window::Window;
use crate::ids::{RunKey, Seq};
use crate::moment::Timestamp;

/// All viewers of the process, by the number under which they came.
#[derive(Default)]
pub(super) struct ShownViewers(Mutex<Registry>);

#[derive(Default)]
struct Registry {
    last: u64,
    viewers: BTreeMap<u64, Arc<Figures>>,
}

struct Figures {
    run: RunKey,
    window: Arc<Window>,
    since: Timestamp,
    cursor: AtomicU64,
    sent_bytes: AtomicU64,
}

/// One viewer as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewerFigures {
    /// Under which number it came, from 1.
    pub number: u64,
    /// What it watches.
    pub run: RunKey,
    /// Since when.
    pub since: Timestamp,
    /// The last event it was given.
    pub cursor: Seq,
    /// The last event there is.
    pub end: Seq,
    /// Encoded bytes between the two, as far as the window has them.
    pub lag_bytes: usize,
    /// True if the window has let some of them go: it reads history.
    pub is_behind: bool,
    /// Encoded bytes it was given.
    pub sent_bytes: u64,
}

impl ShownViewers {
    /// One more, until the answer is dropped.
    pub(super) fn add(
        self: &Arc<Self>,
        run: RunKey,
        window: Arc<Window>,
        cursor: Seq,
    ) -> ShownViewer {
        let figures = Arc::new(Figures {
            run,
            window,
            since: Timestamp::now(),
            cursor: AtomicU64::new(cursor.0),
            sent_bytes: AtomicU64::new(0),
        });
        let mut registry = self.lock();
        registry.last += 1;
        let number = registry.last;
        registry.viewers.insert(number, figures.clone());
        drop(registry);
        ShownViewer { all: self.clone(), number, figures }
    }

    /// Those after this number, at most `limit`; and whether there are more.
    pub(super) fn list(&self, after: u64, limit: usize) -> (Vec<ViewerFigures>, bool) {
        let registry = self.lock();
        let mut rest = registry.viewers.range((Bound::Excluded(after), Bound::Unbounded));
        let page: Vec<_> =
            rest.by_ref().take(limit).map(|(number, figures)| (*number, figures.clone())).collect();
        let has_more = rest.next().is_some();
        // Windows are looked at outside of the lock.
        drop(registry);
        let figures = page.into_iter().map(|(number, figures)| figures.now(number)).collect();
        (figures, has_more)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    fn now(&self, number: u64) -> ViewerFigures {
        let cursor = Seq(self.cursor.load(Ordering::Relaxed));
        let (lag_bytes, is_behind) = self.window.lag(cursor);
        ViewerFigures {
            number,
            run: self.run.clone(),
            since: self.since,
            cursor,
            end: self.window.end(),
            lag_bytes,
            is_behind,
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }
}

/// The entry of one viewer.
pub(super) struct ShownViewer {
    all: Arc<ShownViewers>,
    number: u64,
    figures: Arc<Figures>,
}

impl ShownViewer {
    /// It was given events up to here.
    pub(super) fn has_sent(&self, through: Seq, bytes: usize) {
        self.figures.cursor.store(through.0, Ordering::Relaxed);
        self.figures.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for ShownViewer {
    fn drop(&mut self) {
        self.all.lock().viewers.remove(&self.number);
    }
}
