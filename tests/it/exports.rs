//! Recordings as downloads, and the commands that use them: `cast`, `replay` and `verify`.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use reqwest::header::HeaderMap;
use runcast_actors::entry::TerminalSize;
use runcast_actors::screen::VirtualTerminal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::Api;
use crate::support::deadline::wait_for;
use crate::support::programs::{after, cat_raw, log_lines, perl, pipe, pty, run_of, wait_for_file};
use crate::support::service::{Keeping, Service, hot_and_cold};

hot_and_cold!(
    a_download_has_the_exact_bytes_the_lines_or_a_cast,
    verify_compares_every_stream_of_a_run,
);

/// How long a command of these tests may take.
const LIMIT: Duration = Duration::from_secs(120);

struct Download {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Download {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

async fn download(service: &Service, run: &str, node: &str, query: &str) -> Download {
    let path = format!("/runs/{run}/terminal/{node}/cast?{query}");
    let reply = service.api().get(&path).await;
    Download { status: reply.status, headers: reply.headers, body: reply.body }
}

async fn text(service: &Service, run: &str, node: &str, query: &str) -> String {
    let answer = download(service, run, node, query).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    String::from_utf8(answer.body).expect("text")
}

async fn runcast(service: &Service, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcast"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("RUNCAST_SERVER", service.url()).env("NO_COLOR", "1").env_remove("RUNCAST_TOKEN");
    let running = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(LIMIT, running).await.expect("the command ends");
    ended.expect("no panic").expect("the command starts")
}

#[track_caller]
fn succeeded(output: &Output) -> &[u8] {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    &output.stdout
}

/// The run of these tests: colours under a terminal, bytes of every kind, two pipes, and a node that is
/// skipped.
async fn ended_run(api: &Api, bytes: &Path) -> String {
    let nodes = [
        pty("colours", "printf '\\033[31mred\\033[0m\\n50%%\\r100%%\\nno end'"),
        pty("bytes", &cat_raw(bytes)),
        after(pipe("piped", "echo one; echo two >&2; sleep 0.3; echo three; exit 1"), &["colours"]),
        after(pty("skipped", "true"), &["piped"]),
    ];
    let run = api.submit(&run_of(nodes)).await;
    api.wait_ended(&run).await;
    run
}

/// Bytes that are no text, among text.
fn odd_bytes() -> Vec<u8> {
    let mut bytes = log_lines(300_000, 7);
    bytes.extend((0..=255).cycle().take(4096));
    bytes.extend_from_slice("größe ✓ \u{1f980}".as_bytes());
    bytes
}

async fn a_download_has_the_exact_bytes_the_lines_or_a_cast(keeping: Keeping) {
    let folder = TempDir::new().expect("a directory");
    let bytes_file = folder.path().join("bytes");
    let bytes = odd_bytes();
    std::fs::write(&bytes_file, &bytes).expect("a file");
    let service = Service::keeping(keeping).await;
    let run = ended_run(&service.api(), &bytes_file).await;
    service.wait_log_empty().await;

    let raw = download(&service, &run, "bytes", "format=raw").await;
    assert_eq!((raw.status, raw.body == bytes), (200, true), "{} bytes", raw.body.len());
    let name = format!("attachment; filename=\"{run}-bytes.raw\"");
    assert_eq!(raw.header("content-disposition"), name);
    let red = text(&service, &run, "colours", "format=raw").await;
    assert_eq!(red, "\u{1b}[31mred\u{1b}[0m\r\n50%\r100%\r\nno end");
    assert_eq!(text(&service, &run, "colours", "format=txt").await, "red\n100%\nno end\n");

    // Of two pipes both, in the order in which they were read.
    assert_eq!(text(&service, &run, "piped", "format=txt&stream=stdout").await, "one\nthree\n");
    assert_eq!(text(&service, &run, "piped", "format=raw&stream=stderr").await, "two\n");
    let both = text(&service, &run, "piped", "format=txt").await;
    let mut lines: Vec<&str> = both.lines().collect();
    assert_eq!(lines.pop(), Some("three"), "{both}");
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);

    for (node, query) in
        [("colours", ""), ("piped", ""), ("piped", "stream=stdout"), ("bytes", "version=2")]
    {
        let cast = text(&service, &run, node, query).await;
        let mut lines = cast.lines();
        let header: Value = serde_json::from_str(lines.next().expect("a header")).expect("JSON");
        let is_v2 = query == "version=2";
        assert_eq!(header["version"], if is_v2 { 2 } else { 3 }, "{node} {query}");
        assert_eq!(header[if is_v2 { "/width" } else { "/term/cols" }], Value::Null);
        let events: Vec<(f64, String, String)> = lines
            .filter(|line| !line.starts_with('#'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect();
        assert!(events.iter().any(|(_, code, _)| code == "o"), "{node} {query}");
        assert_eq!(events.last().is_some_and(|(_, code, _)| code == "x"), !is_v2, "{node} {query}");
    }
    let merged = text(&service, &run, "piped", "").await;
    assert!(merged.contains(r"\u001b[31mtwo\r\n\u001b[39m"), "stderr is red: {merged}");
    assert!(!merged.contains(r#"e\n""#), "no staircase: {merged}");

    // A node that never started has an empty recording.
    let skipped = text(&service, &run, "skipped", "").await;
    assert_eq!(skipped.lines().count(), 1, "{skipped}");
    assert!(skipped.starts_with("{\"version\":3"), "{skipped}");
    assert_eq!(text(&service, &run, "skipped", "format=txt").await, "");
    assert_eq!(text(&service, &run, "skipped", "format=raw&follow=true").await, "");
}

#[tokio::test]
async fn a_followed_download_goes_on_until_the_node_has_ended() {
    let folder = TempDir::new().expect("a directory");
    let (go, piped_go) = (folder.path().join("go"), folder.path().join("piped"));
    let service = Service::start().await;
    let api = service.api();
    let run = api
        .submit(&run_of([
            pty("a", &format!("echo before; {}; echo after", wait_for_file(&go))),
            after(pipe("b", "echo out; echo err >&2"), &["a"]),
            pty("busy", &format!("{}; true", wait_for_file(&piped_go))),
        ]))
        .await;
    api.wait_node_running(&run, "a").await;

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = |node: &str| {
        format!("{}/api/v1/runs/{run}/terminal/{node}/cast?format=txt&follow=true", service.url())
    };
    let mut followed = client.get(url("a")).send().await.expect("an answer");
    assert_eq!(followed.headers()["x-runcast-state"], "live");
    let mut first = Vec::new();
    while !first.ends_with(b"before\n") {
        let piece = followed.chunk().await.expect("a piece").expect("it goes on");
        first.extend_from_slice(&piece);
    }
    // This one begins before its node does.
    let waiting = tokio::spawn(client.get(url("b")).send());
    let so_far = text(&service, &run, "a", "format=txt").await;
    assert_eq!(so_far, "before\n", "without follow it ends at once");
    std::fs::write(&go, "").expect("a file");
    let rest = followed.bytes().await.expect("the rest");
    assert_eq!(rest.as_ref(), b"after\n");
    let waiting = waiting.await.expect("no panic").expect("an answer");
    let mut both: Vec<String> =
        waiting.text().await.expect("lines").lines().map(str::to_owned).collect();
    both.sort_unstable();
    assert_eq!(both, ["err", "out"], "it ends although the run goes on");
    std::fs::write(&piped_go, "").expect("a file");
    api.wait_ended(&run).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_or_leaves_costs_no_memory() {
    let service = Service::start().await;
    let api = service.api();
    let script = "my $line = 'x' x 99 . \"\\n\"; print $line for 1..1_000_000";
    let run = api.submit(&run_of([perl("big", script)])).await;
    api.wait_ended(&run).await;
    let before = service.rss_bytes();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut idle = Vec::new();
    for format in ["raw", "cast", "txt", "raw", "cast", "txt"] {
        let url = format!("{}/api/v1/runs/{run}/terminal/big/cast?format={format}", service.url());
        let mut response = client.get(url).send().await.expect("an answer");
        response.chunk().await.expect("a piece").expect("it has begun");
        idle.push(response);
    }
    let whole = download(&service, &run, "big", "format=raw").await;
    assert_eq!(whole.body.len(), 101_000_000);
    let grown = service.rss_bytes().saturating_sub(before);
    // Six that wait, and one that has read all.
    assert!(grown < 100 * 1024 * 1024, "{grown} bytes more");
    drop(idle);
    assert_eq!(service.api().try_get("/readyz").await.expect("an answer").status, 200);
}

#[tokio::test]
async fn cast_saves_what_the_service_has() {
    let folder = TempDir::new().expect("a directory");
    let bytes_file = folder.path().join("bytes");
    let bytes = odd_bytes();
    std::fs::write(&bytes_file, &bytes).expect("a file");
    let service = Service::start().await;
    let run = ended_run(&service.api(), &bytes_file).await;
    let at = folder.path();

    let output = runcast(&service, at, &["cast", &run, "bytes", "--format", "raw"]).await;
    assert!(succeeded(&output) == bytes, "piped");
    for (file, query) in [("a.raw", "format=raw"), ("a.txt", "format=txt"), ("a.cast", "version=3")]
    {
        succeeded(&runcast(&service, at, &["cast", &run, "bytes", "-o", file]).await);
        let expected = download(&service, &run, "bytes", query).await.body;
        assert!(std::fs::read(at.join(file)).expect("a file") == expected, "{file}");
    }
    let arguments = ["cast", &run, "piped", "-o", "b.cast", "--version", "2", "--stream", "stdout"];
    succeeded(&runcast(&service, at, &arguments).await);
    let v2 = std::fs::read_to_string(at.join("b.cast")).expect("a file");
    assert!(v2.starts_with("{\"version\":2") && !v2.contains("\"two"), "{v2}");

    let output = runcast(&service, at, &["cast", &run, "none", "-o", "c.cast"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(!at.join("c.cast").exists());
    let parts = std::fs::read_dir(at).expect("a directory");
    let parts = parts.map(|entry| entry.expect("an entry").file_name());
    assert_eq!(parts.filter(|name| name.to_string_lossy().ends_with(".part")).count(), 0);
}

#[tokio::test]
async fn a_node_that_is_silent_for_long_is_followed_to_its_end() {
    let folder = TempDir::new().expect("a directory");
    let service = Service::start().await;
    let api = service.api();
    // Longer than a stream of events may be silent.
    let run = api.submit(&run_of([pty("a", "echo before; sleep 80; echo after")])).await;
    api.wait_node_running(&run, "a").await;
    let arguments = ["cast", &run, "a", "--follow", "--format", "raw"];
    let output = runcast(&service, folder.path(), &arguments).await;
    assert_eq!(succeeded(&output), b"before\r\nafter\r\n");
}

#[tokio::test]
async fn a_download_that_is_cut_leaves_no_file() {
    let folder = TempDir::new().expect("a directory");
    let mut service = Service::start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", "echo begun; exec sleep 60")])).await;
    api.wait_node_running(&run, "a").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcast"));
    command.args(["cast", &run, "a", "-o", "a.txt", "--follow"]).current_dir(folder.path());
    command.env("RUNCAST_SERVER", service.url()).stderr(Stdio::piped()).stdin(Stdio::null());
    let child = command.spawn().expect("the command starts");
    let is_there = |ending: &str| {
        let entries = std::fs::read_dir(folder.path()).expect("a directory");
        entries
            .into_iter()
            .any(|entry| entry.expect("an entry").file_name().to_string_lossy().ends_with(ending))
    };
    wait_for("the download has begun", LIMIT, async || is_there(".part").then_some(())).await;
    service.kill9_front();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let ended = ended.await.expect("no panic").expect("it ends");
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(!is_there("a.txt") && !is_there(".part"), "nothing is left");
}

#[tokio::test]
async fn replay_writes_the_bytes_and_keeps_the_time_if_it_is_asked() {
    let folder = TempDir::new().expect("a directory");
    let bytes_file = folder.path().join("bytes");
    let bytes = odd_bytes();
    std::fs::write(&bytes_file, &bytes).expect("a file");
    let service = Service::start().await;
    let run = ended_run(&service.api(), &bytes_file).await;
    let at = folder.path();
    let output = runcast(&service, at, &["replay", &run, "bytes"]).await;
    assert!(succeeded(&output) == bytes, "exact bytes where there is no terminal");
    let output = runcast(&service, at, &["replay", &run, "piped", "--stream", "stdout"]).await;
    assert_eq!(succeeded(&output), b"one\nthree\n");

    for (file, version) in [("3.cast", "3"), ("2.cast", "2")] {
        let arguments = ["cast", &run, "piped", "-o", file, "--version", version];
        succeeded(&runcast(&service, at, &arguments).await);
        let output = runcast(&service, at, &["replay", file]).await;
        let shown = String::from_utf8_lossy(succeeded(&output)).into_owned();
        assert!(shown.contains("one\r\n") && shown.ends_with("three\r\n"), "{shown:?}");
    }
    let packed = zstd_of(&std::fs::read(at.join("3.cast")).expect("a file"));
    std::fs::write(at.join("3.cast.zst"), packed).expect("a file");
    let plain = runcast(&service, at, &["replay", "3.cast"]).await;
    let unpacked = runcast(&service, at, &["replay", "3.cast.zst"]).await;
    assert_eq!(succeeded(&plain), succeeded(&unpacked));

    // The node waited 300 ms before its last line.
    for (speed, least, most) in [("1", 0.29, 30.0), ("0.5", 0.58, 30.0), ("100", 0.0, 30.0)] {
        let began = std::time::Instant::now();
        let output = runcast(&service, at, &["replay", "3.cast", "--speed", speed]).await;
        let took = began.elapsed().as_secs_f64();
        assert_eq!(succeeded(&output), succeeded(&plain));
        assert!((least..most).contains(&took), "speed {speed}: {took} s");
    }
    let output = runcast(&service, at, &["replay", "2.cast", "--from", "0.2"]).await;
    let shown = String::from_utf8_lossy(succeeded(&output)).into_owned();
    assert!(shown.ends_with("three\r\n") && shown.contains("one"), "{shown:?}");
    let output = runcast(&service, at, &["replay", "no.cast"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no.cast"));
}

#[tokio::test]
async fn replay_begins_with_the_screen_of_a_moment() {
    let service = Service::start().await;
    let at = TempDir::new().expect("a directory");
    let script = "printf '\\033[2J\\033[3;5Hbegin'; sleep 0.6; printf ' and end'";
    let run = service.api().submit(&run_of([pty("a", script)])).await;
    service.api().wait_ended(&run).await;
    for (from, shown_first) in [("0.3", "begin"), ("1h", "begin and end")] {
        let output = runcast(&service, at.path(), &["replay", &run, "--from", from]).await;
        let bytes = succeeded(&output);
        let size = TerminalSize { cols: 120, rows: 30 };
        let mut terminal = VirtualTerminal::new(size);
        terminal.feed(bytes);
        assert_eq!(terminal.text(), "\n\n    begin and end", "from {from}");
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains(shown_first), "{text:?}");
        assert_eq!(text.ends_with(" and end"), from == "0.3", "{text:?}");
    }
}

#[tokio::test]
async fn replay_gives_the_terminal_back_as_it_was() {
    let folder = TempDir::new().expect("a directory");
    let at = folder.path();
    let wild = "{\"version\":2,\"width\":80,\"height\":24}\n\
        [0.01,\"o\",\"\\u001b[?1049h\\u001b[?1003h\\u001b[?25l\\u001b[31mred\\u001b[c\"]\n\
        [LAST,\"o\",\"end\"]\n";
    std::fs::write(at.join("short.cast"), wild.replace("LAST", "0.02")).expect("a file");
    std::fs::write(at.join("long.cast"), wild.replace("LAST", "60.0")).expect("a file");
    let script = format!(
        "cd '{}'; runcast={}; stty -a > before; $runcast replay short.cast; echo $? > short; \
         stty -a > between; timeout --foreground -s INT 1 $runcast replay long.cast; stty -a > after; true",
        at.display(),
        env!("CARGO_BIN_EXE_runcast"),
    );
    let service = Service::start().await;
    let run = service.api().submit(&run_of([pty("viewer", &script)])).await;
    service.api().wait_ended(&run).await;
    let read = |name: &str| std::fs::read_to_string(at.join(name)).expect("a file");
    assert_eq!(read("short"), "0\n");
    assert_eq!(read("before"), read("between"), "after the end");
    assert_eq!(read("before"), read("after"), "after an interrupt");
    let shown = text(&service, &run, "viewer", "format=raw").await;
    for mode in ["[?1047l", "[?1003l", "[?25h", "[0m"] {
        assert_eq!(shown.matches(mode).count(), 2, "{mode}: {shown:?}");
    }
}

async fn verify_compares_every_stream_of_a_run(keeping: Keeping) {
    let folder = TempDir::new().expect("a directory");
    let bytes_file = folder.path().join("bytes");
    std::fs::write(&bytes_file, odd_bytes()).expect("a file");
    let service = Service::keeping(keeping).await;
    let run = ended_run(&service.api(), &bytes_file).await;
    let output = runcast(&service, folder.path(), &["verify", &run]).await;
    let told = String::from_utf8_lossy(succeeded(&output)).into_owned();
    assert_eq!(told.lines().filter(|line| line.starts_with('✓')).count(), 4, "{told}");
    let complete = download(&service, &run, "bytes", "format=raw").await;
    assert_eq!(complete.header("x-runcast-state"), "complete");
    assert_eq!(complete.header("content-length"), complete.body.len().to_string());
    let output = runcast(&service, folder.path(), &["verify", &run, "piped", "--json"]).await;
    let lines = String::from_utf8_lossy(succeeded(&output)).into_owned();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test]
async fn verify_checks_files_alone() {
    let folder = TempDir::new().expect("a directory");
    let bytes_file = folder.path().join("bytes");
    std::fs::write(&bytes_file, odd_bytes()).expect("a file");
    let service = Service::start().await;
    let run = ended_run(&service.api(), &bytes_file).await;
    let at = folder.path();
    let check = async |file: &str, code: i32, said: &str| {
        let output = runcast(&service, at, &["verify", file]).await;
        let told = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{file}: {told}");
        assert!(told.contains(said), "{file}: {told}");
    };
    succeeded(&runcast(&service, at, &["cast", &run, "bytes", "-o", "a.cast"]).await);
    check("a.cast", 0, "✓ a.cast").await;
    let cast = std::fs::read_to_string(at.join("a.cast")).expect("a file");
    std::fs::write(at.join("a.cast.zst"), zstd_of(cast.as_bytes())).expect("a file");
    check("a.cast.zst", 0, "complete").await;

    let lines: Vec<&str> = cast.lines().collect();
    let without_end = lines[..lines.len() - 4].join("\n");
    std::fs::write(at.join("cut.cast"), without_end).expect("a file");
    check("cut.cast", 1, "✗ cut.cast").await;
    assert!(cast.contains("INFO"), "log lines");
    std::fs::write(at.join("other.cast"), cast.replacen("INFO", "WARN", 1)).expect("a file");
    check("other.cast", 1, "✗ other.cast").await;
    let arguments = ["cast", &run, "bytes", "-o", "v2.cast", "--version", "2"];
    succeeded(&runcast(&service, at, &arguments).await);
    check("v2.cast", 1, "only the asciicast v3 of one stream").await;
    std::fs::write(at.join("no.cast"), "hello\n").expect("a file");
    check("no.cast", 1, "line 1").await;

    let output = runcast(&service, at, &["verify", "a.cast", "--json"]).await;
    let told: Value = serde_json::from_slice(succeeded(&output)).expect("one line");
    assert_eq!(
        (told["state"].as_str(), told["problems"].as_array().map(Vec::len)),
        (Some("complete"), Some(0))
    );
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("zstd")
        .args(["-q", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("zstd starts");
    let mut input = child.stdin.take().expect("an input");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("zstd ends");
    writer.join().expect("no panic").expect("it reads");
    output.stdout
}
