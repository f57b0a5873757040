//! A fixed pool of threads, each with a runtime of its own that runs futures that never move.
//!
//! `actix::Arbiter` is not used: its threads have no names of ours and it needs a running `System`.
//! Actors ask for no more than a place where `spawn_local` works.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::task::spawn_local;

use super::{ExitStatus, KillSwitch};

/// Threads named `NAME-0`, `NAME-1` and so on. Dropped, it stops like [`ArbiterPool::stop`].
#[derive(Debug)]
pub struct ArbiterPool {
    arbiters: Vec<ArbiterHandle>,
    threads: Vec<JoinHandle<()>>,
    stop: KillSwitch,
}

/// A thread that futures can be sent to. Clones are the same thread.
#[derive(Debug, Clone)]
pub struct ArbiterHandle(Handle);

impl ArbiterPool {
    /// Starts `threads` threads, at least one.
    pub fn new(threads: usize, name: &str) -> io::Result<Self> {
        Self::with_thread_start(threads, name, || {})
    }

    /// Like [`ArbiterPool::new`]; each thread first calls `on_thread_start`, for instance to lower its
    /// own priority.
    pub fn with_thread_start(
        threads: usize,
        name: &str,
        on_thread_start: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let on_thread_start: Arc<dyn Fn() + Send + Sync> = Arc::new(on_thread_start);
        // Built step by step, so that what has started is stopped when a later thread cannot start.
        let mut pool = Self { arbiters: Vec::new(), threads: Vec::new(), stop: KillSwitch::new() };
        for index in 0..threads.max(1) {
            pool.start(format!("{name}-{index}"), Arc::clone(&on_thread_start))?;
        }
        Ok(pool)
    }

    fn start(&mut self, name: String, on_start: Arc<dyn Fn() + Send + Sync>) -> io::Result<()> {
        let (started, starting) = sync_channel(1);
        let stop = self.stop.clone();
        let thread = thread::Builder::new().name(name).spawn(move || {
            on_start();
            let runtime = match Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            if started.send(Ok(ArbiterHandle(runtime.handle().clone()))).is_ok() {
                runtime.block_on(stop.dead());
            }
        })?;
        self.threads.push(thread);
        let handle =
            starting.recv().map_err(|_| io::Error::other("the thread panicked at its start"))??;
        self.arbiters.push(handle);
        Ok(())
    }

    /// The thread for `hash`: the same for the same hash.
    pub fn pick(&self, hash: u64) -> ArbiterHandle {
        let count = self.arbiters.len() as u64;
        let index = usize::try_from(hash % count).unwrap_or_default();
        self.arbiters[index].clone()
    }

    /// The threads in order.
    pub fn arbiters(&self) -> &[ArbiterHandle] {
        &self.arbiters
    }

    /// A pool of the one thread this is called on, so that a test's paused clock rules in it.
    #[cfg(test)]
    pub(crate) fn of_this_thread() -> Self {
        let arbiters = vec![ArbiterHandle::current()];
        Self { arbiters, threads: Vec::new(), stop: KillSwitch::new() }
    }

    /// Ends all threads and waits for them; what still runs there is dropped. Blocks for as long as the
    /// longest step of a future takes: stop the groups first.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ArbiterPool {
    fn drop(&mut self) {
        self.stop.kill(ExitStatus::Stopped);
        for thread in self.threads.drain(..) {
            // Dropped on one of its own threads, the pool cannot wait for that one.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the pool panicked");
            }
        }
    }
}

impl ArbiterHandle {
    /// The thread this is called on.
    ///
    /// # Panics
    /// Outside of a runtime. Futures sent there need a local runtime: a pool's, or the one of
    /// `#[tokio::test(flavor = "local")]`.
    pub fn current() -> Self {
        Self(Handle::current())
    }

    /// Calls `factory` on the thread and runs its future there. Once the thread has stopped, `factory`
    /// is dropped uncalled.
    pub fn spawn<F, Fut>(&self, factory: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.0.spawn(async move {
            spawn_local(factory());
        });
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    async fn name_of(arbiter: &ArbiterHandle) -> Option<String> {
        let (tell, told) = oneshot::channel();
        arbiter.spawn(|| async move {
            let unsendable = Rc::new(());
            tokio::task::yield_now().await;
            drop(unsendable);
            let _ = tell.send(thread::current().name().map(str::to_owned));
        });
        told.await.ok().flatten()
    }

    #[tokio::test]
    async fn a_hash_always_picks_the_same_named_thread() {
        let pool = ArbiterPool::new(2, "runs").expect("two threads start");
        for hash in [0, 2, u64::MAX - 1] {
            assert_eq!(name_of(&pool.pick(hash)).await.as_deref(), Some("runs-0"));
        }
        assert_eq!(name_of(&pool.pick(1)).await.as_deref(), Some("runs-1"));
    }

    #[tokio::test]
    async fn stopping_drops_what_runs_and_takes_no_more() {
        let started = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&started);
        let count = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let pool = ArbiterPool::with_thread_start(2, "runs", count).expect("two threads start");
        assert_eq!(started.load(Ordering::SeqCst), 2);

        let arbiter = pool.pick(0);
        let (held, dropped) = oneshot::channel::<()>();
        let (running, runs) = oneshot::channel();
        arbiter.spawn(|| async move {
            let _held = held;
            let _ = running.send(());
            std::future::pending::<()>().await;
        });
        assert!(runs.await.is_ok());
        pool.stop();
        assert!(dropped.await.is_err());
        assert_eq!(name_of(&arbiter).await, None);
    }

    #[test]
    fn a_pool_has_a_thread() {
        let pool = ArbiterPool::new(0, "runs").expect("a thread starts");
        assert_eq!(pool.arbiters().len(), 1);
    }
}
