//! What headers a download has, by the state of its recording.

use actix_web::App;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use runcast_actors::entry::TerminalSize;
use runcast_actors::ids::{ChunkIndex, Epoch, Seq};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{LogHealth, Recording, RecordingState};
use serde_json::json;

use crate::http::access::AccessMode;
use crate::http::api::configure;
use crate::http::testing::{Fixture, MAX_DOWNLOADS, exit_entry, fixture, output_entry, stream_key};

const PATH: &str = "/api/v1/runs/r/terminal/n/cast";
const OUTPUT: &[u8] = b"one\r\n\x1b[31mtwo\x1b[0m\r\n";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

async fn ask(fixture: &Fixture, request: TestRequest) -> Answer {
    let api = fixture.api.clone();
    let service = init_service(App::new().configure(move |cfg| configure(cfg, api))).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: read_body(response).await.to_vec() }
}

async fn get(fixture: &Fixture, query: &str, headers: &[(&str, &str)]) -> Answer {
    let request = TestRequest::with_uri(&format!("{PATH}?{query}"));
    let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
    ask(fixture, request).await
}

fn recording(state: RecordingState) -> Recording {
    Recording {
        stream: stream_key("n"),
        state,
        reason: None,
        object: None,
        first_chunk: Some(ChunkIndex(0)),
        last_chunk: Some(ChunkIndex(2)),
        last_seq: Seq(3),
        chunks: 3,
        bytes: OUTPUT.len() as u64,
        sha256: (state != RecordingState::Live).then(|| "ab".repeat(32)),
        gaps: 0,
        duration_us: 2000,
        size: TerminalSize { cols: 120, rows: 30 },
        epoch: Epoch(0),
        encoder_state: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        completed_at: None,
        purged_at: None,
    }
}

async fn service(state: Option<RecordingState>) -> Fixture {
    let fixture = fixture(AccessMode::None, LogHealth::Up);
    let spec = json!({ "runId": "r", "nodes": [{ "ref": "n", "shell": "true" }] });
    let request = TestRequest::post().uri("/api/v1/runs").set_json(&spec);
    assert_eq!(ask(&fixture, request).await.status, 201);
    let (head, tail) = OUTPUT.split_at(9);
    let entries =
        [output_entry(1, "n", 0, head), output_entry(2, "n", 1, tail), exit_entry(3, "n", 2, true)];
    fixture.log.entries.lock().expect("not poisoned").extend(entries.map(Into::into));
    fixture.store.recordings.lock().expect("not poisoned").extend(state.map(recording));
    fixture
}

#[actix_web::test]
async fn every_format_has_its_type_and_name() {
    let service = service(None).await;
    for (query, content_type, name, body) in [
        (
            "format=raw",
            "application/octet-stream",
            "r-n.raw",
            std::str::from_utf8(OUTPUT).expect("text"),
        ),
        ("format=txt", "text/plain; charset=utf-8", "r-n.txt", "one\ntwo\n"),
        ("", "application/x-asciicast", "r-n.cast", "{\"version\":3,"),
        ("version=2", "application/x-asciicast", "r-n.cast", "{\"version\":2,"),
    ] {
        let answer = get(&service, query, &[]).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(answer.header("content-type"), content_type);
        let disposition = format!("attachment; filename=\"{name}\"");
        assert_eq!(answer.header("content-disposition"), disposition);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.text().starts_with(body), "{query}: {}", answer.text());
    }
    let v2 = get(&service, "version=2", &[]).await;
    let events: Vec<&str> = v2.text().lines().skip(1).collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[1].starts_with("[0.001"), "{events:?}");
}

#[actix_web::test]
async fn what_may_change_is_not_kept() {
    for (state, told) in [
        (None, "live"),
        (Some(RecordingState::Live), "live"),
        (Some(RecordingState::Incomplete), "incomplete"),
    ] {
        let service = service(state).await;
        let answer = get(&service, "format=raw", &[("range", "bytes=0-1")]).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, OUTPUT), "{told}");
        assert_eq!(answer.header("x-runcast-state"), told);
        assert!(answer.header("cache-control").contains("no-store"), "{told}");
        assert_eq!((answer.header("etag"), answer.header("accept-ranges")), ("", ""));
    }
}

#[actix_web::test]
async fn what_is_complete_is_kept_for_ever() {
    let service = service(Some(RecordingState::Complete)).await;
    let mut etags = std::collections::BTreeSet::new();
    for query in ["format=raw", "format=txt", "version=3", "version=2"] {
        let answer = get(&service, query, &[]).await;
        assert_eq!((answer.status, answer.header("x-runcast-state")), (200, "complete"));
        assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
        let etag = answer.header("etag").to_owned();
        assert!(etag.starts_with("\"abab"), "{etag}");
        let known = get(&service, query, &[("if-none-match", &etag)]).await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{query}");
        assert_eq!(known.header("etag"), etag);
        etags.insert(etag);
    }
    assert_eq!(etags.len(), 4, "each form has its own: {etags:?}");
}

#[actix_web::test]
async fn bytes_of_a_complete_recording_come_in_ranges() {
    let service = service(Some(RecordingState::Complete)).await;
    let length = OUTPUT.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=8-11", 8, 12),
        ("bytes=5-", 5, length),
        ("bytes=-4", length - 4, length),
    ] {
        let answer = get(&service, "format=raw", &[("range", range)]).await;
        assert_eq!((answer.status, answer.body.as_slice()), (206, &OUTPUT[from..to]), "{range}");
        let told = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(answer.header("content-range"), told);
    }
    for headers in
        [&[("range", "bytes=1-2,4-5")][..], &[("range", "bytes=1-2"), ("if-range", "\"other\"")]]
    {
        let answer = get(&service, "format=raw", headers).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, OUTPUT), "{headers:?}");
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
    let beyond = get(&service, "format=raw", &[("range", "bytes=999-")]).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, &*format!("bytes */{length}"))
    );
    assert!(beyond.text().contains("VALIDATION_FAILED"), "{}", beyond.text());
    let lines = get(&service, "format=txt", &[("range", "bytes=0-0")]).await;
    assert_eq!(lines.status, 200, "only bytes have ranges");
}

#[actix_web::test]
async fn malformed_requests_name_their_field() {
    let service = service(None).await;
    for (query, field) in [
        ("version=1", "version"),
        ("version=x", "version"),
        ("format=gif", "format"),
        ("follow=1", "follow"),
        ("stream=stdin", "stream"),
        ("stream=stdout", "stream"),
        ("speed=2", "speed"),
    ] {
        let answer = get(&service, query, &[]).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(&format!("\"field\":\"{field}\"")), "{}", answer.text());
    }
    let other = TestRequest::with_uri("/api/v1/runs/r/terminal/other/cast");
    assert_eq!(ask(&service, other).await.status, 404);
}

#[actix_web::test]
async fn downloads_have_a_bound_and_their_room_comes_back() {
    let service = service(Some(RecordingState::Complete)).await;
    let room: Vec<_> =
        (0..MAX_DOWNLOADS).map(|_| service.api.download_room().expect("room")).collect();
    let refused = get(&service, "format=raw", &[]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{}", refused.text());
    assert!(refused.text().contains("\"UNAVAILABLE\""), "{}", refused.text());
    drop(room);
    // Each is read to its end, or never begun.
    for _ in 0..2 * MAX_DOWNLOADS {
        assert_eq!(get(&service, "format=raw", &[]).await.status, 200);
        assert_eq!(
            ask(&service, TestRequest::with_uri(PATH).method(Method::HEAD)).await.status,
            200
        );
    }

    let app = init_service({
        let api = service.api.clone();
        App::new().configure(move |cfg| configure(cfg, api))
    })
    .await;
    let open = async || call_service(&app, TestRequest::with_uri(PATH).to_request()).await;
    let (first, second) = (open().await, open().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(open().await.status().as_u16(), 503, "both are open");
    drop(first);
    assert_eq!(open().await.status().as_u16(), 200, "a client that goes gives its room back");
}

#[actix_web::test]
async fn what_retention_removed_is_gone() {
    let service = service(Some(RecordingState::Complete)).await;
    for row in service.store.recordings.lock().expect("not poisoned").iter_mut() {
        row.purged_at = Some(Timestamp(1));
    }
    let answer = get(&service, "", &[]).await;
    assert_eq!(answer.status, 410, "{}", answer.text());
}
