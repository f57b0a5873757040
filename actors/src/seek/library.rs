//! Where keyframes are: in the memory of who follows the run, in a cache, in the archive, and computed
//! again in the background where they are nowhere.
//!
//! They are derived from the recording, so every loss of them costs time and nothing else. A list may end
//! before its stream does; it is a good beginning all the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tokio::sync::{Semaphore, watch};

use super::end_of;
use super::followed::{FollowedKeyframes, KeyframeRoom};
use crate::entry::Body;
use crate::history::{History, HistoryError, Item};
use crate::ids::{RunKey, Seq, StreamKey, hash_of};
use crate::kernel::ArbiterPool;
use crate::ports::{ObjectError, ObjectKey};
use crate::screen::{Keyframe, KeyframeList, StreamPainter, keyframe_codec};

/// Keyframes of runs that nobody follows, in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Lists in the cache, about.
const CACHE_LISTS: usize = 1024;
/// A stored object longer than this is not read.
const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;
/// Lists that wait to be stored; one that finds it full is computed again when it is asked for.
const MAX_TO_STORE: usize = 4096;
/// Streams that wait to be computed again; one that finds it full waits for the next who asks.
const MAX_REBUILDS: usize = 64;
/// How often storing a list, or reading for one, is tried.
const TRIES: u32 = 3;
/// The pause before the second try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// History that is computed between two looks at what else there is to do, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// The keyframes of all streams.
pub struct KeyframeLibrary {
    history: History,
    arbiters: Arc<ArbiterPool>,
    followed: Mutex<HashMap<RunKey, Arc<FollowedKeyframes>>>,
    room: Arc<KeyframeRoom>,
    cache: Mutex<Cache<(RunKey, StreamKey), KeyframeList, ByMemory>>,
    rebuilds: Mutex<HashMap<(RunKey, StreamKey), watch::Receiver<()>>>,
    one_rebuild: Semaphore,
    to_store: Mutex<StoreQueue>,
}

#[derive(Default)]
struct StoreQueue {
    lists: VecDeque<(RunKey, StreamKey, KeyframeList)>,
    is_worked_on: bool,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<(RunKey, StreamKey), KeyframeList> for ByMemory {
    fn weight(&self, _: &(RunKey, StreamKey), list: &KeyframeList) -> u64 {
        list.memory_cost() as u64
    }
}

impl KeyframeLibrary {
    /// Over this history and its archive. What takes long is computed on these threads, which should have
    /// a low priority.
    pub fn new(history: History, arbiters: Arc<ArbiterPool>) -> Arc<Self> {
        Arc::new(Self {
            history,
            arbiters,
            followed: Mutex::default(),
            room: Arc::default(),
            cache: Mutex::new(Cache::with_weighter(CACHE_LISTS, CACHE_BYTES, ByMemory)),
            rebuilds: Mutex::default(),
            one_rebuild: Semaphore::new(1),
            to_store: Mutex::default(),
        })
    }

    /// Bytes of all keyframes in memory.
    pub fn memory(&self) -> usize {
        let cached = usize::try_from(lock(&self.cache).weight()).unwrap_or(usize::MAX);
        self.room.bytes().saturating_add(cached)
    }

    /// Lets the keyframes of runs that nobody follows go; they are read or computed again when they are asked for.
    pub fn clear_cache(&self) {
        lock(&self.cache).clear();
    }

    /// Where who follows the run from now on keeps its keyframes.
    pub fn follow(&self, run: &RunKey) -> Arc<FollowedKeyframes> {
        let kept = || Arc::new(FollowedKeyframes::new(self.room.clone()));
        lock(&self.followed).entry(run.clone()).or_insert_with(kept).clone()
    }

    /// The run is not followed any more; its keyframes stay in the cache.
    pub fn unfollow(&self, run: &RunKey) {
        let Some(followed) = lock(&self.followed).remove(run) else { return };
        for (stream, list) in followed.known().1 {
            self.remember(run, &stream, list);
        }
    }

    /// The keyframes of a stream as far as they are known now. None if the stream has no chunk.
    pub async fn list(
        self: &Arc<Self>,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<KeyframeList>, HistoryError> {
        let followed = lock(&self.followed).get(run).cloned();
        if let Some(list) = followed.and_then(|followed| followed.stream(stream)) {
            return Ok(Some(list));
        }
        let list = match self.cached(run, stream) {
            Some(list) => list,
            None => match self.load(run, stream).await {
                Some(list) => list,
                None => match self.beginning(run, stream).await? {
                    Some(list) => list,
                    None => return Ok(None),
                },
            },
        };
        // Meanwhile somebody else may have come farther.
        let list = match self.cached(run, stream) {
            Some(cached) if cached.extent().place.seq > list.extent().place.seq => cached,
            _ => {
                self.remember(run, stream, list.clone());
                list
            }
        };
        if !list.has_seen(end_of(&self.history, run).await?) {
            self.rebuild(run, stream, list.clone());
        }
        Ok(Some(list))
    }

    /// As [`Self::list`], once what there is was computed, or after `patience`.
    pub async fn whole_list(
        self: &Arc<Self>,
        run: &RunKey,
        stream: &StreamKey,
        patience: Duration,
    ) -> Result<Option<KeyframeList>, HistoryError> {
        let list = self.list(run, stream).await?;
        let rebuild = lock(&self.rebuilds).get(&(run.clone(), stream.clone())).cloned();
        let Some(mut rebuild) = rebuild else { return Ok(list) };
        // Its end is told by the sender being dropped.
        let _ = tokio::time::timeout(patience, rebuild.changed()).await;
        Ok(self.cached(run, stream).or(list))
    }

    /// True while keyframes of the stream are being computed.
    pub fn is_computing(&self, run: &RunKey, stream: &StreamKey) -> bool {
        lock(&self.rebuilds).contains_key(&(run.clone(), stream.clone()))
    }

    /// Stores the keyframes of a stream that has ended, in the background.
    pub fn store(self: &Arc<Self>, run: &RunKey, stream: &StreamKey, list: KeyframeList) {
        let mut queue = lock(&self.to_store);
        if queue.lists.len() >= MAX_TO_STORE {
            tracing::warn!(%run, node = %stream.node_ref, "too many keyframes wait to be stored");
            return;
        }
        queue.lists.push_back((run.clone(), stream.clone(), list));
        if !std::mem::replace(&mut queue.is_worked_on, true) {
            let library = Arc::clone(self);
            self.arbiters.pick(hash_of(run)).spawn(move || library.store_all());
        }
    }

    async fn store_all(self: Arc<Self>) {
        loop {
            let next = {
                let mut queue = lock(&self.to_store);
                let next = queue.lists.pop_front();
                queue.is_worked_on = next.is_some();
                next
            };
            let Some((run, stream, list)) = next else { return };
            if let Err(error) = self.put(&run, &stream, &list).await {
                let node = &stream.node_ref;
                tracing::warn!(%run, %node, %error, "keyframes were not stored");
            }
        }
    }

    async fn put(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        list: &KeyframeList,
    ) -> Result<(), ObjectError> {
        let key = ObjectKey::keyframes(run, stream);
        let object = keyframe_codec::encode(list)
            .map_err(|error| ObjectError::Damaged(key.clone(), error.to_string()))?;
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.history.archive().objects().put(&key, object.clone()).await {
                Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
                Err(error) => return Err(error),
                Ok(()) => return self.delete_if_gone(run, stream, &key).await,
            }
            pause *= 2;
        }
        self.history.archive().objects().put(&key, object).await?;
        self.delete_if_gone(run, stream, &key).await
    }

    /// Who removes a recording notes it before it deletes the objects: an object that comes later is left
    /// over, and whoever put it there finds the note.
    async fn delete_if_gone(
        &self,
        run: &RunKey,
        stream: &StreamKey,
        key: &ObjectKey,
    ) -> Result<(), ObjectError> {
        let archive = self.history.archive();
        let is_gone = match self.history.run(run).await {
            Ok(Some(stored)) if stored.purged => true,
            Ok(_) => {
                let row = archive.recordings().recording(run, stream).await;
                row.is_ok_and(|row| row.is_some_and(|row| row.purged_at.is_some()))
            }
            Err(_) => false,
        };
        if is_gone { archive.objects().delete(key).await } else { Ok(()) }
    }

    fn cached(&self, run: &RunKey, stream: &StreamKey) -> Option<KeyframeList> {
        lock(&self.cache).get(&(run.clone(), stream.clone())).cloned()
    }

    fn remember(&self, run: &RunKey, stream: &StreamKey, list: KeyframeList) {
        lock(&self.cache).insert((run.clone(), stream.clone()), list);
    }

    /// The list that the archive has; none also if it cannot be read, because it can be computed.
    async fn load(&self, run: &RunKey, stream: &StreamKey) -> Option<KeyframeList> {
        let key = ObjectKey::keyframes(run, stream);
        let read = async {
            let length = self.history.archive().objects().length(&key).await?;
            if length > MAX_OBJECT_BYTES {
                return Err(ObjectError::Damaged(key.clone(), format!("it has {length} bytes")));
            }
            self.history.archive().objects().read(&key, 0..length).await
        };
        let object = match read.await {
            Ok(object) => object,
            Err(ObjectError::NotFound(_)) => return None,
            Err(error) => {
                tracing::warn!(%run, node = %stream.node_ref, %error, "keyframes were not read");
                return None;
            }
        };
        let decoded = tokio::task::spawn_blocking(move || keyframe_codec::decode(&object)).await;
        match decoded {
            Ok(Ok(list)) => Some(list),
            Ok(Err(error)) => {
                tracing::warn!(%run, node = %stream.node_ref, %error, "keyframes are damaged");
                None
            }
            Err(_) => None,
        }
    }

    async fn beginning(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<KeyframeList>, HistoryError> {
        let mut cursor = Seq::START;
        loop {
            let stretch = self.history.read_stream(run, stream, cursor, 1).await?;
            for item in &stretch.items {
                if let Item::Entry(entry) = item
                    && let Body::Terminal(chunk) = &entry.body
                {
                    return Ok(Some(KeyframeList::new(Keyframe::beginning(entry.seq, chunk))));
                }
            }
            if stretch.through <= cursor {
                return Ok(None);
            }
            cursor = stretch.through;
        }
    }

    fn rebuild(self: &Arc<Self>, run: &RunKey, stream: &StreamKey, list: KeyframeList) {
        let key = (run.clone(), stream.clone());
        let mut rebuilds = lock(&self.rebuilds);
        if rebuilds.contains_key(&key) || rebuilds.len() >= MAX_REBUILDS {
            return;
        }
        let (ends, ended) = watch::channel(());
        rebuilds.insert(key.clone(), ended);
        let rebuild = Rebuild { library: Arc::clone(self), key, _ends: ends };
        self.arbiters.pick(hash_of(run)).spawn(move || rebuild.run(list));
    }
}

/// The keyframes of one stream are being computed. Dropped, it is over.
struct Rebuild {
    library: Arc<KeyframeLibrary>,
    key: (RunKey, StreamKey),
    _ends: watch::Sender<()>,
}

impl Drop for Rebuild {
    fn drop(&mut self) {
        lock(&self.library.rebuilds).remove(&self.key);
    }
}

impl Rebuild {
    async fn run(self, mut list: KeyframeList) {
        let Ok(_one) = self.library.one_rebuild.acquire().await else { return };
        let (run, stream) = &self.key;
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            let painted = self.paint(&mut list).await;
            self.library.remember(run, stream, list.clone());
            match painted {
                Ok(()) => break,
                Err(error) if attempt == TRIES => {
                    let node = &stream.node_ref;
                    tracing::warn!(%run, %node, %error, "keyframes were not computed");
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        if list.extent().has_ended {
            self.library.store(run, stream, list);
        }
    }

    /// Paints what follows the last keyframe, up to what there was at the beginning.
    async fn paint(&self, list: &mut KeyframeList) -> Result<(), HistoryError> {
        let (run, stream) = &self.key;
        let history = &self.library.history;
        let until = end_of(history, run).await?;
        let mut painter = StreamPainter::resume(list.last());
        let mut cursor = painter.extent().place.seq;
        let mut known = list.frames().len();
        while cursor < until {
            let stretch = history.read_stream(run, stream, cursor, READ_BYTES).await?;
            if stretch.through <= cursor {
                break;
            }
            for item in &stretch.items {
                if let Item::Entry(entry) = item
                    && let Body::Terminal(chunk) = &entry.body
                {
                    painter.absorb(entry.seq, chunk, |_| ());
                    list.observe(painter.extent(), painter.collector());
                }
            }
            if list.frames().len() != known {
                known = list.frames().len();
                self.library.remember(run, stream, list.clone());
            }
            cursor = stretch.through;
            list.see(cursor);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
