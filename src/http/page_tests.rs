//! The page through the routes of the service, and what pages tell it.

use actix_web::App;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use bytes::Bytes;
use runcast_actors::ports::LogHealth;
use serde_json::{Value, json};

use super::access::AccessMode;
use super::api::configure;
use super::page::WebPage;
use super::testing::{Fixture, fixture_with};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn error(&self) -> Value {
        serde_json::from_str::<Value>(&self.body)
            .map(|body| body["error"].clone())
            .unwrap_or_default()
    }
}

fn built() -> Fixture {
    let files = [
        ("index.html", "<!doctype html>"),
        ("favicon.svg", "<svg/>"),
        ("assets/index-1a2b.js", "let a = 1"),
        ("assets/index-1a2b.js.br", "BR"),
        ("assets/index-1a2b.js.gz", "GZ"),
    ];
    let page = WebPage::of(
        files.map(|(name, text)| (name.to_owned(), Bytes::from_static(text.as_bytes()))),
    );
    fixture_with(page, AccessMode::Token, LogHealth::Up)
}

fn not_built() -> Fixture {
    fixture_with(WebPage::default(), AccessMode::Token, LogHealth::Up)
}

async fn ask(fixture: &Fixture, request: TestRequest) -> Answer {
    let api = fixture.api.clone();
    let service = init_service(App::new().configure(move |cfg| configure(cfg, api))).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = String::from_utf8(read_body(response).await.to_vec()).expect("UTF-8");
    Answer { status, headers, body }
}

fn get(path: &str, accept: &'static str) -> TestRequest {
    TestRequest::with_uri(path).insert_header(("Accept", accept))
}

#[actix_web::test]
async fn every_address_that_a_browser_opens_is_the_page() {
    let fixture = built();
    for path in ["/", "/runs", "/runs/nightly-42/nodes/scan?t=83.2", "/nothing/at/all", "/apis"] {
        let answer = ask(&fixture, get(path, BROWSER)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "<!doctype html>"), "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("script-src 'self' 'unsafe"), "{policy}");
    }
    let plain = ask(&fixture, get("/", "*/*")).await;
    assert_eq!((plain.status, plain.body.as_str()), (200, "<!doctype html>"));
}

#[actix_web::test]
async fn what_is_not_opened_by_a_browser_is_told_that_there_is_nothing() {
    let fixture = built();
    for (path, accept) in [
        ("/nothing", "*/*"),
        ("/nothing", "application/json"),
        ("/assets/index-0000.js", BROWSER),
        ("/assets/index-1a2b.js.br", BROWSER),
        ("/assets/", BROWSER),
        ("/assets/../index.html", BROWSER),
        ("/api", BROWSER),
        ("/api/v1/nothing", BROWSER),
        ("/api/v2/runs", BROWSER),
    ] {
        let answer = ask(&fixture, get(path, accept)).await;
        assert_eq!((answer.status, &answer.error()["code"]), (404, &json!("NOT_FOUND")), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    let posted = ask(&fixture, get("/nothing", BROWSER).method(Method::POST)).await;
    assert_eq!(posted.status, 404);
    for path in ["/", "/assets/index-1a2b.js", "/favicon.svg"] {
        let posted = ask(&fixture, get(path, BROWSER).method(Method::POST)).await;
        assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"), "{path}");
    }
}

#[actix_web::test]
async fn assets_are_kept_for_ever_in_the_form_that_the_client_takes() {
    let fixture = built();
    let asset = || get("/assets/index-1a2b.js", "*/*");
    let mut tags = Vec::new();
    for (accepted, body, encoding) in
        [("gzip, br", "BR", "br"), ("gzip", "GZ", "gzip"), ("identity", "let a = 1", "")]
    {
        let answer = ask(&fixture, asset().insert_header(("Accept-Encoding", accepted))).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("vary"), "Accept-Encoding");
        tags.push(answer.header("etag").to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    let again = asset().insert_header(("Accept-Encoding", "gzip"));
    let again = ask(&fixture, again.insert_header(("If-None-Match", tags[1].as_str()))).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), tags[1]);
    let other = asset().insert_header(("If-None-Match", tags[1].as_str()));
    assert_eq!(ask(&fixture, other).await.status, 200, "another form is another entity");

    let icon = ask(&fixture, get("/favicon.svg", "*/*")).await;
    assert_eq!(icon.header("content-type"), "image/svg+xml");
    assert_eq!((icon.header("cache-control"), icon.header("vary")), ("no-cache", "Origin"));
}

#[actix_web::test]
async fn without_the_page_the_api_says_how_to_build_it() {
    let fixture = not_built();
    let answer = ask(&fixture, get("/", BROWSER)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(answer.body.contains("make page") && answer.body.contains("/api/v1"));
    let deep = ask(&fixture, get("/runs/nightly-42", BROWSER)).await;
    assert_eq!((deep.status, &deep.error()["code"]), (404, &json!("NOT_FOUND")));
    assert_eq!(ask(&fixture, get("/healthz", BROWSER)).await.status, 200);
    assert_eq!(ask(&fixture, get("/", BROWSER).method(Method::DELETE)).await.status, 405);
}

async fn tell(fixture: &Fixture, token: &str, body: &Value) -> Answer {
    let request = TestRequest::post().uri("/api/v1/telemetry").set_json(body);
    ask(fixture, request.insert_header(("Authorization", format!("Bearer {token}")))).await
}

#[actix_web::test]
async fn what_pages_tell_is_bounded_and_from_those_who_may_look() {
    let fixture = not_built();
    let event = |name: &str, count: Value| json!({ "events": [{ "name": name, "count": count }] });
    let many = |number: usize| json!({ "events": vec![json!({ "name": "gap_seen", "count": 1 }); number] });
    for name in ["terminal_viewed", "cast_downloaded", "gap_seen", "reconnected", "player_error"] {
        assert_eq!(
            tell(&fixture, "reader", &event(name, json!(1_000_000))).await.status,
            202,
            "{name}"
        );
    }
    assert_eq!(tell(&fixture, "reader", &many(100)).await.status, 202);
    for (body, field) in [
        (many(0), "events"),
        (many(101), "events"),
        (json!({}), "events"),
        (event("page_opened", json!(1)), "events[0].name"),
        (event("gap_seen", json!(0)), "events[0].count"),
        (event("gap_seen", json!(1_000_001)), "events[0].count"),
        (event("gap_seen", json!(-1)), "events[0].count"),
        (event("gap_seen", json!("1")), "events[0].count"),
        (json!({ "events": [{ "name": "gap_seen" }] }), "events[0].count"),
        (json!({ "events": [], "who": "me" }), "who"),
    ] {
        let answer = tell(&fixture, "reader", &body).await;
        let named = answer.error()["details"]["field"].clone();
        assert_eq!((answer.status, named), (400, json!(field)), "{body}");
    }
    assert_eq!(tell(&fixture, "wrong", &many(1)).await.status, 401);
}
