//! What Redis holds of a long run, and whether somebody who comes late to another instance gets all of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use runcast::config::Settings;

use crate::archive;
use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::stores::{Instances, RedisObserver};
use crate::text::flood_totals;
use crate::viewer::Viewer;
use crate::{Scale, mebibytes, megabytes};

const NAME: &str = "bounded";
const RUN: &str = "long";
/// How long Redis keeps a recorded run here.
const HOT_TTL_SECS: u64 = 3;
/// How long after that its keys may take to go: the server looks for them ten times a second.
const GONE_WITHIN: Duration = Duration::from_secs(HOT_TTL_SECS + 2);
/// How often Redis is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Measures one long run.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let ttl = HOT_TTL_SECS.to_string();
    let instances = Instances::start(&[("RUNCAST__RETENTION__HOT_TTL_SECS", &ttl)])?;
    let (mut redis, ended) = (instances.redis()?, AtomicBool::new(false));
    let (most, watched) = thread::scope(|scope| {
        let observer = instances.redis();
        let observing = scope.spawn(|| observe(observer?, &ended));
        let watched = watch_late(&instances, &mut redis, scale, report);
        ended.store(true, Ordering::Relaxed);
        (observing.join(), watched)
    });
    watched?;
    let most = most.map_err(|_| anyhow::anyhow!("the observer panicked"))??;
    tell(&most, &mut redis, &instances, report)?;
    let recorded = Instant::now();
    archive::until("keys of the run are left", || {
        let keys = redis.keys(RUN)?;
        let took = recorded.elapsed();
        ensure!(keys.is_empty() || took < GONE_WITHIN, "after {took:?} there are still {keys:?}");
        Ok(keys.is_empty().then_some(()))
    })?;
    let gone = recorded.elapsed().as_secs_f64();
    report.add(NAME, ("no key is left after the recording", "s"), Target::None, gone);
    Ok(())
}

/// Lets the run go, and when half of it was seen begins to watch it on the other instance from its first event.
fn watch_late(
    instances: &Instances,
    redis: &mut RedisObserver,
    scale: &Scale,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Instances { worker, api, place, .. } = instances;
    let (bytes, expected) = (scale.bounded_bytes, flood_totals(scale.bounded_bytes));
    let gate = place.gate()?;
    api.submit_one(RUN, Kind::Flood { bytes }, &gate)?;
    let mut first = Viewer::connect(worker.address(), RUN, "")?;
    let held = open_gate(&gate)?;
    let began = Instant::now();
    ensure!(first.read_until(|events| events.payload_bytes >= bytes / 2)?, "half did not come");
    drop(first);
    let late = Viewer::connect(api.address(), RUN, "")?;
    let (trimmed, tail) = redis.ends(RUN)?;
    ensure!(trimmed > 0, "nothing was trimmed when the late viewer came");
    let part = trimmed as f64 / tail as f64;
    report.add(NAME, ("trimmed from Redis when the late viewer comes", ""), Target::None, part);
    let came = Instant::now();
    let events = late.read_to_done()?;
    events.check()?;
    let seen = events.only_stream()?;
    ensure!(seen == expected, "the late viewer has {seen:?}, written was {expected:?}");
    let exit_at = events.exit_at.context("no end of the stream")?;
    let rate = |since| megabytes(expected.0) / exit_at.duration_since(since).as_secs_f64();
    report.add(NAME, ("written and seen late", "MB"), Target::None, megabytes(expected.0));
    report.add(NAME, ("late viewer", "MB/s"), Target::None, rate(came));
    report.add(NAME, ("from the first byte to its end", "MB/s"), Target::None, rate(began));
    drop(held);
    archive::complete(api, RUN, 1)?;
    archive::equals(api, RUN, &expected)
}

/// The most that Redis held, in bytes.
#[derive(Default)]
struct Most {
    of_the_run: u64,
    in_all: u64,
    looks: u32,
}

fn observe(mut redis: RedisObserver, ended: &AtomicBool) -> anyhow::Result<Most> {
    let mut most = Most::default();
    while !ended.load(Ordering::Relaxed) {
        most.of_the_run = most.of_the_run.max(redis.run_bytes(RUN)?);
        most.in_all = most.in_all.max(redis.info("used_memory")?);
        most.looks += 1;
        // The rhythm of the samples.
        thread::sleep(LOOK_EVERY);
    }
    Ok(most)
}

fn tell(
    most: &Most,
    redis: &mut RedisObserver,
    instances: &Instances,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mib = |bytes: u64| mebibytes(bytes / 1024);
    let limit = Target::AtMost(mib(Settings::default().redis.max_bytes_per_run));
    let mut add = |name: &str, unit, target, sample| report.add(NAME, (name, unit), target, sample);
    add("keys of the run, most", "MiB", limit, mib(most.of_the_run));
    add("looks at them", "", Target::None, f64::from(most.looks));
    add("memory used in Redis, most seen", "MiB", Target::None, mib(most.in_all));
    add("memory used in Redis, most", "MiB", Target::None, mib(redis.info("used_memory_peak")?));
    let (_, worker) = instances.worker.memory_kib()?;
    let (_, api) = instances.api.memory_kib()?;
    add("the worker: resident memory, most", "MiB", Target::None, mebibytes(worker));
    add("the other instance: resident memory, most", "MiB", Target::None, mebibytes(api));
    Ok(())
}
