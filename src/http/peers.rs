//! Other instances, asked for somebody who has reached this one.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use async_trait::async_trait;
use bytes::Bytes;
use runcast_actors::ids::InstanceId;

use crate::http::access::token_of;
use crate::http::api::Api;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::Query;
use crate::http::request_id::RequestId;

/// How long another instance may take.
pub const PEER_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer of another instance.
pub const MAX_PEER_ANSWER: usize = 16 * 1024 * 1024;

/// Says which instance is meant; one that is another refuses.
pub const X_RUNCAST_INSTANCE: HeaderName = HeaderName::from_static("x-runcast-instance");
/// One that has not told of itself for so long is not asked: its address may be somebody else's by now.
const MAX_UNSEEN: Duration = Duration::from_secs(120);

/// A request to another instance.
#[derive(Debug, Clone)]
pub struct PeerRequest {
    /// Which instance is meant.
    pub instance: InstanceId,
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

/// The answer of the instance that the query names; none if that is this one, or none is named. Whoever is asked for
/// another one answers for itself or refuses, and asks nobody.
pub(crate) async fn answer_of(
    api: &Api,
    request: &HttpRequest,
    query: &Query,
) -> Result<Option<HttpResponse>, ApiError> {
    if let Some(meant) = request.headers().get(X_RUNCAST_INSTANCE) {
        if meant.as_bytes() == api.instance.as_str().as_bytes() {
            return Ok(None);
        }
        let message = format!(
            "this is the instance `{}`: give every instance a server.public_url of its own",
            api.instance
        );
        return Err(ApiError::new(ErrorCode::Unavailable, message));
    }
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
    let unreached = |problem: &str| {
        let message = format!("the instance `{wanted}` at {} {problem}", row.instance.url);
        ApiError::new(ErrorCode::Unavailable, message)
    };
    if row.unseen_for > MAX_UNSEEN {
        let seconds = row.unseen_for.as_secs();
        return Err(unreached(&format!("has not told of itself for {seconds} s")));
    }
    let answer = api.peers.ask(PeerRequest {
        instance: wanted.clone(),
        method: request.method().clone(),
        url,
        token: token_of(request),
        request_id: RequestId::of_request(request).map(|id| id.as_str().to_owned()),
    });
    let PeerAnswer { status, body } =
        answer.await.map_err(|error| unreached(&format!("does not answer: {error}")))?;
    let status = StatusCode::from_u16(status).map_err(|_| unreached("answers with no status"))?;
    let mut response = HttpResponse::build(status);
    Ok(Some(response.insert_header((CONTENT_TYPE, "application/json")).body(body)))
}
