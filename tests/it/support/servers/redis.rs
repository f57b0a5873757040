//! Redis, keeping everything in memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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
            (self.ask("PING").await == "+PONG").then_some(())
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

    /// What it answers to a command.
    pub(crate) async fn ask(&self, command: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        let mut stream = BufReader::new(stream);
        stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("it reads");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("it answers");
        let line = line.trim_end().to_owned();
        let Some(length) = line.strip_prefix('$') else { return line };
        let mut text = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut text).await.expect("it answers");
        String::from_utf8(text).expect("text")
    }

    /// The memory that it uses, in bytes.
    pub(crate) async fn used_memory(&self) -> u64 {
        let info = self.ask("INFO memory").await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.expect("it is told").trim().parse().expect("a number")
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
}
