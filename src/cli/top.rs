//! `runcast top`: what an instance does, in this terminal.

mod figures;
mod screen;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use runcast_actors::moment::Timestamp;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::figures::Figures;
use super::client::{ApiClient, ClientError, Connection};
use super::keys::{self, Key};
use super::own_terminal::OwnTerminal;
use super::text::clean;

/// Rows of sessions and viewers that are asked for; more do not fit a screen.
const ROWS: u32 = 100;
/// The other screen of the terminal, without a cursor and without wrapping.
const ENTER: &[u8] = b"\x1b[?1047h\x1b[?25l\x1b[?7l";

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Another instance than the one that is reached, as `runcast top --json` names them
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Look once, print, and end
    #[arg(long)]
    once: bool,
    /// Print each look as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn execute(args: TopArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    let looker = Looker { client, instance: args.instance };
    let interval = Duration::from_secs(args.interval);
    if args.json {
        return looker.print_json(interval, args.once).await;
    }
    let terminal = if args.once { None } else { OwnTerminal::take()? };
    match terminal {
        Some(terminal) => looker.show(terminal, interval).await,
        None => looker.print_once().await,
    }
}

struct Looker {
    client: ApiClient,
    instance: Option<String>,
}

impl Looker {
    /// Everything that is shown, as one document.
    async fn look(&self) -> Result<Value, ClientError> {
        let of_instance = || self.instance.iter().map(|id| ("instance", id.clone()));
        let page = || of_instance().chain([("limit", ROWS.to_string())]).collect::<Vec<_>>();
        let plain: Vec<_> = of_instance().collect();
        let stats: Value = self.client.get("/admin/stats", &plain).await?;
        let memory: Value = self.client.get("/admin/memory", &plain).await?;
        let sessions: Value = self.client.get("/admin/sessions", &page()).await?;
        // Only kinds are shown.
        let one = of_instance().chain([("limit", "1".to_owned())]).collect::<Vec<_>>();
        let actors: Value = self.client.get("/admin/actors", &one).await?;
        let streams: Value = self.client.get("/admin/streams", &page()).await?;
        let instances: Value = self.client.get("/admin/instances", &[]).await?;
        Ok(json!({
            "at": Timestamp::now(),
            "stats": stats,
            "memory": memory,
            "sessions": sessions,
            "actors": actors,
            "streams": streams,
            "instances": instances["instances"],
        }))
    }

    async fn print_json(&self, interval: Duration, once: bool) -> anyhow::Result<ExitCode> {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let look = self.look().await?;
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{look}")?;
            stdout.flush()?;
            if once {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    async fn print_once(&self) -> anyhow::Result<ExitCode> {
        let figures = Figures::of(self.look().await?).context("the figures cannot be read")?;
        let lines = screen::lines(&figures, None, usize::MAX);
        let mut stdout = std::io::stdout().lock();
        for line in lines {
            writeln!(stdout, "{line}")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shows what is there until somebody leaves. A service that does not answer is waited for.
    async fn show(
        &self,
        mut terminal: OwnTerminal,
        interval: Duration,
    ) -> anyhow::Result<ExitCode> {
        let mut keys = keys::from_stdin();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut now): (Option<Figures>, Option<Figures>) = (None, None);
        let mut entered = false;
        loop {
            let next = async {
                ticks.tick().await;
                self.look().await
            };
            let has_keys = terminal.has_keys();
            let looked = tokio::select! {
                looked = next => looked,
                () = left(&mut keys, has_keys) => return Ok(ExitCode::SUCCESS),
            };
            let problem = match looked {
                Ok(look) => {
                    let figures = Figures::of(look).context("the figures cannot be read")?;
                    before = now.replace(figures);
                    None
                }
                // Nothing was seen yet, or nothing will be seen: the reason is the answer.
                Err(error) if now.is_none() || !error.is_passing() => return Err(error.into()),
                Err(error) => Some(error.to_string()),
            };
            if !std::mem::replace(&mut entered, true) {
                terminal.show(ENTER)?;
            }
            let Some(figures) = &now else { continue };
            terminal.show(&frame(figures, before.as_ref(), problem))?;
        }
    }
}

/// Waits until somebody wants to leave.
async fn left(keys: &mut mpsc::Receiver<Key>, has_keys: bool) {
    let pressed = async { while !matches!(keys.recv().await, Some(Key::Quit) | None) {} };
    tokio::select! {
        () = pressed, if has_keys => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// One picture, drawn over the one before: no line flickers.
fn frame(now: &Figures, before: Option<&Figures>, problem: Option<String>) -> Vec<u8> {
    let window = tcgetwinsize(std::io::stdout()).ok();
    let size = window.map_or((0, 0), |window| (window.ws_col.into(), window.ws_row.into()));
    // A terminal that does not know its size says 0.
    let (cols, rows) = if size.0 > 0 && size.1 > 0 { size } else { (80, 24) };
    let mut lines = screen::lines(now, before, rows);
    if let Some(first) = lines.first_mut() {
        match problem {
            Some(problem) => *first = console::style(clean(&problem)).red().to_string(),
            None => *first += "  q ends",
        }
    }
    let mut bytes = b"\x1b[H".to_vec();
    for (place, line) in lines.iter().take(rows).enumerate() {
        if place > 0 {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(console::truncate_str(line, cols, "…").as_bytes());
        bytes.extend_from_slice(b"\x1b[K");
    }
    bytes.extend_from_slice(b"\x1b[J");
    bytes
}
