//! Chaos: what happens to Redis, PostgreSQL and S3, and on the way to them, while a run is busy, in each mode of
//! `redis.when_full`. No acknowledged byte is lost or doubled, order is kept, memory is bounded, everything
//! recovers by itself, nobody who lives is declared dead, and trace, metrics and `/readyz` tell.
//!
//! Each test prints a line for each mode, a row of the table in `docs/operations.md`.

mod cluster;
mod faults;
mod gauges;
mod load;
mod viewers;

use std::time::{Duration, Instant};

use self::cluster::{Cluster, Cost, MAX_LAG_BYTES, Mode};
use self::faults::{Fault, Servers, Store};

/// What an instance may use of memory, whatever happens, in bytes.
const MAX_RSS: u64 = 400 * 1024 * 1024;
/// How much the captures of a run may hold beyond a bound that was met, in bytes.
const IN_FLIGHT_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// In the long form each fault lasts so many times longer, and happens so often.
const LONGER: u32 = 4;
const ROUNDS_OF_SOAK: u32 = 3;

/// Which instances tell of a fault in `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It may be over before anybody has noticed.
    Perhaps,
    /// Only who writes to the store notices.
    ByOwner,
    ByAll,
}

/// A fault and what is expected of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    store: Store,
    fault: Fault,
    /// How long it lasts.
    lasting: Duration,
    told: Told,
    /// The metric of the store's failures moves.
    fails: bool,
    /// Terminals pause if they should not run ahead of the replica.
    pauses: bool,
}

impl Case {
    const fn new(store: Store, fault: Fault, lasting_ms: u64) -> Self {
        Self {
            store,
            fault,
            lasting: Duration::from_millis(lasting_ms),
            told: Told::Perhaps,
            fails: false,
            pauses: false,
        }
    }

    const fn told(self) -> Self {
        Self { told: Told::ByAll, ..self }
    }

    const fn told_by_owner_alone(self) -> Self {
        Self { told: Told::ByOwner, ..self }
    }

    const fn failing(self) -> Self {
        Self { fails: true, ..self }
    }

    const fn pausing(self) -> Self {
        Self { pauses: true, ..self }
    }

    /// Lets it happen to a run in each mode at the same time.
    async fn happen(self) {
        let is_soak = std::env::var_os("RUNCAST_SOAK").is_some();
        let (rounds, longer) = if is_soak { (ROUNDS_OF_SOAK, LONGER) } else { (1, 1) };
        let mut servers = Servers::start(self.store, self.fault).await;
        let (mut pausing, mut spilling) = tokio::join!(
            Cluster::start(&servers, self.store, Mode::Pause),
            Cluster::start(&servers, self.store, Mode::Spill)
        );
        for _ in 0..rounds {
            pausing.mark(self.store);
            spilling.mark(self.store);
            let began = Instant::now();
            let databases = [pausing.database.as_str(), spilling.database.as_str()];
            let ended = servers.suffer(self.lasting * longer, &databases).await;
            let costs = tokio::join!(
                pausing.recover(self.store, began, ended),
                spilling.recover(self.store, began, ended)
            );
            for (cluster, cost) in [(&pausing, costs.0), (&spilling, costs.1)] {
                println!("{}", self.row(cluster.mode, ended.duration_since(began), &cost));
                cluster.assert_told(&self, &cost);
                self.assert_bounds(cluster.mode, &cost);
            }
        }
        tokio::join!(pausing.finish(&self), spilling.finish(&self));
    }

    fn assert_bounds(&self, mode: Mode, cost: &Cost) {
        let place = format!("{self:?} {}: {cost:?}", mode.name());
        assert!(cost.rss.iter().all(|rss| *rss < MAX_RSS), "{place}");
        if self.pauses {
            match mode {
                Mode::Pause => assert!(cost.waiting < MAX_LAG_BYTES + IN_FLIGHT_BYTES, "{place}"),
                Mode::Spill => assert!(cost.waiting > MAX_LAG_BYTES, "{place}: it runs ahead"),
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes, for people")]
    fn row(&self, mode: Mode, lasted: Duration, cost: &Cost) -> String {
        const MIB: f64 = 1024.0 * 1024.0;
        let Self { store, fault, .. } = self;
        let secs = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let mib = |bytes: f64| format!("{:.1} MiB", bytes / MIB);
        let [of_worker, of_other] = cost.silence.map(secs);
        let [worker, other] = cost.rss.map(|rss| format!("{:.0} MiB", rss as f64 / MIB));
        format!(
            "| {store:?} | {fault:?} | {} | {} | {} | {} | {} | {of_worker} | {of_other} | {worker} | {other} |",
            mode.name(),
            secs(lasted),
            cost.noticed.map_or("–".to_owned(), secs),
            secs(cost.recovered),
            mib(cost.waiting),
        )
    }
}

/// A test for each fault.
macro_rules! faults {
    ($($name:ident: $case:expr;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $case.happen().await;
        })+
    };
}

faults! {
    p2_redis_is_cut_off: Case::new(Store::Redis, Fault::Cut, 3000);
    p2_redis_is_far_away: Case::new(Store::Redis, Fault::Delay, 3000);
    p2_redis_is_silent: Case::new(Store::Redis, Fault::Stall, 6500).told().pausing();
    p2_redis_is_stopped: Case::new(Store::Redis, Fault::Stop, 4500).told().failing().pausing();
    p2_redis_is_emptied: Case::new(Store::Redis, Fault::Empty, 4500).told().failing().pausing();
    p2_redis_has_older_data: Case::new(Store::Redis, Fault::Older, 4500).told().failing().pausing();
    // What is recorded needs no replica: whether anybody has to wait depends on how quick the archive is.
    p2_redis_is_full: Case::new(Store::Redis, Fault::Full, 4500).told_by_owner_alone().failing();
    p2_postgres_is_cut_off: Case::new(Store::Postgres, Fault::Cut, 3000);
    p2_postgres_is_far_away: Case::new(Store::Postgres, Fault::Delay, 3000);
    p2_postgres_is_silent: Case::new(Store::Postgres, Fault::Stall, 5000).told();
    p2_postgres_is_stopped: Case::new(Store::Postgres, Fault::Stop, 5500).told().failing();
    p2_postgres_is_locked: Case::new(Store::Postgres, Fault::Lock, 7000);
    p2_s3_is_cut_off: Case::new(Store::S3, Fault::Cut, 3000);
    p2_s3_is_far_away: Case::new(Store::S3, Fault::Delay, 3000);
    p2_s3_is_silent: Case::new(Store::S3, Fault::Stall, 8000).told();
    p2_s3_is_stopped: Case::new(Store::S3, Fault::Stop, 5000).told().failing();
}
