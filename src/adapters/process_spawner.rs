//! The one thread that forks.
//!
//! A parent-death signal is bound to the thread that forked, and a terminal is marked close-on-exec
//! only after it was opened. So opening and forking happen one after the other on one thread, which
//! lives as long as anybody holds a [`ProcessSpawner`]; every process holds one.

use std::io;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::thread;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal, setsid};
use tokio::sync::{mpsc, oneshot};

/// Starts that wait for the thread; the next one waits for room.
const QUEUE_LEN: usize = 64;
/// Signals 1 to 31 are the classic ones; the rest are nobody's default business.
const LAST_SIGNAL: i32 = 31;
/// The first descriptor that a child does not get.
const FIRST_PRIVATE_FD: u32 = 3;

type Job = Box<dyn FnOnce() + Send>;

/// A handle of the thread. The thread ends when the last one is dropped.
#[derive(Clone)]
pub struct ProcessSpawner {
    jobs: mpsc::Sender<Job>,
}

/// The job did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that starts processes gave no answer")]
pub struct SpawnerGone;

impl ProcessSpawner {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_LEN);
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                // The end of this thread would kill every child, so no job may end it.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a process could not be started: the start panicked");
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs `job` on the thread. If the caller goes away meanwhile, the result is dropped there.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SpawnerGone> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || drop(answer.send(job())));
        self.jobs.send(job).await.map_err(|_| SpawnerGone)?;
        result.await.map_err(|_| SpawnerGone)
    }

    /// Runs `job` on the thread. Blocks: only for threads without a runtime.
    pub fn run_blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SpawnerGone> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || drop(answer.send(job())));
        self.jobs.blocking_send(job).map_err(|_| SpawnerGone)?;
        result.blocking_recv().map_err(|_| SpawnerGone)
    }
}

/// Makes the child die with the thread that forks it, and start as from a fresh login: default
/// signals (std itself empties the mask), and no descriptors but its own three.
#[allow(unsafe_code)]
pub fn bind_to_service(command: &mut Command) {
    let service = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // If the service died before the line above, no signal will come.
        if getppid() != Some(service) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for signal in 1..=LAST_SIGNAL {
            // SAFETY: async-signal-safe; KILL and STOP are refused without effect.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: async-signal-safe; only marks descriptors. An old kernel refuses, and then what
        // the service opened itself is still marked.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                FIRST_PRIVATE_FD,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
    unsafe { command.pre_exec(prepare) };
}

/// Makes the child the leader of a new session without a terminal.
#[allow(unsafe_code)]
pub fn lead_session(command: &mut Command) {
    // SAFETY: setsid is one system call; nothing allocates or locks between fork and exec.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn jobs_run_on_one_thread_that_survives_a_panic() {
        let spawner = ProcessSpawner::start().unwrap();
        let first = spawner.run(|| thread::current().id()).await.unwrap();
        let panicked: Result<(), SpawnerGone> = spawner.run(|| panic!("a test")).await;
        assert_eq!(panicked, Err(SpawnerGone));
        assert_eq!(spawner.run(|| thread::current().id()).await, Ok(first));
    }

    #[tokio::test]
    async fn a_result_nobody_waits_for_is_dropped() {
        let spawner = ProcessSpawner::start().unwrap();
        let held = Arc::new(Mutex::new(()));
        let result = Arc::clone(&held);
        {
            let forgotten = spawner.run(move || result);
            tokio::pin!(forgotten);
            let _ = futures_util::poll!(&mut forgotten);
        }
        // The queue is in order: when this one is answered, the forgotten one is done.
        spawner.run(|| ()).await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
