//! Wires adapters into ports and runs the service.

mod parts;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::rt::System;
use actix_web::{App, HttpServer, web};
use anyhow::{Context as _, bail};
use runcast_actors::archive::Archive;
use runcast_actors::flow::permits::CaptureBudget;
use runcast_actors::history::History;
use runcast_actors::instance_run_control::InstanceRunControl;
use runcast_actors::kernel::{
    ArbiterPool, Backoff, ChildContext, ChildSpec, ExitStatus, KillSwitch, Observers,
    RestartPolicy, Shown, Supervisor,
};
use runcast_actors::ports::{
    Instance, LogHealth, ObjectStore, RecordingStore, RunLog, RunStore, SessionStore,
};
use runcast_actors::roles::archivist::ArchiveSettings;
use runcast_actors::roles::broker::Brokers;
use runcast_actors::roles::lease_keeper::LeaseKeeper;
use runcast_actors::roles::lease_watch::{LeaseWatch, TakeOver};
use runcast_actors::roles::memory_governor::MemoryGovernor;
use runcast_actors::roles::owner::{Replication, Service};
use runcast_actors::roles::presence::Presence;
use runcast_actors::roles::queue_watch::QueueWatch;
use runcast_actors::roles::reaper::Reaper;
use runcast_actors::roles::run_manager::{HeldRuns, RunManager};
use runcast_actors::roles::screens::Screens;
use runcast_actors::roles::session::RecordedTerminals;
use runcast_actors::roles::session_manager::{
    SessionManager, SessionParts, SessionRecorder, SessionRows,
};
use runcast_actors::seek::{KeyframeLibrary, Seeker};
use tokio::sync::{Semaphore, watch};

use self::parts::{
    access, bytes, capture_settings, log_settings, memory_limits, retention, s3_settings,
    session_settings, store_settings,
};
use crate::adapters::log_fjall::FjallLog;
use crate::adapters::memory_jemalloc::JemallocMeter;
use crate::adapters::objects_directory::DirectoryObjects;
use crate::adapters::objects_s3::S3Objects;
use crate::adapters::peers_http::HttpPeers;
use crate::adapters::process_guard::{GuardCommand, ProcessGuard};
use crate::adapters::process_guard_main::DEFAULT_GRACE;
use crate::adapters::process_spawner::ProcessSpawner;
use crate::adapters::replica_redis::RedisReplica;
use crate::adapters::runner_local::{LocalRunner, LocalRunnerSettings};
use crate::adapters::store_sql::SqlStore;
use crate::adapters::terminal_host_local::LocalTerminalHost;
use crate::components::Components;
use crate::config::{ArchiveBackend, Role, SessionStoreKind, Settings, WhenFull};
use crate::data_dir::DataDir;
use crate::http::api::{Api, ApiParts, configure};
use crate::http::page::WebPage;
use crate::http::stream::source::Streaming;
use crate::shutdown::{Drained, drain, stop_requested};
use crate::telemetry;

/// How long sessions do without a database that was away before they ask again.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// How often the log and its disk are looked at.
const LOG_HEALTH_EVERY: Duration = Duration::from_millis(250);
/// What one connection gathers before it writes: held once for each viewer.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Connections that are served at once by one HTTP thread.
const CONNECTIONS_PER_THREAD: usize = 25_000;

/// What to do with the schema of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateCommand {
    /// Apply every step that is missing.
    Up,
    /// Take back the newest steps.
    Down {
        /// How many, at least 1.
        steps: u32,
    },
    /// Print which steps are applied.
    Status,
}

/// Runs the service until it is told to stop.
pub fn serve(settings: Settings) -> anyhow::Result<()> {
    let prometheus = telemetry::start(&settings.telemetry)?;
    raise_open_files();
    // Clients of the database and of S3 live in one runtime that outlasts everything which uses them.
    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("clients")
        .enable_all()
        .build()?;
    let listener = TcpListener::bind(settings.server.listen)
        .with_context(|| format!("cannot listen on {}", settings.server.listen))?;
    let shutdown = Arc::new(tokio::sync::Notify::new());
    let result = System::new().block_on(async {
        let requested = shutdown.clone();
        actix_web::rt::spawn(async move {
            stop_requested().await;
            requested.notify_one();
        });
        run(listener, settings, prometheus, clients.handle(), async move {
            shutdown.notified().await;
        })
        .await
    });
    clients.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Changes or shows the schema of the database.
pub fn migrate(settings: &Settings, command: MigrateCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        if settings.database.url.is_none() {
            std::fs::create_dir_all(&settings.server.data_dir)?;
        }
        let store = SqlStore::connect(store_settings(settings)).await?;
        match command {
            MigrateCommand::Up => store.migrate_up().await?,
            MigrateCommand::Down { steps } => store.migrate_down(steps).await?,
            MigrateCommand::Status => {}
        }
        for step in store.migrate_status().await? {
            println!("{} {}", if step.applied { "applied " } else { "pending " }, step.name);
        }
        store.close().await?;
        Ok(())
    })
}

/// Serves on `listener` until `shutdown` completes, then drains. Must be called in an actix system;
/// `clients` is the runtime of the connections to database and S3.
#[expect(clippy::too_many_lines, reason = "one place shows how everything is wired")]
pub async fn run(
    listener: TcpListener,
    settings: Settings,
    prometheus: telemetry::Prometheus,
    clients: &tokio::runtime::Handle,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&settings.server.data_dir)?;
    let instance = data_dir.instance(settings.server.name.as_deref())?;
    let store_options = store_settings(&settings);
    let store = clients
        .spawn(async move {
            let store = SqlStore::connect(store_options).await?;
            store.migrate_up().await?;
            anyhow::Ok(store)
        })
        .await?
        .context("the database cannot be used")?;
    let store = Arc::new(store);
    tokio::pin!(shutdown);
    let me = Instance {
        id: instance.clone(),
        name: settings.server.name.clone(),
        role: settings.server.role.as_str().to_owned(),
        url: own_url(&listener, &settings)?,
        has_replica: settings.redis.url.is_some(),
    };
    let lease = Duration::from_secs(settings.lease.ttl_secs);
    let presence = Arc::new(Presence::new(me, store.clone(), lease));
    tokio::select! {
        entered = presence.enter() => entered?,
        () = &mut shutdown => return Ok(()),
    }
    let recordings: Arc<dyn RecordingStore> = store.clone();
    let (instances, session_store) = (store.clone(), store.clone());
    let store: Arc<dyn RunStore> = store;
    let objects = objects(&settings, clients, recordings.as_ref()).await?;
    let archive = Arc::new(Archive::new(objects, recordings, settings.archive.cache_bytes));
    let log = FjallLog::open(log_settings(&settings)?).context("the log cannot be opened")?;
    let moved_aside = log.moved_aside();
    if let Some(path) = &moved_aside {
        tracing::error!(path = %path.display(), "the log was damaged and was moved aside");
    }
    let fjall = Arc::new(log);
    let log: Arc<dyn RunLog> = fjall.clone();

    let root = KillSwitch::new();
    let observers = Observers::new();
    let core = Supervisor::new("service", &root, observers.clone());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let arbiters = Arc::new(ArbiterPool::new(threads, "runs")?);
    let painters = Arc::new(ArbiterPool::with_thread_start(1, "screens", || lower_priority(19))?);
    let archivers = Arc::new(ArbiterPool::with_thread_start(1, "archive", || lower_priority(10))?);
    let replication = replication(&settings, clients)?;
    let replica = replication.as_ref().map(|replication| replication.replica.clone());
    let history = History::new(log.clone(), replica.clone(), store.clone(), archive.clone());
    let retention = retention(&settings);
    let (health, log_health) = watch::channel(log.health());
    let library = KeyframeLibrary::new(history.clone(), painters.clone());
    let seeker = Seeker::new(history.clone(), library.clone());
    let keyframes = library.clone();
    let (threads_of_screens, watched) = (painters.clone(), observers.clone());
    let copied = replica.clone();
    let screens =
        Screens::new(history.clone(), library, threads_of_screens, watched, root.clone(), copied);
    let runner = Arc::new(runner(&data_dir)?);
    let terminals = Arc::new(RecordedTerminals::new(runner.clone()));
    let service = Arc::new(Service {
        instance: instance.clone(),
        log: log.clone(),
        store: store.clone(),
        history: history.clone(),
        runner: terminals.clone(),
        screens: screens.clone(),
        arbiters: arbiters.clone(),
        observers: observers.clone(),
        root: root.clone(),
        log_health,
        budget: CaptureBudget::new(bytes(settings.memory.capture_bytes)?),
        slots: Arc::new(Semaphore::new(settings.runners.local.max_parallel as usize)),
        capture: capture_settings(&settings)?,
        max_bytes_per_run: settings.log.max_bytes_per_run,
        lease,
        archivers: archivers.clone(),
        archiving: ArchiveSettings {
            segment_bytes: settings.archive.segment_bytes,
            flush_interval: Duration::from_millis(settings.archive.flush_interval_ms),
        },
        hot_min: retention.hot_min,
        replication,
    });
    let follow_health = log.clone();
    core.spawn_task("LogHealth", RestartPolicy::Never, &arbiters.pick(0), move |child| {
        let shown = health.subscribe();
        child.observe(move || Shown::new(*shown.borrow()));
        watch_log(follow_health.clone(), health.clone(), child)
    });

    let (draining, is_draining) = watch::channel(false);
    let (count, held) = watch::channel(HeldRuns::default());
    let managed = service.clone();
    let local = &settings.runners.local;
    let takes_runs = settings.server.role != Role::Api;
    let max_runs = if local.enabled && takes_runs { local.max_parallel as usize } else { 0 };
    let spec = ChildSpec {
        name: "RunManager",
        policy: RestartPolicy::Never,
        factory: move |child| RunManager::new(managed.clone(), max_runs, count.clone(), child),
    };
    let manager = core.spawn_actor(&arbiters.pick(0), spec).ready().await?;
    let policy = RestartPolicy::OnFault(Backoff::default());
    let arbiter = arbiters.pick(1);
    let present = presence.clone();
    core.spawn_follower("Presence", policy, &arbiter, move |child| present.clone().keep(child));
    // One that serves clients alone holds the queued runs that it was asked to end.
    let keeper = Arc::new(LeaseKeeper {
        instance: instance.clone(),
        store: store.clone(),
        manager: manager.clone(),
        lease: service.lease,
    });
    core.spawn_follower("LeaseKeeper", policy, &arbiter, move |child| keeper.clone().keep(child));
    // What this instance owned before it was stopped or killed is brought to its end first. One that serves clients
    // alone owns recordings of sessions.
    let mut own = store.leases().await?;
    own.retain(|lease| lease.owner.as_ref() == Some(&instance));
    manager.send(TakeOver(own)).await?;
    let leases = Arc::new(LeaseWatch {
        instance: instance.clone(),
        store: store.clone(),
        manager: manager.clone(),
        lease: service.lease,
        takes_others: takes_runs,
        can_write: presence.can_write(),
    });
    core.spawn_follower("LeaseWatch", policy, &arbiter, move |child| leases.clone().watch(child));
    if let Some(replica) = replica.clone().filter(|_| takes_runs) {
        let watch = Arc::new(QueueWatch { replica, manager: manager.clone() });
        core.spawn_follower("QueueWatch", policy, &arbiter, move |child| {
            watch.clone().watch(child)
        });
    }

    let reaper = Arc::new(Reaper {
        log: log.clone(),
        store: store.clone(),
        history: history.clone(),
        runner: service.runner.clone(),
        retention,
    });
    core.spawn_follower("Reaper", policy, &archivers.pick(0), move |child| {
        reaper.clone().look(child)
    });

    let session_rows = match settings.sessions.store {
        SessionStoreKind::Database => Some(session_store as Arc<dyn SessionStore>),
        SessionStoreKind::Memory => None,
    };
    let db_timeout = Duration::from_millis(settings.sessions.db_timeout_ms);
    let sessions = SessionManager::new(SessionParts {
        instance: instance.clone(),
        settings: session_settings(&settings)?,
        host: Arc::new(LocalTerminalHost::beside(&runner)),
        rows: Arc::new(SessionRows::new(session_rows, db_timeout, DATABASE_PAUSE)),
        arbiters: Arc::new(ArbiterPool::new(threads, "sessions")?),
        observers: observers.clone(),
        root: root.clone(),
        recorder: Some(SessionRecorder {
            instance: instance.clone(),
            store: store.clone(),
            lease,
            manager: manager.clone(),
            terminals,
        }),
    });
    let kept = sessions.clone();
    // It paints screens for their rows, and a session must not wait for that.
    let keepers = Arc::new(ArbiterPool::new(1, "session-keeper")?);
    core.spawn_follower("SessionManager", policy, &keepers.pick(0), move |child| {
        kept.clone().keep(child)
    });

    let window_bytes = bytes(settings.sse.window_bytes)?;
    let brokers = Brokers::new(
        history.clone(),
        arbiters.clone(),
        observers.clone(),
        root.clone(),
        window_bytes,
        settings.sse.max_viewers as usize,
    );
    let sockets = Arc::new(Semaphore::new(settings.sessions.max_connections as usize));
    let accounts = Components {
        budget: service.budget.clone(),
        log: fjall,
        brokers: brokers.clone(),
        archive,
        keyframes,
        sessions: sessions.clone(),
        sockets: sockets.clone(),
        max_sockets: settings.sessions.max_connections as usize,
    };
    let meter = Arc::new(JemallocMeter);
    let governor = Arc::new(MemoryGovernor::new(
        meter,
        accounts.accounts(),
        sessions.clone(),
        memory_limits(&settings),
    ));
    for (limit, bytes) in
        [("soft", governor.limits().soft_bytes), ("hard", governor.limits().hard_bytes)]
    {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 bytes")]
        metrics::gauge!("runcast_memory_limit_bytes", "limit" => limit).set(bytes as f64);
    }
    let kept = governor.clone();
    core.spawn_follower("MemoryGovernor", policy, &arbiters.pick(1), move |child| {
        kept.clone().keep(child)
    });

    let (closing, is_closing) = watch::channel(false);
    let streaming = Streaming {
        brokers: brokers.clone(),
        screens,
        keep_alive: Duration::from_secs(settings.sse.keep_alive_secs),
        max_duration: Duration::from_secs(settings.sse.max_duration_secs),
        closing: is_closing,
    };
    let not_ready = Arc::new(AtomicBool::new(false));
    let control = Arc::new(InstanceRunControl::new(manager.clone(), service.clone(), is_draining));
    let live = history.live().clone();
    let api = Api::new(ApiParts {
        store: store.clone(),
        log: log.clone(),
        replica,
        lacks_replica: presence.lacks_replica(),
        history,
        seeker,
        control,
        access: access(&settings, &data_dir)?,
        default_terminal: settings.terminal.view(),
        max_downloads: settings.archive.max_downloads as usize,
        sessions: sessions.clone(),
        instances,
        peers: Arc::new(HttpPeers::new()?),
        brokers: brokers.clone(),
        observers,
        sockets: sockets.clone(),
        governor,
        public_url: settings.server.public_url.clone(),
        instance,
        draining: not_ready.clone(),
        log_moved_aside: moved_aside,
        page: WebPage::embedded(),
        prometheus: Box::new(move || {
            metrics::gauge!("runcast_replica_lag_seconds").set(live.replica_lag().as_secs_f64());
            prometheus.render()
        }),
    });
    let address = listener.local_addr()?;
    let server = http_server(listener, &settings, web::Data::new(api), streaming, threads)?;
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    tracing::info!(%address, data_dir = %settings.server.data_dir.display(), "runcast serves");

    let failed = tokio::select! {
        () = &mut shutdown => None,
        status = root.dead() => Some(status),
    };
    drain(Drained {
        within: Duration::from_secs(settings.server.drain_secs),
        kill_grace: Duration::from_secs(settings.runners.local.kill_grace_secs),
        not_ready,
        draining,
        manager,
        held,
        sessions,
        sockets,
        max_sockets: settings.sessions.max_connections,
        closing,
        brokers,
        server: handle,
    })
    .await;
    let _ = serving.await;
    core.stop().await;
    presence.leave().await;
    root.kill(ExitStatus::Stopped);
    drop(data_dir);
    match failed {
        None => Ok(()),
        Some(status) => bail!("the service has ended with a fault: {status}"),
    }
}

fn http_server(
    listener: TcpListener,
    settings: &Settings,
    api: web::Data<Api>,
    streaming: Streaming,
    threads: usize,
) -> anyhow::Result<actix_web::dev::Server> {
    let streaming = web::Data::new(streaming);
    let server = HttpServer::new(move || {
        App::new().app_data(streaming.clone()).configure(|cfg| configure(cfg, api.clone()))
    })
    .workers(threads)
    .disable_signals()
    // Else the end of a client that reads nothing would not be noticed.
    .h1_allow_half_closed(false)
    .h1_write_buffer_size(WRITE_BUFFER_BYTES)
    .max_connections(CONNECTIONS_PER_THREAD)
    .shutdown_timeout(5);
    let server = match (&settings.server.tls_cert, &settings.server.tls_key) {
        (Some(cert), Some(key)) => {
            server.listen_rustls_0_23(listener, crate::http::tls::load(cert, key)?)?
        }
        _ => server.listen(listener)?,
    };
    Ok(server.run())
}

/// Where clients reach this instance.
fn own_url(listener: &TcpListener, settings: &Settings) -> anyhow::Result<String> {
    if let Some(url) = &settings.server.public_url {
        return Ok(url.clone());
    }
    let scheme = if settings.server.tls_cert.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}

/// What keeps recordings.
async fn objects(
    settings: &Settings,
    clients: &tokio::runtime::Handle,
    recordings: &dyn RecordingStore,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if settings.archive.backend == ArchiveBackend::S3 {
        let opening = S3Objects::open(s3_settings(&settings.archive.s3)?);
        return Ok(Arc::new(clients.spawn(opening).await?));
    }
    let directory = settings.archive_dir();
    let opened = if recordings.has_objects().await? {
        DirectoryObjects::open_existing(directory.clone())
    } else {
        DirectoryObjects::open(directory.clone())
    };
    let cannot = || format!("the archive {} cannot be used", directory.display());
    Ok(Arc::new(opened.with_context(cannot)?))
}

/// The replica that other instances follow, if there is one.
fn replication(
    settings: &Settings,
    clients: &tokio::runtime::Handle,
) -> anyhow::Result<Option<Replication>> {
    let redis = &settings.redis;
    let Some(url) = &redis.url else { return Ok(None) };
    let replica = RedisReplica::new(url.expose(), clients)?;
    Ok(Some(Replication {
        replica: Arc::new(replica),
        max_bytes_per_run: redis.max_bytes_per_run,
        max_lag_bytes: (redis.when_full == WhenFull::Pause).then_some(redis.max_lag_bytes),
        hot_ttl: Duration::from_secs(settings.retention.hot_ttl_secs),
    }))
}

fn runner(data_dir: &DataDir) -> anyhow::Result<LocalRunner> {
    let spawner = ProcessSpawner::start()?;
    let program = std::env::current_exe().context("the path of our own binary is not known")?;
    let guard = ProcessGuard::start(GuardCommand::new(program, DEFAULT_GRACE), spawner.clone())?;
    let settings = LocalRunnerSettings::new(data_dir.work_dir());
    Ok(LocalRunner::new(settings, guard, spawner)?)
}

async fn watch_log(
    log: Arc<dyn RunLog>,
    health: watch::Sender<LogHealth>,
    child: ChildContext,
) -> ExitStatus {
    let killed = child.killed();
    tokio::pin!(killed);
    loop {
        child.handled(1);
        let now = log.health();
        health.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                tracing::warn!(from = ?known, to = ?now, "the state of the log has changed");
                *known = now;
            }
            changed
        });
        tokio::select! {
            status = &mut killed => return status,
            () = tokio::time::sleep(LOG_HEALTH_EVERY) => {}
        }
    }
}

/// Screens and archives may lag; what captures and sends may not. Programs wait for an archive that lags far, and for
/// screens never.
fn lower_priority(nice: i32) {
    // On Linux the priority is the thread's own.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::warn!(%error, "screens and archives run at normal priority");
    }
}

/// A viewer is a descriptor and a node is several, so the customary soft limit of 1,024 is too low.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files was not raised");
    }
}
