//! The web page: its files at their names, and its first file at every other address that a browser opens,
//! so that links into the page work.

use actix_web::http::header::{
    ACCEPT, AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ContentEncoding, ETAG, Header as _, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::export::download::is_known;
use crate::http::page::{ASSETS, INDEX, PageFile};

/// Scripts only from files of the page. Styles also inline: the terminal and the components set them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'self'",
);
/// What `Referer` other sites get: nothing, as addresses of the page name runs.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// May be kept, but the service is asked before each use.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "This is the API of Runcast, at /api/v1; its document is /api/v1/openapi.json.\n\
    The web page is not in this binary. To build it in: make page, then cargo build.\n";

/// Answers at every path that no endpoint has.
pub(crate) async fn serve(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let path = request.path().trim_start_matches('/');
    if is_of_the_api(path) {
        return Err(unknown(&request));
    }
    if path.is_empty() && api.page.is_missing() {
        require_read(&request)?;
        let mut response = HttpResponse::Ok();
        guard(&mut response);
        response.insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"));
        return Ok(response.body(NOT_BUILT));
    }
    let name = if path.is_empty() { INDEX } else { path };
    if let Some(file) = api.page.file(name) {
        require_read(&request)?;
        return Ok(send(&request, file, cache_control(name)));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match api.page.file(INDEX) {
        Some(index) if is_read && !path.starts_with(ASSETS) && is_opened(&request) => {
            Ok(send(&request, index, ASK_FIRST))
        }
        _ => Err(unknown(&request)),
    }
}

/// A path at which there is nothing.
pub(crate) fn unknown(request: &HttpRequest) -> ApiError {
    let path: String = request.path().chars().take(256).collect();
    ApiError::not_found(format!("there is nothing at `{path}`"))
}

fn is_of_the_api(path: &str) -> bool {
    path.split('/').next() == Some("api")
}

fn require_read(request: &HttpRequest) -> Result<(), ApiError> {
    match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        ref other => Err(ApiError::method_not_allowed(other.as_str(), "GET, HEAD")),
    }
}

// A browser that opens an address says so; what a page or a program fetches is not the page.
fn is_opened(request: &HttpRequest) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.any(|list| list.to_ascii_lowercase().contains("text/html"))
}

fn cache_control(name: &str) -> HeaderValue {
    if name.starts_with(ASSETS) { FOREVER } else { ASK_FIRST }
}

fn send(request: &HttpRequest, file: &PageFile, cache: HeaderValue) -> HttpResponse {
    let accepted = AcceptEncoding::parse(request).unwrap_or_else(|_| AcceptEncoding(Vec::new()));
    let form = file.form(&accepted);
    let is_known = is_known(request, &form.etag);
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, form.etag.to_string())).insert_header((CACHE_CONTROL, cache));
    if file.varies() {
        response.insert_header((VARY, HeaderValue::from_static("Accept-Encoding")));
    }
    if file.content_type().starts_with("text/html") {
        guard(&mut response);
    }
    if is_known {
        return response.finish();
    }
    if form.encoding != ContentEncoding::Identity {
        response.insert_header((CONTENT_ENCODING, form.encoding.as_str()));
    }
    response.insert_header((CONTENT_TYPE, file.content_type())).body(form.bytes.clone())
}

fn guard(response: &mut HttpResponseBuilder) {
    let headers: [(HeaderName, HeaderValue); 2] =
        [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, REFERRER)];
    for header in headers {
        response.insert_header(header);
    }
}
