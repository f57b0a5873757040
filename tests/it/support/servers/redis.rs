//! Redis, keeping everything in memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

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
    process: Option<ServerProcess>,
}

impl Redis {
    /// The one that tests share.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

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
        let options = format!(
            "--port {} --bind 127.0.0.1 --save  --appendonly no --databases {DATABASES}",
            self.port
        );
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
}
