//! Everything that is wrong is refused with its code and its place, nothing is a 500, and the service stays up.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::collect::sha256_hex;
use crate::support::programs::{pty, run_of};
use crate::support::service::Service;

struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    fn of(service: &Service) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        Self { http: http.build().expect("a client"), base: service.url() }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.base))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.request(Method::POST, path).body(body);
        request.header("Content-Type", "application/json").send().await.expect("an answer")
    }
}

/// Panics unless the answer is an error of the contract with this status, code and, if one is given, place.
async fn refused(what: &str, response: Response, status: u16, code: &str, field: Option<&str>) {
    let got = response.status().as_u16();
    let request_id = response.headers().get("X-Request-Id").cloned();
    let text = response.text().await.expect("a body");
    assert_eq!(got, status, "{what}: {text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text}"));
    assert_eq!(body["success"], false, "{what}: {text}");
    assert_eq!(body["error"]["code"], code, "{what}: {text}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
    assert!(body["error"]["timestamp"].is_string(), "{what}: {text}");
    let id = request_id.expect("a request id");
    assert_eq!(body["requestId"], id.to_str().expect("text"), "{what}");
    if let Some(field) = field {
        assert_eq!(body["error"]["details"]["field"], field, "{what}: {text}");
    }
}

async fn assert_up(service: &Service) {
    let alive = service.api().try_get("/healthz").await.expect("an answer");
    assert_eq!(alive.status, 200);
    let log = service.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn malformed_submissions_are_refused_with_their_place() {
    let service = Service::start().await;
    let client = Client::of(&service);
    let node = |more: Value| {
        let mut node = json!({ "ref": "a", "command": ["true"] });
        node.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({ "nodes": [node] }).to_string()
    };
    let run = |more: Value| {
        let mut run = json!({ "nodes": [{ "ref": "a", "command": ["true"] }] });
        run.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        run.to_string()
    };
    let many: Vec<Value> =
        (0..1001).map(|number| json!({ "ref": format!("n{number}"), "shell": "x" })).collect();
    let labels: serde_json::Map<String, Value> =
        (0..65).map(|number| (format!("l{number}"), json!("x"))).collect();
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "body"),
        ("{".into(), "body"),
        ("[]".into(), "body"),
        ("null".into(), "body"),
        ("7".into(), "body"),
        (r#"{"nodes":[]} x"#.into(), "body"),
        ("\u{feff}{}".into(), "body"),
        (r#"{"nodes":[]}"#.into(), "nodes"),
        (r#"{"nodes":{}}"#.into(), "nodes"),
        (r#"{"nodes":null}"#.into(), "nodes"),
        (json!({ "nodes": many }).to_string(), "nodes"),
        (run(json!({ "colour": 1 })), "colour"),
        (run(json!({ "run_id": "x" })), "run_id"),
        (run(json!({ "runId": "" })), "runId"),
        (run(json!({ "runId": "../etc" })), "runId"),
        (run(json!({ "runId": "a".repeat(129) })), "runId"),
        (run(json!({ "runId": 7 })), "runId"),
        (run(json!({ "name": 7 })), "name"),
        (run(json!({ "name": "a\u{0}b" })), "name"),
        (run(json!({ "name": "x".repeat(1025) })), "name"),
        (run(json!({ "workflowId": ["x"] })), "workflowId"),
        (run(json!({ "labels": labels })), "labels"),
        (run(json!({ "timeoutSecs": 0 })), "timeoutSecs"),
        (run(json!({ "timeoutSecs": -1 })), "timeoutSecs"),
        (run(json!({ "timeoutSecs": 1.5 })), "timeoutSecs"),
        (run(json!({ "timeoutSecs": 30 * 24 * 3600 + 1 })), "timeoutSecs"),
        (run(json!({ "inputs": { "x": "y".repeat(65 * 1024) } })), "inputs"),
        (run(json!({ "inputs": [1] })), "inputs"),
        (run(json!({ "metadata": { "x": "y".repeat(17 * 1024) } })), "metadata"),
        (
            run(json!({ "links": [{ "rel": "a", "label": "b", "url": "javascript:x" }] })),
            "links[0].url",
        ),
        (run(json!({ "links": [{ "rel": "a", "label": "b" }] })), "links[0].url"),
        (run(json!({ "terminal": { "mode": "tty" } })), "terminal.mode"),
        (run(json!({ "terminal": { "cols": 0 } })), "terminal.cols"),
        (run(json!({ "terminal": { "rows": 501 } })), "terminal.rows"),
        (run(json!({ "terminal": { "cols": 65536 } })), "terminal.cols"),
        (node(json!({ "ref": "a b" })), "nodes[0].ref"),
        (node(json!({ "ref": "" })), "nodes[0].ref"),
        (node(json!({ "shell": "true" })), "nodes[0]"),
        (node(json!({ "command": [] })), "nodes[0].command"),
        (node(json!({ "command": "true" })), "nodes[0].command"),
        (node(json!({ "command": [""] })), "nodes[0].command"),
        (node(json!({ "command": ["a", "b\u{0}"] })), "nodes[0].command[1]"),
        (node(json!({ "retries": 11 })), "nodes[0].retries"),
        (node(json!({ "retries": -1 })), "nodes[0].retries"),
        (node(json!({ "timeoutSecs": 0 })), "nodes[0].timeoutSecs"),
        (node(json!({ "env": { "A=B": "x" } })), "nodes[0].env"),
        (node(json!({ "env": { "": "x" } })), "nodes[0].env"),
        (node(json!({ "env": { "A": 1 } })), "nodes[0].env.A"),
        (node(json!({ "env": { "A": "x\u{0}" } })), "nodes[0].env.A"),
        (node(json!({ "cwd": "x\u{0}" })), "nodes[0].cwd"),
        (node(json!({ "dependsOn": ["b"] })), "nodes[0].dependsOn"),
        (node(json!({ "dependsOn": ["a"] })), "nodes[0].dependsOn"),
        (node(json!({ "dependsOn": "b" })), "nodes[0].dependsOn"),
        (node(json!({ "runner": { "kind": "moon" } })), "nodes[0].runner.kind"),
        (node(json!({ "runner": { "kind": "docker" } })), "nodes[0].runner.kind"),
        (node(json!({ "terminal": { "cols": 1001 } })), "nodes[0].terminal.cols"),
        (node(json!({ "shel": "x" })), "nodes[0].shel"),
        (json!({ "nodes": [{ "ref": "a" }] }).to_string(), "nodes[0]"),
        (
            json!({ "nodes": [{ "ref": "a", "shell": "x" }, { "ref": "a", "shell": "x" }] })
                .to_string(),
            "nodes[1].ref",
        ),
    ];
    for (body, field) in cases {
        let shown: String = body.chars().take(200).collect();
        let response = client.post("/runs", body).await;
        refused(&shown, response, 400, "VALIDATION_FAILED", Some(field)).await;
    }
    let listed = service.api().get("/runs").await.expect(200).json();
    assert_eq!(listed["runs"], json!([]), "nothing of it was kept");
    assert_up(&service).await;
}

#[tokio::test]
async fn a_cycle_names_a_node_of_it() {
    let service = Service::start().await;
    let client = Client::of(&service);
    let cycle = json!({ "nodes": [
        { "ref": "start", "shell": "x" },
        { "ref": "a", "shell": "x", "dependsOn": ["start", "c"] },
        { "ref": "b", "shell": "x", "dependsOn": ["a"] },
        { "ref": "c", "shell": "x", "dependsOn": ["b"] },
    ] });
    let response = client.post("/runs", cycle.to_string()).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(message.contains("a → c → b → a"), "{message}");
    assert!(
        body["error"]["details"]["field"].as_str().is_some_and(|field| field.starts_with("nodes"))
    );
}

#[tokio::test]
async fn malformed_paths_queries_and_cursors_are_refused_before_anything_is_asked() {
    let service = Service::start().await;
    let client = Client::of(&service);
    let api = service.api();
    let run = api.submit(&run_of([pty("a", "echo x")])).await;
    api.wait_ended(&run).await;
    let long = "a".repeat(129);
    let cases: Vec<(String, u16, &str, Option<&str>)> = vec![
        ("/runs/a%20b".into(), 400, "VALIDATION_FAILED", Some("runId")),
        ("/runs/..%2f..%2fetc".into(), 400, "VALIDATION_FAILED", Some("runId")),
        (format!("/runs/{long}"), 400, "VALIDATION_FAILED", Some("runId")),
        ("/runs/%00".into(), 400, "VALIDATION_FAILED", Some("runId")),
        ("/runs/%ff".into(), 400, "VALIDATION_FAILED", Some("runId")),
        ("/runs/-x".into(), 400, "VALIDATION_FAILED", Some("runId")),
        ("/runs/unknown".into(), 404, "NOT_FOUND", None),
        ("/runs/unknown/stream".into(), 404, "NOT_FOUND", None),
        ("/runs/unknown/events".into(), 404, "NOT_FOUND", None),
        ("/runs/unknown/trace".into(), 404, "NOT_FOUND", None),
        ("/runs/unknown/terminal/a".into(), 404, "NOT_FOUND", None),
        (format!("/runs/{run}/terminal/nobody"), 404, "NOT_FOUND", None),
        (format!("/runs/{run}/terminal/nobody/stream"), 404, "NOT_FOUND", None),
        (format!("/runs/{run}/terminal/a%2fb"), 400, "VALIDATION_FAILED", Some("nodeRef")),
        (format!("/runs/{run}/nothing"), 404, "NOT_FOUND", None),
        ("/nothing".into(), 404, "NOT_FOUND", None),
        ("/runs?limit=0".into(), 400, "VALIDATION_FAILED", Some("limit")),
        ("/runs?limit=1001".into(), 400, "VALIDATION_FAILED", Some("limit")),
        ("/runs?limit=ten".into(), 400, "VALIDATION_FAILED", Some("limit")),
        ("/runs?limit=1&limit=2".into(), 400, "VALIDATION_FAILED", Some("limit")),
        ("/runs?colour=red".into(), 400, "VALIDATION_FAILED", Some("colour")),
        ("/runs?status=DONE".into(), 400, "VALIDATION_FAILED", Some("status")),
        ("/runs?label=x".into(), 400, "VALIDATION_FAILED", Some("label")),
        ("/runs?cursor=x".into(), 400, "VALIDATION_FAILED", Some("cursor")),
        ("/runs?cursor=%zz".into(), 400, "VALIDATION_FAILED", Some("cursor")),
        (format!("/runs/{run}?x=1"), 400, "VALIDATION_FAILED", Some("x")),
        (format!("/runs/{run}/stream?after=x"), 400, "VALIDATION_FAILED", Some("after")),
        (format!("/runs/{run}/stream?after=-1"), 400, "VALIDATION_FAILED", Some("after")),
        (format!("/runs/{run}/stream?after=1.5"), 400, "VALIDATION_FAILED", Some("after")),
        (
            format!("/runs/{run}/stream?after=99999999999999999999"),
            400,
            "VALIDATION_FAILED",
            Some("after"),
        ),
        (
            format!("/runs/{run}/stream?last_event_id=x"),
            400,
            "VALIDATION_FAILED",
            Some("last_event_id"),
        ),
        (format!("/runs/{run}/stream?from=middle"), 400, "VALIDATION_FAILED", Some("from")),
        (
            format!("/runs/{run}/stream?types=terminal,music"),
            400,
            "VALIDATION_FAILED",
            Some("types"),
        ),
        (format!("/runs/{run}/stream?nodes=a,nobody"), 400, "VALIDATION_FAILED", Some("nodes")),
        (
            format!("/runs/{run}/stream?scrollback=5001"),
            400,
            "VALIDATION_FAILED",
            Some("scrollback"),
        ),
        (format!("/runs/{run}/stream?format=xml"), 400, "VALIDATION_FAILED", Some("format")),
        (format!("/runs/{run}/events?waitSecs=26"), 400, "VALIDATION_FAILED", Some("waitSecs")),
        (format!("/runs/{run}/events?after=x"), 400, "VALIDATION_FAILED", Some("after")),
        (format!("/runs/{run}/trace?level=loud"), 400, "VALIDATION_FAILED", Some("level")),
        (format!("/runs/{run}/trace?type=PARTY"), 400, "VALIDATION_FAILED", Some("type")),
        (format!("/runs/{run}/trace?after=x"), 400, "VALIDATION_FAILED", Some("after")),
        (
            format!("/runs/{run}/terminal/a?stream=stdout2"),
            400,
            "VALIDATION_FAILED",
            Some("stream"),
        ),
        (
            format!("/runs/{run}/terminal/a?afterChunk=x"),
            400,
            "VALIDATION_FAILED",
            Some("afterChunk"),
        ),
        (
            format!("/runs/{run}/terminal/a?afterChunk=-2"),
            400,
            "VALIDATION_FAILED",
            Some("afterChunk"),
        ),
        (format!("/runs/{run}/terminal/a?limit=5001"), 400, "VALIDATION_FAILED", Some("limit")),
        (format!("/runs/{run}/terminal/a?kinds=noise"), 400, "VALIDATION_FAILED", Some("kinds")),
    ];
    for (path, status, code, field) in cases {
        refused(&path, client.get(&path).await, status, code, field).await;
    }
    let path = format!("/runs/{run}/stream");
    let request = client.request(Method::GET, &path).header("Last-Event-ID", "abc");
    let response = request.send().await.expect("an answer");
    refused("a header", response, 400, "VALIDATION_FAILED", Some("Last-Event-ID")).await;
    assert_up(&service).await;
}

#[tokio::test]
async fn wrong_methods_types_sizes_and_states_are_refused() {
    let service = Service::start().await;
    let client = Client::of(&service);
    let api = service.api();
    for (method, path) in [
        (Method::PUT, "/runs"),
        (Method::DELETE, "/runs"),
        (Method::POST, "/runs/x"),
        (Method::PATCH, "/tokens"),
        (Method::GET, "/runs/x/cancel"),
    ] {
        let response = client.request(method.clone(), path).send().await.expect("an answer");
        assert!(response.headers().contains_key("Allow"), "{method} {path}");
        refused(path, response, 405, "METHOD_NOT_ALLOWED", None).await;
    }
    let body = run_of([pty("a", "true")]).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/yaml"] {
        let request = client.request(Method::POST, "/runs").header("Content-Type", content_type);
        let response = request.body(body.clone()).send().await.expect("an answer");
        refused(content_type, response, 415, "UNSUPPORTED_MEDIA_TYPE", None).await;
    }
    let huge = format!("{{\"name\":\"{}\"", "x".repeat(1024 * 1024));
    refused("huge", client.post("/runs", huge).await, 413, "PAYLOAD_TOO_LARGE", None).await;

    let run =
        api.submit(&json!({ "runId": "mine", "nodes": [{ "ref": "a", "shell": "true" }] })).await;
    api.wait_ended(&run).await;
    let again = json!({ "runId": "mine", "nodes": [{ "ref": "a", "shell": "true" }] });
    assert_eq!(api.post("/runs", &again).await.status, 200, "the same again is the same run");
    let other = json!({ "runId": "mine", "nodes": [{ "ref": "a", "shell": "false" }] });
    let response = client.post("/runs", other.to_string()).await;
    refused("another body", response, 409, "CONFLICT", None).await;
    for (path, body) in [
        ("/runs/mine/cancel", ""),
        ("/runs/mine/nodes/a/resize", r#"{"cols":80,"rows":24}"#),
        ("/runs/mine/terminal/a/markers", r#"{"label":"x"}"#),
    ] {
        refused(path, client.post(path, body).await, 409, "CONFLICT", None).await;
    }
    for (body, field) in [
        (r#"{"cols":0,"rows":24}"#, "cols"),
        (r#"{"cols":80,"rows":501}"#, "rows"),
        (r#"{"cols":"80","rows":24}"#, "cols"),
        (r#"{"cols":80}"#, "rows"),
        (r#"{"cols":80,"rows":24,"depth":1}"#, "depth"),
    ] {
        let response = client.post("/runs/mine/nodes/a/resize", body).await;
        refused(body, response, 400, "VALIDATION_FAILED", Some(field)).await;
    }
    let patch = |body: &'static str| {
        let request = client.request(Method::PATCH, "/runs/mine").body(body);
        request.header("Content-Type", "application/json").send()
    };
    for (body, field) in [
        (r#"{"name":"x"}"#, "name"),
        (r#"{"metadata":7}"#, "metadata"),
        (r#"{"links":[{"rel":"","label":"x","url":"http://x"}]}"#, "links[0].rel"),
    ] {
        let response = patch(body).await.expect("an answer");
        refused(body, response, 400, "VALIDATION_FAILED", Some(field)).await;
    }

    let going = api.submit(&run_of([pty("a", "sleep 600")])).await;
    let purge = client.request(Method::DELETE, &format!("/runs/{going}")).send().await;
    refused("a running run", purge.expect("an answer"), 409, "CONFLICT", None).await;
    api.cancel(&going).await;
    assert!(matches!(api.delete("/runs/mine").await.status, 200 | 202 | 204));
    for path in ["/runs/mine", "/runs/mine/stream", "/runs/mine/trace", "/runs/mine/terminal/a"] {
        refused(path, client.get(path).await, 410, "GONE", None).await;
    }
    let response = client.post("/runs", again.to_string()).await;
    refused("a purged id stays taken", response, 410, "GONE", None).await;
    assert_up(&service).await;
}

const ALICE: &str = "alice-secret-token";
const BOB: &str = "bob-secret-token";
const READER: &str = "reader-secret-token";

fn token_config() -> String {
    let entry = |token: &str, tenant: &str, scopes: &str| {
        format!(
            "[[auth.tokens]]\nsha256 = \"{}\"\ntenant = \"{tenant}\"\nscopes = [{scopes}]\n",
            sha256_hex(token.as_bytes())
        )
    };
    format!(
        "[server]\ncors_origins = [\"https://app.example\"]\n[auth]\nmode = \"token\"\n{}{}{}",
        entry(ALICE, "alice", "\"runs:read\", \"runs:write\""),
        entry(BOB, "bob", "\"runs:read\", \"runs:write\""),
        entry(READER, "alice", "\"runs:read\""),
    )
}

#[tokio::test]
async fn tokens_open_what_they_are_for_and_nothing_else() {
    let service = Service::builder().config(&token_config()).start().await;
    let client = Client::of(&service);
    let [alice, bob, reader] = [ALICE, BOB, READER].map(|token| service.api().with_token(token));
    let run = alice.submit(&run_of([pty("a", "sleep 600")])).await;
    alice.wait_node_running(&run, "a").await;

    for path in ["/runs".to_owned(), format!("/runs/{run}"), format!("/runs/{run}/stream")] {
        refused(&path, client.get(&path).await, 401, "UNAUTHENTICATED", None).await;
        for credential in ["Bearer wrong", "Bearer ", "Basic YTpi", "nonsense"] {
            let request = client.request(Method::GET, &path).header("Authorization", credential);
            let response = request.send().await.expect("an answer");
            refused(credential, response, 401, "UNAUTHENTICATED", None).await;
        }
        let open = format!("{path}?access_token=wrong");
        refused(&open, client.get(&open).await, 401, "UNAUTHENTICATED", None).await;
    }
    let paths =
        ["", "/status", "/trace", "/events", "/stream", "/terminal/a", "/terminal/a/stream"];
    for path in paths.map(|rest| format!("/runs/{run}{rest}")) {
        assert_eq!(bob.get(&path).await.status, 404, "{path}: another tenant's run does not exist");
    }
    for (path, body) in [
        (format!("/runs/{run}/cancel"), Value::Null),
        (format!("/runs/{run}/nodes/a/resize"), json!({ "cols": 80, "rows": 24 })),
        (format!("/runs/{run}/terminal/a/markers"), json!({ "label": "x" })),
    ] {
        assert_eq!(bob.post(&path, &body).await.status, 404, "{path}");
        assert_eq!(reader.post(&path, &body).await.status, 403, "{path}: it may only read");
    }
    assert_eq!(bob.delete(&format!("/runs/{run}")).await.status, 404);
    assert_eq!(bob.get("/runs").await.expect(200).json()["runs"], json!([]));
    assert_eq!(reader.post("/runs", &run_of([pty("a", "true")])).await.status, 403);
    assert_eq!(alice.run(&run).await["status"], "RUNNING", "nobody has ended it");

    // The same id in another tenant is another run.
    let mine = json!({ "runId": run, "nodes": [{ "ref": "b", "shell": "true" }] });
    assert_eq!(bob.post("/runs", &mine).await.status, 201);
    alice.cancel(&run).await;
    assert_eq!(alice.wait_ended(&run).await["nodes"][0]["ref"], "a");
    let log = service.log();
    for secret in [ALICE, BOB, READER, "access_token=wrong"] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    assert_up(&service).await;
}

#[tokio::test]
async fn a_narrowed_token_is_less_than_the_one_it_was_made_with() {
    let service = Service::builder().config(&token_config()).start().await;
    let [alice, reader] = [ALICE, READER].map(|token| service.api().with_token(token));
    let run = alice.submit(&run_of([pty("a", "sleep 600")])).await;
    let other = alice.submit(&run_of([pty("a", "true")])).await;
    let ask = json!({ "runId": run, "scopes": ["runs:read"], "ttlSecs": 600 });
    let made = alice.post("/tokens", &ask).await.expect(201).json();
    let text = made["token"].as_str().expect("a token").to_owned();
    let narrowed = service.api().with_token(&text);
    assert_eq!(narrowed.run(&run).await["runId"], run);
    assert_eq!(narrowed.get(&format!("/runs/{other}")).await.status, 404);
    assert_eq!(narrowed.post(&format!("/runs/{run}/cancel"), &Value::Null).await.status, 403);
    let listed = narrowed.get("/runs").await.expect(200).json();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1));
    let wider = json!({ "scopes": ["runs:read", "runs:write"], "ttlSecs": 60 });
    assert_eq!(narrowed.post("/tokens", &wider).await.status, 403);
    assert_eq!(reader.post("/tokens", &wider).await.status, 403);
    for (body, field) in [
        (json!({ "scopes": [], "ttlSecs": 60 }), "scopes"),
        (json!({ "scopes": ["runs:fly"], "ttlSecs": 60 }), "scopes[0]"),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 0 }), "ttlSecs"),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 86_401 }), "ttlSecs"),
        (json!({ "scopes": ["runs:read"] }), "ttlSecs"),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 60, "runId": "a/b" }), "runId"),
    ] {
        let reply = alice.post("/tokens", &body).await.expect(400).json();
        assert_eq!(reply["error"]["details"]["field"], field, "{body}: {reply}");
    }
    // One changed letter of the signature is another signature.
    let last = if text.ends_with('A') { 'E' } else { 'A' };
    let forged = format!("{}{last}{}", &text[..text.len() - 10], &text[text.len() - 9..]);
    if forged != text {
        assert_eq!(service.api().with_token(&forged).get("/runs").await.status, 401);
    }

    let brief = json!({ "runId": run, "scopes": ["runs:read"], "ttlSecs": 3 });
    let made = alice.post("/tokens", &brief).await.expect(201).json();
    let brief = service.api().with_token(made["token"].as_str().expect("a token"));
    let mut stream = brief.stream(&run).open().await;
    let error = stream.find("error").await.json();
    assert_eq!(error["retryable"], true, "{error}");
    assert!(stream.next_event().await.is_none(), "the stream ends with its token");
    assert_eq!(brief.get(&format!("/runs/{run}")).await.status, 401);
    alice.cancel(&run).await;
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_from_the_list() {
    let service = Service::builder().config(&token_config()).start().await;
    let client = Client::of(&service);
    let preflight = |origin: &'static str| {
        let request = client.request(Method::OPTIONS, "/runs").header("Origin", origin);
        request.header("Access-Control-Request-Method", "POST").send()
    };
    let allowed = preflight("https://app.example").await.expect("an answer");
    assert_eq!(allowed.status(), 204);
    let header = |name: &str| allowed.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("Access-Control-Allow-Origin"), "https://app.example");
    assert!(header("Access-Control-Allow-Methods").contains("PATCH"));
    assert!(header("Access-Control-Allow-Headers").contains("Last-Event-ID"));
    for origin in ["https://evil.example", "https://app.example.evil", "http://app.example", "null"]
    {
        let response = preflight(origin).await.expect("an answer");
        assert!(!response.headers().contains_key("Access-Control-Allow-Origin"), "{origin}");
        refused(origin, response, 403, "FORBIDDEN", None).await;
    }
    let with_origin = client.request(Method::GET, "/runs").header("Origin", "https://app.example");
    let response = with_origin.bearer_auth(ALICE).send().await.expect("an answer");
    assert!(response.headers().contains_key("Access-Control-Expose-Headers"));
    let refused_page = client.request(Method::GET, "/runs").header("Origin", "https://app.example");
    let response = refused_page.send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    let told = response.headers().get("Access-Control-Allow-Origin");
    assert_eq!(told.and_then(|told| told.to_str().ok()), Some("https://app.example"));
}

#[tokio::test]
async fn a_wrong_configuration_stops_the_start_with_the_key_and_what_is_allowed() {
    let cases = [
        ("[server]\ncolour = 1", "server.colour"),
        ("[serv]\nx = 1", "serv"),
        ("[log]\nsync_ms = 0", "log.sync_ms"),
        ("[log]\nsync_ms = \"soon\"", "log.sync_ms"),
        ("[terminal]\nmode = \"tty\"", "terminal.mode"),
        ("[terminal]\ncols = 1001", "terminal.cols"),
        ("[runners.local]\nmax_parallel = 0", "runners.local.max_parallel"),
        ("[lease]\nttl_secs = 0", "lease.ttl_secs"),
        ("[server]\nrole = \"api\"", "server.role"),
        ("[server]\ntls_cert = \"/x\"", "server.tls_"),
        ("[database]\nurl = \"mysql://x\"", "database.url"),
        ("[auth]\nmode = \"maybe\"", "auth.mode"),
        ("[auth]\nmode = \"token\"\nsigning_key = \"short\"", "auth.signing_key"),
        ("[[auth.tokens]]\nsha256 = \"x\"\ntenant = \"a\"\nscopes = []", "auth.tokens"),
        ("[capture]\nmax_chunk_bytes = 1048576\nin_flight_bytes = 4096", "capture.max_chunk_bytes"),
        ("this is no TOML", "config.toml"),
    ];
    for (toml, named) in cases {
        let mut service = Service::builder().config(toml).prepare();
        service.spawn();
        let status = service.wait_exit(Duration::from_secs(30)).await;
        assert!(matches!(status.code(), Some(1 | 2)), "{toml}: {status}");
        let log = service.log();
        assert!(log.contains(named), "{toml}: {log}");
        assert!(!log.contains("panicked"), "{toml}: {log}");
    }
}

#[tokio::test]
async fn a_data_directory_has_one_service() {
    let first = Service::start().await;
    let mut second = Service::builder().data_dir(first.data_dir()).prepare();
    second.spawn();
    let status = second.wait_exit(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(1), "{}", second.log());
    assert!(second.log().contains("data"), "{}", second.log());
    assert_up(&first).await;
}
