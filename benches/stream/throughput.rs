//! How fast a flood reaches its viewers while it is archived and painted, beside a plain drain of the same
//! flood.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::archive;
use crate::generator::{Kind, open_gate};
use crate::plain;
use crate::process::Process;
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::text::flood_totals;
use crate::viewer::Viewer;
use crate::{Scale, megabytes};

const NAME: &str = "throughput";
/// How many watch at once in the second part.
const VIEWERS: usize = 10;

/// Measures the plain drain, one viewer and ten, one after the other, so that a ratio compares neighbours.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for _ in 0..scale.rounds {
        let plain = plain_rate(scale)?;
        report.add(NAME, ("plain drain", "MB/s"), Target::None, plain);
        let one = viewers(scale, 1)?;
        let ratio = one.watched.rate / plain;
        report.add(NAME, ("one viewer", "MB/s"), Target::None, one.watched.rate);
        report.add(NAME, ("one viewer / plain drain", ""), Target::AtLeast(0.8), ratio);
        one.tell("one viewer", report);
        let ten = viewers(scale, VIEWERS)?;
        let ratio = ten.watched.rate / plain;
        report.add(NAME, ("slowest of ten viewers", "MB/s"), Target::None, ten.watched.rate);
        report.add(NAME, ("ten viewers / plain drain", ""), Target::AtLeast(0.5), ratio);
        ten.tell("ten viewers", report);
    }
    Ok(())
}

/// A flood that was watched and archived.
struct Flooded {
    watched: Watched,
    /// Seconds on the processor for each GB: of the thread of the archive, of the thread of the screens, of
    /// the service.
    cpu: [f64; 3],
}

impl Flooded {
    fn tell(&self, who: &str, report: &mut Report) {
        let mut add = |name: &str, unit, sample| {
            report.add(NAME, (&format!("{who}: {name}"), unit), Target::None, sample);
        };
        add("complete after the end", "s", self.watched.archived_after);
        let [archive, screens, all] = self.cpu;
        add("CPU of the archive thread", "s/GB", archive);
        add("CPU of the screen thread", "s/GB", screens);
        add("CPU of the service", "s/GB", all);
    }
}

/// MB/s of a plain drain of the flood.
pub(crate) fn plain_rate(scale: &Scale) -> anyhow::Result<f64> {
    let (expected_bytes, _) = flood_totals(scale.flood_bytes);
    let place = Place::new()?;
    let (bytes, took) = plain::drain(&place, Kind::Flood { bytes: scale.flood_bytes })?;
    ensure!(bytes == expected_bytes, "the plain drain got {bytes} of {expected_bytes} bytes");
    Ok(megabytes(bytes) / took.as_secs_f64())
}

fn viewers(scale: &Scale, count: usize) -> anyhow::Result<Flooded> {
    let place = Place::new()?;
    let service = Service::start(&place)?;
    let watched = watched(&service, &place.gate()?, scale.flood_bytes, count)?;
    let cpu = |name| watched.cpu(service.process(), name);
    let cpu = [cpu("archive-")?, cpu("screens-")?, cpu("")?];
    Ok(Flooded { watched, cpu })
}

/// What became of a flood that was watched.
pub(crate) struct Watched {
    bytes: u64,
    /// MB/s of the slowest viewer: from the opening of the gate until it has the stream's end.
    pub(crate) rate: f64,
    /// Seconds from then until the recording was complete.
    pub(crate) archived_after: f64,
}

impl Watched {
    /// Seconds on the processor for each GB: of the threads of a process whose name begins so.
    pub(crate) fn cpu(&self, process: Process, thread_name: &str) -> anyhow::Result<f64> {
        Ok(process.cpu(thread_name)?.as_secs_f64() * 1e3 / megabytes(self.bytes))
    }
}

/// A flood that so many viewers of this instance have whole, and so has its recording.
pub(crate) fn watched(
    service: &Service,
    gate: &Path,
    bytes: u64,
    count: usize,
) -> anyhow::Result<Watched> {
    let expected = flood_totals(bytes);
    service.submit_one("flood", Kind::Flood { bytes }, gate)?;
    let mut viewers = Vec::new();
    for _ in 0..count {
        let mut viewer = Viewer::connect(service.address(), "flood", "")?;
        ensure!(viewer.read_until(|events| events.live)?, "the stream ended before `live`");
        viewers.push(thread::spawn(move || viewer.read_to_done()));
    }
    let _held = open_gate(gate)?;
    let began = Instant::now();
    let mut ended = began;
    for viewer in viewers {
        let events = viewer.join().map_err(|_| anyhow::anyhow!("a viewer panicked"))??;
        events.check()?;
        let seen = events.only_stream()?;
        ensure!(seen == expected, "the viewer has {seen:?}, written was {expected:?}");
        let exit_at = events.exit_at.context("no end of the stream")?;
        ended = ended.max(exit_at);
    }
    archive::complete(service, "flood", 1)?;
    let archived_after = ended.elapsed().as_secs_f64();
    archive::equals(service, "flood", &expected)?;
    let rate = megabytes(expected.0) / ended.duration_since(began).as_secs_f64();
    Ok(Watched { bytes: expected.0, rate, archived_after })
}

/// The flood of this scenario once, with one viewer, for a profiler.
pub(crate) fn once(scale: &Scale) -> anyhow::Result<f64> {
    Ok(viewers(scale, 1)?.watched.rate)
}
