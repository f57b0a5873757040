//! A long recording that only the archive has: any moment of it, search, exports and replay.
//!
//! Cold is right after a start of the service, with no page of the archive in the kernel's cache; again is
//! the same question asked once more.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::archive::{self, NOTHING_HOT};
use crate::generator::{Kind, open_gate};
use crate::http::{download, json};
use crate::join::join;
use crate::process::Process;
use crate::report::{Report, Target};
use crate::service::{self, Place, Service};
use crate::text::{flood_totals, hex, needle};
use crate::viewer::Viewer;
use crate::{Scale, mebibytes, megabytes};

const NAME: &str = "seek";
const NODE: &str = "/runs/long/terminal/n";
/// How long somebody should wait for a moment, in ms.
const MOMENT: Target = Target::AtMost(300.0);
/// How often a question is asked again.
const AGAIN: u32 = 3;
/// The lines of one answer, at most.
const MAX_LINES: u64 = 1000;

/// What is kept of the end of a cast.
const TAIL_BYTES: usize = 1024;

/// The recording that is asked.
struct Subject {
    bytes: u64,
    sha256: String,
    /// Nine tenths of its time.
    late_ms: f64,
    /// What is searched, and how many lines have it.
    needle: (String, u64),
}

/// A question, and how long its answer took, in ms.
type Question = fn(&Service, &Subject) -> anyhow::Result<f64>;

const QUESTIONS: [(&str, Question, Target); 5] = [
    ("from=live to the snapshot", |service, _| Ok(join(service, "long")?.0), MOMENT),
    ("screen at 90 %", screen_late, MOMENT),
    ("last 100 lines", last_lines, Target::None),
    (
        "index",
        |service, _| Ok(millis(json(service.address(), &format!("{NODE}/index"))?.1)),
        Target::None,
    ),
    ("first hit of a search", search, Target::None),
];

/// Everything of a recording in some form.
type Export = fn(&Service, &Subject) -> anyhow::Result<()>;

const EXPORTS: [(&str, Export); 5] = [
    ("whole search", |service, subject| search(service, subject).map(|_| ())),
    ("raw export", export_raw),
    ("cast export", export_cast),
    ("lines as text", export_text),
    ("replay over SSE", replay),
];

/// Records, waits until nothing of it is hot, and asks.
pub(crate) fn measure(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::new()?;
    let mut service = Service::start_with(&place, &[NOTHING_HOT])?;
    let subject = record(scale, &place, &service, report)?;
    for (name, question, target) in QUESTIONS {
        service = archive::restart_cold(&place, service)?;
        report.add(NAME, (&format!("{name}, cold"), "ms"), target, question(&service, &subject)?);
        for _ in 0..AGAIN {
            let took = question(&service, &subject)?;
            report.add(NAME, (&format!("{name}, again"), "ms"), target, took);
        }
    }
    for (name, export) in EXPORTS {
        service = archive::restart_cold(&place, service)?;
        let began = Instant::now();
        let (took, growth) = service.process().growth_kib(|| {
            export(&service, &subject)?;
            Ok(began.elapsed().as_secs_f64())
        })?;
        let rate = megabytes(subject.bytes) / took;
        report.add(NAME, (&format!("{name}, cold"), "MB/s"), Target::None, rate);
        report.add(NAME, (&format!("{name}, memory grew"), "MiB"), Target::None, mebibytes(growth));
    }
    service = archive::restart_cold(&place, service)?;
    let (took, peak_kib) = verify(&service)?;
    report.add(NAME, ("verify, cold", "s"), Target::None, took);
    report.add(NAME, ("verify, memory of the client", "MiB"), Target::None, mebibytes(peak_kib));
    Ok(())
}

fn record(
    scale: &Scale,
    place: &Place,
    service: &Service,
    report: &mut Report,
) -> anyhow::Result<Subject> {
    let gate = place.gate()?;
    service.submit_one("long", Kind::Flood { bytes: scale.seek_bytes }, &gate)?;
    let held = open_gate(&gate)?;
    archive::complete(service, "long", 1)?;
    drop(held);
    archive::left_log(service, "long", "n")?;
    let keyframes = archive::objects(place, "long", "keyframes.json.zst", 1)?;
    let recording = archive::objects(place, "long", "recording.cast.zst", 1)?;
    let (bytes, sha256) = flood_totals(scale.seek_bytes);
    let (index, _) = json(service.address(), &format!("{NODE}/index"))?;
    ensure!(index["bytes"] == bytes && index["state"] == "complete", "the index is {index}");
    let frames = index["keyframes"].as_array().map_or(0, Vec::len);
    let late_ms = index["durationMs"].as_f64().context("a duration")? * 0.9;
    report.add(NAME, ("output", "MB"), Target::None, megabytes(bytes));
    report.add(NAME, ("recording", "MB"), Target::None, megabytes(recording));
    report.add(NAME, ("keyframes, stored", "MB"), Target::None, megabytes(keyframes));
    report.add(NAME, ("keyframes, count", ""), Target::None, frames as f64);
    Ok(Subject { bytes, sha256, late_ms, needle: needle(scale.seek_bytes) })
}

fn screen_late(service: &Service, subject: &Subject) -> anyhow::Result<f64> {
    let path = format!("{NODE}/screen?atMs={}&format=json", subject.late_ms);
    let (screen, took) = json(service.address(), &path)?;
    let at_ms = screen["atMs"].as_f64().context("a time")?;
    let text = screen["text"].as_str().context("a text")?;
    ensure!(
        at_ms <= subject.late_ms && at_ms > subject.late_ms * 0.9 && text.contains("request "),
        "not the screen at {}: {screen}",
        subject.late_ms
    );
    Ok(millis(took))
}

fn last_lines(service: &Service, _: &Subject) -> anyhow::Result<f64> {
    let (page, took) = json(service.address(), &format!("{NODE}/lines?tail=100"))?;
    let count = page["lines"].as_array().map_or(0, Vec::len);
    ensure!(count == 100, "{count} lines are the last hundred");
    Ok(millis(took))
}

/// How long the first hit took, in ms; the search goes on to the end of the recording.
fn search(service: &Service, subject: &Subject) -> anyhow::Result<f64> {
    let (wanted, expected) = &subject.needle;
    let path = format!("{NODE}/lines?q={}&limit={MAX_LINES}", wanted.replace(' ', "%20"));
    let mut body = Vec::new();
    let mut first_hit = None;
    let began = Instant::now();
    download(service.address(), &path, |part| {
        body.extend_from_slice(part);
        if first_hit.is_none() && part.windows(7).any(|window| window == br#""line":"#) {
            first_hit = Some(began.elapsed());
        }
    })?;
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    let hits = answer["lines"].as_array().map_or(0, Vec::len) as u64;
    ensure!(hits == (*expected).min(MAX_LINES), "{hits} of {expected} lines were found");
    Ok(millis(first_hit.context("no hit")?))
}

fn export_raw(service: &Service, subject: &Subject) -> anyhow::Result<()> {
    let mut hash = Sha256::new();
    let path = format!("{NODE}/cast?format=raw");
    let bytes = download(service.address(), &path, |part| hash.update(part))?.bytes;
    let sha256 = hex(&hash.finalize());
    ensure!(
        bytes == subject.bytes && sha256 == subject.sha256,
        "{bytes} bytes, {sha256} were exported; recorded were {} bytes, {}",
        subject.bytes,
        subject.sha256,
    );
    Ok(())
}

fn export_cast(service: &Service, subject: &Subject) -> anyhow::Result<()> {
    let mut tail = Vec::new();
    let cast = download(service.address(), &format!("{NODE}/cast"), |part| {
        tail.extend_from_slice(&part[part.len().saturating_sub(TAIL_BYTES)..]);
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
    })?;
    let text = String::from_utf8_lossy(&tail);
    let last = text.lines().last().unwrap_or_default();
    ensure!(
        cast.bytes > subject.bytes && last.contains(r#""x""#),
        "the cast of {} bytes ends with {last}",
        cast.bytes
    );
    Ok(())
}

fn export_text(service: &Service, _: &Subject) -> anyhow::Result<()> {
    let mut lines = 0;
    download(service.address(), &format!("{NODE}/cast?format=txt"), |part| {
        lines += part.iter().filter(|byte| **byte == b'\n').count();
    })?;
    ensure!(lines > 0, "there are no lines");
    Ok(())
}

fn replay(service: &Service, subject: &Subject) -> anyhow::Result<()> {
    let events = Viewer::connect(service.address(), "long", "")?.read_to_done()?;
    events.check()?;
    let (bytes, sha256) = events.only_stream()?;
    ensure!(
        bytes == subject.bytes && sha256 == subject.sha256,
        "{bytes} bytes, {sha256} were replayed"
    );
    Ok(())
}

/// Seconds and the peak memory in KiB of `runcast verify`.
fn verify(service: &Service) -> anyhow::Result<(f64, u64)> {
    let began = Instant::now();
    let mut child = Command::new(service::binary())
        .args(["verify", "long", "--server"])
        .arg(format!("http://{}", service.address()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("verify does not start")?;
    let mut peak_kib = 0;
    let status = loop {
        // It has none any more when it has ended.
        if let Ok((_, peak)) = Process(child.id()).memory_kib() {
            peak_kib = peak_kib.max(peak);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The rhythm of the samples.
        thread::sleep(Duration::from_millis(5));
    };
    ensure!(status.success(), "verify ended with {status}");
    Ok((began.elapsed().as_secs_f64(), peak_kib))
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
