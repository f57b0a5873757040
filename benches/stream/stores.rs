//! The stores of production as real servers of this machine, and two instances of the service over them.

#[path = "../../tests/it/support/deadline.rs"]
mod deadline;
#[allow(dead_code, unused_imports, reason = "it serves the tests too")]
#[path = "../../tests/it/support/servers/mod.rs"]
mod servers;

use self::servers::redis::Redis;
pub(crate) use self::servers::redis::RedisObserver;
use self::servers::{Postgres, SeaweedFs};
use crate::service::{Place, Service};

/// A worker and an instance that only serves clients, each a process, over stores that are empty at first.
///
/// What is declared first goes first.
pub(crate) struct Instances {
    /// Runs everything.
    pub(crate) worker: Service,
    /// Serves clients: what it knows of a run comes through Redis, rows and archive.
    pub(crate) api: Service,
    /// For gates, and the data of the worker.
    pub(crate) place: Place,
    redis: Redis,
    /// What only has to stay: the data of the other instance, and the other servers.
    _others: (Place, Postgres, SeaweedFs),
}

impl Instances {
    /// Starts servers and instances; both with these variables of the environment.
    pub(crate) fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Runtime::new()?;
        let starting = std::thread::spawn(move || {
            runtime.block_on(async {
                let (redis, postgres, s3) =
                    tokio::join!(Redis::start(), Postgres::start(), SeaweedFs::start());
                let database = postgres.database().await;
                (redis, postgres, s3, database)
            })
        });
        // One that does not start panics, and has said why.
        let started = starting.join().map_err(|_| anyhow::anyhow!("a server does not start"));
        let (redis, postgres, s3, database) = started?;
        let (redis_url, of_s3) = (redis.url(), s3.environment());
        let of_role = |role| {
            let stores = [("REDIS_URL", &redis_url), ("DATABASE_URL", &database)];
            let stores = stores.map(|(name, value)| (name, value.as_str()));
            let of_s3 = of_s3.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let mut all = vec![("RUNCAST__SERVER__ROLE", role)];
            all.extend(stores.into_iter().chain(of_s3).chain(settings.iter().copied()));
            all
        };
        let (place, place_of_api) = (Place::new()?, Place::new()?);
        let worker = Service::start_with(&place, &of_role("worker"))?;
        let api = Service::start_with(&place_of_api, &of_role("api"))?;
        Ok(Self { worker, api, place, redis, _others: (place_of_api, postgres, s3) })
    }

    /// Somebody who looks into Redis.
    pub(crate) fn redis(&self) -> anyhow::Result<RedisObserver> {
        Ok(self.redis.observer()?)
    }
}
