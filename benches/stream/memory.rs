//! What terminals cost the service: a hundred idle ones, and a hundred busy ones.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::viewer::Viewer;
use crate::{Scale, mebibytes};

const NAME: &str = "memory";
/// Terminals at one time.
const NODES: u64 = 100;
/// How long they may take to be there, and to end.
const WITHIN: Duration = Duration::from_secs(60);
/// How long the memory may take to settle.
const SETTLE: Duration = Duration::from_secs(30);

/// Measures both in a service of its own.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    idle(report)?;
    busy(scale, report)
}

fn idle(report: &mut Report) -> anyhow::Result<()> {
    let place = Place::new()?;
    let service = Service::start(&place)?;
    // One run before, so that what is made once is there.
    let gate = place.gate()?;
    service.submit_one("warm", Kind::Prompt, &gate)?;
    drop(open_gate(&gate)?);
    service.run_until("warm", WITHIN, |run| run["status"] == "COMPLETED")?;
    let before = service.settled_kib(SETTLE)?;
    report.add(NAME, ("idle service", "MiB"), Target::None, mebibytes(before));
    let gate = place.gate()?;
    submit(&service, "idle", Kind::Prompt, &gate)?;
    service.run_until("idle", WITHIN, all_running)?;
    let at_once = service.memory_kib()?.0;
    let settled = service.settled_kib(SETTLE)?;
    let each = |kib: u64| (kib as f64 - before as f64) / NODES as f64;
    report.add(NAME, ("idle node, just started", "KiB"), Target::None, each(at_once));
    report.add(NAME, ("idle node", "KiB"), Target::AtMost(150.0), each(settled));
    let held = open_gate(&gate)?;
    let run = service.run_until("idle", WITHIN, |run| run["finishedAt"].is_string())?;
    ensure!(run["status"] == "COMPLETED", "the idle nodes ended badly: {run}");
    drop(held);
    Ok(())
}

fn busy(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    const BYTES_PER_SEC: u64 = 100_000;
    let place = Place::new()?;
    let service = Service::start(&place)?;
    let gate = place.gate()?;
    let bytes = BYTES_PER_SEC * scale.busy_secs;
    submit(&service, "busy", Kind::Paced { bytes, bytes_per_sec: BYTES_PER_SEC }, &gate)?;
    service.run_until("busy", WITHIN, all_running)?;
    let viewer = Viewer::connect(service.address(), "busy", "")?;
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    let held = open_gate(&gate)?;
    let (samples, events) = thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(&service, &ended));
        let events = viewer.read_to_done();
        ended.store(true, Ordering::Relaxed);
        (sampler.join(), events)
    });
    let took = began.elapsed().as_secs_f64();
    drop(held);
    let streams = events?.check()? as u64;
    ensure!(streams == NODES, "{streams} streams were seen");
    let mut samples = samples.map_err(|_| anyhow::anyhow!("the sampler panicked"))??;
    samples.sort_by(f64::total_cmp);
    let most = samples.last().copied().unwrap_or_default();
    report.add(NAME, ("100 busy nodes, most", "MiB"), Target::AtMost(500.0 / 1.048_576), most);
    report.add(
        NAME,
        ("100 busy nodes, time over planned", ""),
        Target::None,
        took / scale.busy_secs as f64,
    );
    Ok(())
}

fn sample(service: &Service, ended: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        samples.push(mebibytes(service.memory_kib()?.0));
        // The rhythm of the samples.
        thread::sleep(Duration::from_millis(100));
    }
    Ok(samples)
}

fn submit(service: &Service, run: &str, kind: Kind, gate: &Path) -> anyhow::Result<()> {
    let command = kind.command(gate, None)?;
    let nodes: Vec<_> = (0..NODES).map(|place| (format!("n{place}"), command.clone())).collect();
    service.submit(run, &nodes)
}

fn all_running(run: &Value) -> bool {
    run["progress"]["running"] == NODES
}
