//! PostgreSQL, without syncs: what is tested is the service, not the disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::process::{ServerProcess, folder};
use super::{free_ports, program};

/// Its user and password.
const USER: &str = "runcast";
const PASSWORD: &str = "only-for-tests";
/// Connections of all tests together.
const MAX_CONNECTIONS: u32 = 300;

static SHARED: OnceCell<Postgres> = OnceCell::const_new();

/// A server of PostgreSQL.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    process: Option<ServerProcess>,
}

impl Postgres {
    /// The one that tests share.
    pub(crate) async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// One of its own, empty.
    pub(crate) async fn start() -> Self {
        let folder = folder("postgres");
        std::fs::write(folder.join("password"), PASSWORD).expect("a file");
        give_to_owner(&folder);
        // Real databases order texts by a language and not by their bytes.
        let options = "--pgdata=data --username=runcast --pwfile=password --auth=scram-sha-256 \
             --encoding=UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync";
        let mut command = as_owner("initdb");
        command.extend(options.split_whitespace().map(str::to_owned));
        let made = Command::new(&command[0]).args(&command[1..]).current_dir(&folder).output();
        let made = made.expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let [port] = free_ports();
        let mut server = Self { folder, port, process: None };
        server.restart().await;
        server
    }

    /// Starts it again on the same port, with what it had.
    pub(crate) async fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = as_owner("postgres");
        let settings = [
            format!("port={}", self.port),
            format!("max_connections={MAX_CONNECTIONS}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "synchronous_commit=off".to_owned(),
        ];
        command.extend(["-D".to_owned(), self.folder.join("data").display().to_string()]);
        command.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        // At once: what it had in hand is no longer of use to anybody.
        let process = ServerProcess::start(&self.folder, "QUIT", &command);
        let url = self.url("postgres");
        let answers = async || {
            let mut options = ConnectOptions::new(url.as_str());
            options.max_connections(1).sqlx_logging(false).acquire_timeout(Duration::from_secs(1));
            Database::connect(options).await.ok()
        };
        process.wait_ready("PostgreSQL", answers).await;
        self.process = Some(process);
    }

    /// Stops it at once, with what its clients have in hand.
    pub(crate) async fn stop(&mut self) {
        self.process.take().expect("it runs").stop("INT").await;
    }

    /// Makes an empty database and gives its address.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let connection = connect(&self.url("postgres")).await;
        connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("made");
        self.url(&name)
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }
}

/// One connection to a database.
async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("a connection")
}

/// A program of PostgreSQL with what runs it as a user who is not root, which it refuses.
fn as_owner(name: &str) -> Vec<String> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flat_map(|versions| versions.flatten().map(|version| version.path().join("bin")))
        .collect();
    folders.sort();
    folders.reverse();
    let program = program(name, &folders).display().to_string();
    if !rustix::process::geteuid().is_root() {
        return vec![program];
    }
    let change = "setpriv --reuid=postgres --regid=postgres --clear-groups";
    change.split(' ').map(str::to_owned).chain([program]).collect()
}

fn give_to_owner(folder: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let given = Command::new("chown").arg("-R").arg("postgres:postgres").arg(folder).status();
    assert!(given.expect("chown runs").success(), "there is no user postgres");
}
