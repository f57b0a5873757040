//! Runs of many parts: a thousand nodes, and a million chunks, replayed from the first event.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::archive::{self, NOTHING_HOT};
use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::viewer::{Events, Viewer};
use crate::{Scale, mebibytes};

const NAME: &str = "many";
/// Nodes of the first run: the most there may be.
const NODES: u64 = 1000;
/// How long a run may take.
const RUN_WITHIN: Duration = Duration::from_secs(300);
/// How often a run is replayed from the archive.
const REPLAYS: u32 = 2;

/// Measures both.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    nodes(report)?;
    chunks(scale.many_chunks, report)
}

fn nodes(report: &mut Report) -> anyhow::Result<()> {
    let what = "1,000 nodes";
    let prompt = |gate: &Path| {
        let command = Kind::Prompt.command(gate, None)?;
        Ok((0..NODES).map(|place| (format!("n{place}"), command.clone())).collect())
    };
    let (place, mut service) = record(what, NODES, prompt, report)?;
    archive::left_log(&service, "many", "n0")?;
    for _ in 0..REPLAYS {
        service = archive::restart_cold(&place, service)?;
        let events = replay(what, &service, report)?;
        let streams = events.check()? as u64;
        ensure!(streams == NODES, "{streams} streams were replayed");
    }
    Ok(())
}

fn chunks(count: u64, report: &mut Report) -> anyhow::Result<()> {
    let what = "tiny chunks";
    let markers =
        |gate: &Path| Ok(vec![("n".to_owned(), Kind::Markers { count }.command(gate, None)?)]);
    let (place, mut service) = record(what, 1, markers, report)?;
    archive::left_log(&service, "many", "n")?;
    let row = archive::recording(&service, "many")?;
    // The size at the beginning and the end are chunks too.
    ensure!(row["chunkCount"] == count + 2, "{count} chunks were told; the recording is {row}");
    report.add(NAME, ("tiny chunks", ""), Target::None, count as f64);
    for _ in 0..REPLAYS {
        service = archive::restart_cold(&place, service)?;
        let events = replay(what, &service, report)?;
        events.check()?;
        ensure!(events.count > count, "{} events were replayed", events.count);
    }
    Ok(())
}

/// Records a run of these nodes in a service of its own.
fn record(
    what: &str,
    recordings: u64,
    nodes: impl Fn(&Path) -> anyhow::Result<Vec<(String, Vec<String>)>>,
    report: &mut Report,
) -> anyhow::Result<(Place, Service)> {
    let place = Place::new()?;
    let service = Service::start_with(&place, &[NOTHING_HOT])?;
    let gate = place.gate()?;
    service.submit("many", &nodes(&gate)?)?;
    let held = open_gate(&gate)?;
    let began = Instant::now();
    service.run_until("many", RUN_WITHIN, |run| run["finishedAt"].is_string())?;
    let ended = began.elapsed().as_secs_f64();
    archive::complete(&service, "many", recordings)?;
    let archived = began.elapsed().as_secs_f64() - ended;
    drop(held);
    report.add(NAME, (&format!("{what}: run"), "s"), Target::None, ended);
    report.add(NAME, (&format!("{what}: complete after the end"), "s"), Target::None, archived);
    let (_, peak) = service.memory_kib()?;
    report.add(
        NAME,
        (&format!("{what}: memory at its peak"), "MiB"),
        Target::None,
        mebibytes(peak),
    );
    Ok((place, service))
}

/// Reads everything from the archive, right after a start.
fn replay(what: &str, service: &Service, report: &mut Report) -> anyhow::Result<Events> {
    let began = Instant::now();
    let (events, growth) = service
        .process()
        .growth_kib(|| Viewer::connect(service.address(), "many", "")?.read_to_done())?;
    let took = began.elapsed().as_secs_f64();
    let (_, peak) = service.memory_kib()?;
    let mut add = |name: &str, unit, sample| {
        report.add(NAME, (&format!("{what}: {name}"), unit), Target::None, sample);
    };
    add("replay", "s", took);
    add("events of the replay", "1/s", events.count as f64 / took);
    add("memory of a replay, peak", "MiB", mebibytes(peak));
    add("memory of a replay, growth", "MiB", mebibytes(growth));
    Ok(events)
}
