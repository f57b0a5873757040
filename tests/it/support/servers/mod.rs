//! The servers of production, as real processes on free ports of this machine.
//!
//! Each keeps what it has in a folder of its own, and goes with the test binary, however that ends. One that
//! is shared is started by the first test that asks for it; who stops and restarts one has one of its own.

mod postgres;
mod process;
pub(crate) mod redis;
mod seaweedfs;

pub(crate) use postgres::Postgres;
pub(crate) use seaweedfs::{BUCKET, SeaweedFs};

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt as _;

/// How long a server may take until it answers on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Ports that nobody listens on, below those that the system gives to connections.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listener = || {
        let port = rand::rng().random_range(10_000..32_000);
        TcpListener::bind(("127.0.0.1", port)).ok()
    };
    let listeners: [TcpListener; COUNT] =
        std::array::from_fn(|_| std::iter::repeat_with(listener).flatten().next().expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// Where a program is: in the path, or in one of these folders.
fn program(name: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let mut found = in_path.iter().chain(folders).map(|folder| folder.join(name));
    let missing = || panic!("{name} is not there; `scripts/setup.sh servers` installs it");
    found.find(|file| file.is_file()).unwrap_or_else(missing)
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
