//! Recordings in the hands of stock tools: `asciinema` 3 and `zstd`, as everybody has them.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use runcast_actors::entry::TerminalSize;
use runcast_actors::ports::ObjectKey;
use runcast_actors::screen::VirtualTerminal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::archive::objects_of;
use crate::support::deadline::wait_for;
use crate::support::programs::{log_lines, pipe, pty, run_of};
use crate::support::service::Service;

/// How long a tool may take.
const LIMIT: Duration = Duration::from_secs(60);
const SIZE: TerminalSize = TerminalSize { cols: 80, rows: 24 };

async fn tool(name: &'static str, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    // What the developer has configured must not change what is tested.
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("TERM", "xterm-256color");
    let running = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(LIMIT, running).await.expect("the tool ends");
    let output = ended
        .expect("no panic")
        .unwrap_or_else(|error| panic!("{name}: {error}; `scripts/setup.sh test` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    output
}

async fn save(service: &Service, run: &str, node: &str, query: &str, file: &Path) -> Vec<u8> {
    let path = format!("/runs/{run}/terminal/{node}/cast?{query}");
    let body = service.api().get(&path).await.expect(200).body;
    std::fs::write(file, &body).expect("a file");
    body
}

/// A service with a run whose consoles are hard to keep: colours, a progress bar, wide characters, bytes
/// that are no text, a full screen that is left again, and two pipes.
async fn recorded(folder: &Path) -> (Service, String) {
    let log = folder.join("log");
    std::fs::write(&log, log_lines(40_000, 3)).expect("a file");
    let hard = "printf '\\033[1;32mbuild\\033[0m größe 日本 🦀\\n'; \
        for i in 10 50 100; do printf '\\r%3d%%' $i; done; printf '\\ndone\\n'; \
        printf '\\033[?1049h\\033[2J\\033[5;5Hfull screen\\033[?1049l'; printf 'back\\n'";
    let mut run = run_of([
        pty("hard", hard),
        pty("log", &format!("cat '{}'", log.display())),
        pty("odd", "printf 'a\\377\\303(b\\342\\202'; sleep 0.1; printf '\\254c\\n'"),
        pipe("piped", "for i in 1 2 3; do echo out $i; done; echo err >&2; printf 'a\\r\\nb\\n'"),
    ]);
    run["terminal"] = json!({ "cols": SIZE.cols, "rows": SIZE.rows });
    let service = Service::start().await;
    let run = service.api().submit(&run).await;
    service.api().wait_ended(&run).await;
    (service, run)
}

/// What a terminal shows after these bytes.
fn shown(bytes: &[u8]) -> String {
    let mut terminal = VirtualTerminal::new(SIZE);
    terminal.feed(bytes);
    terminal.ansi_text()
}

/// Text of a cast's output events.
fn output_of(cast: &str) -> String {
    let events = cast.lines().skip(1).filter(|line| line.starts_with('['));
    let events = events.map(serde_json::from_str::<(f64, String, String)>);
    let events = events.map(|event| event.expect("an event"));
    events.filter(|(_, code, _)| code == "o").map(|(_, _, data)| data).collect()
}

#[tokio::test]
async fn p7_asciinema_converts_our_files_to_the_same_text_and_bytes() {
    let folder = TempDir::new().expect("a directory");
    let at = folder.path();
    let (service, run) = recorded(at).await;
    for node in ["hard", "log", "odd", "piped"] {
        let lines = save(&service, &run, node, "format=txt", &at.join("ours.txt")).await;
        for version in ["3", "2"] {
            let query = format!("version={version}");
            let cast = save(&service, &run, node, &query, &at.join("ours.cast")).await;
            let cast = String::from_utf8(cast).expect("text");
            let text = tool("asciinema", at, &["convert", "-f", "txt", "ours.cast", "-"]).await;
            let text = String::from_utf8(text.stdout).expect("text");
            let (lines, text) = (String::from_utf8_lossy(&lines), text.trim_end());
            assert_eq!(text, lines.trim_end(), "{node} v{version}");

            let raw = tool("asciinema", at, &["convert", "-f", "raw", "ours.cast", "-"]).await;
            let raw = String::from_utf8(raw.stdout).expect("text");
            assert!(raw.ends_with(&output_of(&cast)), "{node} v{version}: {raw:?}");
            assert_eq!(shown(raw.as_bytes()), shown(output_of(&cast).as_bytes()));

            for (format, number) in [("asciicast-v3", 3), ("asciicast-v2", 2)] {
                let other =
                    tool("asciinema", at, &["convert", "-f", format, "ours.cast", "-"]).await;
                let other = String::from_utf8(other.stdout).expect("text");
                let header: Value =
                    serde_json::from_str(other.lines().next().expect("a header")).expect("JSON");
                assert_eq!(header["version"], number);
                assert_eq!(output_of(&other), output_of(&cast), "{node} v{version} to {format}");
            }
        }
    }
}

#[tokio::test]
async fn p7_asciinema_plays_our_files() {
    let folder = TempDir::new().expect("a directory");
    let at = folder.path();
    let (service, run) = recorded(at).await;
    for node in ["hard", "piped"] {
        for version in ["3", "2"] {
            let query = format!("version={version}");
            let cast = save(&service, &run, node, &query, &at.join("ours.cast")).await;
            // A terminal for the player, given by a node of its own.
            let file = at.join("ours.cast");
            let script = format!(
                "export HOME='{0}' XDG_CONFIG_HOME='{0}'; exec asciinema -q play -s 100 -i 0.1 '{1}'",
                at.display(),
                file.display()
            );
            let mut player = run_of([pty("player", &script)]);
            player["terminal"] = json!({ "cols": SIZE.cols, "rows": SIZE.rows });
            let played = service.api().submit(&player).await;
            let ended = service.api().wait_ended(&played).await;
            assert_eq!(ended["status"], "COMPLETED", "{node} v{version}: {ended}");
            let path = format!("/runs/{played}/terminal/player/cast?format=raw");
            let bytes = service.api().get(&path).await.expect(200).body;
            let cast = String::from_utf8(cast).expect("text");
            assert_eq!(shown(&bytes), shown(output_of(&cast).as_bytes()), "{node} v{version}");
        }
    }
}

#[tokio::test]
async fn a_recording_of_pipes_draws_no_staircase() {
    let folder = TempDir::new().expect("a directory");
    let at = folder.path();
    let (service, run) = recorded(at).await;
    for query in ["", "version=2", "stream=stdout", "version=2&stream=stdout"] {
        save(&service, &run, "piped", query, &at.join("pipe.cast")).await;
        let raw = tool("asciinema", at, &["convert", "-f", "raw", "pipe.cast", "-"]).await;
        let mut terminal = VirtualTerminal::new(SIZE);
        terminal.feed(&raw.stdout);
        let text = terminal.text();
        assert!(text.lines().all(|line| !line.starts_with(' ')), "{query}: {text}");
        assert!(text.contains("out 1\nout 2\nout 3"), "{query}: {text}");
    }
}

#[tokio::test]
async fn p7_what_zstd_unpacks_from_the_archive_is_a_cast() {
    let folder = TempDir::new().expect("a directory");
    let at = folder.path();
    let (service, run) = recorded(at).await;
    let archived = wait_for("the run is archived", LIMIT, async || {
        let reply = service.api().get(&format!("/runs/{run}/recordings")).await.expect(200).json();
        let rows = reply["recordings"].as_array().expect("recordings").clone();
        let are_final = rows.len() == 5 && rows.iter().all(|row| row["state"] == "complete");
        are_final.then_some(rows)
    })
    .await;
    let objects = objects_of(&service).await;
    for row in archived {
        let (node, stream) = (row["nodeRef"].as_str(), row["stream"].as_str());
        let (node, stream) = (node.expect("a node"), stream.expect("a stream"));
        let object = row["fileUrl"].as_str().expect("an object");
        let key = ObjectKey::stored(object).expect("a key");
        let length = objects.length(&key).await.expect("it is there");
        let packed = objects.read(&key, 0..length).await.expect("the object");
        std::fs::write(at.join("packed.cast.zst"), packed).expect("a file");
        let plain = tool("zstd", at, &["-q", "-d", "-c", "packed.cast.zst"]).await.stdout;
        std::fs::write(at.join("plain.cast"), &plain).expect("a file");
        let query = format!("stream={stream}");
        let ours = save(&service, &run, node, &query, &at.join("ours.cast")).await;
        let plain = String::from_utf8(plain).expect("text");
        let ours = String::from_utf8(ours).expect("text");
        assert_eq!(output_of(&plain), output_of(&ours), "{node} {stream}");
        let text = tool("asciinema", at, &["convert", "-f", "txt", "plain.cast", "-"]).await;
        let lines = save(&service, &run, node, &format!("format=txt&{query}"), &at.join("t")).await;
        let (text, lines) =
            (String::from_utf8_lossy(&text.stdout), String::from_utf8_lossy(&lines));
        assert_eq!(text.trim_end(), lines.trim_end(), "{node} {stream}");
    }
}
