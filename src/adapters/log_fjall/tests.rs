//! What only a log on a disk can get wrong: restarts, kills, damage, a full disk.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runcast_actors::entry::Entry;
use runcast_actors::ids::{Epoch, RunKey, Seq};
use runcast_actors::ports::{LogError, LogHealth, RunLog, RunReader as _};
use runcast_actors::testing::log_conformance::conformance;
use runcast_actors::testing::log_memory::{chunk_entry, run_key};

use super::{FjallLog, FjallLogSettings, keeper};

const CHILD_DIRECTORY: &str = "RUNCAST_TEST_LOG_DIRECTORY";
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

fn settings(directory: &Path, tail_bytes: usize) -> FjallLogSettings {
    let directory = directory.join("log");
    FjallLogSettings { directory, tail_bytes, sync_ms: 100, min_free_bytes: 0 }
}

fn open(directory: &Path) -> FjallLog {
    FjallLog::open(settings(directory, 0)).expect("the log opens")
}

fn batch(first: u64, count: u64, len: usize) -> Vec<Arc<Entry>> {
    (first..first + count).map(|n| chunk_entry(Seq(n), n - 1, len)).collect()
}

/// Everything the log has of a run, checked entry by entry.
async fn count_entries(log: &FjallLog, run: &RunKey, len: usize) -> u64 {
    let mut cursor = Seq::START;
    loop {
        let page = log.read(run, cursor, 1024 * 1024).await.expect("the log can be read");
        if page.entries.is_empty() {
            assert_eq!(page.tail, cursor, "the entries reach the tail");
            return cursor.0;
        }
        for entry in page.entries {
            assert_eq!(entry, chunk_entry(cursor.next(), cursor.0, len));
            cursor = entry.seq;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_with_and_without_a_cache() {
    for tail_bytes in [0, 100_000] {
        let root = tempfile::tempdir().expect("a directory");
        let made = std::sync::atomic::AtomicU32::new(0);
        conformance(|| async {
            let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let directory = root.path().join(number.to_string());
            std::fs::create_dir(&directory).expect("a directory");
            let log = FjallLog::open(settings(&directory, tail_bytes)).expect("the log opens");
            Arc::new(log) as Arc<dyn RunLog>
        })
        .await;
    }
}

#[tokio::test]
async fn gives_everything_back_after_a_restart() {
    let root = tempfile::tempdir().expect("a directory");
    let run = run_key("r");
    let log = open(root.path());
    log.append(&run, Epoch(3), batch(1, 50, 5000)).await.expect("appended");
    log.trim(&run, Seq(10)).await.expect("trimmed");
    let tail = log.fence(&run, Epoch(4)).await.expect("fenced");
    drop(log);
    let log = open(root.path());
    assert_eq!(log.moved_aside(), None);
    let page = log.read(&run, Seq::START, usize::MAX).await.expect("read");
    assert_eq!(page.entries, batch(11, 40, 5000));
    let fenced = log.append(&run, Epoch(3), batch(51, 1, 1)).await;
    assert_eq!(fenced, Err(LogError::Fenced { mine: Epoch(3), current: Epoch(4) }));
    assert_eq!(log.fence(&run, Epoch(4)).await, Ok(tail));
}

/// What the kill test below runs in a process of its own, and kills; by itself it has nothing to do.
#[tokio::test]
async fn appends_until_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let log = open(Path::new(&directory));
    let run = run_key("r");
    for n in 1.. {
        log.append(&run, Epoch(0), batch(n, 1, 3000)).await.expect("appended");
        println!("\nacknowledged {n}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let executable = std::env::current_exe().expect("a test has an executable");
    for kill_after in [1, 200 + u64::from(rand::random::<u8>())] {
        let root = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(&executable)
            .args(["--nocapture", "--exact"])
            .arg("adapters::log_fjall::tests::appends_until_killed")
            .env(CHILD_DIRECTORY, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
            let line = line.expect("the child writes text");
            let Some(n) = line.strip_prefix("acknowledged ") else { continue };
            acknowledged = n.parse().expect("a number");
            if acknowledged == kill_after {
                child.kill().expect("killed");
            }
        }
        child.wait().expect("reaped");
        assert!(acknowledged >= kill_after, "the child got to {acknowledged}");
        let log = open(root.path());
        assert_eq!(log.moved_aside(), None);
        let there = count_entries(&log, &run_key("r"), 3000).await;
        assert!(there >= acknowledged, "{there} of {acknowledged} are there");
    }
}

#[tokio::test]
async fn a_damaged_journal_gives_a_prefix_or_is_moved_aside() {
    let run = run_key("r");
    for (cut, flip) in [(1, 0), (700, 0), (40_000, 0), (0, 900), (0, 60_000)] {
        let root = tempfile::tempdir().expect("a directory");
        let log = open(root.path());
        for n in 0..40 {
            log.append(&run, Epoch(0), batch(n * 5 + 1, 5, 1000)).await.expect("appended");
        }
        drop(log);
        let directory = root.path().join("log");
        let journal = keeper::newest_journal(&directory).expect("read").expect("a journal");
        let mut bytes = std::fs::read(&journal).expect("read");
        let written = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") + 1;
        if cut > 0 {
            bytes.truncate(written - cut);
        } else {
            bytes[written - flip] ^= 0x55;
        }
        std::fs::write(&journal, &bytes).expect("written");
        let log = open(root.path());
        let there = count_entries(&log, &run, 1000).await;
        assert!(there < 200, "cut {cut}, flip {flip}: nothing was damaged");
        if let Some(aside) = log.moved_aside() {
            assert!(aside.is_dir());
            assert_eq!(there, 0);
        }
        log.append(&run, Epoch(0), batch(there + 1, 1, 1000)).await.expect("it goes on");
    }
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(root.path())
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a small tmpfs and needs the right to do so"
        );
        Self(root)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn goes_on_by_itself_after_a_full_disk() {
    let disk = SmallDisk::mount("24m");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 16 * 1024 * 1024]).expect("there is room");
    let mut settings = settings(disk.0.path(), 0);
    settings.min_free_bytes = 1024 * 1024;
    let log = FjallLog::open(settings).expect("the log opens");
    assert_eq!(log.health(), LogHealth::Up);
    let run = run_key("r");
    let mut next = 1;
    let failure = loop {
        assert!(next < 1000, "the disk never filled");
        match log.append(&run, Epoch(0), batch(next, 1, 32 * 1024)).await {
            Ok(()) => next += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(failure, LogError::Unavailable(_)), "{failure}");
    assert_ne!(log.health(), LogHealth::Up);
    std::fs::remove_file(&ballast).expect("removed");
    let asked = Instant::now();
    while log.append(&run, Epoch(0), batch(next, 1, 32 * 1024)).await.is_err() {
        assert!(asked.elapsed() < DEADLINE, "the log did not come back");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(count_entries(&log, &run, 32 * 1024).await, next);
    assert_eq!(log.health(), LogHealth::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_its_throughput() {
    const ENTRIES: u64 = 4000;
    let root = tempfile::tempdir().expect("a directory");
    let log = open(root.path());
    let run = run_key("r");
    let began = Instant::now();
    for first in (1..ENTRIES).step_by(8) {
        log.append(&run, Epoch(0), batch(first, 8, 32 * 1024)).await.expect("appended");
    }
    let mib = ENTRIES / 32;
    println!("{mib} MiB appended in {:?}", began.elapsed());
    assert_eq!(count_entries(&log, &run, 32 * 1024).await, ENTRIES);
    log.remove(&run).await.expect("removed");
    assert_eq!(count_entries(&log, &run, 32 * 1024).await, 0);
}
