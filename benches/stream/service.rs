//! The measured service: the real binary in a directory of its own on a free port.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::generator::{self, Kind};
use crate::process::Process;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);

static STARTED: Mutex<Vec<i32>> = Mutex::new(Vec::new());
static PLACES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Ends what was started and removes its directories; for a measurement that takes too long.
pub(crate) fn abandon() {
    for pid in STARTED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    for path in PLACES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = std::fs::remove_dir_all(path);
    }
}

/// A temporary directory for data and gates.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    gates: AtomicU32,
}

impl Place {
    /// A fresh one.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("runcast-bench-").tempdir()?;
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        places.push(directory.path().to_owned());
        Ok(Self { directory, gates: AtomicU32::new(0) })
    }

    /// A gate for generators.
    pub(crate) fn gate(&self) -> anyhow::Result<PathBuf> {
        let number = self.gates.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.path().join(format!("gate-{number}"));
        generator::make_gate(&path)?;
        Ok(path)
    }

    /// Where the service keeps its recordings.
    pub(crate) fn archive(&self) -> PathBuf {
        self.path().join("data").join("archive")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A running service.
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// Starts it over the data of the place and waits until it serves.
    pub(crate) fn start(place: &Place) -> anyhow::Result<Self> {
        Self::start_with(place, &[])
    }

    /// The same with these variables of the environment.
    pub(crate) fn start_with(place: &Place, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut child = Command::new(binary())
            .envs(settings.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(place.path().join("data"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the service does not start")?;
        STARTED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(i32::try_from(child.id()).context("its number")?);
        let stderr = child.stderr.take().context("its messages")?;
        let mut lines = BufReader::new(stderr);
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            if lines.read_line(&mut said)? == 0 {
                bail!("the service has ended at its start: {said}");
            }
            let line = &said[start..];
            if line.contains("runcast serves") {
                break address_in(line).with_context(|| format!("no address in {line}"))?;
            }
        };
        let mut file = File::options().create(true).append(true).open(place.path().join("log"))?;
        std::thread::spawn(move || {
            // A full pipe would stop the service.
            let _ = file.write_all(said.as_bytes());
            std::io::copy(&mut lines, &mut file)
        });
        Ok(Self { child, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it, and nothing is done in order.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Submits a run of these nodes.
    pub(crate) fn submit(&self, run: &str, nodes: &[(String, Vec<String>)]) -> anyhow::Result<()> {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|(node, command)| json!({ "ref": node, "command": command }))
            .collect();
        let body = json!({ "runId": run, "nodes": nodes }).to_string();
        let (status, answer) = self.request("POST", "/runs", &body)?;
        ensure!(status == 201, "the run was answered with {status}: {answer}");
        Ok(())
    }

    /// Submits a run of one node, called `n`.
    pub(crate) fn submit_one(&self, run: &str, kind: Kind, gate: &Path) -> anyhow::Result<()> {
        self.submit(run, &[("n".to_owned(), kind.command(gate, None)?)])
    }

    /// The run as it is now.
    pub(crate) fn run(&self, run: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.request("GET", &format!("/runs/{run}"), "")?;
        ensure!(status == 200, "the run was answered with {status}: {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    /// Waits until the run is as wanted.
    pub(crate) fn run_until(
        &self,
        run: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            let view = self.run(run)?;
            if wanted(&view) {
                return Ok(view);
            }
            ensure!(Instant::now() < deadline, "after {within:?} the run is still {view}");
            std::thread::sleep(POLL);
        }
    }

    /// What the kernel says of it.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Resident memory now and its peak, in KiB.
    pub(crate) fn memory_kib(&self) -> anyhow::Result<(u64, u64)> {
        self.process().memory_kib()
    }

    /// Resident memory in KiB once it has stayed the same for eight seconds (an idle terminal gives its
    /// cells back after five), or at the deadline.
    pub(crate) fn settled_kib(&self, within: Duration) -> anyhow::Result<u64> {
        const SAMPLES: usize = 32;
        const SAME_KIB: u64 = 256;
        let deadline = Instant::now() + within;
        let mut samples = Vec::new();
        loop {
            samples.push(self.memory_kib()?.0);
            let last = &samples[samples.len().saturating_sub(SAMPLES)..];
            let (least, most) = (last.iter().min(), last.iter().max());
            let spread = most.zip(least).map_or(u64::MAX, |(most, least)| most - least);
            if (last.len() == SAMPLES && spread < SAME_KIB) || Instant::now() > deadline {
                return Ok(samples[samples.len() - 1]);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    // HTTP/1.0 and a closed connection: the body is everything up to the end.
    fn request(&self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_read_timeout(Some(ANSWER))?;
        let length = body.len();
        connection.write_all(
            format!(
                "{method} /api/v1{path} HTTP/1.0\r\nHost: bench\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse()?, body.to_owned()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is measured.
pub(crate) fn binary() -> OsString {
    std::env::var_os("RUNCAST_BIN").unwrap_or(env!("CARGO_BIN_EXE_runcast").into())
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let rest = &line[start..];
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
