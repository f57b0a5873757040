//! Redis, keeping everything in memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_redis::redis::{Client, Connection, FromRedisValue, RedisResult, cmd};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::process::{ServerProcess, folder};
use super::{free_ports, program};

/// Databases of a server: more than tests take of the shared one.
const DATABASES: usize = 1000;

static SHARED: OnceCell<Redis> = OnceCell::const_new();
static NEXT_DATABASE: AtomicUsize = AtomicUsize::new(0);

/// A server of Redis.
pub(crate) struct Redis {
    folder: PathBuf,
    port: u16,
    /// When it writes a snapshot, as `save` says it.
    save: &'static str,
    process: Option<ServerProcess>,
}

impl Redis {
    /// The one that tests share.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// One of its own, empty. What it has is gone with it.
    pub(crate) async fn start() -> Self {
        Self::saving("").await
    }

    /// One of its own, empty, that writes a snapshot when it is stopped in order.
    pub(crate) async fn lasting() -> Self {
        // Never before: nobody writes so much.
        Self::saving("3600 1000000000").await
    }

    async fn saving(save: &'static str) -> Self {
        let [port] = free_ports();
        let mut server = Self { folder: folder("redis"), port, save, process: None };
        server.restart().await;
        server
    }

    /// Starts it again on the same port, with the snapshot that it has.
    pub(crate) async fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let options = format!(
            "--port {} --bind 127.0.0.1 --databases {DATABASES} --appendonly no --save",
            self.port
        );
        let mut command = vec![program("redis-server", &[]).display().to_string()];
        command.extend(options.split(' ').chain([self.save]).map(str::to_owned));
        let process = ServerProcess::start(&self.folder, "KILL", &command);
        let answers = async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            // While it reads its snapshot it refuses everything.
            self.observer().ok()?.ask::<String>("PING", &[]).ok()
        };
        process.wait_ready("Redis", answers).await;
        self.process = Some(process);
    }

    /// Stops it at once; what it had is gone, but for a snapshot.
    pub(crate) async fn stop(&mut self) {
        self.process.take().expect("it runs").stop("KILL").await;
    }

    /// Stops it in order.
    pub(crate) async fn shut_down(&mut self) {
        self.process.take().expect("it runs").stop("TERM").await;
    }

    /// Tells it to do something, which it must.
    pub(crate) fn tell(&self, command: &str) {
        let mut observer = self.observer().expect("it listens");
        let words: Vec<&str> = command.split(' ').collect();
        let told: RedisResult<String> = observer.ask(words[0], &words[1..]);
        assert_eq!(told.as_deref(), Ok("OK"), "{command}");
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of a database that nobody else has.
    pub(crate) fn database_url(&self) -> String {
        let number = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "all databases are taken");
        format!("{}/{number}", self.url())
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Somebody who looks into it.
    pub(crate) fn observer(&self) -> RedisResult<RedisObserver> {
        Ok(RedisObserver(Client::open(self.url())?.get_connection()?))
    }
}

/// Looks into a server, knowing nothing of ours but the names of keys.
pub(crate) struct RedisObserver(Connection);

impl RedisObserver {
    /// The keys of a run of the tenant `default`.
    pub(crate) fn keys(&mut self, run: &str) -> RedisResult<Vec<String>> {
        self.ask("KEYS", &[&format!("*{{default/{run}}}*")])
    }

    /// How long a key still lives, in milliseconds: -1 if for ever, -2 if it is not there.
    pub(crate) fn life_ms(&mut self, key: &str) -> RedisResult<i64> {
        self.ask("PTTL", &[key])
    }

    /// The memory of all keys of a run, in bytes.
    pub(crate) fn run_bytes(&mut self, run: &str) -> RedisResult<u64> {
        let mut bytes = 0;
        for key in self.keys(run)? {
            // It may be gone.
            let of_key: Option<u64> = self.ask("MEMORY", &["USAGE", &key, "SAMPLES", "0"])?;
            bytes += of_key.unwrap_or_default();
        }
        Ok(bytes)
    }

    /// Through which entry the copy of a run is trimmed, and its last.
    pub(crate) fn ends(&mut self, run: &str) -> RedisResult<(u64, u64)> {
        let meta = format!("meta:{{default/{run}}}");
        let (trimmed, last): (Option<u64>, Option<u64>) =
            self.ask("HMGET", &[&meta, "trimmed", "seq"])?;
        Ok((trimmed.unwrap_or_default(), last.unwrap_or_default()))
    }

    /// A number that the server tells of itself.
    pub(crate) fn info(&mut self, field: &str) -> RedisResult<u64> {
        let info: String = self.ask("INFO", &[])?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.and_then(|value| value.parse().ok()).expect("a number of that name"))
    }

    fn ask<T: FromRedisValue>(&mut self, command: &str, words: &[&str]) -> RedisResult<T> {
        cmd(command).arg(words).query(&mut self.0)
    }
}
