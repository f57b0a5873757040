//! What the measured terminals show: this program again, under a hidden argument.
//!
//! Every kind waits at its gate, a FIFO that the measurement opens, so that the time a process
//! takes to start is in no figure.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::text;

/// The argument that makes this program a generator.
pub(crate) const ARGUMENT: &str = "--generate";
/// How often a paced generator writes.
const PACE: Duration = Duration::from_millis(20);

/// What a generator writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many bytes of coloured log lines, as fast as the terminal takes them.
    Flood { bytes: u64 },
    /// Coloured log lines for so long, as fast as the terminal takes them.
    Timed { lasting: Duration },
    /// So many bytes of what a build says, as fast as the terminal takes them.
    Build { bytes: u64 },
    /// Log lines at a rate.
    Paced { bytes: u64, bytes_per_sec: u64 },
    /// Lines that hold nothing but the time they were written, in ns since 1970.
    Stamps { count: u64, every: Duration },
    /// Pieces of a few bytes with a pause behind each, so that each is a chunk.
    Pieces { count: u64, every: Duration },
    /// Markers, told by the file of events: each is a chunk, and they come as fast as they are taken.
    Markers { count: u64 },
    /// A prompt.
    Prompt,
}

impl Kind {
    /// The command line of a generator that begins when `gate` is opened for writing and, with `stay`,
    /// after its output waits until that is opened too.
    pub(crate) fn command(self, gate: &Path, stay: Option<&Path>) -> anyhow::Result<Vec<String>> {
        let program = std::env::current_exe()?;
        let micros = |every: Duration| u64::try_from(every.as_micros()).context("the rhythm");
        let numbers = match self {
            Self::Flood { bytes } => ("flood", bytes, 0),
            Self::Timed { lasting } => ("timed", micros(lasting)?, 0),
            Self::Build { bytes } => ("build", bytes, 0),
            Self::Paced { bytes, bytes_per_sec } => ("paced", bytes, bytes_per_sec),
            Self::Stamps { count, every } => ("stamps", count, micros(every)?),
            Self::Pieces { count, every } => ("pieces", count, micros(every)?),
            Self::Markers { count } => ("markers", count, 0),
            Self::Prompt => ("prompt", 0, 0),
        };
        let (name, first, second) = numbers;
        let mut command = vec![
            program.to_string_lossy().into_owned(),
            ARGUMENT.to_owned(),
            name.to_owned(),
            first.to_string(),
            second.to_string(),
            gate.to_string_lossy().into_owned(),
        ];
        command.extend(stay.map(|stay| stay.to_string_lossy().into_owned()));
        Ok(command)
    }
}

/// Makes a gate.
pub(crate) fn make_gate(path: &Path) -> anyhow::Result<()> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .with_context(|| format!("no gate at {}", path.display()))
}

/// Opens a gate: waits until a generator stands there. Late ones pass while the file is held.
pub(crate) fn open_gate(path: &Path) -> anyhow::Result<File> {
    File::options().write(true).open(path).context("the gate does not open")
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Is a generator, with what stands behind [`ARGUMENT`].
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [name, first, second, gate, stay @ ..] = arguments else { bail!("too few arguments") };
    let (first, second): (u64, u64) = (first.parse()?, second.parse()?);
    let mut out = io::stdout().lock();
    if name == "prompt" {
        out.write_all(b"\x1b[1;32muser@host\x1b[0m:\x1b[1;34m~\x1b[0m$ ")?;
        out.flush()?;
    }
    let _passed = File::open(gate)?;
    // The standard output is buffered by lines; the file below it takes whole blocks.
    let mut file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match name.as_str() {
        "flood" => flood(&mut file, &text::log_lines(), first)?,
        "timed" => flood_for(&mut file, &text::log_lines(), Duration::from_micros(first))?,
        "build" => flood(&mut file, &text::build_lines(), first)?,
        "paced" => pace(&mut file, &text::log_lines(), first, second)?,
        "stamps" => stamp(&mut file, first, Duration::from_micros(second))?,
        "pieces" => write_pieces(&mut file, first, Duration::from_micros(second))?,
        "markers" => tell_markers(first)?,
        "prompt" => {}
        other => bail!("no generator is called {other}"),
    }
    if let Some(stay) = stay.first() {
        drop(File::open(stay)?);
    }
    Ok(())
}

fn flood(file: &mut File, block: &[u8], bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..take])?;
        left -= take as u64;
    }
    Ok(())
}

fn flood_for(file: &mut File, block: &[u8], lasting: Duration) -> io::Result<()> {
    /// Little enough that the end comes in time also on a slow terminal.
    const PIECE_BYTES: usize = 1024;
    let began = Instant::now();
    for piece in block.chunks(PIECE_BYTES).cycle() {
        if began.elapsed() >= lasting {
            break;
        }
        file.write_all(piece)?;
    }
    Ok(())
}

fn pace(file: &mut File, block: &[u8], bytes: u64, bytes_per_sec: u64) -> io::Result<()> {
    let (began, mut written) = (Instant::now(), 0_u64);
    while written < bytes {
        let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = (elapsed * bytes_per_sec / 1000).min(bytes);
        while written < due {
            let start = usize::try_from(written).unwrap_or_default() % block.len();
            let most = usize::try_from(due - written).unwrap_or(usize::MAX);
            let end = (start + most).min(block.len());
            file.write_all(&block[start..end])?;
            written += (end - start) as u64;
        }
        // The rhythm of what is measured, not a wait for something.
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn stamp(file: &mut File, count: u64, every: Duration) -> io::Result<()> {
    let began = Instant::now();
    for place in 1..=count {
        let due = began + every.mul_f64(place as f64);
        // The rhythm of what is measured, not a wait for something.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        file.write_all(format!("{}\n", now_ns()).as_bytes())?;
    }
    Ok(())
}

fn write_pieces(file: &mut File, count: u64, every: Duration) -> io::Result<()> {
    for place in 1..=count {
        let end = if place % 8 == 0 { "\n" } else { " " };
        file.write_all(format!("{:07}{end}", place * 7919 % 10_000_000).as_bytes())?;
        // The rhythm of what is measured, not a wait for something.
        std::thread::sleep(every);
    }
    Ok(())
}

fn tell_markers(count: u64) -> anyhow::Result<()> {
    let path = std::env::var_os("RUNCAST_EVENTS").context("there is no file for events")?;
    let mut events = io::BufWriter::new(File::options().append(true).open(path)?);
    for place in 1..=count {
        writeln!(events, r#"{{"type":"marker","label":"{place}"}}"#)?;
    }
    Ok(events.flush()?)
}
