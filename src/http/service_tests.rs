//! The service through its routes: what is refused and how, who may do what, and what every answer carries.

use actix_web::App;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use runcast_actors::entry::Level;
use runcast_actors::ports::LogHealth;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::access::AccessMode;
use super::api::configure;
use super::testing::{Fixture, exit_entry, fixture, output_entry, run_key, trace_entry};

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn field(&self) -> &str {
        self.body["error"]["details"]["field"].as_str().unwrap_or_default()
    }
}

async fn ask(fixture: &Fixture, request: TestRequest) -> Answer {
    let api = fixture.api.clone();
    let service = init_service(App::new().configure(move |cfg| configure(cfg, api))).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = read_body(response).await;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { status, headers, body }
}

fn open() -> Fixture {
    fixture(AccessMode::None, LogHealth::Up)
}

fn guarded() -> Fixture {
    fixture(AccessMode::Token, LogHealth::Up)
}

fn with(method: Method, path: &str, token: &str) -> TestRequest {
    let request = TestRequest::with_uri(path).method(method);
    if token.is_empty() {
        request
    } else {
        request.insert_header(("Authorization", format!("Bearer {token}")))
    }
}

fn spec(run_id: &str) -> Value {
    json!({ "runId": run_id, "nodes": [{ "ref": "n", "shell": "true" }] })
}

async fn submit(fixture: &Fixture, token: &str, spec: &Value) -> Answer {
    ask(fixture, with(Method::POST, "/api/v1/runs", token).set_json(spec)).await
}

#[actix_web::test]
async fn a_run_is_submitted_once() {
    let fixture = open();
    let first = submit(&fixture, "", &spec("r1")).await;
    assert_eq!((first.status, first.header("location")), (201, Some("/api/v1/runs/r1")));
    assert_eq!(first.body["status"], "QUEUED");
    assert_eq!(fixture.control.0.lock().expect("not poisoned").as_slice(), ["submitted"]);
    assert_eq!(submit(&fixture, "", &spec("r1")).await.status, 200);
    let mut other = spec("r1");
    other["name"] = json!("another");
    let conflict = submit(&fixture, "", &other).await;
    assert_eq!((conflict.status, conflict.code()), (409, "CONFLICT"));
    fixture.store.mark_purged(&run_key("r1"));
    let gone = submit(&fixture, "", &spec("r1")).await;
    assert_eq!((gone.status, gone.code()), (410, "GONE"));
    let trace = ask(&fixture, with(Method::GET, "/api/v1/runs/r1/trace", "")).await;
    assert_eq!((trace.status, trace.code()), (410, "GONE"));
    let made =
        submit(&fixture, "", &json!({ "nodes": [{ "ref": "n", "command": ["true"] }] })).await;
    assert!(made.body["runId"].as_str().expect("an id").starts_with("run-"));
}

#[actix_web::test]
async fn malformed_submissions_name_the_place() {
    let fixture = open();
    let node = |more: Value| {
        let mut node = json!({ "ref": "n", "shell": "true" });
        node.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({ "nodes": [node] })
    };
    let cycle = json!({ "nodes": [
        { "ref": "a", "shell": "true", "dependsOn": ["b"] },
        { "ref": "b", "shell": "true", "dependsOn": ["a"] },
    ]});
    for (body, field) in [
        (spec("a/b"), "runId"),
        (json!({ "nodes": [] }), "nodes"),
        (json!({}), "nodes"),
        (json!([]), "body"),
        (cycle, "nodes[0].dependsOn"),
        (node(json!({ "retries": "x" })), "nodes[0].retries"),
        (node(json!({ "retries": 11 })), "nodes[0].retries"),
        (node(json!({ "colour": 1 })), "nodes[0].colour"),
        (node(json!({ "command": ["x"] })), "nodes[0]"),
        (node(json!({ "terminal": { "cols": 1001 } })), "nodes[0].terminal.cols"),
        (json!({ "nodes": [], "colour": 1 }), "colour"),
    ] {
        let answer = submit(&fixture, "", &body).await;
        assert_eq!((answer.status, answer.code()), (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.field(), field, "{body}");
    }
    assert!(fixture.control.0.lock().expect("not poisoned").is_empty());
}

#[actix_web::test]
async fn malformed_requests_are_refused_in_one_shape() {
    let fixture = open();
    let long = "x".repeat(129);
    let paths = [
        ("/runs?limit=0", "limit"),
        ("/runs?limit=1001", "limit"),
        ("/runs?limit=ten", "limit"),
        ("/runs?cursor=%21", "cursor"),
        ("/runs?cursor=abc", "cursor"),
        ("/runs?status=DONE", "status"),
        ("/runs?label=team", "label"),
        ("/runs?colour=1", "colour"),
        ("/runs?limit=1&limit=2", "limit"),
        ("/runs?workflowId=%zz", "workflowId"),
        ("/runs/.a", "runId"),
        (&format!("/runs/{long}"), "runId"),
        ("/runs/a%2Fb", "runId"),
        ("/runs/%zz", "runId"),
        ("/runs/a%00", "runId"),
        ("/runs/r/trace?after=-1", "after"),
        ("/runs/r/trace?after=9007199254740992", "after"),
        ("/runs/r/trace?level=loud", "level"),
        ("/runs/r/trace?type=X", "type"),
        ("/runs/r/trace?nodeRef=a/b", "nodeRef"),
        ("/runs/r/terminal/-n", "nodeRef"),
        ("/runs/r/terminal/n?limit=5001", "limit"),
        ("/runs/r/terminal/n?afterChunk=-2", "afterChunk"),
        ("/runs/r/terminal/n?beforeChunk=x", "beforeChunk"),
        ("/runs/r/terminal/n?kinds=output,loud", "kinds"),
        ("/runs/r/terminal/n?stream=all", "stream"),
    ];
    // Ids and queries are checked before the store is asked, so it may be away.
    fixture.store.is_away.store(true, Ordering::Release);
    for (path, field) in paths {
        let answer = ask(&fixture, with(Method::GET, &format!("/api/v1{path}"), "")).await;
        assert_eq!((answer.status, answer.code()), (400, "VALIDATION_FAILED"), "{path}");
        assert_eq!(answer.field(), field, "{path}");
        assert_eq!(answer.body["success"], false);
        assert_eq!(answer.body["requestId"].as_str(), answer.header("x-request-id"));
    }
    let away = ask(&fixture, with(Method::GET, "/api/v1/runs", "")).await;
    assert_eq!((away.status, away.code()), (503, "UNAVAILABLE"));
    assert!(away.header("retry-after").is_some());
    assert!(!away.body.to_string().contains("secret address"));
}

#[actix_web::test]
async fn paths_methods_types_and_sizes_are_checked() {
    let fixture = open();
    for path in ["/api/v1/nothing", "/api/v1", "/nothing", "/api/v2/runs"] {
        let answer = ask(&fixture, with(Method::GET, path, "")).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"), "{path}");
    }
    let method = ask(&fixture, with(Method::PUT, "/api/v1/runs", "")).await;
    assert_eq!((method.status, method.code()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(method.header("allow"), Some("GET, POST"));
    let method = ask(&fixture, with(Method::POST, "/healthz", "")).await;
    assert_eq!((method.status, method.header("allow")), (405, Some("GET")));

    let plain =
        with(Method::POST, "/api/v1/runs", "").insert_header(("Content-Type", "text/plain"));
    let answer = ask(&fixture, plain.set_payload("{}")).await;
    assert_eq!((answer.status, answer.code()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    let bare = ask(&fixture, with(Method::POST, "/api/v1/runs", "").set_payload("{}")).await;
    assert_eq!(bare.status, 415);
    let huge = with(Method::POST, "/api/v1/runs", "")
        .insert_header(("Content-Type", "application/json"))
        .set_payload(vec![b' '; 1024 * 1024 + 1]);
    let answer = ask(&fixture, huge).await;
    assert_eq!((answer.status, answer.code()), (413, "PAYLOAD_TOO_LARGE"));
    let broken = with(Method::POST, "/api/v1/runs", "")
        .insert_header(("Content-Type", "application/json"))
        .set_payload("{\"nodes\":");
    assert_eq!(ask(&fixture, broken).await.status, 400);
}

#[actix_web::test]
async fn commands_reach_the_owner() {
    let fixture = open();
    let base = "/api/v1/runs/known";
    let post =
        |path: &str, body: Value| with(Method::POST, &format!("{base}{path}"), "").set_json(body);
    assert_eq!(ask(&fixture, with(Method::POST, &format!("{base}/cancel"), "")).await.status, 202);
    let size = json!({ "cols": 80, "rows": 24 });
    assert_eq!(ask(&fixture, post("/nodes/n/resize", size)).await.status, 202);
    let label = json!({ "label": "here" });
    assert_eq!(ask(&fixture, post("/terminal/n/markers", label)).await.status, 202);
    assert_eq!(ask(&fixture, with(Method::DELETE, base, "")).await.status, 204);
    let told = fixture.control.0.lock().expect("not poisoned").clone();
    assert_eq!(told, ["cancel", "resize n 80x24", "marker n here", "purge"]);

    for (path, body, field) in [
        ("/nodes/n/resize", json!({ "cols": 0, "rows": 24 }), "cols"),
        ("/nodes/n/resize", json!({ "cols": 80, "rows": 501 }), "rows"),
        ("/nodes/n/resize", json!({ "cols": -1, "rows": 24 }), "cols"),
        ("/nodes/n/resize", json!({ "cols": 80, "rows": 24, "x": 1 }), "x"),
        ("/terminal/n/markers", json!({ "label": "" }), "label"),
        ("/terminal/n/markers", json!({ "label": "x".repeat(1025) }), "label"),
    ] {
        let answer = ask(&fixture, post(path, body.clone())).await;
        assert_eq!((answer.status, answer.field()), (400, field), "{path} {body}");
    }
    let unknown = ask(&fixture, with(Method::POST, "/api/v1/runs/unknown/cancel", "")).await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
}

#[actix_web::test]
async fn a_tenant_sees_its_own_runs_only() {
    let fixture = guarded();
    assert_eq!(submit(&fixture, "full", &spec("r1")).await.status, 201);
    for (token, status, code) in [
        ("", 401, "UNAUTHENTICATED"),
        ("wrong", 401, "UNAUTHENTICATED"),
        ("other", 404, "NOT_FOUND"),
    ] {
        let answer = ask(&fixture, with(Method::GET, "/api/v1/runs/r1/trace", token)).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{token}");
    }
    let refused = submit(&fixture, "reader", &spec("r2")).await;
    assert_eq!((refused.status, refused.code()), (403, "FORBIDDEN"));
    // The same id in another tenant is another run.
    assert_eq!(submit(&fixture, "other", &spec("r1")).await.status, 201);
    let list = ask(&fixture, with(Method::GET, "/api/v1/runs", "other")).await;
    assert_eq!(list.body["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(list.body["runs"][0]["tenant"], "b");
    assert!(list.body["nextCursor"].is_null() && list.body.get("nextCursor").is_some());
    let query = with(Method::GET, "/api/v1/runs?access_token=reader&limit=7", "");
    assert_eq!(ask(&fixture, query).await.status, 200);
    let last = fixture.store.queries.lock().expect("not poisoned").last().cloned().expect("asked");
    assert_eq!((last.tenant.as_str(), last.limit), ("default", 7));
}

#[actix_web::test]
async fn a_token_for_one_run_opens_that_run() {
    let fixture = guarded();
    for run in ["r1", "r2"] {
        assert_eq!(submit(&fixture, "full", &spec(run)).await.status, 201);
    }
    let narrow = json!({ "runId": "r1", "scopes": ["runs:read"], "ttlSecs": 60 });
    let made = ask(&fixture, with(Method::POST, "/api/v1/tokens", "full").set_json(&narrow)).await;
    assert_eq!((made.status, made.body["runId"].as_str()), (201, Some("r1")));
    let token = made.body["token"].as_str().expect("a token").to_owned();
    let list = ask(&fixture, with(Method::GET, "/api/v1/runs", &token)).await;
    assert_eq!(list.body["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(list.body["runs"][0]["runId"], "r1");
    for path in ["/api/v1/runs/r2", "/api/v1/runs/r2/trace", "/api/v1/runs/r2/terminal/n"] {
        assert_eq!(ask(&fixture, with(Method::GET, path, &token)).await.status, 404, "{path}");
    }
    assert_eq!(submit(&fixture, &token, &spec("r1")).await.status, 403);
    for (body, status, field) in [
        (json!({ "scopes": ["runs:write"], "ttlSecs": 60 }), 403, ""),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 0 }), 400, "ttlSecs"),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 86_401 }), 400, "ttlSecs"),
        (json!({ "scopes": ["everything"], "ttlSecs": 60 }), 400, "scopes[0]"),
        (json!({ "scopes": [], "ttlSecs": 60 }), 400, "scopes"),
        (json!({ "scopes": ["runs:read"], "ttlSecs": 60, "tenant": "b" }), 400, "tenant"),
    ] {
        let request = with(Method::POST, "/api/v1/tokens", &token).set_json(&body);
        let answer = ask(&fixture, request).await;
        assert_eq!((answer.status, answer.field()), (status, field), "{body}");
    }
}

#[actix_web::test]
async fn the_cookie_needs_the_own_origin_to_change_something() {
    let fixture = guarded();
    let wrong = with(Method::POST, "/api/v1/session", "").set_json(json!({ "token": "wrong" }));
    assert_eq!(ask(&fixture, wrong).await.status, 401);
    let login = with(Method::POST, "/api/v1/session", "").set_json(json!({ "token": "full" }));
    let answer = ask(&fixture, login).await;
    assert_eq!((answer.status, answer.body["mode"].as_str()), (200, Some("token")));
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("full"));
    let cookie = set.split(';').next().expect("a pair").to_owned();
    let cookied = |method, path: &str, origin: Option<&str>| {
        let request = with(method, path, "")
            .insert_header(("Cookie", format!("a=b; {cookie}")))
            .insert_header(("Host", "runs.example"));
        match origin {
            Some(origin) => request.insert_header(("Origin", origin.to_owned())),
            None => request,
        }
    };
    let me = ask(&fixture, cookied(Method::GET, "/api/v1/session", None)).await;
    assert_eq!((me.status, me.body["tenant"].as_str()), (200, Some("default")));
    assert!(!me.body["scopes"].to_string().contains("admin"), "admin is the service's alone");
    let cancel = "/api/v1/runs/known/cancel";
    for (origin, status) in [
        (None, 403),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
        (Some("https://runs.example"), 202),
    ] {
        let answer = ask(&fixture, cookied(Method::POST, cancel, origin)).await;
        assert_eq!(answer.status, status, "{origin:?}");
    }
    let out = cookied(Method::DELETE, "/api/v1/session", Some("https://evil.example"));
    assert_eq!(ask(&fixture, out).await.status, 403);
    let out = cookied(Method::DELETE, "/api/v1/session", Some("https://runs.example"));
    let answer = ask(&fixture, out).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").expect("a cookie").contains("Max-Age=0"));
}

#[actix_web::test]
async fn only_listed_origins_may_read() {
    let fixture = guarded();
    let preflight = |origin: &str| {
        with(Method::OPTIONS, "/api/v1/runs", "")
            .insert_header(("Origin", origin.to_owned()))
            .insert_header(("Access-Control-Request-Method", "POST"))
    };
    let good = ask(&fixture, preflight("https://page.example")).await;
    assert_eq!(good.status, 204);
    assert_eq!(good.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(good.header("access-control-allow-methods"), Some("GET, POST, PATCH, DELETE"));
    assert_eq!(
        good.header("access-control-allow-headers"),
        Some("Authorization, Content-Type, Last-Event-ID, X-Request-Id")
    );
    let bad = ask(&fixture, preflight("https://evil.example")).await;
    assert_eq!((bad.status, bad.header("access-control-allow-origin")), (403, None));

    let from = |origin: &str, token: &str| {
        with(Method::GET, "/api/v1/runs", token).insert_header(("Origin", origin.to_owned()))
    };
    for token in ["full", "wrong"] {
        let answer = ask(&fixture, from("https://page.example", token)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some(
                "X-Request-Id, Retry-After, ETag, Content-Disposition, Content-Range, X-Runcast-State"
            )
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let other = ask(&fixture, from("https://evil.example", "full")).await;
    assert_eq!(
        (other.header("access-control-allow-origin"), other.header("vary")),
        (None, Some("Origin"))
    );
}

#[actix_web::test]
async fn every_answer_carries_its_id_and_its_headers() {
    let fixture = guarded();
    for path in ["/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/runs", "/nothing"] {
        let mine = with(Method::GET, path, "full").insert_header(("X-Request-Id", "my-id.1"));
        let answer = ask(&fixture, mine).await;
        assert_eq!(answer.header("x-request-id"), Some("my-id.1"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let insane = with(Method::GET, path, "full").insert_header(("X-Request-Id", "a b"));
        let given = ask(&fixture, insane).await;
        let id = given.header("x-request-id").expect("an id");
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
    }
}

#[actix_web::test]
async fn readiness_tells_what_is_wrong() {
    let fixture = fixture(AccessMode::Token, LogHealth::LowOnDisk);
    let degraded = ask(&fixture, with(Method::GET, "/readyz", "")).await;
    assert_eq!((degraded.status, degraded.body["ready"].as_bool()), (200, Some(true)));
    assert_eq!(degraded.body["stores"]["log"]["state"], "degraded");
    let since = degraded.body["stores"]["log"]["since"].clone();
    fixture.store.is_away.store(true, Ordering::Release);
    let down = ask(&fixture, with(Method::GET, "/readyz", "")).await;
    assert_eq!(
        (down.status, down.body["stores"]["database"]["state"].as_str()),
        (503, Some("down"))
    );
    assert_eq!(down.body["stores"]["log"]["since"], since);
    fixture.store.is_away.store(false, Ordering::Release);
    fixture.draining.store(true, Ordering::Release);
    let draining = ask(&fixture, with(Method::GET, "/readyz", "")).await;
    assert_eq!((draining.status, draining.body["draining"].as_bool()), (503, Some(true)));
    let refused = submit(&fixture, "full", &spec("r1")).await;
    assert_eq!((refused.status, refused.code()), (503, "UNAVAILABLE"));
    assert_eq!(ask(&fixture, with(Method::GET, "/healthz", "")).await.status, 200);
}

#[actix_web::test]
async fn metrics_are_for_loopback_or_their_scope() {
    let fixture = guarded();
    let from = |peer: &str, token: &str| {
        with(Method::GET, "/metrics", token).peer_addr(peer.parse().expect("an address"))
    };
    assert_eq!(ask(&fixture, from("127.0.0.1:9", "")).await.body, "runcast_up 1\n");
    assert_eq!(ask(&fixture, from("10.0.0.1:9", "")).await.status, 401);
    assert_eq!(ask(&fixture, from("10.0.0.1:9", "reader")).await.status, 403);
    assert_eq!(ask(&fixture, from("10.0.0.1:9", "full")).await.status, 200);
    let proxied = from("127.0.0.1:9", "").insert_header(("X-Forwarded-For", "10.0.0.1"));
    assert_eq!(ask(&fixture, proxied).await.status, 401);
}

#[actix_web::test]
async fn an_unchanged_run_is_not_sent_again() {
    let fixture = open();
    assert_eq!(submit(&fixture, "", &spec("r1")).await.status, 201);
    let first = ask(&fixture, with(Method::GET, "/api/v1/runs/r1", "")).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(first.status == 200 && tag.starts_with("\"0-"), "{tag}");
    assert!(first.body["nodes"].is_array());
    let again =
        with(Method::GET, "/api/v1/runs/r1", "").insert_header(("If-None-Match", tag.as_str()));
    let again = ask(&fixture, again).await;
    assert_eq!((again.status, &again.body), (304, &json!("")));
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    fixture.log.entries.lock().expect("not poisoned").push(Arc::new(trace_entry(1, Level::Info)));
    let changed =
        with(Method::GET, "/api/v1/runs/r1", "").insert_header(("If-None-Match", tag.as_str()));
    let changed = ask(&fixture, changed).await;
    let changed_tag = changed.header("etag").expect("a tag");
    assert!(changed.status == 200 && changed_tag.starts_with("\"1-"), "{changed_tag}");
    let status = ask(&fixture, with(Method::GET, "/api/v1/runs/r1/status", "")).await;
    assert_eq!((status.status, status.body.get("nodes")), (200, None));
    let page = ask(&fixture, with(Method::GET, "/api/v1/runs", "")).await;
    let tag = page.header("etag").expect("a tag").to_owned();
    let again =
        || with(Method::GET, "/api/v1/runs", "").insert_header(("If-None-Match", tag.as_str()));
    assert_eq!(ask(&fixture, again()).await.status, 304);
    assert_eq!(submit(&fixture, "", &spec("r2")).await.status, 201);
    assert_eq!(ask(&fixture, again()).await.status, 200, "there is another run");
    let unknown = ask(&fixture, with(Method::GET, "/api/v1/runs/r9", "")).await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
}

#[actix_web::test]
async fn metadata_and_links_are_changed_under_their_rules() {
    let fixture = open();
    assert_eq!(submit(&fixture, "", &spec("r1")).await.status, 201);
    for (body, status, field) in [
        (json!({ "metadata": { "a": 1 } }), 200, ""),
        (json!({ "links": [{ "rel": "a", "label": "b", "url": "ftp://c" }] }), 400, "links[0].url"),
        (json!({ "metadata": { "a": "x".repeat(17_000) } }), 400, "metadata"),
        (json!({ "metadata": [] }), 400, "metadata"),
        (json!({ "status": "COMPLETED" }), 400, "status"),
    ] {
        let request = with(Method::PATCH, "/api/v1/runs/r1", "").set_json(&body);
        let answer = ask(&fixture, request).await;
        assert_eq!((answer.status, answer.field()), (status, field), "{body}");
    }
    let told = fixture.control.0.lock().expect("not poisoned").clone();
    assert_eq!(told, ["submitted", "annotated r1 metadata=true links=false"]);
    let unknown = with(Method::PATCH, "/api/v1/runs/r9", "").set_json(json!({}));
    assert_eq!(ask(&fixture, unknown).await.status, 404);
}

#[actix_web::test]
async fn pages_of_chunks_join_and_go_on_where_the_last_one_ended() {
    let fixture = open();
    assert_eq!(submit(&fixture, "", &spec("r1")).await.status, 201);
    let path = "/api/v1/runs/r1/terminal/n";
    let early = ask(&fixture, with(Method::GET, path, "")).await;
    assert_eq!((early.status, &early.body["chunks"]), (200, &json!([])));
    assert_eq!(early.body["nextAfterChunk"], -1);

    let mut entries: Vec<_> =
        (0..40).map(|index| output_entry(index + 1, "n", index, &vec![b'x'; 100_000])).collect();
    entries.push(exit_entry(41, "n", 40, true));
    *fixture.log.entries.lock().expect("not poisoned") =
        entries.into_iter().map(Arc::new).collect();
    let mut seen = Vec::new();
    let mut after = -1;
    let mut complete = false;
    while !complete {
        let page =
            ask(&fixture, with(Method::GET, &format!("{path}?afterChunk={after}"), "")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let chunks = page.body["chunks"].as_array().expect("a list").clone();
        assert!(!chunks.is_empty(), "a page that does not go on");
        seen.extend(chunks.iter().map(|chunk| chunk["chunkIndex"].as_u64().expect("a number")));
        after = page.body["nextAfterChunk"].as_i64().expect("a number");
        complete = page.body["complete"].as_bool().expect("a truth");
        assert_eq!(page.body["source"], "hot");
    }
    assert_eq!(seen, (0..=40).collect::<Vec<_>>());

    fixture.log.reads_after.lock().expect("not poisoned").clear();
    let end = ask(&fixture, with(Method::GET, &format!("{path}?afterChunk=40"), "")).await;
    assert_eq!((&end.body["chunks"], &end.body["complete"]), (&json!([]), &json!(true)));
    let reads = fixture.log.reads_after.lock().expect("not poisoned").clone();
    assert!(reads.iter().all(|after| after.0 == 41), "read from {reads:?}, not from the end");

    let before =
        ask(&fixture, with(Method::GET, &format!("{path}?beforeChunk=10&limit=3"), "")).await;
    assert_eq!(before.body["firstChunkIndex"], 7);
    assert_eq!(before.body["lastChunkIndex"], 9);
    let wrong = ask(&fixture, with(Method::GET, &format!("{path}?stream=stdout"), "")).await;
    assert_eq!((wrong.status, wrong.field()), (400, "stream"));
    let unknown = ask(&fixture, with(Method::GET, "/api/v1/runs/r1/terminal/m", "")).await;
    assert_eq!(unknown.status, 404);
}

#[actix_web::test]
async fn a_pipe_node_needs_its_stream_named() {
    let fixture = open();
    let mut piped = spec("r1");
    piped["terminal"] = json!({ "mode": "pipe" });
    assert_eq!(submit(&fixture, "", &piped).await.status, 201);
    let path = "/api/v1/runs/r1/terminal/n";
    let unnamed = ask(&fixture, with(Method::GET, path, "")).await;
    assert_eq!((unnamed.status, unnamed.field()), (400, "stream"));
    assert_eq!(unnamed.body["error"]["details"]["streams"], json!(["stdout", "stderr"]));
    let named = ask(&fixture, with(Method::GET, &format!("{path}?stream=stderr"), "")).await;
    assert_eq!((named.status, named.body["stream"].as_str()), (200, Some("stderr")));
}

#[actix_web::test]
async fn the_trace_reaches_to_the_tail_of_the_log() {
    let fixture = open();
    assert_eq!(submit(&fixture, "", &spec("r1")).await.status, 201);
    let levels = [Level::Info, Level::Warn, Level::Debug, Level::Error];
    let entries = (1..).zip(levels).map(|(seq, level)| Arc::new(trace_entry(seq, level)));
    *fixture.log.entries.lock().expect("not poisoned") = entries.collect();
    for (query, seqs, next) in [
        ("", vec![1, 2, 3, 4], 4),
        ("?after=2", vec![3, 4], 4),
        ("?level=warn", vec![2, 4], 4),
        ("?limit=1", vec![1], 1),
        ("?nodeRef=other", vec![], 4),
    ] {
        let page =
            ask(&fixture, with(Method::GET, &format!("/api/v1/runs/r1/trace{query}"), "")).await;
        let events = page.body["events"].as_array().expect("a list").iter();
        let found: Vec<u64> = events.map(|event| event["seq"].as_u64().expect("a seq")).collect();
        assert_eq!((found, page.body["nextAfter"].as_u64()), (seqs, Some(next)), "{query}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn a_token_never_reaches_the_log_but_the_cause_of_a_failure_does() {
    let fixture = guarded();
    let lines = Lines::default();
    let writer = lines.clone();
    // With a single subscriber, what a test on another thread logs first is taken for never wanted.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    fixture.store.is_away.store(true, Ordering::Release);
    let request = with(Method::GET, "/api/v1/runs?access_token=reader", "")
        .insert_header(("X-Request-Id", "my-id.1"));
    assert_eq!(ask(&fixture, request).await.status, 503);
    drop(guard);
    let text = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("UTF-8");
    assert!(text.contains("request answered") && text.contains("my-id.1"), "{text}");
    assert_eq!(text.matches("secret address").count(), 1, "{text}");
    assert!(!text.contains("access_token") && !text.contains("reader"), "{text}");
}
