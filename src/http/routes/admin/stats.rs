//! What an instance does, in a few figures.

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::InstanceId;
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::SessionTotals;
use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::peers;
use crate::http::performance::Performance;

/// What this instance does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    memory: MemoryStats,
    sessions: SessionTotals,
    performance: Performance,
    streams: StreamStats,
}

/// The memory of the process, in bytes.
#[derive(Serialize, ToSchema)]
struct MemoryStats {
    /// In physical memory.
    rss: u64,
    /// What the program has asked for.
    heap: u64,
    /// The rest: code, stacks, what the allocator keeps.
    external: u64,
}

/// How output flows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StreamStats {
    /// Viewers that are connected.
    viewers: usize,
    /// Chunks that the log acknowledged, a mean over the last 10 s.
    chunks_per_second: f64,
    /// Bytes of output that the log acknowledged, a mean over the last 10 s.
    bytes_per_second: f64,
    /// Bytes of owned runs that wait for archive and rows.
    archive_backlog_bytes: u64,
    /// How long the oldest entry of an owned run waits for the replica, in milliseconds.
    replica_lag_ms: u64,
}

/// What this instance does, in a few figures.
#[utoipa::path(
    get, path = "/admin/stats", tag = "admin",
    params(("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`")),
    responses((status = 200, description = "The figures", body = Stats)),
)]
pub(crate) async fn get_stats(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["instance"], &[])?;
    if let Some(answer) = peers::answer_of(&api, &request, &query).await? {
        return Ok(answer);
    }
    let (memory, live) = (api.governor.now(), api.history.live());
    let rate = live.rate();
    Ok(HttpResponse::Ok().json(Stats {
        instance: api.instance.clone(),
        memory: MemoryStats { rss: memory.rss, heap: memory.heap, external: memory.external },
        sessions: SessionTotals::of(&api.sessions.sessions()),
        performance: api.performance.now(),
        streams: StreamStats {
            viewers: api.brokers.viewers(),
            chunks_per_second: rate.chunks_per_second,
            bytes_per_second: rate.bytes_per_second,
            archive_backlog_bytes: live.backlog_bytes(),
            replica_lag_ms: u64::try_from(live.replica_lag().as_millis()).unwrap_or(u64::MAX),
        },
    }))
}
