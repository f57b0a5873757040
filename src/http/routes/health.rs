//! How the instance is: for the load balancer, for people, for Prometheus.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, FORWARDED};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use runcast_actors::ids::InstanceId;
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{LogHealth, ObjectStore, ReplicaHealth};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::endpoint::Endpoint;
use crate::http::error::ApiError;

/// How long a store may take to answer before it counts as away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How old the last look at the archive may be.
const ARCHIVE_LOOK_AGE: Duration = Duration::from_secs(5);

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    pub status: &'static str,
    /// Which instance answers.
    #[schema(value_type = String)]
    pub instance: InstanceId,
}

/// Whether the instance can take and serve runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// True if it can.
    pub ready: bool,
    /// True if it is about to stop.
    pub draining: bool,
    /// Which instance answers.
    #[schema(value_type = String)]
    pub instance: InstanceId,
    /// The stores it has, by name: `database`, `log`, `archive`, `replica`; the last also if it lacks one.
    #[schema(value_type = BTreeMap<String, StoreReadiness>)]
    pub stores: BTreeMap<&'static str, StoreReadiness>,
    /// Where a damaged log was moved at the start, if one was: runs of that log have gaps.
    #[serde(rename = "logMovedAside", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub log_moved_aside: Option<std::path::PathBuf>,
}

/// How a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreReadiness {
    /// How it is.
    pub state: StoreState,
    /// Since when, as far as this instance has looked.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How a store can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreState {
    /// It does all it should.
    Up,
    /// It works, but not for everything.
    Degraded,
    /// It does not work.
    Down,
}

/// Since when each store is as it is.
#[derive(Debug, Default)]
pub(crate) struct StoreStates {
    known: Mutex<BTreeMap<&'static str, StoreReadiness>>,
    /// A look at the archive writes an object, so it is not taken at every question.
    archive: tokio::sync::Mutex<Option<(Instant, StoreState)>>,
}

impl StoreStates {
    async fn archive(&self, objects: &dyn ObjectStore) -> StoreState {
        let mut looked = self.archive.lock().await;
        if let Some((at, state)) = *looked
            && at.elapsed() < ARCHIVE_LOOK_AGE
        {
            return state;
        }
        let state = match tokio::time::timeout(PING_TIMEOUT, objects.probe()).await {
            Ok(Ok(())) => StoreState::Up,
            Ok(Err(_)) | Err(_) => StoreState::Down,
        };
        *looked = Some((Instant::now(), state));
        state
    }

    fn note(&self, name: &'static str, state: StoreState) -> StoreReadiness {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some(before) if before.state == state => *before,
            _ => {
                let readiness = StoreReadiness { state, since: Timestamp::now() };
                known.insert(name, readiness);
                readiness
            }
        }
    }
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/healthz").on(Method::GET, web::to(healthz)),
        Endpoint::at("/readyz").on(Method::GET, web::to(readyz)),
        Endpoint::at("/metrics").on(Method::GET, web::to(metrics)),
    ]
}

/// Answers while the process does.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "The process answers", body = Alive)),
)]
pub(crate) async fn healthz(api: web::Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok", instance: api.instance.clone() })
}

/// Tells whether the instance can take and serve runs.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It can, perhaps degraded", body = Readiness),
        (status = 503, description = "It cannot, or is about to stop", body = Readiness),
    ),
)]
pub(crate) async fn readyz(api: web::Data<Api>) -> HttpResponse {
    let database = match tokio::time::timeout(PING_TIMEOUT, api.store.ping()).await {
        Ok(Ok(())) => StoreState::Up,
        Ok(Err(_)) | Err(_) => StoreState::Down,
    };
    let log = match api.log.health() {
        LogHealth::Up if api.log_moved_aside.is_some() => StoreState::Degraded,
        LogHealth::Up => StoreState::Up,
        LogHealth::LowOnDisk => StoreState::Degraded,
        LogHealth::Down => StoreState::Down,
    };
    let archive = api.store_states.archive(api.history.archive().objects().as_ref()).await;
    let draining = api.is_draining();
    // Without the archive captures go on, up to the limit of the log.
    let ready = !draining && database != StoreState::Down && log != StoreState::Down;
    let mut stores = BTreeMap::from([
        ("database", api.store_states.note("database", database)),
        ("log", api.store_states.note("log", log)),
        ("archive", api.store_states.note("archive", archive)),
    ]);
    if let Some(replica) = &api.replica {
        // Without it runs go on, and other instances serve what is recorded.
        let state = match replica.health() {
            ReplicaHealth::Up => StoreState::Up,
            ReplicaHealth::Degraded(_) => StoreState::Degraded,
            ReplicaHealth::Down(_) => StoreState::Down,
        };
        stores.insert("replica", api.store_states.note("replica", state));
    } else if *api.lacks_replica.borrow() {
        stores.insert("replica", api.store_states.note("replica", StoreState::Degraded));
    }
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(Readiness {
        ready,
        draining,
        instance: api.instance.clone(),
        stores,
        log_moved_aside: api.log_moved_aside.clone(),
    })
}

/// The metrics as Prometheus reads them; beyond loopback they need the scope `metrics`.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if !is_local(&request) {
        Caller::extract(&request).await?.require(Scope::Metrics)?;
    }
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body((api.prometheus)()))
}

// What a proxy on this machine passes on comes from elsewhere.
fn is_local(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let is_forwarded = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
    let from_loopback = request.peer_addr().is_some_and(|peer| match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    });
    from_loopback && !is_forwarded
}
