//! P4, a slow viewer harms nobody: neither the others, nor the memory of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::support::api::Api;
use crate::support::collect::{Collected, sha256_hex};
use crate::support::programs::{as_terminal_passes, log_lines, perl, pty, run_of, ticking};
use crate::support::service::{Keeping, Service, hot_and_cold};
use crate::support::sse::Message;

hot_and_cold!(p4_a_slow_viewer_and_a_stalled_one_change_nothing_for_the_others);

/// Viewers that read as fast as they can.
const FAST: usize = 8;
/// Output of the node with a hot log; it takes the time that this takes …
const OUTPUT_BYTES: usize = 20_000_000;
/// … and with a cold one, still more than the service may have in memory for it.
const COLD_OUTPUT_BYTES: usize = 14_000_000;
/// How fast it is written.
const BYTES_A_SECOND: usize = 4_000_000;
/// What the slow viewer reads in a second.
const SLOW_BYTES_A_SECOND: usize = 1024;
/// How much more memory the service may have with slow viewers and a stalled one than with fast ones
/// alone. Nine windows of kernel buffers and one of events are well below; the output is above.
const MAX_GROWTH_BYTES: u64 = 12 * 1024 * 1024;
/// Rounds in one of which it must be less than that.
const ROUNDS: u32 = 3;

/// Only tests of this file measure, so they do not run beside each other.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// A script that writes a file in steps of a fiftieth of a second.
fn paced(file: &std::path::Path) -> String {
    format!(
        "$/ = \\{}; open my $f, '<', '{}' or die; $| = 1; \
         while (defined(my $part = <$f>)) {{ print $part; select undef, undef, undef, 0.02 }}",
        BYTES_A_SECOND / 50,
        file.display()
    )
}

fn fast(api: &Api, run: &str) -> JoinHandle<Collected> {
    let (api, run) = (api.clone(), run.to_owned());
    tokio::spawn(async move {
        let mut seen = Collected::sums_only();
        seen.read(&mut api.stream(&run).open().await).await;
        seen
    })
}

/// Keeps the most memory the service has had.
fn watch_memory(service: Arc<Service>, stop: Arc<AtomicBool>) -> (JoinHandle<()>, Arc<AtomicU64>) {
    let most = Arc::new(AtomicU64::new(0));
    let seen = most.clone();
    let task = tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            seen.fetch_max(service.rss_bytes(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    (task, most)
}

struct Measured {
    most_rss: u64,
    took: Duration,
}

/// Runs the node with its fast viewers, and with slow ones if asked; the fast ones must have everything.
async fn measure(service: &Arc<Service>, script: &str, sha256: &str, with_slow: bool) -> Measured {
    let api = service.api();
    let stop = Arc::new(AtomicBool::new(false));
    let (memory, most) = watch_memory(service.clone(), stop.clone());
    let began = Instant::now();
    let run = api.submit(&run_of([perl("busy", script)])).await;
    let viewers: Vec<_> = (0..FAST).map(|_| fast(&api, &run)).collect();
    let slow = if with_slow { Some(Slow::start(&api, &run).await) } else { None };
    for viewer in viewers {
        let seen = viewer.await.expect("a viewer does not panic");
        seen.assert_complete();
        assert_eq!(seen.stream("busy", "pty").sha256(), sha256);
        assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    }
    let took = began.elapsed();
    if let Some(slow) = slow {
        service.wait_log_empty().await;
        slow.assert_still_served(sha256).await;
    }
    stop.store(true, Ordering::Relaxed);
    memory.await.expect("the memory was watched");
    Measured { most_rss: most.load(Ordering::Relaxed), took }
}

/// One viewer that reads a little each second, and one that reads nothing.
struct Slow {
    stop: Arc<AtomicBool>,
    reading: JoinHandle<(u64, usize)>,
    stalled: crate::support::sse::RawClient,
}

impl Slow {
    async fn start(api: &Api, run: &str) -> Self {
        let stalled = api.stream(run).open_raw(4096).await;
        let mut client = api.stream(run).open_raw(4096).await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reading = tokio::spawn(async move {
            let (mut cursor, mut bytes) = (0, 0);
            let mut seen = Collected::new();
            while !stopped.load(Ordering::Relaxed) {
                let most = SLOW_BYTES_A_SECOND / 10;
                assert!(
                    client
                        .read_some(most, |message| {
                            if let Message::Event(event) = &message {
                                cursor = event.id.unwrap_or(cursor);
                            }
                            seen.push(message);
                        })
                        .await,
                    "a slow viewer is not dropped"
                );
                bytes += most;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // In order, without a hole, just not far.
            seen.assert_dense();
            (cursor, bytes)
        });
        Self { stop, reading, stalled }
    }

    async fn assert_still_served(mut self, sha256: &str) {
        assert!(self.stalled.is_open().await, "one that reads nothing stays connected");
        self.stop.store(true, Ordering::Relaxed);
        let (cursor, bytes) = self.reading.await.expect("the slow viewer does not panic");
        println!("the slow viewer has {bytes} bytes and is at {cursor}");
        assert!(cursor > 0 && bytes < COLD_OUTPUT_BYTES / 100, "{cursor} {bytes}");
        // The other one begins to read only now, long after the end, and gets everything.
        let mut seen = Collected::sums_only();
        while seen.done.is_none() {
            assert!(self.stalled.read_some(256 * 1024, |message| seen.push(message)).await);
        }
        seen.assert_complete();
        assert_eq!(seen.stream("busy", "pty").sha256(), sha256);
    }
}

async fn p4_a_slow_viewer_and_a_stalled_one_change_nothing_for_the_others(keeping: Keeping) {
    let _alone = MEASURING.lock().await;
    // Tail and cache as small as may be: what a viewer holds must show against what is kept in memory.
    let service = Service::builder().keeping(keeping).config("[log]\ntail_bytes = 1048576");
    let service = service.env("RUNCAST__ARCHIVE__CACHE_BYTES", "4194304");
    let service = service.env("RUNCAST__ARCHIVE__SEGMENT_BYTES", "4194304");
    let service = Arc::new(service.start().await);
    let files = TempDir::new().expect("a directory");
    let output_bytes = if service.is_cold() { COLD_OUTPUT_BYTES } else { OUTPUT_BYTES };
    let lines = log_lines(output_bytes, 4);
    let file = files.path().join("lines");
    std::fs::write(&file, &lines).expect("the file is written");
    let sha256 = sha256_hex(&as_terminal_passes(&lines));
    let script = paced(&file);
    // The log keeps what it has not sorted in memory up to a limit; a flood that nobody watches takes
    // it there before anything is measured. So does what is kept of the archive, once it is read.
    let times = if service.is_cold() { "1 2 3" } else { "1 2 3 4 5 6 7 8" };
    let flood = format!("for i in {times}; do cat '{}'; done", file.display());
    let flood = service.api().submit(&run_of([pty("flood", &flood)])).await;
    service.api().wait_ended(&flood).await;
    if service.is_cold() {
        service.wait_log_empty().await;
        fast(&service.api(), &flood).await.expect("a viewer does not panic").assert_complete();
    }
    let mib = |bytes: u64| bytes / 1024 / 1024;
    let mut most_without = measure(&service, &script, &sha256, false).await.most_rss;
    // What viewers hold is held each time; what the machine does beside them is not.
    let mut rounds = 0;
    let (without, with) = loop {
        rounds += 1;
        let without = measure(&service, &script, &sha256, false).await;
        let with = measure(&service, &script, &sha256, true).await;
        most_without = most_without.max(without.most_rss);
        println!(
            "{FAST} viewers of {} MB: resident {} MiB without, {} MiB with slow viewers; {:?} and {:?}",
            output_bytes / 1_000_000,
            mib(most_without),
            mib(with.most_rss),
            without.took,
            with.took,
        );
        let growth = with.most_rss.saturating_sub(most_without);
        if growth < MAX_GROWTH_BYTES {
            break (without, with);
        }
        assert!(rounds < ROUNDS, "{} MiB more with slow viewers", mib(growth));
        most_without = 0;
    };
    assert!(
        with.took < without.took * 2 + Duration::from_secs(5),
        "{:?}, {:?}",
        with.took,
        without.took
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_two_hundred_viewers_of_one_run_all_complete() {
    let _alone = MEASURING.lock().await;
    let service = Service::start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("busy", &ticking("busy", 8000, 4))])).await;
    let before = service.rss_bytes();
    let viewers: Vec<_> = (0..200).map(|_| fast(&api, &run)).collect();
    let mut first: Option<Collected> = None;
    for viewer in viewers {
        let seen = viewer.await.expect("a viewer does not panic");
        seen.assert_complete();
        match &first {
            Some(first) => seen.assert_same(first),
            None => first = Some(seen),
        }
    }
    let grown = service.rss_bytes().saturating_sub(before);
    println!("200 viewers: {} KiB more, {} KiB each", grown / 1024, grown / 1024 / 200);
    assert!(grown < 200 * 256 * 1024, "{grown} bytes more with 200 viewers");
}
