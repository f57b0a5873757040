//! How long somebody waits for the screen of a run that has written much already.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::text::flood_totals;
use crate::viewer::Viewer;
use crate::{Scale, mebibytes};

const NAME: &str = "join";
/// Joins after the first.
const JOINS: usize = 5;

/// Joins a run that is still going: at once when its output is in the log, and again.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::new()?;
    let service = Service::start(&place)?;
    let (gate, stay) = (place.gate()?, place.gate()?);
    let command = Kind::Flood { bytes: scale.join_bytes }.command(&gate, Some(&stay))?;
    let (before, _) = service.memory_kib()?;
    service.submit("long", &[("n".to_owned(), command)])?;
    let (expected, _) = flood_totals(scale.join_bytes);
    let mut viewer = Viewer::connect(service.address(), "long", "")?;
    let held: File = open_gate(&gate)?;
    let complete = viewer.read_until(|events| events.payload_bytes == expected)?;
    ensure!(complete, "the run ended before its output");
    drop((held, viewer));
    let (at_first, first_kib) = join(&service, "long")?;
    report.add(NAME, ("right behind the flood", "ms"), Target::AtMost(300.0), at_first);
    for _ in 0..JOINS {
        let (took, _) = join(&service, "long")?;
        report.add(NAME, ("later", "ms"), Target::AtMost(300.0), took);
    }
    let (_, peak) = service.memory_kib()?;
    report.add(NAME, ("output", "MiB"), Target::None, mebibytes(expected / 1024));
    report.add(NAME, ("memory before", "MiB"), Target::None, mebibytes(before));
    report.add(NAME, ("memory at the first join", "MiB"), Target::None, mebibytes(first_kib));
    report.add(NAME, ("memory at its peak", "MiB"), Target::None, mebibytes(peak));
    drop(open_gate(&stay)?);
    let ended = |run: &serde_json::Value| run["status"] == "COMPLETED";
    service.run_until("long", Duration::from_secs(30), ended)?;
    Ok(())
}

/// From the first byte of the request to the snapshot, in ms; and the memory of the service then.
pub(crate) fn join(service: &Service, run: &str) -> anyhow::Result<(f64, u64)> {
    let began = Instant::now();
    let mut viewer = Viewer::connect(service.address(), run, "?from=live")?;
    let shown = viewer.read_until(|events| events.snapshot_at.is_some())?;
    ensure!(shown, "the stream ended without a snapshot");
    let at = viewer.events().snapshot_at.context("a snapshot")?;
    Ok((at.duration_since(began).as_secs_f64() * 1e3, service.memory_kib()?.0))
}
