//! Recorded sessions: each is a run whose id is that of the session, byte for byte what the terminal wrote.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::{assert_finalised, wait_final};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::service::Service;
use crate::support::socket::Socket;
use crate::terminals::id_of;

/// A recorded shell without the habits of whoever runs the tests.
const RECORDED: &str = "[sessions.profiles.recorded]\nrecord = true\n\
    command = [\"bash\", \"--norc\", \"--noprofile\"]\nenv = [\"PS1\"]";
const NODE: &str = "terminal";

async fn service() -> Service {
    Service::builder().config(RECORDED).embedded().start().await
}

async fn open(api: &Api, tab: &str) -> (String, Socket) {
    let env = json!({ "PS1": "ready$ " });
    let wanted = json!({ "projectId": "p", "type": "recorded", "tabName": tab, "env": env });
    let session = api.open_terminal(&wanted).await;
    let id = id_of(&session).to_owned();
    let mut socket = Socket::open(api, &id, "offset=0").await.expect("attached");
    // Whoever comes with an offset that is there gets everything from it.
    assert_eq!(socket.offset, 0);
    socket.shows("ready$").await;
    (id, socket)
}

/// The whole run, which is over.
async fn watched(api: &Api, run: &str) -> Collected {
    let mut seen = Collected::new();
    seen.read(&mut api.stream(run).open().await).await;
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_session_is_a_run_with_every_byte_and_size() {
    let service = service().await;
    let api = service.api();
    let types = api.get("/terminals").await.expect(200).json()["types"].clone();
    let types = types.as_array().expect("types").clone();
    let recorded =
        |name: &str| types.iter().find(|of| of["type"] == name).map(|of| of["recorded"].clone());
    assert_eq!((recorded("recorded"), recorded("system")), (Some(json!(true)), Some(json!(false))));
    let (id, mut socket) = open(&api, "one").await;
    // It is watched like any other run while it goes on.
    let run = api.wait_node_running(&id, NODE).await;
    assert_eq!((&run["status"], &run["name"]), (&json!("RUNNING"), &json!("one")), "{run}");
    assert_eq!(
        (&run["labels"]["type"], &run["labels"]["session"]),
        (&json!("recorded"), &json!("true"))
    );
    socket.resize(100, 20).await;
    // The program is told as soon as the run has noted it.
    socket
        .type_in("until [ \"$(stty size)\" = '20 100' ]; do sleep 0.05; done; echo sm''all\r")
        .await;
    socket.shows("small").await;
    socket
        .type_in(
            "head -c 3000000 /dev/urandom | base64 -w 97; printf '\\xff\\x00\\x1b[1m'; exit 0\r",
        )
        .await;
    let exit = socket.last("exit").await;
    assert_eq!(exit["exitCode"], 0, "{exit}");

    let run = api.wait_ended(&id).await;
    assert_eq!(run["status"], "COMPLETED", "{run}");
    let seen = watched(&api, &id).await;
    seen.assert_complete();
    let recorded = &seen.stream(NODE, "pty");
    assert!(recorded.output == socket.output, "{} {}", recorded.output.len(), socket.output.len());
    assert!(recorded.output.len() > 3_000_000);
    let resizes = seen.events.iter().filter(|event| event.data.contains("\"kind\":\"resize\""));
    assert_eq!(resizes.count(), 2, "the first size, and the other one");
    wait_final(&api, &id, 1, RUN_LIMIT).await;
    assert_finalised(&api, &id, &seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_one_ends_both() {
    let service = service().await;
    let api = service.api();
    let (closed, mut socket) = open(&api, "closed").await;
    api.delete(&format!("/terminals/{closed}")).await.expect(200);
    socket.last("exit").await;
    let run = api.wait_ended(&closed).await;
    assert_eq!(run["status"], "CANCELLED", "{run}");

    let (cancelled, mut socket) = open(&api, "cancelled").await;
    api.cancel(&cancelled).await;
    let exit = socket.last("exit").await;
    assert_eq!(exit["session"]["reason"], "closed", "{exit}");
    assert_eq!(api.wait_ended(&cancelled).await["status"], "CANCELLED");

    let (failed, mut socket) = open(&api, "failed").await;
    socket.type_in("exit 3\r").await;
    socket.last("exit").await;
    let run = api.wait_ended(&failed).await;
    assert_eq!((&run["status"], &run["nodes"][0]["exitCode"]), (&json!("FAILED"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_survives_a_kill_and_a_stop_does_not_wait_for_people() {
    let data = tempfile::tempdir().expect("a folder");
    let config = format!("{RECORDED}\n[server]\ndrain_secs = 60");
    let start =
        async || Service::builder().config(&config).data_dir(data.path()).embedded().start().await;
    let mut service = start().await;
    let api = service.api();
    let (killed, mut socket) = open(&api, "killed").await;
    socket.type_in("echo the last wo''rds\r").await;
    socket.shows("the last words").await;
    // What a viewer of the run has seen was acknowledged.
    let mut viewer = api.stream(&killed).open().await;
    let mut seen = Collected::new();
    wait_for("the run has it", RUN_LIMIT, async || {
        seen.push(viewer.next().await.expect("it goes on"));
        let output = seen.streams.get(&(NODE.to_owned(), "pty".to_owned())).map(|of| &of.output);
        output
            .is_some_and(|output| {
                output.ends_with(b"ready$ ") && contains(output, b"the last words")
            })
            .then_some(())
    })
    .await;
    service.kill9();
    drop(service);
    let mut service = start().await;
    let api = service.api();
    let run = api.wait_ended(&killed).await;
    assert_eq!(run["status"], "FAILED", "{run}");
    let after = watched(&api, &killed).await;
    let before = &seen.stream(NODE, "pty").output;
    assert!(after.stream(NODE, "pty").output.starts_with(before));

    let (stopped, mut socket) = open(&api, "stopped").await;
    let began = Instant::now();
    service.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    socket.last("exit").await;
    let service = start().await;
    let api = service.api();
    let run = api.run(&stopped).await;
    assert_eq!(run["status"], "CANCELLED", "{run}");
    watched(&api, &stopped).await.assert_complete();
}

fn contains(output: &[u8], text: &[u8]) -> bool {
    output.windows(text.len()).any(|part| part == text)
}
