//! A way to a server that can be held up: what was sent stays on the way, and nobody is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server of this machine.
pub(crate) struct Proxy {
    address: SocketAddr,
    is_held: watch::Sender<bool>,
}

impl Proxy {
    /// A way to this port.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (is_held, held) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let held = held.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::join!(
                        pass(from_client, to_server, held.clone()),
                        pass(from_server, to_client, held),
                    );
                });
            }
        });
        Self { address, is_held }
    }

    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on nothing gets through, on the connections that stand and on new ones.
    pub(crate) fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// New connections get through again; those that were held stay so for ever.
    pub(crate) fn let_new_ones_through(&self) {
        self.is_held.send_replace(false);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = async { held.wait_for(|is_held| *is_held).await.is_ok() } => None,
            read = from.read(&mut buffer) => Some(read),
        };
        let Some(read) = read else { return std::future::pending().await };
        let Ok(length @ 1..) = read else { return };
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
