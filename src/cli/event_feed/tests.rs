//! The client against a small server that fails as real ones do.

use std::sync::Mutex;

use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use super::super::client::Connection;
use super::*;

/// What the server was asked with, and how often.
#[derive(Default)]
struct Seen {
    cursors: Mutex<Vec<Option<String>>>,
}

/// Runs `test` against a server on a free port.
fn with_server<F, Fut>(routes: fn(&mut ServiceConfig), test: F) -> Vec<Option<String>>
where
    F: FnOnce(ApiClient) -> Fut,
    Fut: Future<Output = ()>,
{
    actix_web::rt::System::new().block_on(async move {
        let seen = Data::new(Seen::default());
        let shared = seen.clone();
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).configure(routes))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let limit = Duration::from_secs(20);
        let work = test(client(&format!("http://{address}")));
        tokio::time::timeout(limit, work).await.expect("in time");
        handle.stop(false).await;
        seen.cursors.lock().expect("no panic").clone()
    })
}

fn client(server: &str) -> ApiClient {
    let server = server.parse().expect("an address");
    ApiClient::new(&Connection { server, token: None }).expect("a client")
}

fn feed(client: ApiClient) -> EventFeed {
    EventFeed::new(client, "/runs/r/stream".to_owned(), Vec::new())
}

async fn collect(feed: &mut EventFeed) -> (Vec<FeedEvent>, usize) {
    let (mut events, mut interruptions) = (Vec::new(), 0);
    while let Some(item) = feed.next().await.expect("no failure") {
        match item {
            FeedItem::Event(event) => events.push(event),
            FeedItem::Interrupted(_) => interruptions += 1,
        }
    }
    (events, interruptions)
}

fn remember(request: &HttpRequest) -> usize {
    let seen = request.app_data::<Data<Seen>>().expect("registered");
    let cursor = request.headers().get("last-event-id");
    let cursor = cursor.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut cursors = seen.cursors.lock().expect("no panic");
    cursors.push(cursor);
    cursors.len()
}

fn events(body: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/event-stream").body(body)
}

async fn cut_stream(request: HttpRequest) -> HttpResponse {
    match remember(&request) {
        1 => events(
            "retry: 10\n\n: hello\n\nid: 1\nevent: trace\ndata: {\"n\":1}\n\nid: 2\nevent: trace\ndata: {\"n\":2}\n\nid: 3\nevent: tra",
        ),
        2 => events(
            "event: error\ndata: {\"code\":\"UNAVAILABLE\",\"message\":\"draining\",\"retryable\":true}\n\n",
        ),
        3 => HttpResponse::ServiceUnavailable().finish(),
        4 => events("id: 3\nevent: trace\ndata: {\"n\":3}\n\nid: 4\nevent: done\ndata: {}\n\n"),
        _ => HttpResponse::NoContent().finish(),
    }
}

#[test]
fn a_cut_stream_goes_on_after_the_last_event() {
    let cursors = with_server(
        |config| {
            config.route("/api/v1/runs/r/stream", get().to(cut_stream));
        },
        async |client| {
            let (events, interruptions) = collect(&mut feed(client)).await;
            let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
            assert_eq!(data, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, "{}"]);
            assert_eq!(interruptions, 2);
        },
    );
    let two = Some("2".to_owned());
    assert_eq!(cursors, [None, two.clone(), two.clone(), two]);
}

async fn one_event_then_nothing(request: HttpRequest) -> HttpResponse {
    match remember(&request) {
        1 => events("retry: 10\n\nid: 9\nevent: status\ndata: {}\n\n"),
        _ => HttpResponse::NoContent().finish(),
    }
}

#[test]
fn no_content_ends_the_stream() {
    let cursors = with_server(
        |config| {
            config.route("/api/v1/runs/r/stream", get().to(one_event_then_nothing));
        },
        async |client| {
            let (events, interruptions) = collect(&mut feed(client)).await;
            assert_eq!((events.len(), interruptions), (1, 0));
        },
    );
    assert_eq!(cursors, [None, Some("9".to_owned())]);
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type("application/json").body(
        r#"{"success":false,"error":{"code":"NOT_FOUND","message":"no run\u001b[2J `r`","details":{}},"requestId":"q-1"}"#,
    )
}

#[test]
fn a_refusal_ends_it_with_the_words_of_the_service() {
    with_server(
        |config| {
            config.route("/api/v1/runs/r/stream", get().to(not_found));
        },
        async |client| {
            let error = feed(client).next().await.expect_err("refused");
            assert_eq!(error.to_string(), "no run `r` (NOT_FOUND, request q-1)");
        },
    );
}

#[test]
fn a_service_that_is_not_there_is_named_at_once() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let error = runtime.expect("a runtime").block_on(async {
        feed(client(&format!("http://{address}"))).next().await.expect_err("nobody there")
    });
    assert_eq!(
        error.to_string(),
        format!("no service answers at http://{address}; start one with `runcast serve`")
    );
}

#[test]
fn a_retry_without_an_event_is_seen() {
    let retry_ms = Arc::new(AtomicU64::new(1));
    let mut watcher = RetryWatcher::new(Arc::clone(&retry_ms));
    for piece in ["data: a long line that is no delay, retry: 7\nret", "ry: 25", "0\n\nretry: x\n"]
    {
        watcher.read(piece.as_bytes());
    }
    assert_eq!(retry_ms.load(Ordering::Relaxed), 250);
}
