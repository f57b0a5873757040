//! The servers of production, as real processes on free ports of this machine.
//!
//! Each keeps what it has in a folder of its own, and goes with the test binary, however that ends. One that
//! is shared is started by the first test that asks for it; who stops and restarts one has one of its own.

pub(crate) mod engine;
mod postgres;
pub(crate) mod process;
pub(crate) mod redis;
mod seaweedfs;

pub(crate) use postgres::Postgres;
pub(crate) use seaweedfs::{BUCKET, SeaweedFs};

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rand::RngExt as _;

/// Ports that nobody listens on, below those that the system gives to connections.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listener = || {
        let port = rand::rng().random_range(10_000..32_000);
        TcpListener::bind(("127.0.0.1", port)).ok()
    };
    let listeners: [TcpListener; COUNT] =
        std::array::from_fn(|_| std::iter::repeat_with(listener).flatten().next().expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// Where a program is: in the path, or in one of these folders.
pub(crate) fn program(name: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut found = in_path.iter().chain(folders).map(|folder| folder.join(name));
    let missing = || panic!("{name} is not there; `scripts/setup.sh servers deploy` installs it");
    found.find(|file| file.is_file()).unwrap_or_else(missing)
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn a_server_stops_comes_back_and_leaves_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    let mut server = redis::Redis::start().await;
    let (address, folder) = (server.url().replace("redis://", ""), server.folder().to_owned());
    for _ in 0..2 {
        let mut client = TcpStream::connect(&address).await.expect("it listens");
        client.write_all(b"PING\r\n").await.expect("it reads");
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(&answer, b"+PONG\r\n");
        server.stop().await;
        assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
        assert!(folder.exists(), "what it had stays");
        server.restart().await;
    }
    drop(server);
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
    assert!(!folder.exists());
}
