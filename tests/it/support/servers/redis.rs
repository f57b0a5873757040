//! Redis, keeping everything in memory.

use std::path::{Path, PathBuf};

use deadpool_redis::redis::{Client, Connection, FromRedisValue, RedisResult, cmd};
use tokio::net::TcpStream;

use super::process::{ServerProcess, folder};
use super::{free_ports, program};

/// A server of Redis.
pub(crate) struct Redis {
    folder: PathBuf,
    port: u16,
    process: Option<ServerProcess>,
}

impl Redis {
    /// One of its own, empty.
    pub(crate) async fn start() -> Self {
        let [port] = free_ports();
        let mut server = Self { folder: folder("redis"), port, process: None };
        server.restart().await;
        server
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let options = format!("--port {} --bind 127.0.0.1 --save  --appendonly no", self.port);
        let mut command = vec![program("redis-server", &[]).display().to_string()];
        command.extend(options.split(' ').map(str::to_owned));
        let process = ServerProcess::start(&self.folder, "KILL", &command);
        let answers = async || TcpStream::connect(("127.0.0.1", self.port)).await.ok();
        process.wait_ready("Redis", answers).await;
        self.process = Some(process);
    }

    /// Stops it at once; what it had is gone.
    pub(crate) async fn stop(&mut self) {
        self.process.take().expect("it runs").stop("KILL").await;
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
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
