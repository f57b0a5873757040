//! How much of what was written a recording needs, and what its archive costs the processor.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::archive;
use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::text::{build_totals, flood_totals};
use crate::{Scale, megabytes};

const NAME: &str = "size";
/// Bytes of what a build says.
const BUILD_BYTES: u64 = 50_000_000;
/// Nodes that write pieces …
const PIECE_NODES: u64 = 50;
/// … so many each …
const PIECES: u64 = 2000;
/// … with this pause behind each.
const PIECE_EVERY: Duration = Duration::from_millis(3);

/// Measures coloured log lines, the output of a build, and pieces of 8 bytes.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    // Pieces stay apart if nothing is gathered for longer than they are.
    let settings = [("RUNCAST__CAPTURE__FLUSH_MS", "1")];
    let place = Place::new()?;
    let service = Service::start_with(&place, &settings)?;
    let log = (Kind::Flood { bytes: scale.flood_bytes }, flood_totals(scale.flood_bytes));
    let build = (Kind::Build { bytes: BUILD_BYTES }, build_totals(BUILD_BYTES));
    let texts = [("log", log, Target::AtMost(0.25)), ("build", build, Target::None)];
    for (name, (kind, (bytes, sha256)), target) in texts {
        let gate = place.gate()?;
        service.submit_one(name, kind, &gate)?;
        let held = open_gate(&gate)?;
        archive::complete(&service, name, 1)?;
        drop(held);
        let row = archive::recording(&service, name)?;
        ensure!(
            row["byteCount"] == bytes && row["sha256"] == sha256,
            "written were {bytes} bytes, {sha256}; the recording is {row}"
        );
        let stored = archive::objects(&place, name, "recording.cast.zst", 1)?;
        report.add(NAME, (&format!("{name} text"), "MB"), Target::None, megabytes(bytes));
        report.add(
            NAME,
            (&format!("its recording, {name}"), "MB"),
            Target::None,
            megabytes(stored),
        );
        let ratio = stored as f64 / bytes as f64;
        report.add(NAME, (&format!("recording / {name} text"), ""), target, ratio);
    }
    pieces(&place, &service, report)
}

fn pieces(place: &Place, service: &Service, report: &mut Report) -> anyhow::Result<()> {
    let gate = place.gate()?;
    let command = Kind::Pieces { count: PIECES, every: PIECE_EVERY }.command(&gate, None)?;
    let nodes: Vec<_> =
        (0..PIECE_NODES).map(|number| (format!("n{number}"), command.clone())).collect();
    service.submit("pieces", &nodes)?;
    let held = open_gate(&gate)?;
    archive::complete(service, "pieces", PIECE_NODES)?;
    drop(held);
    let (answer, _) = crate::http::json(service.address(), "/runs/pieces/recordings")?;
    let rows = answer["recordings"].as_array().context("no rows")?;
    let sum = |member: &str| rows.iter().filter_map(|row| row[member].as_u64()).sum::<u64>();
    let (chunks, bytes) = (sum("chunkCount"), sum("byteCount"));
    let count = usize::try_from(PIECE_NODES)?;
    let stored = archive::objects(place, "pieces", "recording.cast.zst", count)?;
    let each = |bytes: u64| bytes as f64 / chunks as f64;
    report.add(NAME, ("pieces: output a chunk", "bytes"), Target::None, each(bytes));
    report.add(NAME, ("pieces: recording a chunk", "bytes"), Target::None, each(stored));
    let ratio = stored as f64 / bytes as f64;
    report.add(NAME, ("recording / pieces", ""), Target::None, ratio);
    Ok(())
}
