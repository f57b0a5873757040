//! Where sessions are reached.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse};
use runcast_actors::ports::SeenInstance;
use runcast_actors::sessions::{SessionId, SessionView};

use crate::http::api::Api;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::routes::BASE_PATH;

/// Where clients reach the instance that a session lives on.
pub(super) async fn address_of(
    api: &Api,
    request: &HttpRequest,
    view: &SessionView,
) -> Result<String, ApiError> {
    let is_here = view.instance == api.instance;
    let others = if is_here { Vec::new() } else { api.instances.instances().await? };
    base_of(api, request, &others, view)
        .ok_or_else(|| ApiError::new(ErrorCode::Unavailable, "the instance of the session is away"))
}

/// The same among the instances that are known.
pub(super) fn base_of(
    api: &Api,
    request: &HttpRequest,
    others: &[SeenInstance],
    view: &SessionView,
) -> Option<String> {
    let base = if view.instance == api.instance {
        api.public_url.clone().unwrap_or_else(|| {
            let connection = request.connection_info();
            format!("{}://{}", connection.scheme(), connection.host())
        })
    } else {
        others.iter().find(|seen| seen.instance.id == view.instance)?.instance.url.clone()
    };
    Some(base.trim_end_matches('/').to_owned())
}

/// The WebSocket of a session below this address.
pub(super) fn socket_url(base: &str, id: &SessionId) -> String {
    // http becomes ws and https wss.
    let rest = base.strip_prefix("http").unwrap_or(base);
    format!("ws{rest}{BASE_PATH}/terminals/{id}/ws")
}

/// Sends the client with the same request to another instance.
pub(crate) fn redirect(base: &str, request: &HttpRequest) -> HttpResponse {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let location = format!("{base}{path}");
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, location)).finish()
}
