//! The instances on the same database.

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::InstanceId;
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::SeenInstance;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;

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
