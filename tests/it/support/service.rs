//! The service as a process of its own, in a directory of its own, on a free port.

use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use super::deadline::wait_for;
use super::servers::redis::Redis;
use super::servers::{Postgres, SeaweedFs};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a stop may take beside its drain.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of the log that a failed test shows.
const SHOWN_LOG_BYTES: usize = 8 * 1024;

/// How long it may take until the log is empty, beside what happens in the run.
const TRIM_LIMIT: Duration = Duration::from_secs(300);
/// Archives at once, in many small pieces, and keeps nothing twice.
const COLD: &str = "[retention]\nhot_min_secs = 0\nhot_ttl_secs = 0\n[archive]\nsegment_bytes = 65536\n\
    flush_interval_ms = 100\ndelete_after_secs = 0";

const ROLE: &str = "RUNCAST__SERVER__ROLE";

/// How long the log of a service keeps what is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// For minutes, as by default: the log has everything.
    Hot,
    /// Not at all: who comes a little later is served from the archive.
    Cold,
}

/// Tests with both ways of keeping, in modules `hot` and `cold`, out of functions that take a [`Keeping`].
macro_rules! hot_and_cold {
    ($($name:ident),+ $(,)?) => {
        mod hot {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::service::Keeping::Hot).await;
            })+
        }
        mod cold {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::service::Keeping::Cold).await;
            })+
        }
    };
}
pub(crate) use hot_and_cold;

/// True if services keep what they have on the servers of production instead of in their data directory, and
/// answer through a second instance, which owns no run; unless a test chooses its stores by itself.
pub(crate) fn is_elsewhere() -> bool {
    std::env::var_os("RUNCAST_TEST_ELSEWHERE").is_some()
}

/// How a service is started.
pub(crate) struct ServiceBuilder {
    config: String,
    keeping: Keeping,
    environment: Vec<(String, String)>,
    data_dir: Option<PathBuf>,
    is_elsewhere: bool,
}

impl ServiceBuilder {
    /// Adds TOML to the configuration, for example `[sse]\nkeep_alive_secs = 1`.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        writeln!(self.config, "{toml}").expect("writing to memory");
        self
    }

    /// How long its log keeps what is archived. Without [`Keeping::Hot`], `[retention]` and `[archive]`
    /// cannot be in the configuration any more.
    pub(crate) fn keeping(mut self, keeping: Keeping) -> Self {
        self.keeping = keeping;
        match keeping {
            Keeping::Hot => self,
            Keeping::Cold => self.config(COLD),
        }
    }

    /// Adds a variable to the environment of the service.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps everything in its data directory and answers for itself, whatever the others do.
    pub(crate) fn embedded(mut self) -> Self {
        self.is_elsewhere = false;
        self
    }

    /// Keeps its rows in a new database of this server.
    pub(crate) async fn postgres(self, server: &Postgres) -> Self {
        let url = server.database().await;
        self.embedded().env("DATABASE_URL", &url)
    }

    /// Keeps its archive at a new place in the bucket of this server.
    pub(crate) fn s3(mut self, server: &SeaweedFs) -> Self {
        self.environment.extend(server.environment());
        self.embedded()
    }

    /// Shares rows, archive and replica with this one, as another instance.
    pub(crate) fn beside(mut self, other: &Service) -> Self {
        self.environment.clone_from(&other.environment);
        self.embedded()
    }

    /// Copies its runs to this server, and follows there those of other instances.
    pub(crate) fn redis(self, server: &Redis) -> Self {
        self.embedded().env("REDIS_URL", &server.url())
    }

    /// Uses this data directory instead of a fresh one.
    pub(crate) fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts the service and waits until it is ready.
    pub(crate) async fn start(mut self) -> Service {
        if !self.is_elsewhere {
            let mut service = self.prepare();
            service.restart().await;
            return service;
        }
        self = self.postgres(Postgres::shared().await).await;
        self = self.s3(SeaweedFs::shared().await);
        self = self.env("REDIS_URL", &Redis::shared().await.database_url());
        let reader = Self {
            data_dir: None,
            config: self.config.clone(),
            environment: self.environment.clone(),
            ..self
        };
        let mut service = self.env(ROLE, "worker").prepare();
        service.restart().await;
        let mut reader = reader.env(ROLE, "api").prepare();
        reader.restart().await;
        service.reader = Some(Box::new(reader));
        service
    }

    /// Everything but the start, in its data directory; for services that are expected to refuse it.
    pub(crate) fn prepare(self) -> Service {
        let directory = TempDir::with_prefix("runcast-it-").expect("a temporary directory");
        let config_path = directory.path().join("config.toml");
        let head = "[telemetry]\nlog_format = \"json\"\n";
        std::fs::write(&config_path, format!("{head}{}", self.config)).expect("the configuration");
        let data_dir = self.data_dir.unwrap_or_else(|| directory.path().join("data"));
        Service {
            data_dir,
            config_path,
            keeping: self.keeping,
            environment: self.environment,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child: None,
            starts: 0,
            directory,
            reader: None,
        }
    }
}

/// A service that runs, or ran. Killed when it is dropped.
pub(crate) struct Service {
    data_dir: PathBuf,
    config_path: PathBuf,
    keeping: Keeping,
    environment: Vec<(String, String)>,
    address: SocketAddr,
    child: Option<Child>,
    starts: usize,
    directory: TempDir,
    /// Another instance, which answers for it.
    reader: Option<Box<Service>>,
}

impl Service {
    /// A service with the default configuration.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A service with some configuration.
    pub(crate) fn builder() -> ServiceBuilder {
        ServiceBuilder {
            config: String::new(),
            keeping: Keeping::Hot,
            environment: Vec::new(),
            data_dir: None,
            is_elsewhere: is_elsewhere(),
        }
    }

    /// A service whose log keeps like this.
    pub(crate) async fn keeping(keeping: Keeping) -> Self {
        Self::builder().keeping(keeping).start().await
    }

    /// Starts the process without waiting for anything.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        self.starts += 1;
        let log = File::create(self.log_path()).expect("the log of the service");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runcast"));
        command.arg("serve").arg("--config").arg(&self.config_path);
        command.arg("--data-dir").arg(&self.data_dir);
        command.arg("--listen").arg(self.address.to_string());
        // What the developer has set must not change what is tested.
        for (name, _) in std::env::vars_os() {
            let is_ours = name.to_str().is_some_and(|name| {
                ["RUNCAST", "AWS_"].iter().any(|prefix| name.starts_with(prefix))
                    || ["DATABASE_URL", "REDIS_URL", "RUST_LOG"].contains(&name)
            });
            if is_ours {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the service starts"));
    }

    /// Starts the process, on the same port if it ran before, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.spawn();
        self.wait_ready().await;
    }

    /// Waits until the service answers that it is ready.
    pub(crate) async fn wait_ready(&mut self) {
        let log_path = self.log_path();
        let child = self.child.as_mut().expect("the service was started");
        let address = wait_for("the service listens", START_LIMIT, async || {
            let ended = child.try_wait().expect("the state of the service");
            let log = read_log(&log_path);
            assert!(ended.is_none(), "the service ended at its start: {ended:?}\n{log}");
            log.lines().find_map(listen_address)
        })
        .await;
        self.address = address;
        let api = self.own_api();
        wait_for("the service is ready", START_LIMIT, async || {
            (api.try_get("/readyz").await.ok()?.status == 200).then_some(())
        })
        .await;
    }

    /// The address without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.reader.as_ref().map_or(self.address, |reader| reader.address)
    }

    /// What was set in its environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A client.
    pub(crate) fn api(&self) -> Api {
        Api::new(&self.url())
    }

    /// A client of the process that runs the nodes.
    pub(crate) fn own_api(&self) -> Api {
        Api::new(&format!("http://{}", self.address))
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the service runs").id()
    }

    /// Resident memory, in bytes; of both processes if another one answers for it.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let of_reader = self.reader.as_ref().map_or(0, |reader| reader.rss_bytes());
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("VmRSS");
        kib.trim().parse::<u64>().expect("a number") * 1024 + of_reader
    }

    /// Ends the process as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().expect("KILL is sent");
        child.wait().expect("the end of the service");
    }

    /// Ends the process that answers clients as `kill -9` does, which may be another one.
    pub(crate) fn kill9_front(&mut self) {
        match &mut self.reader {
            Some(reader) => reader.kill9(),
            None => self.kill9(),
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Asks the process to stop and waits for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_exit(STOP_LIMIT).await
    }

    /// Waits for the end of the process.
    pub(crate) async fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("the service was started");
        let status = wait_for("the service ends", within, async || {
            child.try_wait().expect("the state of the service")
        })
        .await;
        self.child = None;
        status
    }

    /// Takes a variable out of the environment of the next start.
    pub(crate) fn forget_env(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// Unless with [`Keeping::Hot`], waits until the log holds nothing, so that whatever comes now comes from
    /// the archive; for when all runs have ended. Else returns at once.
    pub(crate) async fn wait_log_empty(&self) {
        if self.is_cold() {
            wait_for("the log is empty", TRIM_LIMIT, async || {
                (self.log_runs().await == 0).then_some(())
            })
            .await;
        }
    }

    /// Of how many runs the log holds something, as the service says.
    pub(crate) async fn log_runs(&self) -> u64 {
        let metrics = self.own_api().try_get("/metrics").await.expect("an answer").expect(200).body;
        let metrics = String::from_utf8(metrics).expect("text");
        let line = metrics.lines().find_map(|line| line.strip_prefix("runcast_log_runs "));
        line.expect("the metric is there").parse().expect("a number")
    }

    /// True if its log keeps nothing that is archived.
    pub(crate) fn is_cold(&self) -> bool {
        self.keeping != Keeping::Hot
    }

    /// What the process has logged since its last start, and the one that answers for it.
    pub(crate) fn log(&self) -> String {
        let of_reader = self.reader.as_ref().map(|reader| reader.log()).unwrap_or_default();
        read_log(&self.log_path()) + &of_reader
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join(format!("service-{}.log", self.starts))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = read_log(&self.log_path());
            let mut from = log.len().saturating_sub(SHOWN_LOG_BYTES);
            while !log.is_char_boundary(from) {
                from += 1;
            }
            eprintln!("--- log of the service, start {}:\n{}", self.starts, &log[from..]);
        }
    }
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn listen_address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    (fields["message"] == "runcast serves").then_some(())?;
    fields["address"].as_str()?.parse().ok()
}
