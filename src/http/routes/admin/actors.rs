//! The actors of an instance: what they do, what waits for them, how often they were restarted.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::ids::{InstanceId, RunId, RunKey, TenantId};
use runcast_actors::kernel::{KindTotals, Observation};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DEFAULT_ROWS, MAX_ROWS};
use crate::http::access::{Caller, Scope};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::peers;

/// The actors of this instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActorReport {
    /// Which instance answers.
    #[schema(value_type = String)]
    instance: InstanceId,
    /// One row a kind, by name; also kinds that had one and have none now.
    kinds: Vec<ActorKind>,
    /// Those of the service itself, one of each.
    service: Vec<Actor>,
    /// Those of runs that are owned or watched here, by tenant and run.
    runs: Vec<RunActors>,
    /// For the next page of runs; null if this is the last.
    next_cursor: Option<String>,
}

/// All actors of one kind.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActorKind {
    kind: &'static str,
    /// How many there are now.
    instances: u64,
    /// What waits for all of them: entries, requests or commands. Null: they are told by mailbox, which nobody
    /// can count.
    queue_depth: Option<u64>,
    /// Entries, requests, commands or looks that they have handled since the start of the process.
    messages: u64,
    /// Restarts since the start of the process.
    restarts: u64,
    /// How the last one that ended did: `finished`, `stopped`, `failed: …` and the like.
    #[schema(value_type = Option<String>)]
    last_exit: Option<String>,
}

/// One actor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Actor {
    kind: &'static str,
    /// Which incarnation this is, from 1.
    incarnation: u32,
    restarts: u32,
    /// False while it waits for its restart.
    is_running: bool,
    /// How its previous incarnation ended.
    #[schema(value_type = Option<String>)]
    last_exit: Option<String>,
    /// What waits for it.
    queue_depth: Option<u64>,
    /// What it has handled.
    messages: u64,
    /// What it shows of itself; differs by kind, see the documentation of the actors.
    #[schema(value_type = Option<Object>)]
    state: Option<serde_json::Value>,
}

/// The actors of one run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunActors {
    #[schema(value_type = String)]
    tenant: TenantId,
    #[schema(value_type = String)]
    run_id: RunId,
    actors: Vec<Actor>,
}

/// The actors of this instance: by kind, those of the service, and the tree of each run.
#[utoipa::path(
    get, path = "/admin/actors", tag = "admin",
    params(
        ("limit" = Option<u32>, Query, description = "Runs of a page: 1 to 1000, else 100"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("instance" = Option<String>, Query, description = "Another instance to ask, see `/admin/instances`"),
    ),
    responses((status = 200, description = "The actors", body = ActorReport)),
)]
pub(crate) async fn get_actors(
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
    let after: Option<RunKey> = query.parsed("cursor")?;

    let shared = api.clone();
    // Every actor is asked, and there may be thousands: not on a thread that serves streams.
    let report = web::block(move || report(&shared, after.as_ref(), limit)).await;
    Ok(HttpResponse::Ok().json(report.map_err(ApiError::internal)?))
}

fn report(api: &Api, after: Option<&RunKey>, limit: usize) -> ActorReport {
    let mut queues: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut service, mut runs) = (Vec::new(), BTreeMap::<RunKey, Vec<Actor>>::new());
    for observation in api.observers.snapshot() {
        if let Some(depth) = observation.queue_depth {
            *queues.entry(observation.kind).or_default() += depth;
        }
        if &*observation.group == SERVICE {
            service.push(Actor::of(observation));
        } else if let Ok(run) = observation.group.parse() {
            runs.entry(run).or_default().push(Actor::of(observation));
        }
    }
    let kinds = api.observers.kinds().into_iter();
    let kinds = kinds.map(|(kind, totals)| ActorKind::of(kind, totals, queues.get(kind).copied()));
    let is_next = |run: &RunKey| after.is_none_or(|after| run > after);
    let mut rest = runs.into_iter().filter(|(run, _)| is_next(run));
    let runs: Vec<RunActors> = rest.by_ref().take(limit).map(RunActors::of).collect();
    let next_cursor = rest.next().and_then(|_| runs.last()).map(RunActors::cursor);
    let instance = api.instance.clone();
    ActorReport { instance, kinds: kinds.collect(), service, runs, next_cursor }
}

/// The group of what an instance has one of.
const SERVICE: &str = "service";

impl ActorKind {
    fn of(kind: &'static str, totals: KindTotals, queue_depth: Option<u64>) -> Self {
        Self {
            kind,
            instances: totals.instances,
            queue_depth,
            messages: totals.messages,
            restarts: totals.restarts,
            last_exit: totals.last_exit.map(|status| status.to_string()),
        }
    }
}

impl Actor {
    fn of(observation: Observation) -> Self {
        Self {
            kind: observation.kind,
            incarnation: observation.incarnation,
            restarts: observation.restarts,
            is_running: observation.is_running,
            last_exit: observation.last_exit.map(|status| status.to_string()),
            queue_depth: observation.queue_depth,
            messages: observation.messages,
            state: observation.state,
        }
    }
}

impl RunActors {
    fn of((run, actors): (RunKey, Vec<Actor>)) -> Self {
        Self { tenant: run.tenant, run_id: run.run, actors }
    }

    fn cursor(&self) -> String {
        format!("{}/{}", self.tenant, self.run_id)
    }
}
