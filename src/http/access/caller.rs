//! The caller of a request, from its `Authorization`, its `access_token` or the cookie of the page, in this order.

use std::collections::BTreeSet;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::{FromRequest, HttpRequest, web};
use runcast_actors::ids::{ProjectId, RunId, RunKey, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::sessions::SessionId;

use super::{Access, AccessMode, Scope, TokenEntry, TokenTenant};
use crate::http::api::Api;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::params;

/// The cookie of the page.
pub const SESSION_COOKIE: &str = "runcast_session";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose data they see.
    pub tenant: TenantId,
    /// True if the credential is the service's own, so that `admin` counts.
    pub service: bool,
    /// What they may do.
    pub scopes: BTreeSet<Scope>,
    /// The only run they see, if the credential is for one.
    pub run: Option<RunId>,
    /// Who they are.
    pub user: Option<String>,
    /// Patterns of the projects they may open; none: all of the tenant.
    pub projects: Vec<String>,
    /// When the credential ends; streams end with it.
    pub expires_at: Option<Timestamp>,
}

impl Caller {
    /// Everyone, where nobody needs to prove anything.
    pub(crate) fn anyone() -> Self {
        Self {
            tenant: TenantId::default_tenant(),
            service: true,
            scopes: Scope::ALL.into(),
            run: None,
            user: None,
            projects: Vec::new(),
            expires_at: None,
        }
    }

    pub(super) fn of_entry(entry: &TokenEntry) -> Self {
        let (tenant, service) = match &entry.tenant {
            TokenTenant::One(tenant) => (tenant.clone(), false),
            TokenTenant::Service => (TenantId::default_tenant(), true),
        };
        Self {
            tenant,
            service,
            scopes: entry.scopes.clone(),
            run: None,
            user: entry.user.clone(),
            projects: entry.projects.clone(),
            expires_at: None,
        }
    }

    /// Refuses a caller who does not have the scope.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        let is_theirs = scope != Scope::Admin || (self.service && self.run.is_none());
        if is_theirs && self.scopes.contains(&scope) {
            return Ok(());
        }
        let message = format!("the scope `{}` is missing", scope.as_str());
        Err(ApiError::new(ErrorCode::Forbidden, message).detail("scope", scope.as_str()))
    }

    /// True if the caller may see interactive terminals of this project.
    pub fn may_open(&self, project: &ProjectId) -> bool {
        self.projects.is_empty()
            || self.projects.iter().any(|pattern| fits(pattern, project.as_str()))
    }

    /// Refuses a project whose interactive terminals the caller may not see.
    pub fn require_project(&self, project: &ProjectId) -> Result<(), ApiError> {
        if self.may_open(project) {
            return Ok(());
        }
        let message = format!("the token does not reach the project `{project}`");
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }

    /// The run by this id as far as the caller can see; another than the one of the credential does not exist. Nor do
    /// recordings of sessions for somebody who may not open those of every project.
    pub fn run_key(&self, run_id: RunId) -> Result<RunKey, ApiError> {
        let is_hidden = !self.projects.is_empty() && SessionId::is_of_session(&run_id);
        if is_hidden || self.run.as_ref().is_some_and(|own| *own != run_id) {
            return Err(ApiError::not_found(format!("there is no run `{run_id}`")));
        }
        Ok(RunKey { tenant: self.tenant.clone(), run: run_id })
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = match request.app_data::<web::Data<Api>>() {
            Some(api) => identify(&api.access, request),
            None => Err(ApiError::internal("a route is mounted without its shared state")),
        };
        ready(caller)
    }
}

fn identify(access: &Access, request: &HttpRequest) -> Result<Caller, ApiError> {
    if access.mode() == AccessMode::None {
        require_own_host(access, request)?;
        return Ok(Caller::anyone());
    }
    if let Some(value) = request.headers().get(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            ApiError::new(ErrorCode::Unauthenticated, "Authorization must be `Bearer TOKEN`")
        })?;
        return access.authenticate(token);
    }
    if let Some(token) = query_token(request) {
        return access.authenticate(&token);
    }
    let Some(token) = session_cookie(request) else {
        return Err(ApiError::new(ErrorCode::Unauthenticated, "a token is needed"));
    };
    let caller = access.authenticate(token)?;
    if !request.method().is_safe() {
        require_own_origin(access, request)?;
    }
    Ok(caller)
}

/// Refuses a name that somebody else has given to this machine: where nobody proves who they are, a page of that name
/// would be taken for the service's own.
fn require_own_host(access: &Access, request: &HttpRequest) -> Result<(), ApiError> {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let Some(host) = header.or_else(|| request.uri().authority().map(Authority::as_str)) else {
        return Ok(());
    };
    if access.is_own_host(host) {
        return Ok(());
    }
    let shown: String = host.chars().take(100).collect();
    let message = format!(
        "`{shown}` is no name of this service; allowed without authentication: localhost, 127.0.0.1, [::1] and \
         server.public_url"
    );
    Err(ApiError::new(ErrorCode::Forbidden, message))
}

/// True if the request carries a token of its own, and not only what a browser adds by itself.
pub(crate) fn shows_token(access: &Access, request: &HttpRequest) -> bool {
    access.mode() == AccessMode::Token
        && (request.headers().contains_key(AUTHORIZATION) || query_token(request).is_some())
}

/// The token that proves who asks, wherever it stands.
pub(crate) fn token_of(request: &HttpRequest) -> Option<String> {
    if let Some(value) = request.headers().get(AUTHORIZATION) {
        return value.to_str().ok().and_then(bearer).map(str::to_owned);
    }
    query_token(request).or_else(|| session_cookie(request).map(str::to_owned))
}

/// Refuses a request that another site may have made the browser send with our cookie.
pub(crate) fn require_own_origin(access: &Access, request: &HttpRequest) -> Result<(), ApiError> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).or_else(|| request.uri().authority().map(Authority::as_str));
    match text(ORIGIN) {
        Some(origin) if access.is_own_origin(origin, host) => Ok(()),
        _ => {
            let message = "with the cookie a change needs the Origin of the service";
            Err(ApiError::new(ErrorCode::Forbidden, message))
        }
    }
}

/// The value of the page's cookie.
pub(crate) fn session_cookie(request: &HttpRequest) -> Option<&str> {
    let headers = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    headers
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value)
}

/// True if the name is as the pattern says, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
        }),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn query_token(request: &HttpRequest) -> Option<String> {
    request
        .query_string()
        .split('&')
        .find_map(|part| part.strip_prefix("access_token="))
        .map(|value| params::decode(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_projects_fit_whole_names() {
        for (pattern, name, expected) in [
            ("site", "site", true),
            ("site", "site-1", false),
            ("site-*", "site-1", true),
            ("site-*", "my-site-1", false),
            ("*-prod", "a-prod", true),
            ("*", "anything", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
