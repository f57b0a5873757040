//! `runcast replay`: plays a recording in this terminal, with its own timing.
//!
//! Space pauses, `.` shows the next event, `q` and Ctrl-C end. Where standard output is no terminal the
//! bytes are written at once, unless a speed is asked for.

mod clock;

mod source;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use runcast_actors::ids::{NodeRef, StreamName};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::clock::Clock;
use self::source::{FileSource, Played, ServerSource, Source, What};
use super::cast_file::is_file_name;
use super::client::{ApiClient, Connection};
use super::own_terminal::{OwnTerminal, size_note};
use super::watch::INTERRUPTED;
use crate::cli::keys::{self, Key};

/// Notes that are kept for the end of a replay on a terminal.
const KEPT_NOTES: usize = 20;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A run, or a file that ends with .cast or .zst (or has a / in its name)
    #[arg(value_name = "RUN|FILE")]
    what: String,
    /// The node; not needed if the run has only one
    node: Option<NodeRef>,
    /// How many times as fast as it was recorded, 0.1 to 100
    #[arg(long, value_name = "X", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Cut silence to this many seconds
    #[arg(long, value_name = "S", value_parser = parse_time)]
    idle_limit: Option<Duration>,
    /// Begin with the screen of this moment: 83.2, 1:23 or 1h2m3s
    #[arg(long, value_name = "T", value_parser = parse_time)]
    from: Option<Duration>,
    /// Only this stream of a node without a terminal
    #[arg(long)]
    stream: Option<StreamName>,
    #[command(flatten)]
    connection: Connection,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "allowed: 0.1 to 100".to_owned())?;
    if (0.1..=100.0).contains(&speed) { Ok(speed) } else { Err("allowed: 0.1 to 100".to_owned()) }
}

/// `83.2`, `1:23`, `1:02:03.5`, `1h2m3s`, `90m`: hours, minutes and seconds, of which only the first may be
/// 60 or more.
fn parse_time(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no time; allowed: 83.2, 1:23, 1:02:03, 1h2m3s");
    let parts: Vec<(&str, f64)> = if text.contains(':') {
        let count = text.split(':').count();
        let units = [3600.0, 60.0, 1.0];
        let units = units.get(3_usize.wrapping_sub(count)..).ok_or_else(refused)?;
        text.split(':').zip(units.iter().copied()).collect()
    } else {
        let mut parts = Vec::new();
        let mut rest = text;
        for (letter, unit) in [('h', 3600.0), ('m', 60.0), ('s', 1.0)] {
            if let Some((head, tail)) = rest.split_once(letter) {
                parts.push((head, unit));
                rest = tail;
            }
        }
        if parts.is_empty() || !rest.is_empty() {
            parts.push((rest, if parts.is_empty() { 1.0 } else { f64::NAN }));
        }
        parts
    };
    let mut secs = 0.0;
    for (place, (number, unit)) in parts.into_iter().enumerate() {
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value: f64 = number.parse().map_err(|_| refused())?;
        if !is_number || unit.is_nan() || (place > 0 && value >= 60.0) {
            return Err(refused());
        }
        secs += value * unit;
    }
    Duration::try_from_secs_f64(secs).map_err(|_| refused())
}

pub(super) async fn execute(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let screen = OwnTerminal::is_there();
    let mut source = if is_file_name(&args.what) && args.node.is_none() {
        Source::File(Box::new(FileSource::open(Path::new(&args.what))?))
    } else {
        let client = ApiClient::new(&args.connection)?;
        let run = args.what.parse()?;
        let server =
            ServerSource::open(client, run, args.node.clone(), args.stream, screen).await?;
        Source::Server(Box::new(server))
    };
    if let Some(note) = source.size().filter(|_| screen).and_then(size_note) {
        eprintln!("{note}");
    }
    let repaint = match args.from {
        Some(at) => source.seek(at).await?,
        None => Vec::new(),
    };
    let speed = match args.speed {
        None if !screen => f64::INFINITY,
        speed => speed.unwrap_or(1.0),
    };
    let from = args.from.unwrap_or_default();
    let mut player = Player::new(Clock::new(speed, args.idle_limit, from, Instant::now()))?;
    let played = match player.show(&repaint) {
        Ok(()) => player.play(&mut source).await,
        Err(error) => Err(error.into()),
    };
    for note in player.finish() {
        eprintln!("{note}");
    }
    match played? {
        Ended::Itself => Ok(ExitCode::SUCCESS),
        Ended::ByTheViewer => Ok(ExitCode::from(INTERRUPTED)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Itself,
    ByTheViewer,
}

/// Shows what a source gives when it is due.
struct Player {
    clock: Clock,
    screen: Option<OwnTerminal>,
    keys: Option<mpsc::Receiver<Key>>,
    signals: [Signal; 3],
    notes: Vec<String>,
}

/// What happened first.
enum First<T> {
    Came(T),
    Key(Key),
}

impl Player {
    fn new(clock: Clock) -> anyhow::Result<Self> {
        let screen = OwnTerminal::take()?;
        let keys = screen.as_ref().is_some_and(OwnTerminal::has_keys).then(keys::from_stdin);
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { clock, screen, keys, signals, notes: Vec::new() })
    }

    async fn play(&mut self, source: &mut Source) -> anyhow::Result<Ended> {
        loop {
            let next = loop {
                match self.first(source.next()).await {
                    First::Came(next) => break next?,
                    First::Key(Key::Quit) => return Ok(Ended::ByTheViewer),
                    First::Key(Key::Pause) => self.clock.toggle_pause(Instant::now()),
                    First::Key(Key::Step) => {}
                }
            };
            let Some(Played { at, what }) = next else { return Ok(Ended::Itself) };
            match what {
                What::Output(bytes) => {
                    if self.wait_until_due(at).await == Ended::ByTheViewer {
                        return Ok(Ended::ByTheViewer);
                    }
                    self.show(&bytes)?;
                }
                What::Note(note) => self.note(note),
            }
        }
    }

    async fn wait_until_due(&mut self, at: Duration) -> Ended {
        let place = self.clock.place(at);
        loop {
            let due = self.clock.due(place);
            if due.is_some_and(|due| due <= Instant::now()) {
                return Ended::Itself;
            }
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            match self.first(wait).await {
                First::Key(Key::Quit) => return Ended::ByTheViewer,
                First::Key(Key::Pause) => self.clock.toggle_pause(Instant::now()),
                First::Key(Key::Step) if self.clock.is_paused() => {
                    self.clock.jump(place, Instant::now());
                    return Ended::Itself;
                }
                First::Came(()) | First::Key(Key::Step) => {}
            }
        }
    }

    /// Waits for something, or for a key.
    async fn first<T>(&mut self, wanted: impl Future<Output = T>) -> First<T> {
        let Self { keys, signals: [interrupt, terminate, hangup], .. } = self;
        let key = async {
            match keys {
                // Without a keyboard any more there are still signals.
                Some(keys) => match keys.recv().await {
                    Some(key) => key,
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            key = key => First::Key(key),
            _ = interrupt.recv() => First::Key(Key::Quit),
            _ = terminate.recv() => First::Key(Key::Quit),
            _ = hangup.recv() => First::Key(Key::Quit),
            came = wanted => First::Came(came),
        }
    }

    fn show(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(screen) = &mut self.screen {
            return screen.show(bytes);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    fn note(&mut self, note: String) {
        if self.screen.is_none() {
            eprintln!("{note}");
        } else if self.notes.len() < KEPT_NOTES {
            // A word in the middle of a full-screen program would destroy the picture.
            self.notes.push(note);
        }
    }

    /// Gives the terminal back; what there is to tell.
    fn finish(self) -> Vec<String> {
        self.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, secs) in [
            ("0", 0.0),
            ("83.2", 83.2),
            ("1:23", 83.0),
            ("90:00.5", 5400.5),
            ("1:02:03", 3723.0),
            ("1h2m3s", 3723.0),
            ("90m", 5400.0),
            ("1h3.5s", 3603.5),
            ("7s", 7.0),
        ] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs_f64(secs)), "{text}");
        }
        for text in [
            "", "x", "-1", "1:99", "1:60", "1:2:3:4", ":", "1h90m", "3s1h", "1m5", "1e3", "inf",
            "s",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_have_a_range() {
        for text in ["0.1", "1", "100"] {
            assert!(parse_speed(text).is_ok(), "{text}");
        }
        for text in ["0", "0.09", "101", "-1", "x", "NaN", "inf"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }
}
