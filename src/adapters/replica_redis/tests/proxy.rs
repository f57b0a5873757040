//! A way to a server that can be cut and stalled.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Connections stay, and nothing passes.
    Stalled,
}

/// Listens on a port of its own.
pub(super) struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    /// Each connection listens for its end.
    cuts: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own_port = listener.local_addr().expect("an address").port();
        let (way, changes) = watch::channel(Way::Open);
        let cuts = watch::Sender::new(());
        let cutting = cuts.clone();
        let task = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                passing.spawn(pass(client, port, changes.clone(), cutting.subscribe()));
            }
        });
        Self { port: own_port, way, cuts, task }
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Ends all connections and gives how many there were.
    pub(super) fn cut(&self) -> usize {
        let count = self.cuts.receiver_count();
        self.cuts.send_replace(());
        count
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    client: TcpStream,
    port: u16,
    mut way: watch::Receiver<Way>,
    mut cut: watch::Receiver<()>,
) {
    let passing = async {
        let _ = way.wait_for(|way| *way != Way::Stalled).await;
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = copy(from_client, to_server, way.clone()) => {}
            () = copy(from_server, to_client, way.clone()) => {}
        }
    };
    tokio::select! {
        () = passing => {}
        _ = cut.changed() => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let _ = way.wait_for(|way| *way != Way::Stalled).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
