//! A real server on a free port, in a folder of its own; it goes with the value.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runcast_actors::ids::Epoch;

use super::super::RedisReplica;

/// How long anything may take on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
pub(super) const OWNER: Epoch = Epoch(0);

/// A server of Redis.
pub(super) struct Server {
    folder: tempfile::TempDir,
    pub(super) port: u16,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// Keeps everything in memory and nothing else.
    pub(super) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// With these options of the command line.
    pub(super) fn with(options: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self { folder, port, options, process: None };
        server.restart();
        server
    }

    /// Starts it again on the same port, over what it has left in its folder.
    pub(super) fn restart(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(&self.options)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
        // One that asks for a password answers, too.
        while !["PONG", "NOAUTH"].iter().any(|answer| self.cli(&["PING"]).starts_with(answer)) {}
    }

    /// Kills it.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// What a command of a person answers.
    pub(super) fn cli(&self, words: &[&str]) -> String {
        let answer = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .stderr(Stdio::null())
            .output()
            .expect("redis-cli is installed");
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// An instance that uses it.
    pub(super) fn replica(&self) -> RedisReplica {
        replica_at(&self.url())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An instance that uses the server at this address.
pub(super) fn replica_at(url: &str) -> RedisReplica {
    RedisReplica::new(url, &tokio::runtime::Handle::current()).expect("an address")
}

/// Waits until the condition gives something.
pub(super) async fn wait_for<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, waiting).await;
    waited.unwrap_or_else(|_| panic!("in vain: {what}"))
}
