//! What operators ask of an instance.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::deadline::wait_for;
use crate::support::service::Service;
use crate::support::socket::Socket;
use crate::terminals::{PROFILE, at_prompt, id_of, wanted};

/// The least that is allowed: less than a service in a test takes.
const TINY: &str = "[memory]\nsoft_limit_bytes = 16777216\nhard_limit_bytes = 16777217";

fn resident(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

async fn memory(api: &Api, query: &str) -> Value {
    api.get(&format!("/admin/memory{query}")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_is_what_the_system_says_and_its_parts_make_the_whole() {
    let config = "[memory]\ncheck_interval_secs = 1";
    let service = Service::builder().config(PROFILE).config(config).embedded().start().await;
    let api = service.api();
    let before = memory(&api, "").await;
    let (session, mut socket) = at_prompt(&api, "one").await;
    // A known number of bytes in one component: a full ring, with a client beside it.
    socket
        .type_in(
            "stty -echo; clear; head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo fi''lled\r",
        )
        .await;
    socket.shows("filled").await;
    let now = memory(&api, "").await;
    let (told, seen) = (now["rss"].as_u64().expect("a number"), resident(&service));
    assert!(told.abs_diff(seen) < seen / 10, "{told} {seen}");
    let components = now["components"].as_object().expect("components");
    let sum: u64 = components.values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, told, "{now}");
    let of = |sample: &Value, name: &str| sample["components"][name].as_u64().expect("a number");
    let grown = of(&now, "sessions") - of(&before, "sessions");
    assert!((1024 * 1024..3 * 1024 * 1024).contains(&grown), "{grown}");
    assert!(of(&now, "clients") > of(&before, "clients"));
    assert_eq!(now["sessionCount"], 1);
    wait_for("a look is remembered", RUN_LIMIT, async || {
        let samples = memory(&api, "?history=1h").await["samples"].clone();
        (samples.as_array().is_some_and(|samples| samples.len() > 2)).then_some(())
    })
    .await;
    api.get("/admin/memory?history=2d").await.expect(400);

    let sessions = api.get("/admin/sessions").await.expect(200).json();
    assert_eq!((&sessions["active"], &sessions["total"]), (&json!(1), &json!(1)), "{sessions}");
    let row = &sessions["sessions"][0];
    assert_eq!((&row["id"], &row["attached"]), (&session["id"], &json!(1)));
    assert!(row["bytesOut"].as_u64() > Some(3_000_000) && row["bytesIn"].as_u64() > Some(10));
    let page = api.get("/admin/sessions?limit=1").await.expect(200).json();
    assert_eq!(page["nextCursor"], Value::Null);
    let after = api.get(&format!("/admin/sessions?cursor={}", id_of(&session))).await.expect(200);
    assert_eq!(after.json()["sessions"], json!([]));
    let instances = api.get("/admin/instances").await.expect(200).json();
    assert_eq!(instances["instances"][0]["id"], instances["instance"], "{instances}");

    // A clean-up lets go what can be had again, and harms nobody.
    let cleanup = api.post("/admin/cleanup", &json!({})).await.expect(200).json();
    assert_eq!(cleanup["terminated"], json!([]), "{cleanup}");
    let after = memory(&api, "").await;
    assert!(of(&after, "sessions") < of(&now, "sessions"), "{after}");
    assert_eq!(after["lastCleanup"]["at"], cleanup["at"]);
    socket.type_in("echo still he''re\r").await;
    socket.shows("still here").await;
    let mut late = Socket::open(&api, id_of(&session), "").await.expect("attached");
    late.shows("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_hard_limit_new_sessions_are_refused_and_runs_go_on() {
    let service = Service::builder().config(PROFILE).config(TINY).embedded().start().await;
    let api = service.api();
    let refused = api.post("/terminals", &wanted("one")).await.expect(429);
    assert!(refused.headers.contains_key("retry-after"));
    let error = refused.json()["error"].clone();
    assert_eq!(error["code"], "LIMIT_EXCEEDED");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("no memory")), "{error}");
    let report = memory(&api, "").await;
    assert!(report["lastCleanup"].is_object(), "{report}");
    assert_eq!(report["limits"]["hard"], 16_777_217);
    let run = json!({ "nodes": [{ "ref": "a", "shell": "echo fine" }] });
    let run = api.submit(&run).await;
    assert_eq!(api.wait_ended(&run).await["status"], "COMPLETED");
    let log = service.log();
    for line in ["memory was cleaned up", "a component has shrunk", "new sessions are refused"] {
        assert!(log.contains(line), "{line}");
    }
}

fn row<'a>(rows: &'a Value, member: &str, wanted: &str) -> &'a Value {
    let rows = rows.as_array().expect("rows");
    rows.iter().find(|row| row[member] == wanted).unwrap_or_else(|| panic!("{wanted}: {rows:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_and_viewers_show_what_they_do_and_what_waits_for_them() {
    let service = Service::builder().embedded().start().await;
    let api = service.api();
    // More than the window, the sockets and the connection of a viewer hold that does not read.
    let flood = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo done; sleep 600";
    let run = api.submit(&json!({ "nodes": [{ "ref": "a", "shell": flood }] })).await;
    let mut reader = api.stream(&run).open().await;
    let idle = api.stream(&run).open().await;
    assert!(reader.next().await.is_some());

    let stalled = wait_for("one viewer stands still", RUN_LIMIT, async || {
        let streams = api.get("/admin/streams").await.expect(200).json();
        let row = streams["streams"].as_array()?.last()?.clone();
        let is_behind = row["readsHistory"] == true && row["lagBytes"].as_u64() > Some(100_000);
        is_behind.then_some(row)
    })
    .await;
    assert_eq!((&stalled["runId"], &stalled["tenant"]), (&json!(run), &json!("default")));
    assert!(stalled["lagSeq"].as_u64() > Some(0), "{stalled}");
    assert!(stalled["bytesSent"].as_u64() > Some(100), "{stalled}");
    let first = api.get("/admin/streams?limit=1").await.expect(200).json();
    assert_eq!((&first["total"], &first["nextCursor"]), (&json!(2), &json!("1")), "{first}");
    let second = api.get("/admin/streams?limit=1&cursor=1").await.expect(200).json();
    assert_eq!((&second["streams"][0]["id"], &second["nextCursor"]), (&json!(2), &Value::Null));
    drop((reader, idle));
    wait_for("the viewers are gone", RUN_LIMIT, async || {
        let streams = api.get("/admin/streams").await.expect(200).json();
        (streams["total"] == 0 && streams["streams"] == json!([])).then_some(())
    })
    .await;

    let report = wait_for("everything of the run has gone its way", RUN_LIMIT, async || {
        let stats = api.get("/admin/stats").await.expect(200).json();
        let report = api.get("/admin/actors").await.expect(200).json();
        let tree = row(&report["runs"], "runId", &run);
        let state = |kind: &str| row(&tree["actors"], "kind", kind)["state"].clone();
        let acknowledged = state("LogWriter")["acknowledgedThrough"].clone();
        let is_followed = state("Archivist")["archivedThrough"] == acknowledged
            && state("Recorder")["recordedThrough"] == acknowledged
            && stats["streams"]["archiveBacklogBytes"] == 0;
        let is_written = state("Node")["outputBytes"].as_u64() > Some(30_000_000);
        (is_written && is_followed).then_some(report)
    })
    .await;
    let kinds = &report["kinds"];
    assert_eq!(row(kinds, "kind", "Node")["instances"], 1);
    assert_eq!(row(kinds, "kind", "LogWriter")["restarts"], 0);
    assert!(row(kinds, "kind", "RunManager")["messages"].as_u64() > Some(0));
    let tree = row(&report["runs"], "runId", &run);
    let state = |kind: &str| row(&tree["actors"], "kind", kind)["state"].clone();
    let node = state("Node");
    assert_eq!(
        (&node["nodeRef"], &node["attempt"], &node["waits"]),
        (&json!("a"), &json!(1), &Value::Null)
    );
    assert_eq!(row(kinds, "kind", "Archivist")["queueDepth"], 0);
    assert!(row(kinds, "kind", "Archivist")["messages"].as_u64() > Some(100));
    assert_eq!((&state("Run")["status"], &state("Run")["running"]), (&json!("RUNNING"), &json!(1)));
    assert_eq!(row(&report["service"], "kind", "LogHealth")["state"], "up");
    let after = format!("/admin/actors?cursor=default/{run}");
    assert_eq!(api.get(&after).await.expect(200).json()["runs"], json!([]));
    api.get("/admin/actors?cursor=nothing").await.expect(400);

    let stats = api.get("/admin/stats").await.expect(200).json();
    assert!(stats["performance"]["requests"].as_u64() > Some(5), "{stats}");
    assert_eq!(stats["performance"]["errorRate"], 0.0, "{stats}");
    assert!(stats["performance"]["p95ResponseTime"].as_f64() > Some(0.0), "{stats}");
    api.cancel(&run).await;
    api.wait_ended(&run).await;
    wait_for("nothing of the run is left", RUN_LIMIT, async || {
        let report = api.get("/admin/actors").await.expect(200).json();
        (row(&report["kinds"], "kind", "Node")["instances"] == 0
            && row(&report["kinds"], "kind", "Owner")["instances"] == 0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_in_commands_are_neither_listed_nor_logged_and_top_shows_the_rest() {
    let profile = "[sessions.profiles.secret]\n\
        command = [\"sh\", \"-c\", \"exec sleep 600\", \"--api-key=hunter2\", \"pin-4711\"]\n\
        [sessions]\nredact_patterns = ['(?i)api-key=(?P<secret>\\S+)', 'pin-\\d+']";
    let service = Service::builder().config(profile).embedded().start().await;
    let api = service.api();
    let wanted = json!({ "projectId": "shop", "type": "secret", "tabName": "till" });
    let session = api.open_terminal(&wanted).await;
    let rows = api.get("/admin/sessions").await.expect(200).json();
    assert_eq!(
        rows["sessions"][0]["command"], "sh -c \"exec sleep 600\" --api-key=*** ***",
        "{rows}"
    );
    let log = service.log();
    assert!(log.contains("--api-key=***") && !log.contains("hunter2") && !log.contains("pin-4711"));

    let top = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_runcast"))
            .args(["top", "--server", &service.url()])
            .args(arguments)
            .env("NO_COLOR", "1")
            .output()
            .expect("runcast runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let (code, shown, said) = top(&["--once"]);
    assert_eq!(code, Some(0), "{said}");
    for text in [id_of(&session), "shop", "till", "1 active", "RunManager", "memory"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let (_, document, _) = top(&["--once", "--json"]);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["sessions"]["sessions"][0]["id"], session["id"]);
    assert_eq!(document["instances"][0]["id"], document["stats"]["instance"]);
    let (code, _, said) = top(&["--once", "--instance", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no instance `nobody`"), "{said}");
    assert_eq!(top(&["--interval", "0"]).0, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_500_live_nodes_operators_are_answered_at_once() {
    const NODES: usize = 500;
    const LIMIT: Duration = Duration::from_millis(50);
    let config = format!("[runners.local]\nmax_parallel = {NODES}");
    let service = Service::builder().config(&config).embedded().start().await;
    let api = service.api();
    let nodes: Vec<Value> = (0..NODES)
        .map(|number| json!({ "ref": format!("n{number}"), "command": ["sleep", "600"] }))
        .collect();
    let run = api.submit(&json!({ "nodes": nodes })).await;
    wait_for("all of them live", RUN_LIMIT, async || {
        (api.run(&run).await["progress"]["running"] == NODES).then_some(())
    })
    .await;
    let report = api.get("/admin/actors").await.expect(200).json();
    assert_eq!(row(&report["kinds"], "kind", "Node")["instances"], NODES);
    assert_eq!(report["runs"][0]["actors"].as_array().map(|all| all.len() > NODES), Some(true));
    for path in ["actors", "memory?history=1h", "stats", "sessions", "streams", "instances"] {
        let mut took = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            api.get(&format!("/admin/{path}")).await.expect(200);
            took.push(began.elapsed());
        }
        took.sort_unstable();
        assert!(took[took.len() / 2] < LIMIT, "{path}: {took:?}");
    }
    api.cancel(&run).await;
    api.wait_ended(&run).await;
}
