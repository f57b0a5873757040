//! What interactive terminals refuse, and whom.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::support::api::RUN_LIMIT;
use crate::support::deadline::wait_for;
use crate::support::service::Service;
use crate::support::socket::Socket;
use crate::terminals::{PROFILE, at_prompt, id_of, service, wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_request_is_told_what_is_wrong_and_what_is_allowed() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(root.path().join("inside")).expect("a folder");
    std::os::unix::fs::symlink("/etc", root.path().join("link")).expect("a link");
    let roots = format!(
        "[sessions]\nroots = [\"{}\"]\n[sessions.profiles.nowhere]\ncommand = [\"no-such-program\"]",
        root.path().display()
    );
    let service = service(&roots).await;
    let api = service.api();
    let inside = root.path().join("inside").display().to_string();
    let link = root.path().join("link").display().to_string();
    let cases: [(&str, Value, u16, &str); 14] = [
        ("type", json!("zsh"), 400, "allowed: claude, nowhere, plain, system"),
        ("type", json!("nowhere"), 503, "not installed"),
        ("projectId", json!("../x"), 400, "1 to 128 characters"),
        ("tabName", json!(""), 400, "1 to 128 characters"),
        ("tabName", json!("a\nb"), 400, "without controls"),
        ("projectPath", json!("/etc"), 400, "sessions.roots"),
        ("projectPath", json!(link), 400, "sessions.roots"),
        ("projectPath", json!(format!("{inside}/../../..")), 400, "sessions.roots"),
        ("projectPath", json!("inside"), 400, "not absolute"),
        ("projectPath", json!(format!("{inside}/none")), 400, "sessions.roots"),
        ("env", json!({ "A=B": "c" }), 400, "A-Z a-z 0-9 _"),
        ("cols", json!(80), 400, "together"),
        ("rows", json!("many"), 400, "rows"),
        ("colour", json!("red"), 400, "colour"),
    ];
    for (member, value, status, expected) in cases {
        let mut wanted = wanted("one");
        wanted[member] = value.clone();
        let reply = api.post("/terminals", &wanted).await;
        let document = reply.json();
        assert_eq!(reply.status, status, "{member} {value}: {document}");
        let message = document["error"]["message"].as_str().expect("a message");
        assert!(message.contains(expected), "{member} {value}: {message}");
    }
    let mut allowed = wanted("two");
    allowed["projectPath"] = json!(inside);
    let session = api.open_terminal(&allowed).await;
    assert_eq!(session["currentPath"], inside);
    for (path, status) in [
        ("/terminals/nonsense", 400),
        ("/terminals/session_1_abcdefgh", 404),
        ("/terminals?state=sleeping", 400),
        ("/terminals/session_1_abcdefgh/screen", 404),
        ("/projects/a..b/terminals", 200),
        ("/projects/.a/terminals", 400),
    ] {
        api.get(path).await.expect(status);
    }
    let id = id_of(&session);
    api.post(&format!("/terminals/{id}/resize"), &json!({ "cols": 0, "rows": 5 }))
        .await
        .expect(400);
    api.get(&format!("/terminals/{id}/ws")).await.expect(400);
    for query in ["offset=-1", "offset=x", "readonly=maybe", "offset=99999999"] {
        let (status, document) = Socket::open(&api, id, query).await.err().expect(query);
        assert_eq!(status, 400, "{query}: {document}");
    }
    // Nothing of it was opened, and the service has no roots by default.
    let list = api.get("/terminals").await.expect(200).json();
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(1));
    let plain = Service::builder().config(PROFILE).start().await;
    let refused = plain.api().post("/terminals", &allowed).await.expect(400).json();
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("is empty")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_oversized_messages_are_answered() {
    let service = service("").await;
    let api = service.api();
    let (session, mut socket) = at_prompt(&api, "one").await;
    for (message, expected) in [
        ("{", "not understood"),
        ("{\"type\":\"fly\"}", "allowed"),
        ("{\"type\":\"resize\",\"cols\":0,\"rows\":1}", "1 to 1000 columns"),
        ("{\"type\":\"resize\",\"cols\":10}", "not understood"),
    ] {
        let before = socket.told.len();
        socket.send(Message::Text(message.into())).await;
        socket.until(message, |socket| socket.told.len() > before).await;
        let told = socket.told.last().expect("an answer").clone();
        assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!("VALIDATION_FAILED")));
        assert!(told["message"].as_str().is_some_and(|text| text.contains(expected)), "{told}");
    }
    socket.say(&json!({ "type": "ping" })).await;
    socket.told("pong").await;
    // It still works; one message too large ends it, and not the session.
    socket.type_in("echo ok''ay\r").await;
    socket.shows("okay").await;
    socket.type_in(vec![b'x'; 1024 * 1024 + 1]).await;
    let error = socket.last("error").await;
    assert_eq!(error["code"], "PAYLOAD_TOO_LARGE", "{error}");
    assert_eq!(socket.closed, Some(1009));
    let mut again = Socket::open(&api, id_of(&session), "").await.expect("it lives");
    again.shows("okay").await;
    // Bytes that are no frames at all.
    again.tcp().write_all(&[0xff; 64]).await.expect("sent");
    while again.next().await {}
    let mut third = Socket::open(&api, id_of(&session), "").await.expect("it lives");
    third.shows("okay").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_told_with_when_to_come_back() {
    let limits = "[sessions]\nmax_per_project = 2\nmax_total = 3\nmax_connections = 2";
    let service = service(limits).await;
    let api = service.api();
    let first = api.open_terminal(&wanted("one")).await;
    api.open_terminal(&wanted("two")).await;
    let refused = api.post("/terminals", &wanted("three")).await.expect(429);
    assert!(refused.headers.contains_key("retry-after"));
    let document = refused.json();
    assert_eq!(document["error"]["code"], "LIMIT_EXCEEDED");
    assert_eq!(document["error"]["details"]["max"], 2, "{document}");
    let in_project = |project: &str| {
        let mut wanted = wanted("one");
        wanted["projectId"] = json!(project);
        wanted
    };
    api.open_terminal(&in_project("b")).await;
    api.post("/terminals", &in_project("c")).await.expect(429);
    let id = id_of(&first);
    let held = [
        Socket::open(&api, id, "").await.expect("room"),
        Socket::open(&api, id, "").await.expect("room"),
    ];
    let (status, _) = Socket::open(&api, id, "").await.err().expect("no room");
    assert_eq!(status, 429);
    drop(held);
    wait_for("there is room again", RUN_LIMIT, async || {
        Socket::open(&api, id, "").await.ok().map(drop)
    })
    .await;
    api.delete(&format!("/terminals/{id}")).await.expect(200);
    api.open_terminal(&wanted("three")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_uses_ends() {
    let idle = "[sessions]\ninactive_after_secs = 1\nidle_timeout_secs = 3\nkeep_secs = 1";
    let service = service(idle).await;
    let api = service.api();
    let (session, socket) = at_prompt(&api, "one").await;
    let path = format!("/terminals/{}", id_of(&session));
    let state = async || api.get(&path).await.json()["session"]["state"].clone();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(state().await, "active", "somebody is attached");
    drop(socket);
    wait_for("it is inactive", RUN_LIMIT, async || (state().await == "inactive").then_some(()))
        .await;
    wait_for("it has ended", RUN_LIMIT, async || {
        let view = api.get(&path).await.json()["session"].clone();
        (view["state"] == "terminated" && view["reason"] == "idle").then_some(())
    })
    .await;
    wait_for("it is forgotten", RUN_LIMIT, async || {
        (api.get(&path).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reaches_the_sessions_of_others() {
    let sha = |token: &str| {
        use sha2::Digest as _;
        runcast_actors::flow::sequencer::hex(&sha2::Sha256::digest(token))
    };
    let token = |token: &str, tenant: &str, scopes: &str, projects: &str| {
        format!(
            "[[auth.tokens]]\nsha256 = \"{}\"\ntenant = \"{tenant}\"\nscopes = [{scopes}]\nuser = \"{token}\"\nprojects = [{projects}]\n",
            sha(token)
        )
    };
    let both = "\"terminals:read\", \"terminals:write\"";
    let auth = [
        "[auth]\nmode = \"token\"".to_owned(),
        token("ada", "a", both, ""),
        token("eve", "b", both, ""),
        token("demo", "a", both, "\"demo*\""),
        token("other", "a", both, "\"other-*\""),
        token("reader", "a", "\"terminals:read\"", ""),
        token("runs", "a", "\"runs:read\"", ""),
    ]
    .join("\n");
    let service = service(&auth).await;
    let api = |token: &str| service.api().with_token(token);
    let (session, mut socket) = at_prompt(&api("ada"), "one").await;
    let id = id_of(&session);
    let path = format!("/terminals/{id}");
    assert_eq!(session["userId"], "ada");
    for (who, status) in [
        ("ada", 200),
        ("demo", 200),
        ("reader", 200),
        ("eve", 404),
        ("other", 404),
        ("runs", 403),
        ("nobody", 401),
    ] {
        api(who).get(&path).await.expect(status);
        let opened = Socket::open(&api(who), id, "readonly=true")
            .await
            .err()
            .map_or(200, |(status, _)| status);
        assert_eq!(opened, status, "{who}");
        let size = json!({ "cols": 10, "rows": 10 });
        let may_write = if who == "reader" { 403 } else { status };
        api(who).post(&format!("{path}/resize"), &size).await.expect(may_write);
    }
    let (status, _) = Socket::open(&api("reader"), id, "").await.err().expect("it may not type");
    assert_eq!(status, 403);
    api("eve").delete(&path).await.expect(404);
    api("other").post("/terminals", &wanted("one")).await.expect(403);
    api("other").get("/projects/demo/terminals").await.expect(403);
    let mine = |reply: Value| reply["sessions"].as_array().map(Vec::len);
    assert_eq!(mine(api("demo").get("/terminals").await.json()), Some(1));
    assert_eq!(mine(api("other").get("/terminals").await.json()), Some(0));
    assert_eq!(mine(api("eve").get("/terminals").await.json()), Some(0));
    // Another user's is another session.
    let theirs = api("demo").open_terminal(&wanted("one")).await;
    assert_ne!(theirs["id"], session["id"]);
    // A token that ends takes its clients with it, and not the session.
    let short = api("ada")
        .post("/tokens", &json!({ "scopes": ["terminals:read"], "ttlSecs": 2 }))
        .await
        .expect(201)
        .json();
    let short = short["token"].as_str().expect("a token");
    let mut reader = Socket::open(&api(short), id, "readonly=true").await.expect("attached");
    let error = reader.last("error").await;
    assert_eq!(error["code"], "UNAUTHENTICATED", "{error}");
    socket.type_in("echo sti''ll\r").await;
    socket.shows("still").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_and_of_other_names_reach_nothing() {
    let service = service("").await;
    let api = service.api();
    let (session, _socket) = at_prompt(&api, "one").await;
    let id = id_of(&session);
    let own = api.base().to_owned();
    for (origin, is_allowed) in
        [(own.as_str(), true), ("https://evil.example", false), ("null", false)]
    {
        let opened = Socket::open_from(&api, id, "", Some(origin)).await;
        assert_eq!(opened.is_ok(), is_allowed, "{origin}");
    }
    // A name that somebody has pointed at this machine.
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{own}/api/v1/terminals");
    for (host, status) in [("evil.example:7420", 403), ("localhost:7420", 200)] {
        let answer = client.get(&url).header("host", host).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{host}");
    }
}
