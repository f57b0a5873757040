//! Measures the service as it is built for production: throughput, latency, memory, recovery, and what the
//! archive keeps and gives back.
//!
//! `cargo bench --bench stream -- [SCENARIO…]`. The real binary runs on loopback in a temporary directory; each
//! figure stands beside a plain drain of a terminal where there is one to compare with. The exit code is 1 if
//! a check fails: a hash, a gap, a byte that is missing. A figure that is not reached is only said.
//!
//! Environment: `FULL=1` takes the large sizes, `ROUNDS` says how often, `MEGABYTES` how much one flood is,
//! `STAMPS` how many lines are timed, `SEEK_MEGABYTES` how long the recording is that is sought in, `CHUNKS`
//! how many a run of tiny ones has, `BOUNDED_MEGABYTES` how long the run is of which Redis holds a part, `RUNCAST_BIN` which other build is measured, for a comparison.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures, not counters"
)]
#![expect(clippy::disallowed_methods, reason = "a program of plain threads, which may sleep")]

mod archive;
mod bounded;
mod chunked;
mod crowd;
mod fair;
mod generator;
mod http;
mod join;
mod latency;
mod many;
mod memory;
mod plain;
mod process;
mod recovery;
mod remote;
mod report;
mod seek;
mod service;
mod size;
mod stores;
mod terminals;
mod text;
mod throughput;
mod viewer;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::report::Report;

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Times that a scenario is repeated, where that is cheap.
    pub(crate) rounds: u32,
    /// Bytes of one flood.
    pub(crate) flood_bytes: u64,
    /// Lines whose latency is measured.
    pub(crate) stamps: u64,
    /// Bytes before somebody joins.
    pub(crate) join_bytes: u64,
    /// Seconds that many nodes are busy.
    pub(crate) busy_secs: u64,
    /// Seconds that many viewers watch.
    pub(crate) crowd_secs: u64,
    /// Bytes that a viewer has and the archive too at the moment of the kill, at least.
    pub(crate) recovery_bytes: u64,
    /// Bytes of the recording that is sought in.
    pub(crate) seek_bytes: u64,
    /// Chunks of a run of tiny ones.
    pub(crate) many_chunks: u64,
    /// Seconds that nodes write which are compared.
    pub(crate) fair_secs: u64,
    /// Bytes of a run of which Redis holds only a part.
    pub(crate) bounded_bytes: u64,
    /// Seconds that people type into terminals.
    pub(crate) terminals_secs: u64,
}

impl Scale {
    fn from_environment() -> anyhow::Result<Self> {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
            Err(_) => Ok(default),
        };
        let full = number("FULL", 0)? != 0;
        let sized = |small: u64, large: u64| if full { large } else { small };
        Ok(Self {
            rounds: u32::try_from(number("ROUNDS", 3)?)?,
            flood_bytes: number("MEGABYTES", 200)? * 1_000_000,
            stamps: number("STAMPS", sized(500, 1000))?,
            join_bytes: sized(256, 1024) * 1024 * 1024,
            busy_secs: sized(6, 20),
            crowd_secs: sized(6, 20),
            recovery_bytes: sized(100, 400) * 1_000_000,
            seek_bytes: number("SEEK_MEGABYTES", sized(200, 1000))? * 1_000_000,
            many_chunks: number("CHUNKS", sized(200_000, 1_000_000))?,
            fair_secs: sized(10, 30),
            bounded_bytes: number("BOUNDED_MEGABYTES", sized(400, 2000))? * 1_000_000,
            terminals_secs: sized(30, 120),
        })
    }
}

type Measure = fn(&Scale, &mut Report) -> anyhow::Result<()>;

/// Name, what is measured, and after how many seconds something must be wrong.
const SCENARIOS: [(&str, Measure, u64); 13] = [
    ("throughput", throughput::measure, 600),
    ("latency", latency::measure, 300),
    ("join", join::measure, 300),
    ("memory", memory::measure, 240),
    ("crowd", crowd::measure, 300),
    ("recovery", recovery::measure, 300),
    ("size", size::measure, 300),
    ("seek", seek::measure, 600),
    ("many", many::measure, 600),
    ("remote", remote::measure, 900),
    ("fair", fair::measure, 600),
    ("bounded", bounded::measure, 900),
    ("terminals", terminals::measure, 300),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == generator::ARGUMENT) {
        return exit_code(generator::run(&arguments[1..]).map(|()| true));
    }
    // Cargo adds `--bench`.
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| *argument != "--bench").collect();
    exit_code(match wanted[..] {
        ["once", name] => once(name),
        _ => measure(&wanted),
    })
}

fn exit_code(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(wanted: &[&str]) -> anyhow::Result<bool> {
    let names: Vec<&str> = SCENARIOS.iter().map(|(name, ..)| *name).collect();
    for name in wanted {
        anyhow::ensure!(names.contains(name), "no scenario `{name}`; there are: {names:?}");
    }
    let scale = Scale::from_environment()?;
    let mut report = Report::default();
    eprintln!("{}", report::machine());
    for (name, scenario, limit_secs) in SCENARIOS {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        eprintln!("{name}");
        let _watchdog = watch(name, Duration::from_secs(limit_secs));
        if let Err(error) = scenario(&scale, &mut report) {
            eprintln!("  failed: {error:#}");
            report.fail(name, &error);
        }
    }
    report.print();
    println!("written to {}", report.write()?.display());
    Ok(report.is_sound())
}

/// One measurement without its comparison, for a profiler.
fn once(name: &str) -> anyhow::Result<bool> {
    let scale = Scale::from_environment()?;
    let figure = match name {
        "throughput" => throughput::once(&scale)?,
        "latency" => latency::once(&scale)?,
        other => anyhow::bail!("`{other}` is not measured alone; these are: throughput, latency"),
    };
    println!("{figure:.3}");
    Ok(true)
}

/// Ends the program if the returned sender is not dropped in time.
fn watch(name: &'static str, within: Duration) -> std::sync::mpsc::Sender<()> {
    let (sender, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        if ended.recv_timeout(within) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name} has not ended within {within:?}");
            service::abandon();
            std::process::exit(1);
        }
    });
    sender
}

/// Bytes in units of 1,000,000.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// KiB in units of 1,024 KiB.
pub(crate) fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
