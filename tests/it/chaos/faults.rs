//! The stores of a suite, of which one is reached through a proxy or is a server of its own, and what happens to it.

use std::ops::Deref;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};

use crate::support::proxy::{Proxy, Way};
use crate::support::servers::redis::Redis;
use crate::support::servers::{Postgres, SeaweedFs};
use crate::support::service::ServiceBuilder;

/// How long a connection lives while connections are cut, in milliseconds.
const CUT_MS: std::ops::RangeInclusive<u64> = 50..=300;
/// How much later everything arrives, in each direction.
const DELAY: Duration = Duration::from_millis(200);
/// How old the data is with which Redis returns.
const OLDER_BY: Duration = Duration::from_secs(1);

/// A store that something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Redis,
    Postgres,
    S3,
}

impl Store {
    /// What `/readyz` calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redis => "replica",
            Self::Postgres => "database",
            Self::S3 => "archive",
        }
    }

    /// Which metric shows that it was asked in vain.
    pub(super) fn failures(self) -> &'static str {
        match self {
            Self::Redis => "runcast_replica_append_failures_total",
            Self::Postgres => "runcast_rows_failures_total",
            Self::S3 => "runcast_archive_failures_total",
        }
    }

    /// Which metric shows how much waits for it.
    pub(super) fn waiting(self) -> &'static str {
        match self {
            Self::Redis => "runcast_replica_lag_bytes",
            Self::Postgres | Self::S3 => "runcast_archive_backlog_bytes",
        }
    }
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Connections end, again and again.
    Cut,
    /// Everything arrives later.
    Delay,
    /// Nothing arrives, and nobody is told.
    Stall,
    /// The server ends and comes back with what it had.
    Stop,
    /// Redis is emptied, and a little later killed, and comes back empty.
    Empty,
    /// Redis is killed and comes back with what it had before, as after the loss of a primary.
    Older,
    /// The memory of Redis is used up.
    Full,
    /// Nobody may write to the tables of PostgreSQL.
    Lock,
}

impl Fault {
    /// True if it happens on the way to the server.
    fn is_of_the_way(self) -> bool {
        matches!(self, Self::Cut | Self::Delay | Self::Stall)
    }
}

/// A server that is shared with other tests, or one of this one alone.
enum Server<T: 'static> {
    Shared(&'static T),
    Own(T),
}

impl<T> Deref for Server<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

impl<T> Server<T> {
    fn own(&mut self) -> &mut T {
        match self {
            Self::Shared(_) => panic!("the server is not ours to stop"),
            Self::Own(server) => server,
        }
    }
}

/// The three stores.
pub(super) struct Servers {
    redis: Redis,
    postgres: Server<Postgres>,
    s3: Server<SeaweedFs>,
    store: Store,
    fault: Fault,
    /// The way to the store, if that is what suffers.
    proxy: Option<Proxy>,
}

impl Servers {
    pub(super) async fn start(store: Store, fault: Fault) -> Self {
        let is_stopped = |of: Store| store == of && fault == Fault::Stop;
        let redis = Redis::lasting().await;
        let postgres = if is_stopped(Store::Postgres) {
            Server::Own(Postgres::start().await)
        } else {
            Server::Shared(Postgres::shared().await)
        };
        let s3 = if is_stopped(Store::S3) {
            Server::Own(SeaweedFs::start().await)
        } else {
            Server::Shared(SeaweedFs::shared().await)
        };
        let port = match store {
            Store::Redis => redis.port(),
            Store::Postgres => postgres.port(),
            Store::S3 => s3.port(),
        };
        let proxy = if fault.is_of_the_way() { Some(Proxy::to(port).await) } else { None };
        Self { redis, postgres, s3, store, fault, proxy }
    }

    /// A place of its own in the three stores; gives the address of its database, too.
    pub(super) async fn place(&self, builder: ServiceBuilder) -> (ServiceBuilder, String) {
        let database = self.postgres.database().await;
        let builder = builder.env("DATABASE_URL", &database).s3(&self.s3).redis(&self.redis);
        let Some(proxy) = &self.proxy else { return (builder, database) };
        let on_the_way =
            |url: &str, port: u16| url.replace(&format!(":{port}"), &format!(":{}", proxy.port()));
        let builder = match self.store {
            Store::Redis => {
                builder.env("REDIS_URL", &on_the_way(&self.redis.url(), self.redis.port()))
            }
            Store::Postgres => {
                builder.env("DATABASE_URL", &on_the_way(&database, self.postgres.port()))
            }
            Store::S3 => {
                builder.env("AWS_ENDPOINT_URL_S3", &on_the_way(&self.s3.url(), self.s3.port()))
            }
        };
        (builder, database)
    }

    /// Lets it happen for so long; gives when the store was as before.
    pub(super) async fn suffer(&mut self, lasting: Duration, databases: &[&str]) -> Instant {
        match self.fault {
            Fault::Cut => {
                let until = Instant::now() + lasting;
                while Instant::now() < until {
                    self.proxy().cut();
                    let next = rand::rng().random_range(CUT_MS);
                    tokio::time::sleep(Duration::from_millis(next)).await;
                }
            }
            Fault::Delay => self.on_the_way(Way::Delayed(DELAY), lasting).await,
            Fault::Stall => self.on_the_way(Way::Stalled, lasting).await,
            Fault::Stop => self.stop(lasting).await,
            Fault::Empty => {
                self.redis.tell("FLUSHALL");
                tokio::time::sleep(OLDER_BY).await;
                self.redis.stop().await;
                tokio::time::sleep(lasting).await;
                self.redis.restart().await;
            }
            Fault::Older => {
                self.redis.tell("SAVE");
                tokio::time::sleep(OLDER_BY).await;
                self.redis.stop().await;
                tokio::time::sleep(lasting).await;
                self.redis.restart().await;
            }
            Fault::Full => {
                // Less than it uses when it is empty.
                self.redis.tell("CONFIG SET maxmemory 1000");
                tokio::time::sleep(lasting).await;
                self.redis.tell("CONFIG SET maxmemory 0");
            }
            Fault::Lock => {
                let mut locks = Vec::new();
                for database in databases {
                    locks.push(locked(database).await);
                }
                tokio::time::sleep(lasting).await;
                for lock in locks {
                    lock.execute_unprepared("ROLLBACK").await.expect("given back");
                }
            }
        }
        Instant::now()
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("there is a proxy")
    }

    async fn on_the_way(&self, way: Way, lasting: Duration) {
        self.proxy().set(way);
        tokio::time::sleep(lasting).await;
        self.proxy().set(Way::Open);
    }

    async fn stop(&mut self, lasting: Duration) {
        match self.store {
            Store::Redis => self.redis.shut_down().await,
            Store::Postgres => self.postgres.own().stop().await,
            Store::S3 => self.s3.own().kill().await,
        }
        tokio::time::sleep(lasting).await;
        match self.store {
            Store::Redis => self.redis.restart().await,
            Store::Postgres => self.postgres.own().restart().await,
            Store::S3 => self.s3.own().restart().await,
        }
    }
}

/// A connection that keeps everybody from writing to the tables; they can be read.
async fn locked(database: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database);
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    let connection = Database::connect(options).await.expect("a connection");
    let sql = "BEGIN; LOCK TABLE runs, nodes, workflow_traces, workflow_terminal_records, \
         archive_segments IN EXCLUSIVE MODE";
    connection.execute_unprepared(sql).await.expect("locked");
    connection
}
