//! Interactive terminals of several instances over one database, and without the database.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::deadline::wait_for;
use crate::support::proxy::{Proxy, Way};
use crate::support::servers::redis::Redis;
use crate::support::servers::{Postgres, SeaweedFs};
use crate::support::service::Service;
use crate::terminals::{PROFILE, at_prompt, id_of, wanted};

async fn name_of(api: &Api) -> String {
    let ready = api.try_get("/readyz").await.expect("an answer").json();
    ready["instance"].as_str().expect("a name").to_owned()
}

async fn view(api: &Api, id: &str) -> Value {
    api.get(&format!("/terminals/{id}")).await.expect(200).json()["session"].clone()
}

async fn wait_persisted(api: &Api, id: &str, persisted: bool) {
    wait_for("its row is written, or not", RUN_LIMIT, async || {
        (view(api, id).await["persisted"] == persisted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_on_one_instance_and_the_others_know_where() {
    let redis = Redis::start().await;
    let (postgres, s3) = (Postgres::shared().await, SeaweedFs::shared().await);
    let first = Service::builder().config(PROFILE).postgres(postgres).await.s3(s3).redis(&redis);
    let mut first = first.config("[lease]\nttl_secs = 1").start().await;
    let second = Service::builder().config(PROFILE).config("[lease]\nttl_secs = 1").beside(&first);
    let second = second.start().await;
    let (here, there) = (first.own_api(), second.own_api());
    let (name, other_name) = (name_of(&here).await, name_of(&there).await);
    let (session, mut socket) = at_prompt(&here, "one").await;
    let id = id_of(&session);
    assert_eq!(session["instance"], name);

    // The other one finds it, lists it, and leads there.
    let found = there.post("/terminals", &wanted("one")).await.expect(200).json();
    assert_eq!(found["session"]["id"], id);
    let url = found["connectionUrl"].as_str().expect("a URL");
    assert_eq!(url, format!("{}/api/v1/terminals/{id}/ws", here.base().replacen("http", "ws", 1)));
    let listed = there.get("/terminals").await.expect(200).json();
    assert_eq!(listed["sessions"][0]["connectionUrl"], url, "{listed}");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client");
    let asked = format!("{}/api/v1/terminals/{id}/ws?offset=0", there.base());
    let led = client.get(asked).send().await.expect("an answer");
    assert_eq!(led.status(), 307);
    let location = led.headers()["location"].to_str().expect("text");
    assert_eq!(location, format!("{}/api/v1/terminals/{id}/ws?offset=0", here.base()));

    // Each can be asked what the other does.
    let sessions = there.get(&format!("/admin/sessions?instance={name}")).await.expect(200).json();
    assert_eq!((&sessions["instance"], &sessions["active"]), (&json!(name), &json!(1)));
    assert_eq!(sessions["sessions"][0]["id"], id);
    let own = there.get(&format!("/admin/sessions?instance={other_name}")).await.expect(200).json();
    assert_eq!((&own["instance"], &own["total"]), (&json!(other_name), &json!(0)));
    let page = format!("/admin/actors?limit=1&instance={name}");
    assert_eq!(there.get(&page).await.expect(200).json()["instance"], name);
    let refused = there.get(&format!("/admin/sessions?limit=0&instance={name}")).await;
    assert_eq!(refused.expect(400).json()["error"]["code"], "VALIDATION_FAILED");
    there.get("/admin/stats?instance=nobody").await.expect(404);
    let cleanup = format!("/admin/cleanup?instance={name}");
    let cleaned = there.post(&cleanup, &json!({})).await.expect(200).json();
    assert_eq!(cleaned["terminated"], json!([]), "{cleaned}");
    let of =
        async |api: &Api| api.get("/admin/memory").await.expect(200).json()["lastCleanup"].clone();
    assert_eq!(of(&here).await["at"], cleaned["at"]);
    assert_eq!(of(&there).await, Value::Null);
    // Who is reached in place of another one refuses.
    let client = reqwest::Client::new();
    let asked = client.post(format!("{}/api/v1/admin/cleanup", there.base()));
    let refused = asked.header("x-runcast-instance", &name).send().await.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert_eq!(of(&there).await, Value::Null);

    // Its instance dies: the rest is told, and the next one takes its place with what it knew.
    socket.type_in("cd /var/tmp\r").await;
    wait_for("its row tells where it is", RUN_LIMIT, async || {
        let listed = there.get("/terminals").await.expect(200).json();
        (listed["sessions"][0]["currentPath"] == "/var/tmp").then_some(())
    })
    .await;
    first.kill9();
    let unreached = there.get(&format!("/admin/stats?instance={name}")).await.expect(503).json();
    let message = unreached["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&name) && message.contains("does not answer"), "{message}");
    wait_for("the lost session has ended", RUN_LIMIT, async || {
        // Until then whoever asks is led to it.
        let ended = there.get("/terminals?state=terminated").await.expect(200).json();
        (ended["sessions"][0]["id"] == id).then_some(())
    })
    .await;
    let next = there.open_terminal(&wanted("one")).await;
    assert_eq!((&next["restoredFrom"], &next["instance"]), (&json!(id), &json!(other_name)));
    assert_eq!(next["currentPath"], "/var/tmp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_sessions_are_opened_at_once_and_written_later() {
    let mut server = Postgres::start().await;
    let config = "[sessions]\ndb_timeout_ms = 500";
    let service = Service::builder().config(PROFILE).config(config).postgres(&server).await;
    let service = service.start().await;
    let api = service.api();
    let (before, mut socket) = at_prompt(&api, "before").await;
    wait_persisted(&api, id_of(&before), true).await;

    server.stop().await;
    let began = Instant::now();
    let (during, mut during_socket) = at_prompt(&api, "during").await;
    assert_eq!(during["persisted"], false);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // After a few that waited nobody waits any more.
    for tab in ["a", "b", "c"] {
        api.open_terminal(&wanted(tab)).await;
    }
    let began = Instant::now();
    api.open_terminal(&wanted("d")).await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    socket.type_in("echo $((6*7))\r").await;
    socket.shows("42").await;
    api.delete(&format!("/terminals/{}", id_of(&before))).await.expect(200);
    socket.last("exit").await;

    server.restart().await;
    wait_persisted(&api, id_of(&during), true).await;
    during_socket.type_in("echo $((6*8))\r").await;
    during_socket.shows("48").await;
    wait_for("the end is written, too", RUN_LIMIT, async || {
        let ended = api.get("/terminals?state=terminated").await.expect(200).json();
        let sessions = ended["sessions"].as_array().cloned().unwrap_or_default();
        sessions.iter().any(|session| session["id"] == before["id"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_slow_is_waited_for_no_longer_than_it_may_take() {
    let server = Postgres::start().await;
    let proxy = Proxy::to(server.port()).await;
    let url =
        server.database().await.replace(&server.port().to_string(), &proxy.port().to_string());
    let config = "[sessions]\ndb_timeout_ms = 700";
    let service = Service::builder().config(PROFILE).config(config).env("DATABASE_URL", &url);
    let service = service.start().await;
    let api = service.api();
    at_prompt(&api, "before").await;

    proxy.set(Way::Stalled);
    let began = Instant::now();
    let (slow, _socket) = at_prompt(&api, "slow").await;
    let took = began.elapsed();
    assert_eq!(slow["persisted"], false);
    assert!((700..4000).contains(&took.as_millis()), "{took:?}");
    proxy.set(Way::Open);
    proxy.cut();
    wait_persisted(&api, id_of(&slow), true).await;
}
