//! How long a line takes from the terminal to a viewer, beside a plain read of the same terminal.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;

use crate::Scale;
use crate::generator::{Kind, now_ns, open_gate};
use crate::plain;
use crate::report::{Report, Target, quantile};
use crate::service::{Place, Service};
use crate::viewer::Viewer;

const NAME: &str = "latency";
/// Between two lines.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

/// Measures both.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let kind = Kind::Stamps { count: scale.stamps, every: EVERY };
    for _ in 0..scale.rounds {
        let plain = plain::latencies(&Place::new()?, kind)?;
        add(report, (NAME, "plain read"), &plain, scale.stamps, [Target::None; 2])?;
        let viewed = viewed(kind)?;
        let targets = [Target::AtMost(0.35), Target::AtMost(1.5)];
        add(report, (NAME, "viewer"), &viewed, scale.stamps, targets)?;
    }
    Ok(())
}

/// The lines of this scenario once, for a profiler: the median in ms.
pub(crate) fn once(scale: &Scale) -> anyhow::Result<f64> {
    let mut latencies = viewed(Kind::Stamps { count: scale.stamps, every: EVERY })?;
    latencies.sort_unstable();
    Ok(latencies[latencies.len() / 2] as f64 / 1e6)
}

fn viewed(kind: Kind) -> anyhow::Result<Vec<u64>> {
    let place = Place::new()?;
    watched(&Service::start(&place)?, &place.gate()?, kind)
}

/// The latency of each line of a stamping generator, in ns, for a viewer of this instance.
pub(crate) fn watched(service: &Service, gate: &Path, kind: Kind) -> anyhow::Result<Vec<u64>> {
    service.submit_one("stamps", kind, gate)?;
    let mut viewer = Viewer::connect(service.address(), "stamps", "")?;
    ensure!(viewer.read_until(|events| events.live)?, "the stream ended before `live`");
    let stamps = Arc::new(Mutex::new(Stamps::default()));
    let tapped = stamps.clone();
    viewer.tap(move |part| tapped.lock().unwrap_or_else(PoisonError::into_inner).seen(part));
    let _held = open_gate(gate)?;
    viewer.read_to_done()?.check()?;
    Ok(std::mem::take(&mut *stamps.lock().unwrap_or_else(PoisonError::into_inner)).into_latencies())
}

/// Adds p50, p95, p99 and the longest; the first and the third with these targets.
pub(crate) fn add(
    report: &mut Report,
    (scenario, who): (&'static str, &str),
    latencies: &[u64],
    count: u64,
    [median, high]: [Target; 2],
) -> anyhow::Result<()> {
    ensure!(latencies.len() as u64 == count, "{} of {count} lines came", latencies.len());
    let mut sorted: Vec<f64> = latencies.iter().map(|ns| *ns as f64 / 1e6).collect();
    sorted.sort_by(f64::total_cmp);
    let parts = [
        ("p50", 0.5, median),
        ("p95", 0.95, Target::None),
        ("p99", 0.99, high),
        ("max", 1.0, Target::None),
    ];
    for (name, part, target) in parts {
        report.add(scenario, (&format!("{who} {name}"), "ms"), target, quantile(&sorted, part));
    }
    Ok(())
}

/// Collects the latency of each line when its end arrives.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    line: Vec<u8>,
    latencies: Vec<u64>,
}

impl Stamps {
    /// Takes output that has just arrived.
    pub(crate) fn seen(&mut self, part: &[u8]) {
        let now = now_ns();
        for byte in part {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let text = std::str::from_utf8(&self.line).unwrap_or_default();
            if let Ok(written) = text.trim().parse::<u64>() {
                self.latencies.push(now.saturating_sub(written));
            }
            self.line.clear();
        }
    }

    /// One for each line, in ns.
    pub(crate) fn into_latencies(self) -> Vec<u64> {
        self.latencies
    }
}
