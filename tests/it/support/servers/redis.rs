//! Redis, keeping everything in memory.

use std::path::{Path, PathBuf};

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
}
