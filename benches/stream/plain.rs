//! The reference: a terminal that is drained by a plain blocking read loop.

use std::io::{ErrorKind, Read as _};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use pty_process::Size;
use pty_process::blocking::{Command, Pty};

use crate::generator::{self, Kind};
use crate::service::Place;

/// What the loop reads into.
const BUFFER_BYTES: usize = 64 * 1024;

/// Drains a generator: how many bytes came, and how long it took from its gate to its end.
pub(crate) fn drain(place: &Place, kind: Kind) -> anyhow::Result<(u64, Duration)> {
    let mut bytes = 0;
    let took = read_all(place, kind, |part| bytes += part.len() as u64)?;
    Ok((bytes, took))
}

/// The latency of each line of a stamping generator, in ns.
pub(crate) fn latencies(place: &Place, kind: Kind) -> anyhow::Result<Vec<u64>> {
    let mut stamps = crate::latency::Stamps::default();
    read_all(place, kind, |part| stamps.seen(part))?;
    Ok(stamps.into_latencies())
}

fn read_all(place: &Place, kind: Kind, mut seen: impl FnMut(&[u8])) -> anyhow::Result<Duration> {
    let gate = place.gate()?;
    let (mut terminal, slave) = pty_process::blocking::open()?;
    terminal.resize(Size::new(30, 120))?;
    let command = kind.command(&gate, None)?;
    let mut child = Command::new(&command[0]).args(&command[1..]).spawn(slave)?;
    let held = generator::open_gate(&gate)?;
    let began = Instant::now();
    read_to_end(&mut terminal, &mut seen)?;
    let took = began.elapsed();
    drop(held);
    let status = child.wait()?;
    ensure!(ExitStatus::success(&status), "the generator ended with {status}");
    Ok(took)
}

fn read_to_end(terminal: &mut Pty, seen: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match terminal.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => seen(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The end of a terminal is EIO.
            Err(error) if error.raw_os_error() == Some(5) => return Ok(()),
            Err(error) => return Err(error).context("the terminal cannot be read"),
        }
    }
}
