//! Server-Sent Events beside the shared frames of a run: what belongs to one connection.
//!
//! Every field is one line; data is JSON, so it holds no line break. The format is that of the HTML
//! standard, section 9.2; a test holds it against the encoder of `actix_web_lab`.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use runcast_actors::ids::Seq;
use serde::Serialize;

/// How long a client waits before it comes back, in ms, if nothing else is said.
const RETRY_MS: u64 = 3000;

/// The first lines of every stream.
pub fn opening() -> Bytes {
    Bytes::from(format!("retry: {RETRY_MS}\n: runcast\n\n"))
}

/// What keeps a silent connection open.
pub fn comment() -> Bytes {
    Bytes::from_static(b": \n\n")
}

/// Moves the client's cursor without an event.
pub fn bare_id(seq: Seq) -> Bytes {
    Bytes::from(format!("id: {seq}\n\n"))
}

/// Tells the client to come back, not at the same moment as all others.
pub fn retry_jittered() -> Bytes {
    let retry_ms = rand::rng().random_range(RETRY_MS / 2..=RETRY_MS * 2);
    Bytes::from(format!("retry: {retry_ms}\n\n"))
}

/// An event of this connection.
pub fn event(name: &str, id: Option<Seq>, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("events hold only strings as keys");
    raw_event(name, id, &data)
}

/// An event whose data is JSON already.
pub fn raw_event(name: &str, id: Option<Seq>, data: &str) -> Bytes {
    let id = id.map(|seq| format!("id: {seq}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

/// A time a little shorter or longer, so that streams which began together do not end together.
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests {
    use actix_web::body::{MessageBody as _, to_bytes};
    use actix_web::{HttpRequest, Responder as _, test::TestRequest};
    use actix_web_lab::sse::{Data, Event, Sse};
    use futures_util::stream;
    use runcast_actors::flow::frame::Frame;
    use runcast_actors::history::Gap;
    use runcast_actors::ids::RunId;

    use super::*;

    async fn reference(id: Option<Seq>, name: &'static str, data: String) -> Vec<String> {
        let mut event = Data::new(data).event(name);
        if let Some(seq) = id {
            event.set_id(seq.to_string());
        }
        let sse = Sse::from_infallible_stream(stream::iter([Event::Data(event)]));
        let request: HttpRequest = TestRequest::default().to_http_request();
        let body = sse.respond_to(&request).into_body().boxed();
        fields(&to_bytes(body).await.expect("the body ends"))
    }

    fn fields(text: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(text).expect("text");
        assert!(text.ends_with("\n\n"), "{text:?}");
        let mut fields: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
        fields.sort();
        fields
    }

    #[actix_web::test]
    async fn our_encoding_is_that_of_the_library() {
        let ours = event("live", Some(Seq(7)), &serde_json::json!({ "seq": 7 }));
        let theirs = reference(Some(Seq(7)), "live", r#"{"seq":7}"#.into()).await;
        assert_eq!(fields(&ours), theirs);

        let _: RunId = "r".parse().expect("a valid id");
        let gap = Gap { from: Seq(2), to: Seq(9), reason: "lost" };
        let frame = Frame::of_gap(&gap);
        let data = String::from_utf8(frame.data().to_vec()).expect("text");
        assert_eq!(fields(frame.text()), reference(Some(Seq(9)), "gap", data).await);
    }
}
