//! Interactive terminals: opening, finding, sizing and ending them. Typing and watching is in
//! [`terminal_socket`](super::terminal_socket).

mod addresses;
mod documents;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::ProjectId;
use runcast_actors::ports::{SessionQuery, SessionRow};
use runcast_actors::roles::session::SessionHandle;
use runcast_actors::roles::session_manager::{OpenError, Opened, RowsError};
use runcast_actors::screen::FrozenTerminal;
use runcast_actors::sessions::{EndReason, SessionId, SessionState, SessionView};

pub(super) use self::addresses::redirect;
use self::addresses::{address_of, base_of, socket_url};
pub(crate) use self::documents::TerminalSizeBody;
use self::documents::{
    ListedTerminal, OneTerminal, OpenTerminal, OpenedTerminal, ProjectTerminals, SessionScreen,
    SessionType, TerminalList,
};
use self::refusals::away;
use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params::{self, Query};
use crate::http::routes::BASE_PATH;
use crate::http::routes::screen::{Format, plain};

/// Sessions of one list.
const MAX_LISTED: u32 = 1000;
/// How long the answer to an end waits for it.
const END_LIMIT: Duration = Duration::from_secs(10);
const STATE_WORDS: &str = "creating, active, inactive, terminating, terminated, error";

/// A session as far as this instance can reach it.
pub(super) enum Found {
    /// It lives here, or has ended here of late.
    Here(Arc<SessionHandle>),
    /// Its row tells that it has ended.
    Ended(Box<SessionRow>),
    /// It lives on the instance at this address.
    Elsewhere(String),
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/terminals")
            .on(Method::GET, web::to(list_terminals))
            .on(Method::POST, web::to(open_terminal)),
        Endpoint::at("/terminals/{sessionId}")
            .on(Method::GET, web::to(get_terminal))
            .on(Method::DELETE, web::to(end_terminal)),
        Endpoint::at("/terminals/{sessionId}/resize").on(Method::POST, web::to(resize_session)),
        Endpoint::at("/terminals/{sessionId}/screen").on(Method::GET, web::to(get_session_screen)),
        Endpoint::at("/projects/{projectId}/terminals")
            .on(Method::GET, web::to(list_project_terminals)),
    ]
}

/// Lists the sessions that the caller may see, newest first: those that live, or those in the states asked for.
#[utoipa::path(
    get, path = "/terminals", tag = "terminals",
    params(("state" = Option<String>, Query, description = "Only in these states, separated by commas; else those that live")),
    responses((status = 200, description = "The sessions", body = TerminalList)),
)]
pub(crate) async fn list_terminals(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsRead)?;
    let query = Query::of(&request, &[], &["state"])?;
    let mut states = query
        .all("state")
        .flat_map(|list| list.split(','))
        .map(|text| params::word::<SessionState>("state", text, STATE_WORDS))
        .collect::<Result<Vec<_>, _>>()?;
    if states.is_empty() {
        states = SessionState::ALL.into_iter().filter(|state| state.is_live()).collect();
    }
    let sessions = sessions_of(&api, &caller, None, &states).await?;
    let is_elsewhere = sessions.iter().any(|view| view.active && view.instance != api.instance);
    let others = if is_elsewhere { api.instances.instances().await } else { Ok(Vec::new()) };
    let others = others.unwrap_or_default();
    let listed = sessions.into_iter().map(|session| {
        let base = base_of(&api, &request, &others, &session).filter(|_| session.active);
        let connection_url = base.map(|base| socket_url(&base, &session.id));
        ListedTerminal { session, connection_url }
    });
    let types = api.sessions.profiles();
    let types = types.map(SessionType::of).collect();
    Ok(HttpResponse::Ok().json(TerminalList::of(listed.collect(), types, api.governor.now())))
}

/// Lists the sessions of a project that live.
#[utoipa::path(
    get, path = "/projects/{projectId}/terminals", tag = "terminals",
    params(("projectId" = String, Path, description = "The project")),
    responses((status = 200, description = "The sessions", body = ProjectTerminals)),
)]
pub(crate) async fn list_project_terminals(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsRead)?;
    Query::none(&request)?;
    let project: ProjectId = params::path_name(&request, "projectId")?;
    caller.require_project(&project)?;
    let live: Vec<_> = SessionState::ALL.into_iter().filter(|state| state.is_live()).collect();
    let sessions = sessions_of(&api, &caller, Some(project.clone()), &live).await?;
    Ok(HttpResponse::Ok().json(ProjectTerminals::of(project, sessions)))
}

/// Opens a session, or finds the one that lives for the same project, type, tab and user.
#[utoipa::path(
    post, path = "/terminals", tag = "terminals",
    request_body = OpenTerminal,
    responses(
        (status = 201, description = "A new session", body = OpenedTerminal,
            headers(("Location" = String, description = "Where the session is"))),
        (status = 200, description = "The session that there is", body = OpenedTerminal),
    ),
)]
pub(crate) async fn open_terminal(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<OpenTerminal>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsWrite)?;
    Query::none(&request)?;
    if caller.run.is_some() {
        return Err(ApiError::new(ErrorCode::Forbidden, "the token is for one run only"));
    }
    let wanted = body.0.checked(&caller)?;
    if api.is_draining() {
        return Err(OpenError::Stopping.into());
    }
    let governor = api.governor.clone();
    web::block(move || governor.check()).await.map_err(ApiError::internal)?;
    let (mut response, view) = match api.sessions.open(wanted).await? {
        Opened::New(view) => (HttpResponse::Created(), view),
        Opened::Existing(view) => (HttpResponse::Ok(), view),
    };
    let base = address_of(&api, &request, &view).await?;
    let location = format!("{BASE_PATH}/terminals/{}", view.id);
    let connection_url = socket_url(&base, &view.id);
    Ok(response.insert_header((LOCATION, location)).json(OpenedTerminal {
        success: true,
        session: view,
        connection_url,
    }))
}

/// Tells of a session.
#[utoipa::path(
    get, path = "/terminals/{sessionId}", tag = "terminals",
    params(("sessionId" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "The session", body = OneTerminal),
        (status = 307, description = "It lives on another instance; `Location` says where"),
    ),
)]
pub(crate) async fn get_terminal(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsRead)?;
    Query::none(&request)?;
    let session = match find(&api, &caller, &request).await? {
        Found::Here(handle) => handle.view(),
        Found::Ended(row) => row.view,
        Found::Elsewhere(base) => return Ok(redirect(&base, &request)),
    };
    Ok(HttpResponse::Ok().json(OneTerminal { success: true, session }))
}

/// Ends a session and waits until its program has ended.
#[utoipa::path(
    delete, path = "/terminals/{sessionId}", tag = "terminals",
    params(("sessionId" = String, Path, description = "The session")),
    responses(
        (status = 200, description = "The session, which has ended", body = OneTerminal),
        (status = 307, description = "It lives on another instance; `Location` says where"),
    ),
)]
pub(crate) async fn end_terminal(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsWrite)?;
    Query::none(&request)?;
    let handle = match live(&api, &caller, &request).await? {
        Ok(handle) => handle,
        Err(redirect) => return Ok(redirect),
    };
    handle.end(EndReason::Closed);
    let session =
        tokio::time::timeout(END_LIMIT, handle.gone()).await.unwrap_or_else(|_| handle.view());
    Ok(HttpResponse::Ok().json(OneTerminal { success: true, session }))
}

/// Gives the terminal of a session another size.
#[utoipa::path(
    post, path = "/terminals/{sessionId}/resize", tag = "terminals",
    params(("sessionId" = String, Path, description = "The session")),
    request_body = TerminalSizeBody,
    responses(
        (status = 200, description = "The session", body = OneTerminal),
        (status = 307, description = "It lives on another instance; `Location` says where"),
    ),
)]
pub(crate) async fn resize_session(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<TerminalSizeBody>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsWrite)?;
    Query::none(&request)?;
    let size = body.0.checked()?;
    let handle = match live(&api, &caller, &request).await? {
        Ok(handle) => handle,
        Err(redirect) => return Ok(redirect),
    };
    handle.resize(size);
    Ok(HttpResponse::Ok().json(OneTerminal { success: true, session: handle.view() }))
}

/// The screen of a session, also after its end.
#[utoipa::path(
    get, path = "/terminals/{sessionId}/screen", tag = "terminals",
    params(
        ("sessionId" = String, Path, description = "The session"),
        ("format" = Option<String>, Query, description = "ansi (default): rows with colours; text; json: both, cursor and place"),
    ),
    responses(
        (status = 200, description = "The screen", content(
            (SessionScreen = "application/json"), (String = "text/plain"),
        )),
        (status = 307, description = "The session lives on another instance; `Location` says where"),
    ),
)]
pub(crate) async fn get_session_screen(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.require(Scope::TerminalsRead)?;
    let query = Query::of(&request, &["format"], &[])?;
    let format = Format::of(&query)?;
    let (offset, terminal) = match find(&api, &caller, &request).await? {
        Found::Elsewhere(base) => return Ok(redirect(&base, &request)),
        Found::Here(handle) => {
            let painted = web::block(move || {
                let (repaint, terminal) = handle.screen();
                (repaint.offset, terminal)
            });
            painted.await.map_err(ApiError::internal)?
        }
        Found::Ended(row) => {
            let gone =
                || ApiError::new(ErrorCode::Gone, "nothing of this session is kept any more");
            let screen = row.screen.ok_or_else(gone)?;
            (screen.offset, FrozenTerminal::new(screen.size, screen.payload).thaw())
        }
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    Ok(match format {
        Format::Ansi => plain(&mut response, terminal.ansi_text()),
        Format::Text => plain(&mut response, terminal.text()),
        Format::Json => response.json(SessionScreen::of(offset, &terminal)),
    })
}

/// The session of the path, if the caller may see it.
pub(super) async fn find(
    api: &Api,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<Found, ApiError> {
    let id: SessionId = params::path_name(request, "sessionId")?;
    let unknown = || ApiError::not_found(format!("there is no session `{id}`"));
    if caller.run.as_ref().is_some_and(|run| run.as_str() != id.as_str()) {
        return Err(unknown());
    }
    if let Some(handle) = api.sessions.find(&caller.tenant, &id) {
        if !caller.may_open(&handle.key().project) {
            return Err(unknown());
        }
        return Ok(Found::Here(handle));
    }
    let row = match api.sessions.rows().find(&caller.tenant, &id).await {
        Ok(row) => row,
        Err(RowsError::None) => None,
        Err(error) => return Err(away(&error)),
    };
    let mut row = row.filter(|row| caller.may_open(&row.view.project_id)).ok_or_else(unknown)?;
    if row.view.active && row.view.instance == api.instance {
        // Nothing runs behind it; its row is about to say so.
        row.view.state = SessionState::Terminated;
        row.view.active = false;
        row.view.pid = None;
        row.view.reason = Some(EndReason::Restarted);
    }
    if !row.view.active {
        return Ok(Found::Ended(Box::new(row)));
    }
    address_of(api, request, &row.view).await.map(Found::Elsewhere)
}

/// The session of the path if it lives here, or where else it lives. One that has ended is refused.
pub(super) async fn live(
    api: &Api,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<Result<Arc<SessionHandle>, HttpResponse>, ApiError> {
    let ended = |view: &SessionView| {
        let message = format!("the session is {}", view.state.as_str());
        Err(ApiError::new(ErrorCode::Conflict, message))
    };
    match find(api, caller, request).await? {
        Found::Here(handle) if handle.state().is_live() => Ok(Ok(handle)),
        Found::Here(handle) => ended(&handle.view()),
        Found::Ended(row) => ended(&row.view),
        Found::Elsewhere(base) => Ok(Err(redirect(&base, request))),
    }
}

/// Sessions of all instances; of this one as they are, of others as their rows tell.
async fn sessions_of(
    api: &Api,
    caller: &Caller,
    project: Option<ProjectId>,
    states: &[SessionState],
) -> Result<Vec<SessionView>, ApiError> {
    let is_live = |state: &SessionState| state.is_live();
    let active = match (states.iter().any(is_live), states.iter().all(is_live)) {
        (true, true) => Some(true),
        (false, _) => Some(false),
        (true, false) => None,
    };
    let tenant = Some(caller.tenant.clone());
    let query = SessionQuery { tenant, project: project.clone(), active, limit: MAX_LISTED };
    let rows = match api.sessions.rows().list(&query).await {
        Ok(rows) => rows,
        // What this instance holds is told also while the database is away.
        Err(RowsError::Store(error @ runcast_actors::ports::StoreError::Broken(_))) => {
            return Err(error.into());
        }
        Err(_) => Vec::new(),
    };
    let here = api.sessions.sessions();
    let mut views: Vec<SessionView> = here
        .iter()
        .filter(|handle| handle.key().tenant == caller.tenant)
        .map(|handle| handle.view())
        .collect();
    let elsewhere = rows.into_iter().map(|row| row.view);
    views.extend(elsewhere.filter(|view| !here.iter().any(|handle| *handle.id() == view.id)));
    views.retain(|view| {
        states.contains(&view.state)
            && project.as_ref().is_none_or(|project| *project == view.project_id)
            && caller.may_open(&view.project_id)
            && caller.run.as_ref().is_none_or(|run| run.as_str() == view.id.as_str())
    });
    views.sort_by_key(|view| (std::cmp::Reverse(view.created_at), view.id.clone()));
    views.truncate(MAX_LISTED as usize);
    Ok(views)
}
