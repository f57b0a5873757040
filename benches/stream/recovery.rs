//! A kill in the middle of a flood: how soon the run has its end, can be read again, and its recording is
//! final.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::archive;
use crate::generator::{Kind, open_gate};
use crate::report::{Report, Target};
use crate::service::{Place, Service};
use crate::viewer::Viewer;
use crate::{Scale, megabytes};

const NAME: &str = "recovery";
const WITHIN: Duration = Duration::from_secs(60);

/// Kills the service, and measures from the start of the next one.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for _ in 0..scale.rounds {
        let place = Place::new()?;
        let service = Service::start(&place)?;
        let gate = place.gate()?;
        // It would write for ever: the kill is its end.
        service.submit_one("killed", Kind::Flood { bytes: u64::MAX }, &gate)?;
        let mut viewer = Viewer::connect(service.address(), "killed", "")?;
        let held = open_gate(&gate)?;
        let wanted = scale.recovery_bytes;
        let archived = watch_until_archived(&service, &mut viewer, wanted)?;
        service.kill()?;
        drop(held);
        let (seen_bytes, seen_id) = (viewer.events().payload_bytes, viewer.events().last_id);
        let began = Instant::now();
        let service = Service::start(&place)?;
        let serves = began.elapsed();
        let run = service.run_until("killed", WITHIN, |run| run["finishedAt"].is_string())?;
        let ended = began.elapsed();
        ensure!(run["nodes"][0]["failure"]["kind"] == "LOST", "the node was not lost: {run}");
        archive::final_state(&service, "killed", 1)?;
        let final_after = began.elapsed();
        let connected = Instant::now();
        let events = Viewer::connect(service.address(), "killed", "")?.read_to_done()?;
        let read = connected.elapsed();
        events.check()?;
        ensure!(
            events.payload_bytes >= seen_bytes && events.last_id >= seen_id,
            "{seen_bytes} bytes were shown before the kill, {} are left",
            events.payload_bytes,
        );
        let done = events.done.as_ref().context("no `done`")?;
        ensure!(done["streams"][0]["complete"] == Value::Bool(false), "it is complete: {done}");
        let row = archive::recording(&service, "killed")?;
        ensure!(
            row["state"] == "incomplete" && row["reason"] == "lost" && row["gapCount"] == 0,
            "the recording of a lost node is {row}"
        );
        let (bytes, sha256) = events.only_stream()?;
        ensure!(
            row["byteCount"] == bytes && row["sha256"] == sha256,
            "read were {bytes} bytes, {sha256}; the recording is {row}"
        );
        let seconds = |name: &str, took: Duration, target, report: &mut Report| {
            report.add(NAME, (name, "s"), target, took.as_secs_f64());
        };
        report.add(NAME, ("output", "MB"), Target::None, megabytes(events.payload_bytes));
        report.add(NAME, ("archived before the kill", "MB"), Target::None, megabytes(archived));
        seconds("until it serves", serves, Target::None, report);
        seconds("until the run has its end", ended, Target::AtMost(10.0), report);
        seconds("until the recording is final", final_after, Target::AtMost(10.0), report);
        seconds("then: everything read again", read, Target::None, report);
    }
    Ok(())
}

/// Watches until so many bytes are archived; how many are.
fn watch_until_archived(
    service: &Service,
    viewer: &mut Viewer,
    wanted: u64,
) -> anyhow::Result<u64> {
    const STEP_BYTES: u64 = 4_000_000;
    let mut next = wanted;
    loop {
        ensure!(viewer.read_until(|events| events.payload_bytes >= next)?, "the stream ended");
        let row = archive::recording(service, "killed")?;
        let archived = row["byteCount"].as_u64().context("a count")?;
        if archived >= wanted {
            return Ok(archived);
        }
        next += STEP_BYTES;
    }
}
