//! Other instances, asked for somebody who has reached this one.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use async_trait::async_trait;
use bytes::Bytes;
use runcast_actors::ids::InstanceId;
use serde_json::Value;

use crate::http::access::token_of;
use crate::http::api::Api;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::Query;
use crate::http::request_id::RequestId;

/// How long another instance may take.
pub const PEER_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer of another instance.
pub const MAX_PEER_ANSWER: usize = 16 * 1024 * 1024;

/// A request to another instance.
#[derive(Debug, Clone)]
pub struct PeerRequest {
    /// Its method.
    pub method: Method,
    /// Where it goes, with its query.
    pub url: String,
    /// The token of whoever asks, if there is one.
    pub token: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// What another instance answered.
#[derive(Debug, Clone)]
pub struct PeerAnswer {
    /// Its status.
    pub status: u16,
    /// Its body, a JSON document.
    pub body: Bytes,
}

/// The way to other instances.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Asks within [`PEER_LIMIT`] for at most [`MAX_PEER_ANSWER`]. The error says why there is no answer.
    async fn ask(&self, request: PeerRequest) -> Result<PeerAnswer, String>;
}

/// The answer of the instance that the query names; none if that is this one, or none is named.
pub(crate) async fn answer_of(
    api: &Api,
    request: &HttpRequest,
    query: &Query,
) -> Result<Option<HttpResponse>, ApiError> {
    let wanted: Option<InstanceId> = query.parsed("instance")?;
    let Some(wanted) = wanted.filter(|wanted| *wanted != api.instance) else { return Ok(None) };
    let rows = api.instances.instances().await?;
    let Some(row) = rows.into_iter().find(|row| row.instance.id == wanted) else {
        return Err(ApiError::not_found(format!("there is no instance `{wanted}`")));
    };
    let url = format!(
        "{}{}?{}",
        row.instance.url.trim_end_matches('/'),
        request.path(),
        query.without("instance"),
    );
    let answer = api.peers.ask(PeerRequest {
        method: request.method().clone(),
        url,
        token: token_of(request),
        request_id: RequestId::of_request(request).map(|id| id.as_str().to_owned()),
    });
    let unreached = |problem: &str| {
        let message = format!("the instance `{wanted}` at {} {problem}", row.instance.url);
        ApiError::new(ErrorCode::Unavailable, message)
    };
    let PeerAnswer { status, body } =
        answer.await.map_err(|error| unreached(&format!("does not answer: {error}")))?;
    let status = StatusCode::from_u16(status).map_err(|_| unreached("answers with no status"))?;
    // Behind one name for several instances, another one answers.
    if status.is_success() && !is_of(&body, &wanted) {
        return Err(unreached(
            "is another one: give every instance a server.public_url of its own",
        ));
    }
    let mut response = HttpResponse::build(status);
    Ok(Some(response.insert_header((CONTENT_TYPE, "application/json")).body(body)))
}

fn is_of(body: &[u8], wanted: &InstanceId) -> bool {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    document.is_some_and(|document| document["instance"] == wanted.as_str())
}
