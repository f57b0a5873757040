//! The memory of an instance, and its clean-up.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::InstanceId;
use runcast_actors::moment::Timestamp;
use runcast_actors::roles::memory_governor::{Cleanup, MemorySample, REMEMBERED};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::peers;

/// What the process takes of memory, in bytes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemoryReport {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    #[serde(flatten)]
    #[schema(value_type = MemoryFigures)]
    now: MemoryFigures,
    limits: Limits,
    /// Sessions that live.
    session_count: usize,
    /// Runs that this instance owns.
    run_count: usize,
    /// What the last clean-up brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CleanupReport>)]
    last_cleanup: Option<Cleanup>,
    /// Oldest first; only with `history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<MemoryFigures>>,
}

/// One look at the memory of the process, in bytes.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemoryFigures {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// In physical memory.
    rss: u64,
    /// What the program has asked for.
    heap: u64,
    /// The rest: code, stacks, what the allocator keeps.
    external: u64,
    /// `terminalBuffers logTail brokerWindows archiveBuffers screens sessions clients unaccounted`.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    components: Map<String, Value>,
}

/// Where something is done.
#[derive(Serialize, ToSchema)]
struct Limits {
    /// `memory.soft_limit_bytes`
    soft: u64,
    /// `memory.hard_limit_bytes`
    hard: u64,
}

/// What a clean-up brought.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it mirrors the document of the domain")]
pub(crate) struct CleanupReport {
    #[schema(format = DateTime)]
    at: String,
    /// Bytes of physical memory that went back to the system.
    freed_bytes: u64,
    /// Sessions that were ended.
    terminated: Vec<String>,
}

/// What the process takes of memory, by component.
#[utoipa::path(
    get, path = "/admin/memory", tag = "admin",
    params(
        ("history" = Option<String>, Query, description = "Also the looks of so long ago until now: `30m`, `1h`, at most `24h`"),
        ("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`"),
    ),
    responses((status = 200, description = "The memory of this instance", body = MemoryReport)),
)]
pub(crate) async fn get_memory(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["history", "instance"], &[])?;
    if let Some(answer) = peers::answer_of(&api, &request, &query).await? {
        return Ok(answer);
    }
    let history = query.text("history").map(span).transpose()?;
    let samples =
        history.map(|of| api.governor.history(of).into_iter().map(MemoryFigures::of).collect());
    let limits = api.governor.limits();
    let live = api.sessions.sessions().iter().filter(|session| session.state().is_live()).count();
    Ok(HttpResponse::Ok().json(MemoryReport {
        instance: api.instance.clone(),
        now: MemoryFigures::of(api.governor.sample()),
        limits: Limits { soft: limits.soft_bytes, hard: limits.hard_bytes },
        session_count: live,
        run_count: api.history.live().count(),
        last_cleanup: api.governor.last_cleanup(),
        samples,
    }))
}

/// Ends the oldest inactive sessions but five, lets caches go and gives memory back to the system.
#[utoipa::path(
    post, path = "/admin/cleanup", tag = "admin",
    params(("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`")),
    responses((status = 200, description = "What it brought", body = CleanupReport)),
)]
pub(crate) async fn clean_up(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["instance"], &[])?;
    if let Some(answer) = peers::answer_of(&api, &request, &query).await? {
        return Ok(answer);
    }
    let governor = api.governor.clone();
    let cleanup = web::block(move || governor.clean_up()).await.map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().json(cleanup))
}

/// `30s`, `15m`, `1h`, `24h`.
fn span(text: &str) -> Result<Duration, ApiError> {
    let seconds = match text.char_indices().last() {
        Some((at, 's')) => text[..at].parse::<u64>().ok(),
        Some((at, 'm')) => text[..at].parse::<u64>().ok().and_then(|count| count.checked_mul(60)),
        Some((at, 'h')) => text[..at].parse::<u64>().ok().and_then(|count| count.checked_mul(3600)),
        _ => None,
    };
    let span = seconds.map(Duration::from_secs).filter(|span| *span <= REMEMBERED);
    span.ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        ApiError::invalid(
            "history",
            format!("`{shown}`; allowed: 30s, 15m, 1h and the like, at most 24h"),
        )
    })
}

impl MemoryFigures {
    fn of(sample: MemorySample) -> Self {
        let components = sample.components.into_iter();
        Self {
            at: sample.at,
            rss: sample.memory.rss,
            heap: sample.memory.heap,
            external: sample.memory.external,
            components: components.map(|(name, bytes)| (name.to_owned(), bytes.into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_have_a_unit() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("1h", 3600), ("24h", 86_400)] {
            assert_eq!(span(text).expect(text), Duration::from_secs(seconds));
        }
        for wrong in ["", "1", "h", "25h", "-1h", "1d", "1h ", "99999999999999999999h", "ä"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
