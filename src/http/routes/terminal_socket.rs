//! The WebSocket of an interactive terminal: who may have one, and how it begins.

use actix_web::http::Method;
use actix_web::http::header::{HOST, ORIGIN, UPGRADE};
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::roles::session::{AttachError, AttachOptions};

use super::terminals::{Found, find, redirect};
use crate::http::access::{Caller, Scope, shows_token};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::Query;
use crate::http::stream::source::Streaming;
use crate::http::websocket::{self, Connection};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/terminals/{sessionId}/ws").on(Method::GET, web::to(attach))]
}

/// Attaches to a session. The messages are described in `docs/execution-contract.md`.
#[utoipa::path(
    get, path = "/terminals/{sessionId}/ws", tag = "terminals",
    params(
        ("sessionId" = String, Path, description = "The session"),
        ("offset" = Option<u64>, Query, description = "Where to go on; else with the screen"),
        ("readonly" = Option<bool>, Query, description = "true: never types and sets no size"),
    ),
    responses(
        (status = 101, description = "A WebSocket"),
        (status = 307, description = "The session lives on another instance; `Location` says where"),
    ),
)]
pub(crate) async fn attach(
    api: web::Data<Api>,
    streaming: web::Data<Streaming>,
    caller: Caller,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsRead)?;
    let query = Query::of(&request, &["offset", "readonly"], &[])?;
    let offset = query.number("offset", &(0..=(1 << 53) - 1))?;
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    let readonly = query.word::<Flag>("readonly", "true, false")?.is_some_and(|flag| flag.0);
    if !readonly {
        caller.require(Scope::TerminalsWrite)?;
    }
    check_origin(&api, &request)?;
    let handle = match find(&api, &caller, &request).await? {
        Found::Here(handle) => handle,
        Found::Ended(_) => {
            return Err(ApiError::new(ErrorCode::Gone, "the session has ended"));
        }
        Found::Elsewhere(base) => return Ok(redirect(&base, &request)),
    };
    if !request.headers().contains_key(UPGRADE) {
        let message = "this path is a WebSocket; ask for it with `Upgrade: websocket`";
        return Err(ApiError::invalid("Upgrade", message));
    }
    let room = api.socket_room()?;
    let attachment = handle.attach(AttachOptions { offset, readonly })?;
    let (response, session, messages) = actix_ws::handle(&request, body).map_err(|error| {
        metrics::counter!("runcast_ws_failures_total").increment(1);
        ApiError::of_framework(&error)
    })?;
    let expires_at = caller.expires_at;
    let closing = streaming.closing.clone();
    let connection = Connection { attachment, expires_at, closing, room };
    actix_web::rt::spawn(websocket::serve(connection, session, messages));
    Ok(response)
}

/// Refuses the pages of other sites: a browser sends its cookie with the request of any page. One that shows a token
/// has been given it.
fn check_origin(api: &Api, request: &HttpRequest) -> Result<(), ApiError> {
    if shows_token(&api.access, request) {
        return Ok(());
    }
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return Ok(()) };
    if api.access.is_own_origin(origin, text(HOST)) || api.access.allows_origin(origin) {
        return Ok(());
    }
    let message = "pages of this origin may not attach; see server.cors_origins";
    Err(ApiError::new(ErrorCode::Forbidden, message))
}

#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
struct Flag(bool);

impl TryFrom<String> for Flag {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err("no flag"),
        }
    }
}

impl From<AttachError> for ApiError {
    fn from(error: AttachError) -> Self {
        let message = error.to_string();
        match error {
            AttachError::Beyond { .. } => Self::invalid("offset", message),
            AttachError::TooMany(_) => Self::new(ErrorCode::LimitExceeded, message),
        }
    }
}
