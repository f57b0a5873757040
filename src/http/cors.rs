//! Pages of other origins: only those of the list, and no cookies.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};

use crate::http::access::Access;
use crate::http::error::{ApiError, ErrorCode};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, Last-Event-ID, X-Request-Id");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, ETag, Content-Disposition, Content-Range, X-Runcast-State",
);
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("600");

/// What is to be told to the page that asks.
pub(crate) struct Cors {
    varies: bool,
    allowed: Option<HeaderValue>,
}

impl Cors {
    /// For this request.
    pub(crate) fn of(access: &Access, request: &ServiceRequest) -> Self {
        let origin = request.headers().get(ORIGIN);
        let is_allowed = |origin: &&HeaderValue| {
            origin.to_str().is_ok_and(|origin| access.allows_origin(origin))
        };
        Self { varies: access.has_cors(), allowed: origin.filter(is_allowed).cloned() }
    }

    /// The answer to a preflight; none for any other request. A preflight carries no credential.
    pub(crate) fn preflight(
        &self,
        request: &ServiceRequest,
    ) -> Option<Result<HttpResponse, ApiError>> {
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(ORIGIN)
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        if self.allowed.is_none() {
            return Some(Err(ApiError::new(ErrorCode::Forbidden, "this origin is not allowed")));
        }
        let mut response = HttpResponse::NoContent().finish();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
        Some(Ok(response))
    }

    /// Adds what the browser must know to let the page read the answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}
