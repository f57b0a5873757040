//! The login of the page: a token becomes a cookie that scripts cannot read.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{RunId, TenantId};
use runcast_actors::moment::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::access::{
    AccessMode, Caller, SESSION_COOKIE, SESSION_TTL_SECS, Scope, require_own_origin, session_cookie,
};
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::Query;

/// What opens a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// A static or signed token.
    pub token: String,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAnswer {
    /// How callers prove who they are.
    pub mode: AccessMode,
    /// Whose data they see.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// What they may do.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: BTreeSet<Scope>,
    /// Who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The only run they see.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// When the credential ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl SessionAnswer {
    fn of(mode: AccessMode, caller: Caller) -> Self {
        // `admin` without a service token opens nothing, so it is not told either.
        let scopes = caller.scopes.iter().copied().filter(|scope| caller.require(*scope).is_ok());
        Self {
            mode,
            scopes: scopes.collect(),
            tenant: caller.tenant,
            user: caller.user,
            run_id: caller.run,
            expires_at: caller.expires_at,
        }
    }
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/session")
            .on(Method::GET, web::to(get_session))
            .on(Method::POST, web::to(open_session))
            .on(Method::DELETE, web::to(close_session)),
    ]
}

/// Tells who the caller is.
#[utoipa::path(
    get, path = "/session", tag = "access",
    responses((status = 200, description = "Who the caller is", body = SessionAnswer)),
)]
pub(crate) async fn get_session(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    Ok(HttpResponse::Ok().json(SessionAnswer::of(api.access.mode(), caller)))
}

/// Sets the cookie of the page.
#[utoipa::path(
    post, path = "/session", tag = "access", security(()),
    request_body = SessionRequest,
    responses((status = 200, description = "Who the caller is now; the cookie is set", body = SessionAnswer)),
)]
pub(crate) async fn open_session(
    api: web::Data<Api>,
    request: HttpRequest,
    body: JsonBody<SessionRequest>,
) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    if api.access.mode() == AccessMode::None {
        let caller = Caller::anyone();
        return Ok(HttpResponse::Ok().json(SessionAnswer::of(AccessMode::None, caller)));
    }
    let caller = api.access.authenticate(&body.0.token)?;
    let signed = api.access.open_session(&caller)?;
    let left_us = signed.expires_at.0.saturating_sub(Timestamp::now().0).max(0);
    let left_secs = u64::try_from(left_us / 1_000_000).unwrap_or(0).min(SESSION_TTL_SECS);
    Ok(HttpResponse::Ok()
        .insert_header((SET_COOKIE, cookie(&api, &signed.token, left_secs)))
        .json(SessionAnswer::of(api.access.mode(), signed.caller)))
}

/// Removes the cookie of the page.
#[utoipa::path(
    delete, path = "/session", tag = "access", security(()),
    responses((status = 204, description = "The cookie is gone")),
)]
pub(crate) async fn close_session(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    if session_cookie(&request).is_some() {
        require_own_origin(&api.access, &request)?;
    }
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, cookie(&api, "", 0))).finish())
}

fn cookie(api: &Api, value: &str, max_age_secs: u64) -> String {
    let secure = if api.access.wants_secure_cookie() { "; Secure" } else { "" };
    format!(
        "{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_secs}{secure}"
    )
}
