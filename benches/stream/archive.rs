//! What a measurement waits for and reads of the archive.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::fs::{Advice, fadvise};
use serde_json::Value;

use crate::http;
use crate::service::{Place, Service};

/// Makes the log empty as soon as everything is archived and recorded.
pub(crate) const NOTHING_HOT: (&str, &str) = ("RUNCAST__RETENTION__HOT_MIN_SECS", "0");
/// How long the archive may take.
const WITHIN: Duration = Duration::from_secs(400);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Waits until so many recordings of the run have their final state; the run without its nodes.
pub(crate) fn final_state(service: &Service, run: &str, recordings: u64) -> anyhow::Result<Value> {
    let path = format!("/runs/{run}/status");
    until("the recordings are not final", || {
        let (view, _) = http::json(service.address(), &path)?;
        let counts = &view["recordings"];
        let count = |state: &str| counts[state].as_u64().unwrap_or_default();
        let is_final = view["finishedAt"].is_string()
            && count("live") == 0
            && count("complete") + count("incomplete") == recordings;
        Ok(is_final.then_some(view))
    })
}

/// As [`final_state`], and every recording must be complete.
pub(crate) fn complete(service: &Service, run: &str, recordings: u64) -> anyhow::Result<()> {
    let view = final_state(service, run, recordings)?;
    ensure!(view["recordings"]["complete"] == recordings, "not all is complete: {view}");
    Ok(())
}

/// Waits until the log has nothing of the run, so that everything comes from the archive.
pub(crate) fn left_log(service: &Service, run: &str, node: &str) -> anyhow::Result<()> {
    let path = format!("/runs/{run}/terminal/{node}?afterChunk=-1&limit=1");
    until("the log is not empty", || {
        let (page, _) = http::json(service.address(), &path)?;
        Ok((page["source"] == "archive").then_some(()))
    })
}

/// Waits until the archive has so many objects of the run with this name, and tells their bytes.
pub(crate) fn objects(place: &Place, run: &str, name: &str, count: usize) -> anyhow::Result<u64> {
    until(&format!("there are not {count} {name}"), || {
        let files = files(&place.archive().join("recordings").join("default").join(run))?;
        let named = files.iter().filter(|path| path.file_name().is_some_and(|file| file == name));
        let lengths: Vec<u64> = named
            .map(|path| Ok(std::fs::metadata(path)?.len()))
            .collect::<std::io::Result<_>>()
            .unwrap_or_default();
        Ok((lengths.len() == count).then(|| lengths.iter().sum()))
    })
}

/// The only recording of a run, as the API tells it.
pub(crate) fn recording(service: &Service, run: &str) -> anyhow::Result<Value> {
    let mut rows = recordings(service, run)?;
    ensure!(rows.len() == 1, "{} recordings", rows.len());
    Ok(rows.remove(0))
}

/// All recordings of a run.
pub(crate) fn recordings(service: &Service, run: &str) -> anyhow::Result<Vec<Value>> {
    let (mut answer, _) = http::json(service.address(), &format!("/runs/{run}/recordings"))?;
    Ok(std::mem::take(answer["recordings"].as_array_mut().context("no rows")?))
}

/// The only recording of a run must have so many bytes with this SHA-256.
pub(crate) fn equals(service: &Service, run: &str, expected: &(u64, String)) -> anyhow::Result<()> {
    let row = recording(service, run)?;
    ensure!(
        row["byteCount"] == expected.0 && row["sha256"] == expected.1,
        "written was {expected:?}, the recording is {row}"
    );
    Ok(())
}

/// Ends the service and starts it again, with nothing of the archive in the memory of the process nor in
/// the page cache of the kernel.
pub(crate) fn restart_cold(place: &Place, service: Service) -> anyhow::Result<Service> {
    service.kill()?;
    for path in files(&place.archive())? {
        let file = File::open(path)?;
        // What is not on the disk yet cannot be forgotten.
        file.sync_all()?;
        fadvise(file.as_fd(), 0, None, Advice::DontNeed)?;
    }
    Service::start_with(place, &[NOTHING_HOT])
}

/// Waits until `look` finds something.
pub(crate) fn until<T>(
    otherwise: &str,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "after {WITHIN:?} {otherwise}");
        thread::sleep(POLL);
    }
}

fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        // It may not be there yet, or not any more.
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
