//! The interactive terminals of an instance, as operators see them.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{InstanceId, ProjectId, TenantId};
use runcast_actors::roles::session::SessionHandle;
use runcast_actors::sessions::{SessionId, SessionState};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DEFAULT_ROWS, MAX_ROWS};
use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::peers;
use crate::http::schema;

/// The sessions of this instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionRows {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    #[serde(flatten)]
    totals: SessionTotals,
    sessions: Vec<SessionRow>,
    /// For the next page; null if this is the last.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<SessionId>,
}

/// How many sessions there are.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionTotals {
    active: usize,
    inactive: usize,
    /// All that are in memory, those that have ended of late among them.
    total: usize,
    errors: usize,
}

impl SessionTotals {
    pub(super) fn of(sessions: &[Arc<SessionHandle>]) -> Self {
        let count = |state| sessions.iter().filter(|session| session.state() == state).count();
        Self {
            active: count(SessionState::Active),
            inactive: count(SessionState::Inactive),
            total: sessions.len(),
            errors: count(SessionState::Error),
        }
    }
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
    /// What it runs, without secrets (`sessions.redact_patterns`).
    command: String,
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

/// The sessions of this instance, by their id.
#[utoipa::path(
    get, path = "/admin/sessions", tag = "admin",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, else 100"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`"),
    ),
    responses((status = 200, description = "The sessions", body = SessionRows)),
)]
pub(crate) async fn get_sessions(
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
    let after: Option<SessionId> = query.parsed("cursor")?;
    let all = api.sessions.sessions();
    let mut rest =
        all.iter().filter(|session| after.as_ref().is_none_or(|after| session.id() > after));
    let sessions: Vec<SessionRow> = rest.by_ref().take(limit).map(|session| row(session)).collect();
    let next_cursor = rest.next().and_then(|_| sessions.last().map(|row| row.id.clone()));
    Ok(HttpResponse::Ok().json(SessionRows {
        instance: api.instance.clone(),
        totals: SessionTotals::of(&all),
        sessions,
        next_cursor,
    }))
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
        command: session.command().to_owned(),
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
