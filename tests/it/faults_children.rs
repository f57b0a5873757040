//! Programs that misbehave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::is_soak;
use crate::support::api::node_of;
use crate::support::archive::directory;
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::processes::{MARK, marked, wait_gone};
use crate::support::programs::{perl, pty, run_of};
use crate::support::service::Service;

const MIB: u64 = 1024 * 1024;

fn short_grace() -> &'static str {
    "[runners.local]\nkill_grace_secs = 1\nmax_parallel = 400"
}

#[tokio::test]
async fn a_child_that_ignores_hup_and_term_is_killed_after_the_grace() {
    let service = Service::builder().config(short_grace()).start().await;
    let api = service.api();
    let node =
        perl("a", "$SIG{$_}='IGNORE' for qw(HUP TERM INT); $|=1; print 'up'; sleep 1 while 1");
    let run = api.submit(&run_of([node])).await;
    let mut viewer = api.stream(&run).open().await;
    while !viewer.find("terminal").await.data.contains(r#""kind":"output""#) {}
    let asked = Instant::now();
    api.cancel(&run).await;
    let view = api.wait_ended(&run).await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "it had its grace");
    assert_eq!(view["status"], "CANCELLED");
    assert_eq!(node_of(&view, "a")["signal"], 9, "{view}");
}

#[tokio::test]
async fn a_daemon_that_keeps_the_terminal_neither_holds_the_run_nor_outlives_it() {
    let service = Service::builder().config(short_grace()).start().await;
    let mark = format!("daemon-{}", std::process::id());
    let script = "perl -e '$SIG{HUP}=$SIG{TERM}=\"IGNORE\"; fork and exit; $|=1; \
                  print \"from the daemon\\n\"; sleep 600'; echo from the child";
    let mut node = pty("a", script);
    node["env"] = json!({ MARK: mark });
    let run = service.api().submit(&run_of([node])).await;
    let view = service.api().wait_ended(&run).await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&run).open().await).await;
    seen.assert_complete();
    let text = String::from_utf8_lossy(&seen.stream("a", "pty").output).into_owned();
    assert!(text.contains("from the child") && text.contains("from the daemon"), "{text:?}");
    wait_gone(&mark, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_has_no_stream() {
    let service = Service::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "text").expect("a file");
    let no_interpreter = directory.path().join("script");
    std::fs::write(&no_interpreter, "#!/no/such/interpreter\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&no_interpreter, mode).expect("it is executable");
    let cases = [
        (json!({"ref": "a", "command": ["no-such-program-anywhere"]}), "no such program in PATH"),
        (json!({"ref": "a", "command": ["/no/such/file"]}), "no such file"),
        (json!({"ref": "a", "command": [plain]}), "not executable"),
        (json!({"ref": "a", "command": [directory.path()]}), "is a directory"),
        (json!({"ref": "a", "command": [no_interpreter]}), "interpreter"),
        (json!({"ref": "a", "command": ["true"], "cwd": "/no/such/place"}), "/no/such/place"),
        (json!({"ref": "a", "command": ["true"], "cwd": plain}), "plain"),
    ];
    for (node, expected) in cases {
        let run = service.api().submit(&run_of([node.clone()])).await;
        let view = service.api().wait_ended(&run).await;
        assert_eq!(view["status"], "FAILED", "{view}");
        let failure = &node_of(&view, "a")["failure"];
        assert_eq!(failure["kind"], "SPAWN", "{node}: {failure}");
        let message = failure["message"].as_str().expect("a message");
        assert!(message.contains(expected), "{node}: {message}");
        let mut seen = Collected::new();
        seen.read(&mut service.api().stream(&run).open().await).await;
        seen.assert_complete();
        assert!(seen.streams.is_empty(), "it has no stream");
    }
}

#[tokio::test]
async fn three_hundred_nodes_at_once_and_nodes_that_end_at_once() {
    let service = Service::builder().config(short_grace()).start().await;
    let busy =
        (0..300).map(|number| pty(&format!("n{number}"), &format!("echo {number}; sleep 1")));
    let busy = service.api().submit(&run_of(busy)).await;
    let brief = (0..300).map(|number| json!({"ref": format!("n{number}"), "command": ["true"]}));
    let brief = service.api().submit(&run_of(brief)).await;
    for run in [&busy, &brief] {
        let view = service.api().wait_ended(run).await;
        assert_eq!(view["status"], "COMPLETED", "{}", view["failure"]);
        assert_eq!(view["progress"]["completed"], 300);
        let mut seen = Collected::new();
        seen.read(&mut service.api().stream(run).open().await).await;
        seen.assert_complete();
        assert_eq!(seen.streams.len(), 300);
    }
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&busy).open().await).await;
    for number in 0..300 {
        let output = &seen.stream(&format!("n{number}"), "pty").output;
        assert_eq!(*output, format!("{number}\r\n").into_bytes());
    }
}

#[tokio::test]
async fn p3_output_for_nobody_goes_to_the_log_and_not_into_memory() {
    let megabytes: u64 = if is_soak() { 1024 } else { 200 };
    let service = Service::start().await;
    let before = service.rss_bytes();
    let script = format!(
        "stty raw; exec perl -e 'my $x = 1; for (1..{megabytes}*16) {{ \
         my $block = \"\"; $block .= pack(\"N\", $x = ($x * 1103515245 + 12345) & 0xffffffff) x 64 \
         for 1..256; print $block }}'"
    );
    let run = service.api().submit(&run_of([pty("a", &script)])).await;
    let highest = std::cell::Cell::new(0);
    let view = service
        .api()
        .wait_run(&run, "it ends", Duration::from_secs(900), |view| {
            highest.set(highest.get().max(service.rss_bytes()));
            view["status"] != "RUNNING" && view["status"] != "QUEUED"
        })
        .await;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    let mut viewer = service.api().stream(&run).query("types", "status").open().await;
    let done = viewer.find("done").await.json();
    assert_eq!(done["streams"][0]["bytes"], megabytes * MIB);
    let grown = highest.get().saturating_sub(before) / MIB;
    eprintln!("{megabytes} MiB of output, {grown} MiB of memory");
    assert!(grown < 160, "memory has grown by {grown} MiB for {megabytes} MiB of output");
}

#[tokio::test]
async fn a_run_at_its_limit_pauses_and_can_be_cancelled() {
    let config = "[log]\nmax_bytes_per_run = 1048576\n[archive]\nsegment_bytes = 262144\n\
         [runners.local]\nkill_grace_secs = 1";
    let service = Service::builder().config(config).start().await;
    // Without the archive nothing leaves the log.
    let (archive, aside) = (directory(&service), service.data_dir().join("aside"));
    std::fs::rename(&archive, &aside).expect("it is moved");
    let mark = format!("full-{}", std::process::id());
    let mut node = pty("a", "exec yes a line that is never the last one");
    node["env"] = json!({ MARK: mark });
    let api = service.api();
    let run = api.submit(&run_of([node])).await;
    let mut viewer = api.stream(&run).query("types", "trace").open().await;
    let paused = loop {
        let trace: Value = viewer.find("trace").await.json();
        if trace["type"] == "CAPTURE_PAUSED" {
            break trace;
        }
    };
    assert_eq!(paused["data"]["reason"], "logFull", "{paused}");
    assert_eq!(marked(&mark).len(), 1, "the child waits");
    api.cancel(&run).await;
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "CANCELLED");
    let mut seen = Collected::new();
    seen.read(&mut api.stream(&run).open().await).await;
    seen.assert_complete();
    let stream = seen.stream("a", "pty");
    assert!(stream.bytes < 3 * MIB, "{} bytes", stream.bytes);
    assert_eq!(stream.exit.as_ref().expect("an exit")["truncated"], true);
    wait_gone(&mark, Duration::from_secs(5)).await;
    std::fs::rename(&aside, &archive).expect("it is moved back");
    wait_for("its recording is final", Duration::from_secs(30), async || {
        let view = api.run(&run).await;
        (view["recordings"]["complete"] == 1).then_some(())
    })
    .await;
}
