//! What an operator asks of one instance, and the list of all. The scope is `admin`.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{InstanceId, ProjectId, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::SeenInstance;
use runcast_actors::roles::memory_governor::{Cleanup, MemorySample, REMEMBERED};
use runcast_actors::roles::session::SessionHandle;
use runcast_actors::sessions::{SessionId, SessionState};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::schema;

const MAX_ROWS: u32 = 1000;
const DEFAULT_ROWS: u32 = 100;

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

/// The sessions of this instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionRows {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    active: usize,
    inactive: usize,
    /// All that are in memory, those that have ended of late among them.
    total: usize,
    errors: usize,
    sessions: Vec<SessionRow>,
    /// For the next page; null if this is the last.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<SessionId>,
}

/// One session, for operators.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionRow {
    #[schema(value_type = String)]
    id: SessionId,
    #[schema(value_type = String)]
    tenant: TenantId,
    #[schema(value_type = String)]
    project_id: ProjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(rename = "type")]
    profile: String,
    tab_name: String,
    #[schema(value_type = schema::SessionState)]
    state: SessionState,
    pid: Option<i32>,
    attached: usize,
    /// Typed since its beginning.
    bytes_in: u64,
    /// Written since its beginning.
    bytes_out: u64,
    /// Memory of its output and its screen.
    buffer_bytes: usize,
    /// Since something moved.
    idle_secs: u64,
    persisted: bool,
}

/// The instances on the same database.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceList {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    instances: Vec<InstanceRow>,
}

/// One instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceRow {
    #[schema(value_type = String)]
    id: InstanceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    role: String,
    /// Where clients reach it.
    url: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// Since it told of itself.
    unseen_secs: u64,
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/admin/memory").on(Method::GET, web::to(get_memory)),
        Endpoint::at("/admin/sessions").on(Method::GET, web::to(get_sessions)),
        Endpoint::at("/admin/instances").on(Method::GET, web::to(get_instances)),
        Endpoint::at("/admin/cleanup").on(Method::POST, web::to(clean_up)),
    ]
}

/// What the process takes of memory, by component.
#[utoipa::path(
    get, path = "/admin/memory", tag = "admin",
    params(("history" = Option<String>, Query, description = "Also the looks of so long ago until now: `30m`, `1h`, at most `24h`")),
    responses((status = 200, description = "The memory of this instance", body = MemoryReport)),
)]
pub(crate) async fn get_memory(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["history"], &[])?;
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

/// The sessions of this instance, by their id.
#[utoipa::path(
    get, path = "/admin/sessions", tag = "admin",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "The sessions", body = SessionRows)),
)]
pub(crate) async fn get_sessions(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    let query = Query::of(&request, &["limit", "cursor"], &[])?;
    let limit = query.limit(MAX_ROWS, DEFAULT_ROWS)? as usize;
    let after: Option<SessionId> = query.parsed("cursor")?;
    let all = api.sessions.sessions();
    let count = |state| all.iter().filter(|session| session.state() == state).count();
    let mut rest =
        all.iter().filter(|session| after.as_ref().is_none_or(|after| session.id() > after));
    let sessions: Vec<SessionRow> = rest.by_ref().take(limit).map(|session| row(session)).collect();
    let next_cursor = rest.next().and_then(|_| sessions.last().map(|row| row.id.clone()));
    Ok(HttpResponse::Ok().json(SessionRows {
        instance: api.instance.clone(),
        active: count(SessionState::Active),
        inactive: count(SessionState::Inactive),
        total: all.len(),
        errors: count(SessionState::Error),
        sessions,
        next_cursor,
    }))
}

/// The instances on the same database.
#[utoipa::path(
    get, path = "/admin/instances", tag = "admin",
    responses((status = 200, description = "The instances, in the order in which they started", body = InstanceList)),
)]
pub(crate) async fn get_instances(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    Query::none(&request)?;
    let instances = api.instances.instances().await?;
    let instances = instances.into_iter().map(InstanceRow::of).collect();
    Ok(HttpResponse::Ok().json(InstanceList { instance: api.instance.clone(), instances }))
}

/// Ends the oldest inactive sessions but five, lets caches go and gives memory back to the system.
#[utoipa::path(
    post, path = "/admin/cleanup", tag = "admin",
    responses((status = 200, description = "What it brought", body = CleanupReport)),
)]
pub(crate) async fn clean_up(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::Admin)?;
    Query::none(&request)?;
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

impl InstanceRow {
    fn of(seen: SeenInstance) -> Self {
        Self {
            id: seen.instance.id,
            name: seen.instance.name,
            role: seen.instance.role,
            url: seen.instance.url,
            started_at: seen.started_at,
            seen_at: seen.seen_at,
            unseen_secs: seen.unseen_for.as_secs(),
        }
    }
}

fn row(session: &SessionHandle) -> SessionRow {
    let (view, figures) = (session.view(), session.figures());
    SessionRow {
        id: view.id,
        tenant: session.key().tenant.clone(),
        project_id: view.project_id,
        user_id: view.user_id,
        profile: view.profile,
        tab_name: view.tab_name,
        state: view.state,
        pid: view.pid,
        attached: view.attached,
        bytes_in: figures.bytes_in,
        bytes_out: figures.bytes_out,
        buffer_bytes: figures.buffer_bytes,
        idle_secs: figures.idle.as_secs(),
        persisted: view.persisted,
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
