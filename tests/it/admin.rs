//! What operators ask of an instance.

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
