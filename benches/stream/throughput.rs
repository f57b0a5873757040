//! How fast a flood reaches its viewers, beside a plain drain of the same flood.

use std::thread;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::generator::{self, Kind, flood_totals, open_gate};
use crate::plain;
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::viewer::Viewer;
use crate::{Scale, megabytes};

const NAME: &str = "throughput";
/// How many watch at once in the second part.
const VIEWERS: usize = 10;

/// Measures the plain drain, one viewer and ten, one after the other, so that a ratio compares neighbours.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let expected = flood_totals(scale.flood_bytes);
    for _ in 0..scale.rounds {
        let plain = plain_rate(scale, expected.0)?;
        report.add(NAME, ("plain drain", "MB/s"), Target::None, plain);
        let one = viewers_rate(scale, 1, &expected)?;
        report.add(NAME, ("one viewer", "MB/s"), Target::None, one);
        report.add(NAME, ("one viewer / plain drain", ""), Target::AtLeast(0.8), one / plain);
        let ten = viewers_rate(scale, VIEWERS, &expected)?;
        report.add(NAME, ("slowest of ten viewers", "MB/s"), Target::None, ten);
        report.add(NAME, ("ten viewers / plain drain", ""), Target::AtLeast(0.5), ten / plain);
    }
    Ok(())
}

fn plain_rate(scale: &Scale, expected_bytes: u64) -> anyhow::Result<f64> {
    let place = Place::new()?;
    let (bytes, took) = plain::drain(&place, Kind::Flood { bytes: scale.flood_bytes })?;
    ensure!(bytes == expected_bytes, "the plain drain got {bytes} of {expected_bytes} bytes");
    Ok(megabytes(bytes) / took.as_secs_f64())
}

/// MB/s of the slowest viewer: from the opening of the gate until it has the stream's end.
fn viewers_rate(scale: &Scale, count: usize, expected: &(u64, String)) -> anyhow::Result<f64> {
    let place = Place::new()?;
    let service = Service::start(&place)?;
    let gate = place.gate()?;
    service.submit_one("flood", Kind::Flood { bytes: scale.flood_bytes }, &gate)?;
    let mut viewers = Vec::new();
    for _ in 0..count {
        let mut viewer = Viewer::connect(service.address(), "flood", "")?;
        ensure!(viewer.read_until(|events| events.live)?, "the stream ended before `live`");
        viewers.push(thread::spawn(move || viewer.read_to_done()));
    }
    let held = open_gate(&gate)?;
    let began = Instant::now();
    let mut slowest = 0.0_f64;
    for viewer in viewers {
        let events = viewer.join().map_err(|_| anyhow::anyhow!("a viewer panicked"))??;
        events.check()?;
        let seen = events.only_stream()?;
        ensure!(seen == *expected, "the viewer has {seen:?}, written was {expected:?}");
        let exit_at = events.exit_at.context("no end of the stream")?;
        slowest = slowest.max(exit_at.duration_since(began).as_secs_f64());
    }
    drop(held);
    Ok(megabytes(expected.0) / slowest)
}

/// The flood of this scenario once, with one viewer, for a profiler.
pub(crate) fn once(scale: &Scale) -> anyhow::Result<f64> {
    viewers_rate(scale, 1, &generator::flood_totals(scale.flood_bytes))
}
