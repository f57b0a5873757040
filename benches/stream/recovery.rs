//! A kill in the middle of a flood: how soon the run has its end and can be read again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

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
        ensure!(viewer.read_until(|events| events.payload_bytes >= wanted)?, "the stream ended");
        service.kill()?;
        drop(held);
        let (seen_bytes, seen_id) = (viewer.events().payload_bytes, viewer.events().last_id);
        let began = Instant::now();
        let service = Service::start(&place)?;
        let serves = began.elapsed();
        let run = service.run_until("killed", WITHIN, |run| run["finishedAt"].is_string())?;
        let ended = began.elapsed();
        ensure!(run["nodes"][0]["failure"]["kind"] == "LOST", "the node was not lost: {run}");
        let events = Viewer::connect(service.address(), "killed", "")?.read_to_done()?;
        let read = began.elapsed();
        events.check()?;
        ensure!(
            events.payload_bytes >= seen_bytes && events.last_id >= seen_id,
            "{seen_bytes} bytes were shown before the kill, {} are left",
            events.payload_bytes,
        );
        let done = events.done.as_ref().context("no `done`")?;
        ensure!(done["streams"][0]["complete"] == Value::Bool(false), "it is complete: {done}");
        let seconds = |name: &str, took: Duration, target, report: &mut Report| {
            report.add(NAME, (name, "s"), target, took.as_secs_f64());
        };
        report.add(NAME, ("output", "MB"), Target::None, megabytes(events.payload_bytes));
        seconds("until it serves", serves, Target::None, report);
        seconds("until the run has its end", ended, Target::AtMost(10.0), report);
        seconds("until everything was read", read, Target::None, report);
    }
    Ok(())
}
