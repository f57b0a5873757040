//! What surrounds every route: the id of the request, its span, its line in the log, its time in the
//! metrics, the security headers, and the one shape of errors.
//!
//! The query never reaches span or log: it may hold a token.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use tracing::Instrument as _;

use crate::http::api::Api;
use crate::http::cors::Cors;
use crate::http::error::ApiError;

/// The header that carries the id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request; handlers find it among the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The caller's, if it is 1 to 128 characters of `A-Z a-z 0-9 . _ -`, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let id = given
            .filter(|text| is_sane(text))
            .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        Self(id)
    }

    /// The id of a request that the middleware has seen.
    pub(crate) fn of_request(request: &actix_web::HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_sane(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The middleware around every route.
pub(crate) async fn around(
    api: web::Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!(
        "request",
        request_id = id.as_str(),
        method = %request.method(),
        path = request.path(),
    );
    async move {
        let cors = Cors::of(&api.access, &request);
        let response = match cors.preflight(&request) {
            Some(Ok(response)) => request.into_response(response),
            Some(Err(error)) => request.into_response(error.respond(id.as_str())),
            None => next.call(request).await?.map_into_boxed_body(),
        };
        let mut response = with_error_body(response, &id);
        let headers = response.headers_mut();
        cors.tell(headers);
        add_own_headers(headers, &id);
        observe(&api, &response, started.elapsed());
        Ok(response)
    }
    .instrument(span)
    .await
}

fn with_error_body(response: ServiceResponse<BoxBody>, id: &RequestId) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response };
    let error = match error.as_error::<ApiError>() {
        Some(error) => error.clone(),
        None => ApiError::of_framework(error),
    };
    error.log();
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, error.respond(id.as_str()))
}

fn add_own_headers(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn observe(api: &Api, response: &ServiceResponse<BoxBody>, elapsed: Duration) {
    let status = response.status().as_u16();
    let request = response.request();
    let route = request.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    tracing::info!(status, route, elapsed_ms = elapsed.as_secs_f64() * 1000.0, "request answered");
    // One that is refused is as short as any other.
    if status < 400 && is_long(&route, response.headers()) {
        return;
    }
    api.performance.add(elapsed, response.status().is_server_error());
    metrics::histogram!(
        "runcast_http_request_seconds",
        "method" => method_label(request.method()),
        "route" => route,
        "status" => status.to_string(),
    )
    .record(elapsed);
}

// Streams, and requests that wait for something to happen, say nothing of how fast the service answers.
fn is_long(route: &str, headers: &HeaderMap) -> bool {
    let is_event_stream = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    is_event_stream || ["/stream", "/events", "/ws"].iter().any(|end| route.ends_with(end))
}

// A caller can invent methods, but not labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_invented_methods_stay_out_of_the_histogram() {
        let mut headers = HeaderMap::new();
        assert!(is_long("/api/v1/runs/{runId}/stream", &headers));
        assert!(is_long("/api/v1/runs/{runId}/events", &headers));
        assert!(!is_long("/api/v1/runs/{runId}", &headers));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        assert!(is_long("/api/v1/runs/{runId}", &headers));
        let invented = Method::from_bytes(b"BREW").expect("a method");
        assert_eq!((method_label(&Method::PATCH), method_label(&invented)), ("PATCH", "other"));
    }

    #[test]
    fn only_sane_ids_are_taken_over() {
        for good in ["a", "A.b_c-9", &"x".repeat(128)] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(good).expect("a header"));
            assert_eq!(RequestId::of(&headers).as_str(), good);
        }
        for bad in ["", "a b", "a/b", "a\u{e4}", &"x".repeat(129)] {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(bad.as_bytes()).expect("bytes"));
            let id = RequestId::of(&headers);
            assert_ne!(id.as_str(), bad);
            assert!(uuid::Uuid::parse_str(id.as_str()).is_ok(), "{}", id.as_str());
        }
    }
}
