//! What a viewer gets who watches on another instance than the one that runs: latency and throughput through
//! Redis, with rows in PostgreSQL and the archive in S3.

use crate::generator::Kind;
use crate::latency;
use crate::process::Process;
use crate::report::{Report, Target};
use crate::stores::Instances;
use crate::throughput::{self, Watched};
use crate::{Scale, mebibytes};

const NAME: &str = "remote";

/// Measures both, each beside what has no service.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let kind = Kind::Stamps { count: scale.stamps, every: latency::EVERY };
    for _ in 0..scale.rounds {
        let latencies = latencies(kind)?;
        let targets = [Target::None, Target::AtMost(5.0)];
        latency::add(report, (NAME, "viewer elsewhere"), &latencies, scale.stamps, targets)?;
    }
    for _ in 0..scale.rounds {
        let plain = throughput::plain_rate(scale)?;
        report.add(NAME, ("plain drain", "MB/s"), Target::None, plain);
        flood(scale, plain, report)?;
    }
    Ok(())
}

fn latencies(kind: Kind) -> anyhow::Result<Vec<u64>> {
    let instances = Instances::start(&[])?;
    latency::watched(&instances.api, &instances.place.gate()?, kind)
}

fn flood(scale: &Scale, plain: f64, report: &mut Report) -> anyhow::Result<()> {
    let instances = Instances::start(&[])?;
    let gate = instances.place.gate()?;
    let watched = throughput::watched(&instances.api, &gate, scale.flood_bytes, 1)?;
    let ratio = watched.rate / plain;
    report.add(NAME, ("one viewer elsewhere", "MB/s"), Target::None, watched.rate);
    report.add(NAME, ("one viewer elsewhere / plain drain", ""), Target::AtLeast(0.6), ratio);
    let mut add = |name: &str, unit, sample| report.add(NAME, (name, unit), Target::None, sample);
    add("complete after the end", "s", watched.archived_after);
    let mut redis = instances.redis()?;
    let most_kib = redis.info("used_memory_peak")? / 1024;
    add("memory used in Redis, most", "MiB", mebibytes(most_kib));
    let processes = [
        ("Redis", Process(u32::try_from(redis.info("process_id")?)?)),
        ("the worker", instances.worker.process()),
        ("the other instance", instances.api.process()),
    ];
    for (name, process) in processes {
        let (_, peak) = process.memory_kib()?;
        add(&format!("{name}: resident memory, most"), "MiB", mebibytes(peak));
        add(&format!("{name}: CPU"), "s/GB", watched.cpu(process, "")?);
    }
    tell_threads(&watched, instances.worker.process(), add)
}

/// What the threads of the worker cost.
fn tell_threads(
    watched: &Watched,
    worker: Process,
    mut add: impl FnMut(&str, &'static str, f64),
) -> anyhow::Result<()> {
    for (name, threads) in
        [("the archive", "archive-"), ("screens", "screens-"), ("clients", "clients")]
    {
        add(&format!("the worker: CPU of {name}"), "s/GB", watched.cpu(worker, threads)?);
    }
    Ok(())
}
