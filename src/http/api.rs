//! What all routes share, and where they are mounted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};
use runcast_actors::history::History;
use runcast_actors::ids::{InstanceId, RunKey};
use runcast_actors::kernel::Observers;
use runcast_actors::messages::run_control::RunControl;
use runcast_actors::ports::{InstanceStore, Replica, RunLog, RunStore, StoredRun};
use runcast_actors::roles::broker::Brokers;
use runcast_actors::roles::memory_governor::MemoryGovernor;
use runcast_actors::roles::session_manager::SessionManager;
use runcast_actors::run_view::TerminalView;
use runcast_actors::seek::Seeker;
use runcast_actors::sessions::SessionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::http::access::{Access, Caller, Scope};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::page::WebPage;
use crate::http::peers::Peers;
use crate::http::performance::RecentRequests;
use crate::http::position_cache::PositionCache;
use crate::http::request_id::around;
use crate::http::routes::health::StoreStates;
use crate::http::routes::{self, page};

/// What the routes need of the service.
pub struct ApiParts {
    /// The rows.
    pub store: Arc<dyn RunStore>,
    /// The log, for its health.
    pub log: Arc<dyn RunLog>,
    /// The replica, for its health; none if there are no other instances.
    pub replica: Option<Arc<dyn Replica>>,
    /// True while there are other instances and no replica.
    pub lacks_replica: watch::Receiver<bool>,
    /// Runs as they are now.
    pub history: History,
    /// Any moment of their streams.
    pub seeker: Arc<Seeker>,
    /// Commands to the owners of runs.
    pub control: Arc<dyn RunControl>,
    /// Who may do what.
    pub access: Access,
    /// The terminal of nodes that do not say otherwise.
    pub default_terminal: TerminalView,
    /// Recordings that are downloaded at one time (`archive.max_downloads`).
    pub max_downloads: usize,
    /// Interactive terminals of this instance.
    pub sessions: Arc<SessionManager>,
    /// Who else is there.
    pub instances: Arc<dyn InstanceStore>,
    /// The way to them.
    pub peers: Arc<dyn Peers>,
    /// Viewers of runs.
    pub brokers: Arc<Brokers>,
    /// What every actor shows of itself.
    pub observers: Observers,
    /// Room for clients of sessions (`sessions.max_connections`).
    pub sockets: Arc<Semaphore>,
    /// The budget of the process.
    pub governor: Arc<MemoryGovernor>,
    /// Where clients reach this instance (`server.public_url`); none: where they asked.
    pub public_url: Option<String>,
    /// This instance.
    pub instance: InstanceId,
    /// True once the service takes no new runs.
    pub draining: Arc<AtomicBool>,
    /// Where a log was moved that could not be opened, if one was.
    pub log_moved_aside: Option<std::path::PathBuf>,
    /// The web page.
    pub page: WebPage,
    /// The metrics as Prometheus reads them.
    pub prometheus: Box<dyn Fn() -> String + Send + Sync>,
}

/// The state that all routes share.
pub struct Api {
    parts: ApiParts,
    pub(crate) positions: PositionCache,
    pub(crate) store_states: StoreStates,
    pub(crate) performance: RecentRequests,
    downloads: Arc<Semaphore>,
}

impl Api {
    /// Of these parts.
    pub fn new(parts: ApiParts) -> Self {
        let downloads = Arc::new(Semaphore::new(parts.max_downloads));
        let (positions, store_states) = (PositionCache::default(), StoreStates::default());
        let performance = RecentRequests::default();
        Self { parts, positions, store_states, performance, downloads }
    }

    /// Room for one more download, held until it is over.
    pub(crate) fn download_room(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.downloads.clone().try_acquire_owned().map_err(|_| {
            ApiError::new(ErrorCode::Unavailable, "too many recordings are downloaded at once")
        })
    }

    /// Room for one more client of a session, held until it goes.
    pub(crate) fn socket_room(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.sockets.clone().try_acquire_owned().map_err(|_| {
            let message =
                "there are as many connections as there may be (sessions.max_connections)";
            ApiError::new(ErrorCode::LimitExceeded, message)
        })
    }

    /// True once the service takes no new runs.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The run with its nodes as of now, if the caller may see it: else 404, and 410 if it was purged.
    pub async fn run(&self, run: &RunKey) -> Result<StoredRun, ApiError> {
        present(run, self.history.run(run).await?)
    }

    /// The run as of its rows, which may be behind its log; cheaper than [`Api::run`].
    pub async fn recorded_run(&self, run: &RunKey) -> Result<StoredRun, ApiError> {
        present(run, self.store.find(run).await?)
    }

    /// The run of a path as far as the caller can see.
    pub fn key(&self, caller: &Caller, request: &HttpRequest) -> Result<RunKey, ApiError> {
        let run = crate::http::params::run_id(request)?;
        if !request.method().is_safe() && SessionId::is_of_session(&run) {
            caller.require(Scope::TerminalsWrite)?;
        }
        caller.run_key(run)
    }
}

impl std::ops::Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}

fn present(run: &RunKey, found: Option<StoredRun>) -> Result<StoredRun, ApiError> {
    match found {
        Some(stored) if stored.purged => {
            Err(ApiError::new(ErrorCode::Gone, format!("the run `{}` was purged", run.run)))
        }
        Some(stored) => Ok(stored),
        None => Err(ApiError::not_found(format!("there is no run `{}`", run.run))),
    }
}

/// Mounts `/api/v1`, `/healthz`, `/readyz` and `/metrics`, and the page at every other path.
pub fn configure(cfg: &mut web::ServiceConfig, api: web::Data<Api>) {
    cfg.app_data(api);
    for endpoint in routes::root_endpoints() {
        cfg.service(endpoint.into_resource().wrap(from_fn(around)));
    }
    let mut scope = web::scope(routes::BASE_PATH);
    for endpoint in routes::api_endpoints() {
        scope = scope.service(endpoint.into_resource());
    }
    cfg.service(scope.default_service(web::to(unknown_path)).wrap(from_fn(around)));
    // What is asked often has a name of its own in the metrics.
    for path in ["/", "/assets/{file:.*}"] {
        cfg.service(web::resource(path).route(web::to(page::serve)).wrap(from_fn(around)));
    }
    cfg.default_service(web::to(page::serve).wrap(from_fn(around)));
}

async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(page::unknown(&request))
}
