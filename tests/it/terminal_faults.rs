//! Interactive terminals when something goes wrong: a kill, a stop, a client that does not read.

use std::time::Duration;

use serde_json::json;

use crate::support::api::RUN_LIMIT;
use crate::support::deadline::wait_for;
use crate::support::processes::{MARK, wait_gone};
use crate::support::service::Service;
use crate::support::socket::Socket;
use crate::terminals::{PROFILE, at_prompt, id_of, service, wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_last_screen_is_there_and_a_new_session_goes_on() {
    let data = tempfile::tempdir().expect("a folder");
    let start = async || Service::builder().config(PROFILE).data_dir(data.path()).start().await;
    let mut service = start().await;
    let api = service.api();
    let mark = format!("killed-session-{}", std::process::id());
    let mut wanted = wanted("one");
    wanted["env"][MARK] = json!(mark);
    let session = api.open_terminal(&wanted).await;
    let id = id_of(&session);
    let mut socket = Socket::open(&api, id, "").await.expect("attached");
    socket.shows("ready$").await;
    socket.type_in("cd /var/tmp; echo the last wo''rds\r").await;
    socket.shows("the last words").await;
    wait_for("its row tells where it is", RUN_LIMIT, async || {
        let view = api.get(&format!("/terminals/{id}")).await.json();
        (view["session"]["currentPath"] == "/var/tmp").then_some(())
    })
    .await;
    // The screen in the row is at most five seconds old.
    tokio::time::sleep(Duration::from_secs(7)).await;
    service.kill9();
    wait_gone(&mark, RUN_LIMIT).await;
    assert!(!socket.told.iter().any(|told| told["type"] == "exit"));
    drop(service);
    let mut service = start().await;
    let api = service.api();
    wait_for("the lost session has ended", RUN_LIMIT, async || {
        let view = api.get(&format!("/terminals/{id}")).await.expect(200).json();
        (view["session"]["state"] == "terminated" && view["session"]["reason"] == "restarted")
            .then_some(())
    })
    .await;
    let screen = api.get(&format!("/terminals/{id}/screen?format=text")).await.expect(200).body;
    assert!(String::from_utf8_lossy(&screen).contains("the last words"));
    let (status, _) = Socket::open(&api, id, "").await.err().expect("it has ended");
    assert_eq!(status, 410);
    let next = api.open_terminal(&wanted).await;
    assert_eq!((&next["restoredFrom"], &next["currentPath"]), (&json!(id), &json!("/var/tmp")));
    let mut socket = Socket::open(&api, id_of(&next), "").await.expect("attached");
    socket.type_in("pwd\r").await;
    socket.shows("/var/tmp").await;
    // A stop that was asked for tells everybody.
    service.stop().await;
    let exit = socket.last("exit").await;
    assert_eq!(exit["session"]["reason"], "stopped", "{exit}");
    wait_gone(&mark, RUN_LIMIT).await;
    let service = start().await;
    let view = service.api().get(&format!("/terminals/{}", id_of(&next))).await.expect(200).json();
    assert_eq!(view["session"]["reason"], "stopped", "{view}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_stops_nobody_for_long() {
    let service = service("").await;
    let api = service.api();
    let (session, mut stalled) = at_prompt(&api, "one").await;
    stalled.type_in("yes | head -c 20000000; echo fi''nished\r").await;
    // It alone is attached: the terminal waits.
    let size = async || {
        let metrics = api.get(&format!("/terminals/{}/screen?format=json", id_of(&session))).await;
        metrics.json()["offset"].as_u64().expect("an offset")
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waiting = size().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(size().await, waiting, "it waits");
    assert!(waiting < 16_000_000, "{waiting}");
    // Another one reads: it goes on for that one.
    let mut reader = Socket::open(&api, id_of(&session), "readonly=true").await.expect("attached");
    reader.shows("finished").await;
    // The stalled one is left after 45 s in which nothing was heard of it.
    wait_for("it was left", RUN_LIMIT, async || {
        let view = api.get(&format!("/terminals/{}", id_of(&session))).await.json();
        (view["session"]["attached"] == 1).then_some(())
    })
    .await;
    drop((stalled, reader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_alone_everything_works_but_the_rows() {
    let service = service("[sessions]\nstore = \"memory\"").await;
    let api = service.api();
    let (session, mut socket) = at_prompt(&api, "one").await;
    assert_eq!(session["persisted"], false);
    socket.type_in("exit\r").await;
    socket.last("exit").await;
    let view = api.get(&format!("/terminals/{}", id_of(&session))).await.expect(200).json();
    assert_eq!(view["session"]["state"], "terminated");
    assert_eq!(view["session"]["persisted"], false);
}
