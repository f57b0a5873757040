//! `runcast term`: an interactive terminal of the service in this one.
//!
//! It stays when one leaves: Ctrl-] detaches, and the same command comes back. A connection that breaks is taken up
//! again where it was.

mod keyboard;
mod socket;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::ProjectId;
use runcast_actors::moment::Timestamp;
use runcast_actors::sessions::{SessionId, SessionView};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use self::keyboard::{DETACH_NAME, Keyboard, Typed};
use self::socket::{Heard, SessionSocket};
use super::client::{ApiClient, ClientError, Connection};
use super::own_terminal::OwnTerminal;
use super::text::clean;

/// One that was opened so lately has nothing on its screen that the hint above it would disturb.
const NEW_FOR: Duration = Duration::from_secs(3);
/// How long a connection that broke is tried again.
const COME_BACK: Duration = Duration::from_secs(60);
/// How often.
const TRY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct TermArgs {
    /// The project
    #[arg(default_value = "default", value_name = "PROJECT")]
    project: ProjectId,
    /// What to open: a profile of the service's configuration
    #[arg(long = "type", value_name = "TYPE", default_value = "system")]
    profile: String,
    /// Which terminal of the project: each name is one
    #[arg(long, value_name = "NAME", default_value = "main")]
    tab: String,
    /// Where it begins: a directory of the service's machine
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Attach to this session instead
    #[arg(long, value_name = "ID", conflicts_with_all = ["path"])]
    session: Option<SessionId>,
    /// Only watch
    #[arg(long)]
    readonly: bool,
    /// List the terminals that live, and open none
    #[arg(long, conflicts_with_all = ["path", "session", "readonly"])]
    list: bool,
    /// With --list: as JSON
    #[arg(long, requires = "list")]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenTerminal<'a> {
    project_id: &'a ProjectId,
    #[serde(rename = "type")]
    profile: &'a str,
    tab_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_path: Option<&'a str>,
    env: BTreeMap<String, String>,
    #[serde(flatten)]
    size: Option<TerminalSize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    session: SessionView,
    connection_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(flatten)]
    session: SessionView,
    connection_url: Option<String>,
}

#[derive(Deserialize)]
struct List {
    sessions: Vec<Listed>,
}

/// How the terminal was left.
enum Left {
    Detached,
    Ended(Box<SessionView>),
}

pub(super) async fn execute(args: TermArgs) -> anyhow::Result<ExitCode> {
    let client = ApiClient::new(&args.connection)?;
    if args.list {
        return list(&client, args.json).await;
    }
    if !stdout().is_terminal() || !(args.readonly || stdin().is_terminal()) {
        bail!("a terminal is needed; `runcast term --list` lists those of the service");
    }
    let (session, url) = open(&client, &args).await?;
    if stderr().is_terminal() {
        eprintln!("attached to {}; {DETACH_NAME} detaches", session.id);
    }
    let left = {
        let screen = OwnTerminal::take()?.context("standard output is no terminal")?;
        attend(&client, &args, &session, &url, screen).await?
    };
    match left {
        Left::Detached => {
            eprintln!("detached; the terminal goes on");
            Ok(ExitCode::SUCCESS)
        }
        Left::Ended(view) => Ok(told_end(&view)),
    }
}

async fn list(client: &ApiClient, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let document: serde_json::Value = client.get("/terminals", &[]).await?;
        println!("{document}");
        return Ok(ExitCode::SUCCESS);
    }
    let list: List = client.get("/terminals", &[]).await?;
    for Listed { session, .. } in list.sessions {
        println!(
            "{}  {}  {}  {}  {}  {}×{}  {} attached  {}",
            session.id,
            session.project_id,
            clean(&session.profile),
            clean(&session.tab_name),
            session.state.as_str(),
            session.cols,
            session.rows,
            session.attached,
            clean(&session.current_path),
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(client: &ApiClient, args: &TermArgs) -> anyhow::Result<(SessionView, String)> {
    if let Some(id) = &args.session {
        let list: List = client.get("/terminals", &[]).await?;
        let found = list.sessions.into_iter().find(|listed| listed.session.id == *id);
        let listed =
            found.with_context(|| format!("no terminal {id} lives; see `runcast term --list`"))?;
        let url = listed.connection_url.context("the instance of the terminal is away")?;
        return Ok((listed.session, url));
    }
    // What says how people write and read is theirs; the service takes of it what the profile lists.
    let theirs = |name: &str| name == "LANG" || name == "TZ" || name.starts_with("LC_");
    let opened: Opened = client
        .post(
            "/terminals",
            &OpenTerminal {
                project_id: &args.project,
                profile: &args.profile,
                tab_name: &args.tab,
                project_path: args.path.as_deref(),
                env: std::env::vars().filter(|(name, _)| theirs(name)).collect(),
                size: window_size(),
            },
        )
        .await?;
    Ok((opened.session, opened.connection_url))
}

/// Shows and types until one detaches or it ends.
async fn attend(
    client: &ApiClient,
    args: &TermArgs,
    session: &SessionView,
    url: &str,
    mut screen: OwnTerminal,
) -> anyhow::Result<Left> {
    let id = &session.id;
    let is_old = session.created_at < Timestamp::now().minus(NEW_FOR);
    let mut keyboard = Keyboard::of_stdin();
    let mut resized = signal(SignalKind::window_change())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut socket = SessionSocket::open(client, url, args.readonly, is_old, None).await?;
    socket.resize(window_size());
    loop {
        tokio::select! {
            heard = socket.next() => match heard {
                Heard::Output(bytes) => screen.show(&bytes)?,
                Heard::Ended(view) => return Ok(Left::Ended(view)),
                Heard::Nothing => {}
                Heard::Broken => {
                    let back = come_back(client, args, id, url, socket.offset());
                    tokio::select! {
                        back = back => match back? {
                            Ok(again) => {
                                socket = again;
                                socket.resize(window_size());
                            }
                            Err(left) => return Ok(left),
                        },
                        () = wish_to_leave(&mut keyboard) => return Ok(Left::Detached),
                        _ = terminated.recv() => return Ok(Left::Detached),
                    }
                }
            },
            typed = keyboard.next(), if socket.has_room() => match typed {
                Typed::Detach => return Ok(Left::Detached),
                Typed::Bytes(bytes) if !args.readonly => socket.type_in(bytes),
                Typed::Bytes(_) => {}
            },
            _ = resized.recv() => socket.resize(window_size()),
            _ = terminated.recv() => return Ok(Left::Detached),
        }
    }
}

/// Waits for the key that leaves; what else is typed while nobody hears it is lost.
async fn wish_to_leave(keyboard: &mut Keyboard) {
    while !matches!(keyboard.next().await, Typed::Detach) {}
}

/// After a connection that broke: the next one, or how the session has ended meanwhile.
async fn come_back(
    client: &ApiClient,
    args: &TermArgs,
    id: &SessionId,
    url: &str,
    offset: Option<u64>,
) -> anyhow::Result<Result<SessionSocket, Left>> {
    let deadline = Instant::now() + COME_BACK;
    loop {
        match SessionSocket::open(client, url, args.readonly, true, offset).await {
            Ok(socket) => return Ok(Ok(socket)),
            Err(error) if error.is_passing() && Instant::now() < deadline => {}
            Err(error) => {
                // It may have ended in the meantime, which is no failure.
                let asked: Result<One, ClientError> =
                    client.get(&format!("/terminals/{id}"), &[]).await;
                return match asked {
                    Ok(One { session }) if !session.active => {
                        Ok(Err(Left::Ended(Box::new(session))))
                    }
                    _ => Err(error.into()),
                };
            }
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

#[derive(Deserialize)]
struct One {
    session: SessionView,
}

fn told_end(view: &SessionView) -> ExitCode {
    let why = match (view.exit_code, view.signal, view.reason) {
        (Some(code), _, _) => format!("code {code}"),
        (_, Some(signal), _) => format!("signal {signal}"),
        (_, _, Some(reason)) => reason.as_str().to_owned(),
        _ => "unknown".to_owned(),
    };
    eprintln!("the terminal has ended: {why}");
    if view.exit_code == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The size of this terminal, as far as it knows and the service takes.
fn window_size() -> Option<TerminalSize> {
    let window = rustix::termios::tcgetwinsize(stdout()).ok()?;
    Some(TerminalSize { cols: window.ws_col, rows: window.ws_row }).filter(|size| size.is_valid())
}
