//! The viewers of an instance.

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{InstanceId, RunId, Seq, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::roles::broker::ViewerFigures;
use serde::Serialize;
use utoipa::ToSchema;

use super::{DEFAULT_ROWS, MAX_ROWS};
use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::peers;

/// The viewers of this instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamRows {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    /// How many there are.
    total: usize,
    streams: Vec<StreamRow>,
    /// For the next page; null if this is the last.
    next_cursor: Option<String>,
}

/// One viewer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamRow {
    /// A number of this instance, in the order in which viewers came.
    id: u64,
    #[schema(value_type = String)]
    tenant: TenantId,
    #[schema(value_type = String)]
    run_id: RunId,
    /// The last event it was given.
    #[schema(value_type = u64)]
    cursor: Seq,
    /// The last event there is.
    #[schema(value_type = u64)]
    last_seq: Seq,
    /// Events between the two, as far as they are of one epoch.
    lag_seq: u64,
    /// Encoded bytes between the two that are in memory.
    lag_bytes: usize,
    /// True if some of them are not in memory any more: it reads history.
    reads_history: bool,
    /// Encoded bytes it was given.
    bytes_sent: u64,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// The viewers of this instance, in the order in which they came.
#[utoipa::path(
    get, path = "/admin/streams", tag = "admin",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`"),
    ),
    responses((status = 200, description = "The viewers", body = StreamRows)),
)]
pub(crate) async fn get_streams(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["limit", "cursor", "instance"], &[])?;
    if let Some(answer) = peers::answer_of(&api, &request, &query).await? {
        return Ok(answer);
    }
    let limit = query.limit(MAX_ROWS, DEFAULT_ROWS)? as usize;
    let after = query.number("cursor", &(0..=i64::MAX))?;
    let after = after.and_then(|after| u64::try_from(after).ok()).unwrap_or(0);
    let (viewers, has_more) = api.brokers.list(after, limit);
    let streams: Vec<StreamRow> = viewers.into_iter().map(StreamRow::of).collect();
    let next_cursor = streams.last().filter(|_| has_more).map(|row| row.id.to_string());
    let (instance, total) = (api.instance.clone(), api.brokers.viewers());
    Ok(HttpResponse::Ok().json(StreamRows { instance, total, streams, next_cursor }))
}

impl StreamRow {
    fn of(viewer: ViewerFigures) -> Self {
        let is_of_one_epoch = viewer.cursor.epoch() == viewer.end.epoch();
        let known = if is_of_one_epoch { viewer.cursor.number() } else { 0 };
        Self {
            id: viewer.number,
            tenant: viewer.run.tenant,
            run_id: viewer.run.run,
            cursor: viewer.cursor,
            last_seq: viewer.end,
            lag_seq: viewer.end.number().saturating_sub(known).into(),
            lag_bytes: viewer.lag_bytes,
            reads_history: viewer.is_behind,
            bytes_sent: viewer.sent_bytes,
            since: viewer.since,
        }
    }
}
