//! JSON bodies: at most 1 MiB, one content type, and an error that names the place.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::http::error::{ApiError, ErrorCode};

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A body that was read as JSON.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = check_head(request);
        let mut payload = payload.take();
        Box::pin(async move {
            checked?;
            let mut body = BytesMut::new();
            while let Some(part) = payload.next().await {
                let part = part
                    .map_err(|error| ApiError::invalid("body", format!("unreadable: {error}")))?;
                if body.len() + part.len() > MAX_BODY_BYTES {
                    return Err(too_large());
                }
                body.extend_from_slice(&part);
            }
            parse(&body).map(Self)
        })
    }
}

fn check_head(request: &HttpRequest) -> Result<(), ApiError> {
    let content_type = request.content_type();
    if !content_type.eq_ignore_ascii_case("application/json") {
        let message = format!("`{content_type}` is not taken; allowed: application/json");
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        let message = "an encoded body is not taken; send it without Content-Encoding";
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message));
    }
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length > MAX_BODY_BYTES => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> ApiError {
    let message = format!("the body is over {MAX_BODY_BYTES} bytes");
    ApiError::new(ErrorCode::PayloadTooLarge, message).detail("maxBytes", MAX_BODY_BYTES)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = field_of(&error.path().to_string(), &error.inner().to_string());
        ApiError::invalid(&field, format!("{field}: {}", error.inner()))
    })?;
    reader.end().map_err(|error| ApiError::invalid("body", format!("body: {error}")))?;
    Ok(value)
}

/// The place of a mistake: the path of what was read, and the member that is missing there.
fn field_of(path: &str, problem: &str) -> String {
    // A `?` stands where reading stopped before there was a name.
    let path = path.trim_end_matches('?').trim_end_matches('.');
    let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        ("", None) => "body".to_owned(),
        ("", Some(missing)) => missing.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(missing)) => format!("{path}.{missing}"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use runcast_actors::run_spec::RunSpec;
    use serde_json::Value;

    use super::*;

    fn field_named(body: &str) -> String {
        let error = parse::<RunSpec>(body.as_bytes()).expect_err(body);
        let request_body = error.respond("").into_body();
        let bytes = futures_util::FutureExt::now_or_never(actix_web::body::to_bytes(request_body))
            .expect("in memory")
            .expect("in memory");
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        value["error"]["details"]["field"].as_str().expect("a field").to_owned()
    }

    #[test]
    fn the_error_names_the_place() {
        for (body, field) in [
            (r#"{"nodes":[{"ref":"a"},{"ref":"b","retries":"x"}]}"#, "nodes[1].retries"),
            (r#"{"nodes":[{"ref":"a/b"}]}"#, "nodes[0].ref"),
            (r#"{"nodes":[{"ref":"a","colour":1}]}"#, "nodes[0].colour"),
            (r#"{"nodes":[],"colour":1}"#, "colour"),
            (r#"{"nodes":7}"#, "nodes"),
            (r#"{"nodes":[{"ref":"a","retries":-1}]}"#, "nodes[0].retries"),
            (r#"{"nodes":[{"ref":"a","runner":{"kind":"moon"}}]}"#, "nodes[0].runner.kind"),
            (r#"{"nodes":[{"shell":"x"}]}"#, "nodes[0].ref"),
            (r#"{"name":"x"}"#, "nodes"),
            ("", "body"),
            ("{", "body"),
            (r#"{"nodes":[{"#, "nodes[0]"),
            ("[]", "body"),
            (r#"{"nodes":[]} x"#, "body"),
        ] {
            assert_eq!(field_named(body), field, "{body}");
        }
    }

    #[actix_web::test]
    async fn a_body_that_does_not_tell_its_size_is_bounded_too() {
        for (size, code) in [(MAX_BODY_BYTES, None), (MAX_BODY_BYTES + 1, Some(413))] {
            let request = TestRequest::default()
                .insert_header(("Content-Type", "application/json"))
                .to_http_request();
            let mut json = vec![b' '; size];
            json[0] = b'1';
            let (_, mut payload) = TestRequest::default().set_payload(json).to_http_parts();
            let taken = JsonBody::<Value>::from_request(&request, &mut payload).await;
            let refused = taken.err().map(|error| error.respond("").status().as_u16());
            assert_eq!(refused, code, "{size} bytes");
        }
    }
}
