//! The command line against the real service: what it prints, what it answers to wrong usage, how it exits.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::deadline::wait_for;
use crate::support::programs::{pty, run_of};
use crate::support::service::Service;

/// How long a command of these tests may take.
const LIMIT: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcast"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("RUNCAST") || name == "DATABASE_URL") {
            command.env_remove(name);
        }
    }
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

async fn output(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(LIMIT, running).await.expect("the command ends");
    ended.expect("no panic").expect("the command starts")
}

async fn run(arguments: &[&str]) -> Output {
    output(command(arguments)).await
}

/// Against a service.
async fn ask(service: &Service, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command.env("RUNCAST_SERVER", service.url());
    output(command).await
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", stdout(output), stderr(output));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    }
}

#[tokio::test]
async fn wrong_usage_exits_with_two_and_says_what_is_right() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["fly"], "fly"),
        (&["run"], "FILE"),
        (&["run", "a", "--fast"], "--fast"),
        (&["watch"], "RUN"),
        (&["watch", "../etc"], "../etc"),
        (&["watch", "a", "b c"], "b c"),
        (&["show"], "RUN"),
        (&["cancel"], "RUN"),
        (&["rm", "a/b"], "a/b"),
        (&["ls", "--limit", "0"], "1..=1000"),
        (&["ls", "--limit", "x"], "x"),
        (&["ls", "--status", "DONE"], "COMPLETED"),
        (&["serve", "--listen", "here"], "here"),
        (&["serve", "--role", "king"], "king"),
        (&["migrate"], "up"),
        (&["migrate", "sideways"], "sideways"),
        (&["migrate", "down", "--steps", "0"], "0"),
        (&["config"], "check"),
        (&["config", "polish"], "polish"),
        (&["ls", "--server", "ftp://x"], "http"),
        (&["healthcheck", "now"], "now"),
    ];
    for (arguments, said) in cases {
        let output = run(arguments).await;
        assert_code(&output, 2);
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
    }
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["serve", "--help"]] {
        let output = run(arguments).await;
        assert_code(&output, 0);
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_told_plainly() {
    let files = Files::new();
    let file = files.write("run.yaml", "nodes:\n  - ref: a\n    shell: 'true'\n");
    // A port that nobody listens on, because it was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let commands: [&[&str]; 8] = [
        &["ls"],
        &["show", "a"],
        &["cancel", "a"],
        &["rm", "a", "--yes"],
        &["watch", "a"],
        &["run", &file],
        &["run", &file, "--follow"],
        &["healthcheck"],
    ];
    for arguments in commands {
        let output = run(&[arguments, &["--server", &url]].concat()).await;
        assert_code(&output, 1);
        let said = stderr(&output);
        assert!(said.contains(&url) && said.contains("runcast serve"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn files_that_are_no_run_are_refused_with_their_place() {
    let files = Files::new();
    for (text, said) in [
        ("", "line 1"),
        ("name: x\n", "nodes"),
        ("nodes: []\n", "nodes"),
        ("nodes:\n  - ref: a\n    shel: x\n", "shel"),
        ("nodes:\n  - ref: a\n    shell: x\n    dependsOn: [b]\n", "nodes[0].dependsOn"),
        ("nodes:\n  - ref: a b\n    shell: x\n", "a b"),
        ("\tnodes: [", "line 1"),
        ("{\"nodes\": [}", "line 1"),
    ] {
        let file = files.write("run.yaml", text);
        let output = run(&["run", &file]).await;
        assert_code(&output, 1);
        let error = stderr(&output);
        assert!(error.contains(said) && error.contains("run.yaml"), "{text:?}: {error}");
    }
    let output = run(&["run", "/no/such/file"]).await;
    assert_code(&output, 1);
    assert!(stderr(&output).contains("/no/such/file"), "{}", stderr(&output));
}

#[tokio::test]
async fn run_follow_shows_the_bytes_and_exits_as_the_run_does() {
    let service = Service::start().await;
    let files = Files::new();
    let good = files.write("good.yaml", "nodes:\n  - ref: a\n    shell: printf 'one\\ntwo\\n'\n");
    let output = ask(&service, &["run", &good, "--follow"]).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "one\r\ntwo\r\n", "the bytes as they are");

    let bad = files.write("bad.yaml", "nodes:\n  - ref: a\n    shell: echo oh; exit 3\n");
    let output = ask(&service, &["run", &bad, "--follow"]).await;
    assert_code(&output, 1);
    assert!(stdout(&output).contains("oh"));
    assert!(stderr(&output).contains("FAILED"), "{}", stderr(&output));

    let two = files.write(
        "two.yaml",
        "nodes:\n  - {ref: a, shell: echo one}\n  - {ref: b, shell: echo two, dependsOn: [a]}\n",
    );
    let output = ask(&service, &["run", &two, "--follow"]).await;
    assert_code(&output, 0);
    let shown = stdout(&output);
    let has = |node: &str, text: &str| {
        shown.lines().any(|line| line.contains(node) && line.contains(text))
    };
    assert!(has("a", "one") && has("b", "two"), "{shown}");

    let output = ask(&service, &["run", &two, "--follow", "--json"]).await;
    assert_code(&output, 0);
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(lines.len() > 10, "{} events", lines.len());

    let output = ask(&service, &["run", &two, "--json"]).await;
    assert_code(&output, 0);
    let submitted: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let id = submitted["runId"].as_str().expect("a run id").to_owned();
    service.api().wait_ended(&id).await;
    let output = ask(&service, &["watch", &id, "b"]).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "two\r\n");
    let output = ask(&service, &["watch", &id, "--json"]).await;
    assert_code(&output, 0);
    assert!(stdout(&output).lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[tokio::test]
async fn a_run_comes_from_standard_input_too() {
    let service = Service::start().await;
    let url = service.url();
    let piped = tokio::task::spawn_blocking(move || {
        let mut command = command(&["run", "-", "--follow", "--server", &url]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let document = run_of([pty("a", "echo from a pipe")]).to_string();
        let mut input = child.stdin.take().expect("an input");
        input.write_all(document.as_bytes()).expect("it reads");
        drop(input);
        child.wait_with_output().expect("it ends")
    });
    let output = tokio::time::timeout(LIMIT, piped).await.expect("in time").expect("no panic");
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "from a pipe\r\n");
}

#[tokio::test]
async fn runs_are_listed_shown_cancelled_and_purged() {
    let service = Service::start().await;
    let api = service.api();
    let output = ask(&service, &["ls"]).await;
    assert_code(&output, 0);
    let output = ask(&service, &["healthcheck"]).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "ready\n");

    let document = json!({
        "runId": "broken", "name": "a\u{1b}[31mname", "labels": { "team": "sec" },
        "nodes": [{ "ref": "a", "shell": "echo the last words; exit 3" }]
    });
    api.submit(&document).await;
    api.wait_ended("broken").await;
    let going = api.submit(&run_of([pty("a", "sleep 600")])).await;
    api.wait_node_running(&going, "a").await;

    let output = ask(&service, &["ls"]).await;
    assert_code(&output, 0);
    let shown = stdout(&output);
    assert!(shown.contains("broken") && shown.contains(&going), "{shown}");
    assert!(!shown.contains('\u{1b}'), "what a run is called cannot colour a terminal");
    for (arguments, expected) in [
        (&["ls", "--json"][..], 2),
        (&["ls", "--json", "--status", "failed"], 1),
        (&["ls", "--json", "--label", "team:sec"], 1),
        (&["ls", "--json", "--label", "team:dev"], 0),
        (&["ls", "--json", "--limit", "1"], 1),
    ] {
        let output = ask(&service, arguments).await;
        assert_code(&output, 0);
        let page: Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert_eq!(page["runs"].as_array().map(Vec::len), Some(expected), "{arguments:?}");
    }
    let output = ask(&service, &["show", "broken"]).await;
    assert_code(&output, 0);
    let shown = stdout(&output);
    assert!(shown.contains("FAILED") && shown.contains("the last words"), "{shown}");
    let output = ask(&service, &["show", "broken", "--json"]).await;
    let run: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(run["nodes"][0]["exitCode"], 3);

    for (arguments, said) in [
        (&["show", "nobody"][..], "there is no run `nobody`"),
        (&["watch", "nobody"], "there is no run `nobody`"),
        (&["cancel", "nobody"], "there is no run `nobody`"),
        (&["cancel", "broken"], "ended"),
        (&["rm", &going, "--yes"], "not ended"),
        (&["rm", "broken"], "--yes"),
        (&["watch", "broken", "nobody"], "nobody"),
    ] {
        let output = ask(&service, arguments).await;
        assert_code(&output, 1);
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    let output = ask(&service, &["cancel", &going]).await;
    assert_code(&output, 0);
    assert_eq!(api.wait_ended(&going).await["status"], "CANCELLED");
    let output = ask(&service, &["rm", "broken", "--yes"]).await;
    assert_code(&output, 0);
    let output = ask(&service, &["show", "broken"]).await;
    assert_code(&output, 1);
    assert!(stderr(&output).contains("purged"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_whoever_follows_it_with_one() {
    let service = Service::start().await;
    let files = Files::new();
    let file = files.write("long.yaml", "runId: long\nnodes:\n  - {ref: a, shell: sleep 600}\n");
    let url = service.url();
    let following =
        tokio::spawn(async move { run(&["run", &file, "--follow", "--server", &url]).await });
    wait_for("the run is there", LIMIT, async || {
        (service.api().get("/runs/long").await.status == 200).then_some(())
    })
    .await;
    service.api().wait_node_running("long", "a").await;
    service.api().cancel("long").await;
    let output = following.await.expect("no panic");
    assert_code(&output, 1);
    assert!(stderr(&output).contains("CANCELLED"), "{}", stderr(&output));
}

#[tokio::test]
async fn the_schema_goes_up_and_down() {
    let files = Files::new();
    let data = files.0.path().join("data");
    let data = data.to_str().expect("text");
    let count = |output: &Output, word: &str| {
        stdout(output).lines().filter(|line| line.starts_with(word)).count()
    };
    let output = run(&["migrate", "status", "--data-dir", data]).await;
    assert_code(&output, 0);
    let steps = count(&output, "pending");
    assert!(steps > 0, "{}", stdout(&output));
    let output = run(&["migrate", "up", "--data-dir", data]).await;
    assert_code(&output, 0);
    assert_eq!(count(&output, "applied"), steps);
    let output = run(&["migrate", "down", "--steps", "2", "--data-dir", data]).await;
    assert_code(&output, 0);
    assert_eq!(count(&output, "pending"), 2);
    let all = steps.to_string();
    let output = run(&["migrate", "down", "--steps", &all, "--data-dir", data]).await;
    assert_code(&output, 0);
    assert_eq!(count(&output, "pending"), steps);
    let output = run(&["migrate", "up", "--data-dir", data]).await;
    assert_code(&output, 0);
    assert_eq!(count(&output, "applied"), steps);
}

#[tokio::test]
async fn the_configuration_is_checked_and_printed_without_secrets() {
    let files = Files::new();
    let key = "a-signing-key-that-nobody-should-see";
    let text = format!("[auth]\nsigning_key = \"{key}\"\n[log]\nsync_ms = 77\n");
    let file = files.write("config.toml", &text);
    let output = run(&["config", "check", "--config", &file]).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "ok\n");
    let mut print = command(&["config", "print", "--config", &file]);
    print.env("RUNCAST__TERMINAL__COLS", "99");
    let output = crate::command_line::output(print).await;
    assert_code(&output, 0);
    let printed = stdout(&output);
    assert!(printed.contains("sync_ms = 77") && printed.contains("cols = 99"), "{printed}");
    assert!(printed.contains("***") && !printed.contains(key), "{printed}");

    for (text, said) in [
        ("[server]\nlisten = \"0.0.0.0:1\"", "server.listen"),
        ("[log]\nsync_ms = 0\n[terminal]\ncols = 0", "terminal.cols"),
        ("[colour]\nx = 1", "colour"),
        ("no TOML", "config.toml"),
    ] {
        let file = files.write("config.toml", text);
        let output = run(&["config", "check", "--config", &file]).await;
        assert_code(&output, 1);
        assert!(stderr(&output).contains(said), "{text}: {}", stderr(&output));
    }
    let mut check = command(&["config", "check"]);
    check.env("RUNCAST__LOG__SYNC_MS", "never").current_dir(files.0.path());
    let output = crate::command_line::output(check).await;
    assert_code(&output, 1);
    assert!(stderr(&output).contains("log.sync_ms"), "{}", stderr(&output));
    let output = run(&["config", "check", "--config", "/no/such/file"]).await;
    assert_code(&output, 1);
    assert!(stderr(&output).contains("/no/such/file"), "{}", stderr(&output));
}
