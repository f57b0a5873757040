//! A thousand viewers of one node, and one of them reads 1 KB/s.
//!
//! Sixteen take the events apart and compare; the others count the bytes of the body, which must be
//! as many as the sixteen got: the machine that measures is the one that serves.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::Interest;
use tokio::task::JoinSet;

use crate::chunked::Chunked;
use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::viewer::{self, Events, Viewer};
use crate::{Scale, mebibytes};

const NAME: &str = "crowd";
/// Those that take the events apart.
const PARSED: usize = 16;
/// Those that count; with the slow one and the parsed ones there are a thousand.
const COUNTED: usize = 1000 - PARSED - 1;
/// What the node writes.
const BYTES_PER_SEC: u64 = 1_000_000;
/// What one read of a counting viewer takes.
const READ_BYTES: usize = 64 * 1024;
/// A counting viewer keeps this much, in which the first event and `live` stand …
const HEAD_BYTES: usize = 16 * 1024;
/// … and the end, in which `done` stands.
const TAIL_BYTES: usize = 1024;

/// Measures the sixteen alone, then the crowd, in one service.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    viewer::allow_open_files(4 * 1024)?;
    let place = Place::new()?;
    let service = Service::start(&place)?;
    let few = watch(&place, &service, scale, 0)?;
    let crowd = watch(&place, &service, scale, COUNTED)?;
    report.add(NAME, ("memory, 16 viewers, most", "MiB"), Target::None, mebibytes(few.most_kib));
    report.add(
        NAME,
        ("memory, 1,000 viewers, most", "MiB"),
        Target::None,
        mebibytes(crowd.most_kib),
    );
    let more = crowd.most_kib as f64 - few.most_kib as f64;
    let each = more / (COUNTED + 1) as f64;
    report.add(NAME, ("memory a viewer", "KiB"), Target::AtMost(32.0), each);
    report.add(NAME, ("16 viewers, time over planned", ""), Target::None, few.slowdown);
    report.add(NAME, ("1,000 viewers, time over planned", ""), Target::None, crowd.slowdown);
    report.add(NAME, ("fast viewers complete", ""), Target::AtLeast(999.0), crowd.complete as f64);
    Ok(())
}

struct Watched {
    most_kib: u64,
    /// How many had everything.
    complete: usize,
    /// From the gate until the last had everything, over how long the node writes.
    slowdown: f64,
}

fn watch(
    place: &Place,
    service: &Service,
    scale: &Scale,
    counted: usize,
) -> anyhow::Result<Watched> {
    let run = format!("crowd-{counted}");
    let gate = place.gate()?;
    let bytes = BYTES_PER_SEC * scale.crowd_secs;
    service.submit_one(&run, Kind::Paced { bytes, bytes_per_sec: BYTES_PER_SEC }, &gate)?;
    let within = Duration::from_secs(30);
    service.run_until(&run, within, |run| run["progress"]["running"] == 1)?;
    let address = service.address();
    let mut parsed: Vec<JoinHandle<anyhow::Result<Events>>> = Vec::new();
    for _ in 0..PARSED {
        let mut viewer = Viewer::connect(address, &run, "")?;
        ensure!(viewer.read_until(|events| events.live)?, "the stream ended before `live`");
        parsed.push(thread::spawn(move || viewer.read_to_done()));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(AtomicU64::new(0));
    let mut slow = None;
    let mut counting = None;
    if counted > 0 {
        let stopped = stop.clone();
        let (slow_run, count_run, ready) = (run.clone(), run.clone(), ready.clone());
        slow = Some(thread::spawn(move || read_slowly(address, &slow_run, &stopped)));
        counting = Some(thread::spawn(move || count_all(address, &count_run, counted, ready)));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while ready.load(Ordering::Acquire) < counted as u64 {
        ensure!(Instant::now() < deadline, "the crowd is not connected");
        ensure!(!counting.as_ref().is_some_and(JoinHandle::is_finished), "a viewer has failed");
        thread::sleep(Duration::from_millis(2));
    }
    let began = Instant::now();
    let held = open_gate(&gate)?;
    let mut most_kib = 0;
    let all_read = |threads: &[JoinHandle<_>], counting: &Option<JoinHandle<_>>| {
        threads.iter().all(JoinHandle::is_finished)
            && counting.as_ref().is_none_or(JoinHandle::is_finished)
    };
    while !all_read(&parsed, &counting) {
        most_kib = most_kib.max(service.memory_kib()?.0);
        // The rhythm of the samples.
        thread::sleep(Duration::from_millis(20));
    }
    let slowdown = began.elapsed().as_secs_f64() / scale.crowd_secs as f64;
    stop.store(true, Ordering::Release);
    drop(held);
    let panicked = || anyhow::anyhow!("a viewer panicked");
    let mut shared_bytes = None;
    for viewer in parsed {
        let events = viewer.join().map_err(|_| panicked())??;
        events.check()?;
        let expected = *shared_bytes.get_or_insert(events.shared_bytes);
        ensure!(events.shared_bytes == expected, "{} of {expected} bytes", events.shared_bytes);
    }
    let mut complete = PARSED;
    if let Some(counting) = counting {
        let counts = counting.join().map_err(|_| panicked())??;
        let expected = shared_bytes.unwrap_or_default();
        let wrong: Vec<&u64> = counts.iter().filter(|count| **count != expected).collect();
        ensure!(wrong.is_empty(), "{} viewers have not {expected} bytes: {wrong:?}", wrong.len());
        complete += counts.len();
    }
    if let Some(slow) = slow {
        let read = slow.join().map_err(|_| panicked())??;
        ensure!(read > 0, "the slow viewer got nothing");
    }
    Ok(Watched { most_kib, complete, slowdown })
}

/// Reads 1 KB/s until it is told to stop.
fn read_slowly(address: SocketAddr, run: &str, stop: &AtomicBool) -> anyhow::Result<u64> {
    let (mut connection, rest) = viewer::connect(address, &format!("/runs/{run}/stream"))?;
    let mut read = rest.len() as u64;
    let mut part = [0; 100];
    while !stop.load(Ordering::Acquire) {
        read += connection.read(&mut part)? as u64;
        // Its rhythm.
        thread::sleep(Duration::from_millis(100));
    }
    Ok(read)
}

/// Counts for many viewers on one thread; tells `ready` of each that has come to `live`.
fn count_all(
    address: SocketAddr,
    run: &str,
    count: usize,
    ready: Arc<AtomicU64>,
) -> anyhow::Result<Vec<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = format!("/runs/{run}/stream");
    runtime.block_on(async move {
        let mut viewers = JoinSet::new();
        for _ in 0..count {
            let (connection, rest) = viewer::connect(address, &path)?;
            viewers.spawn(count_one(connection, rest, ready.clone()));
        }
        let mut counts = Vec::new();
        while let Some(count) = viewers.join_next().await {
            counts.push(count??);
        }
        Ok(counts)
    })
}

/// The bytes of the body without the two events that are of this connection alone.
async fn count_one(
    connection: TcpStream,
    rest: Vec<u8>,
    ready: Arc<AtomicU64>,
) -> anyhow::Result<u64> {
    connection.set_nonblocking(true)?;
    let connection = tokio::net::TcpStream::from_std(connection)?;
    let mut chunked = Chunked::default();
    let mut body = Body::default();
    chunked.feed(&rest, |part| body.feed(part))?;
    let mut told = false;
    while !chunked.has_ended() {
        if !told && body.own_bytes().is_some() {
            ready.fetch_add(1, Ordering::Release);
            told = true;
        }
        connection.ready(Interest::READABLE).await?;
        let read = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(READ_BYTES, 0);
            match connection.try_read(buffer) {
                Ok(count) => {
                    chunked.feed(&buffer[..count], |part| body.feed(part))?;
                    Ok(Some(count))
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(anyhow::Error::from(error)),
            }
        })?;
        ensure!(read != Some(0), "the connection was cut after {} bytes", body.count);
    }
    let tail = String::from_utf8_lossy(&body.tail);
    ensure!(tail.contains("event: done"), "the stream ended without `done`: {tail}");
    Ok(body.count - body.own_bytes().context("no `live`")?)
}

thread_local! {
    /// One for all of the thread: what is counted is looked at no more.
    static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Body {
    count: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Body {
    fn feed(&mut self, part: &[u8]) {
        self.count += part.len() as u64;
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&part[..part.len().min(room)]);
        self.tail.extend_from_slice(&part[part.len().saturating_sub(TAIL_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
    }

    /// The length of the first `status` and of `live`, once both are here.
    fn own_bytes(&self) -> Option<u64> {
        let text = std::str::from_utf8(&self.head).ok()?;
        let status = event_len(text, "\n\nevent: status\n")?;
        let live = event_len(text, "\n\nevent: live\n")?;
        Some(status + live)
    }
}

/// The length of the event that begins behind the first line break of `start`, with its empty line.
fn event_len(text: &str, start: &str) -> Option<u64> {
    let begin = text.find(start)? + 2;
    let end = text[begin..].find("\n\n")? + 2;
    Some(end as u64)
}
