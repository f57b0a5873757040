//! Whether busy nodes of one worker get the same: how much each terminal could write in the same time.

use std::time::Duration;

use anyhow::ensure;

use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target, quantile};
use crate::stores::Instances;
use crate::text::log_hashes;
use crate::{Scale, archive, mebibytes, megabytes};

const NAME: &str = "fair";
/// Nodes that are busy at one time.
const NODES: u64 = 200;
/// How long they may take to be there, and to end beside the time that they write.
const WITHIN: Duration = Duration::from_secs(120);

/// Measures the nodes of one run, and the same number in many runs.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for runs in [1, 20] {
        busy(scale, runs, report)?;
    }
    Ok(())
}

fn busy(scale: &Scale, runs: u64, report: &mut Report) -> anyhow::Result<()> {
    let instances = Instances::start(&[("RUNCAST__RUNNERS__LOCAL__MAX_PARALLEL", "256")])?;
    let api = &instances.api;
    let gate = instances.place.gate()?;
    let lasting = Duration::from_secs(scale.fair_secs);
    let command = Kind::Timed { lasting }.command(&gate, None)?;
    let nodes: Vec<_> =
        (0..NODES / runs).map(|place| (format!("n{place}"), command.clone())).collect();
    let names: Vec<String> = (0..runs).map(|place| format!("busy-{place}")).collect();
    names.iter().try_for_each(|run| api.submit(run, &nodes))?;
    for run in &names {
        api.run_until(run, WITHIN, |view| view["progress"]["running"] == NODES / runs)?;
    }
    let held = open_gate(&gate)?;
    let mut written = Vec::new();
    for run in &names {
        let view = api.run_until(run, WITHIN + lasting, |view| view["finishedAt"].is_string())?;
        ensure!(view["status"] == "COMPLETED", "the busy nodes ended badly: {view}");
        archive::complete(api, run, NODES / runs)?;
        for row in archive::recordings(api, run)? {
            let bytes = row["byteCount"].as_u64().unwrap_or_default();
            written.push((bytes, row["sha256"].as_str().unwrap_or_default().to_owned()));
        }
    }
    drop(held);
    ensure!(written.len() as u64 == NODES, "{} recordings", written.len());
    written.sort();
    let counts: Vec<u64> = written.iter().map(|(bytes, _)| *bytes).collect();
    for ((bytes, sha256), expected) in written.iter().zip(log_hashes(&counts)) {
        ensure!(*sha256 == expected, "a recording of {bytes} bytes is not what was written");
    }
    tell(runs, &counts, lasting, report);
    let (_, peak) = instances.worker.memory_kib()?;
    let name = format!("{}: resident memory of the worker, most", shape(runs));
    report.add(NAME, (&name, "MiB"), Target::None, mebibytes(peak));
    Ok(())
}

fn shape(runs: u64) -> String {
    if runs == 1 { format!("{NODES} nodes of one run") } else { format!("{NODES} of {runs} runs") }
}

/// `counts` are the bytes of each node, the least first.
fn tell(runs: u64, counts: &[u64], lasting: Duration, report: &mut Report) {
    let rates: Vec<f64> =
        counts.iter().map(|bytes| megabytes(*bytes) / lasting.as_secs_f64()).collect();
    let [slowest, median, fastest] = [0.0, 0.5, 1.0].map(|part| quantile(&rates, part));
    let mut add = |name: &str, unit, target, sample| {
        report.add(NAME, (&format!("{}: {name}", shape(runs)), unit), target, sample);
    };
    add("all together", "MB/s", Target::None, rates.iter().sum());
    add("slowest", "MB/s", Target::None, slowest);
    add("median", "MB/s", Target::None, median);
    add("fastest", "MB/s", Target::None, fastest);
    add("median / slowest", "", Target::AtMost(3.0), median / slowest);
    add("fastest / median", "", Target::None, fastest / median);
}
