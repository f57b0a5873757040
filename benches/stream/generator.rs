//! What the measured terminals show: this program again, under a hidden argument.
//!
//! Every kind waits at its gate, a FIFO that the measurement opens, so that the time a process
//! takes to start is in no figure.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use sha2::{Digest, Sha256};

/// The argument that makes this program a generator.
pub(crate) const ARGUMENT: &str = "--generate";
/// Bytes of one write, and of the text that is repeated.
const BLOCK_BYTES: usize = 1024 * 1024;
/// How often a paced generator writes.
const PACE: Duration = Duration::from_millis(20);

/// What a generator writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many bytes of coloured log lines, as fast as the terminal takes them.
    Flood { bytes: u64 },
    /// The same at a rate.
    Paced { bytes: u64, bytes_per_sec: u64 },
    /// Lines that hold nothing but the time they were written, in ns since 1970.
    Stamps { count: u64, every: Duration },
    /// A prompt.
    Prompt,
}

impl Kind {
    /// The command line of a generator that begins when `gate` is opened for writing and, with `stay`,
    /// after its output waits until that is opened too.
    pub(crate) fn command(self, gate: &Path, stay: Option<&Path>) -> anyhow::Result<Vec<String>> {
        let program = std::env::current_exe()?;
        let numbers = match self {
            Self::Flood { bytes } => ("flood", bytes, 0),
            Self::Paced { bytes, bytes_per_sec } => ("paced", bytes, bytes_per_sec),
            Self::Stamps { count, every } => {
                ("stamps", count, u64::try_from(every.as_micros()).context("the rhythm")?)
            }
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

/// Byte count and SHA-256 of a flood as the terminal passes it on: each LF as CR LF.
pub(crate) fn flood_totals(bytes: u64) -> (u64, String) {
    let shown = |text: &[u8]| {
        let mut out = Vec::with_capacity(text.len() + text.len() / 32);
        for byte in text {
            if *byte == b'\n' {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    };
    let block = block();
    let whole = shown(&block);
    let (mut count, mut hash, mut left) = (0_u64, Sha256::new(), bytes);
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        let part = if take == block.len() { whole.clone() } else { shown(&block[..take]) };
        count += part.len() as u64;
        hash.update(&part);
        left -= take as u64;
    }
    (count, hex(&hash.finalize()))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
    let block = block();
    let _passed = File::open(gate)?;
    // The standard output is buffered by lines; the file below it takes whole blocks.
    let mut file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match name.as_str() {
        "flood" => flood(&mut file, &block, first)?,
        "paced" => pace(&mut file, &block, first, second)?,
        "stamps" => stamp(&mut file, first, Duration::from_micros(second))?,
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

/// Coloured log lines of about 110 bytes, the same in every process.
fn block() -> Vec<u8> {
    const LEVELS: [(&str, u8); 4] = [("DEBUG", 90), ("INFO", 32), ("WARN", 33), ("ERROR", 31)];
    const PLACES: [&str; 5] = ["http::router", "store::rows", "queue", "tls", "worker::pool"];
    let mut text = String::with_capacity(BLOCK_BYTES + 256);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while text.len() < BLOCK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (level, colour) = LEVELS[(state % 11 % 4) as usize];
        let place = PLACES[(state >> 8) as usize % PLACES.len()];
        let (ms, id, took) = (state >> 16 & 1023, state >> 24 & 0xff_ffff, state >> 48 & 0xfff);
        let _ = writeln!(
            text,
            "\x1b[90m12:07:{:02}.{ms:03}\x1b[0m \x1b[1;{colour}m{level:5}\x1b[0m \
             \x1b[36m{place}\x1b[0m request \x1b[35m{id:06x}\x1b[0m took \x1b[1m{took}\x1b[0m ms, \
             {} bytes",
            state >> 40 & 31,
            state >> 30 & 0xffff,
        );
    }
    text.truncate(BLOCK_BYTES);
    text.into_bytes()
}
