//! Signed tokens for less than the caller may do: what a backend hands to its browsers.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{RunId, TenantId};
use runcast_actors::moment::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;
use crate::http::params::Query;

/// What the token shall allow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    /// The only run it opens; none: all that the caller sees.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// Scopes of the caller, at least one.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: BTreeSet<Scope>,
    /// Its life in seconds; it never outlives the credential it was made with.
    #[schema(minimum = 1, maximum = 86_400)]
    pub ttl_secs: u64,
}

/// A signed token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenAnswer {
    /// For `Authorization: Bearer` or `access_token`.
    pub token: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whose data it opens.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// What it allows.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: BTreeSet<Scope>,
    /// The only run it opens.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::at("/tokens").on(Method::POST, web::to(create_token))]
}

/// Makes a token for less than the caller may do.
#[utoipa::path(
    post, path = "/tokens", tag = "access",
    request_body = TokenRequest,
    responses((status = 201, description = "The token", body = TokenAnswer)),
)]
pub(crate) async fn create_token(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    body: JsonBody<TokenRequest>,
) -> Result<HttpResponse, ApiError> {
    Query::none(&request)?;
    let TokenRequest { run_id, scopes, ttl_secs } = body.0;
    let signed = api.access.narrow(&caller, scopes, run_id, ttl_secs)?;
    Ok(HttpResponse::Created().json(TokenAnswer {
        token: signed.token,
        expires_at: signed.expires_at,
        tenant: signed.caller.tenant,
        scopes: signed.caller.scopes,
        run_id: signed.caller.run,
    }))
}
