//! A way to a server of this machine that can be cut, slowed down, held up, and made to swallow everything.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;
/// Reads that are on the way in one direction; then the sender has to wait, as for a full buffer.
const READS_ON_THE_WAY: usize = 64;

/// What happens to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It arrives.
    Open,
    /// It arrives later by this, in each direction.
    Delayed(Duration),
    /// It stays on the way until the way is open; nobody is told.
    Stalled,
    /// It is lost, and so is what the same connection sends later; nobody is told.
    Swallowed,
}

/// Passes connections on to a server of this machine.
pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// A way to this port, which is open.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (way, changes) = watch::channel(Way::Open);
        let (cuts, mut cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                cut.mark_unchanged();
                let (way, mut cut) = (changes.clone(), cut.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connect(client, port, way) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, way, cuts }
    }

    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on this happens to what is sent, on the connections that stand and on new ones.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Ends all connections; new ones get through.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn connect(client: TcpStream, port: u16, way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    // A delay is ours to choose, and not that of the kernel.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pass(from_client, to_server, way.clone()), pass(from_server, to_client, way));
}

/// Passes on what comes until one side has ended.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let (sent, mut on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>(READS_ON_THE_WAY);
    let (now, mut swallowed) = (way.clone(), way.clone());
    let reading = async move {
        loop {
            let mut bytes = vec![0; READ_BYTES];
            let Ok(length @ 1..) = from.read(&mut bytes).await else { break };
            bytes.truncate(length);
            let delay = match *now.borrow() {
                Way::Delayed(delay) => delay,
                _ => Duration::ZERO,
            };
            if sent.send((Instant::now() + delay, bytes)).await.is_err() {
                break;
            }
        }
        drop(sent);
        std::future::pending::<()>().await;
    };
    let writing = async {
        while let Some((due, bytes)) = on_the_way.recv().await {
            sleep_until(due).await;
            let _ = way.wait_for(|way| *way != Way::Stalled).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        Ok(()) = async { swallowed.wait_for(|way| *way == Way::Swallowed).await.map(drop) } => {
            std::future::pending::<()>().await;
        }
        () = reading => {}
        () = writing => {}
    }
}
