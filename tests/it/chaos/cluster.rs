//! Instances over one set of stores, a busy run on one of them, and its viewers on both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::faults::{Servers, Store};
use super::gauges::Gauges;
use super::load::Load;
use super::viewers::Viewer;
use super::{Case, Told};
use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::assert_finalised;
use crate::support::collect::StreamId;
use crate::support::deadline::wait_for;
use crate::support::programs::{pty, run_of};
use crate::support::service::{Service, ServiceBuilder};

/// How long a lease holds: the longest faults last longer.
const LEASE_SECS: u64 = 4;
/// `redis.max_lag_bytes`
pub(super) const MAX_LAG_BYTES: f64 = 1024.0 * 1024.0;
/// How far replica and archive may be behind while nothing is wrong.
const NEARLY_NOTHING: f64 = 512.0 * 1024.0;
/// How much a run has printed when the fault begins.
const WARM_EVENTS: u64 = 200;
/// How long after a fault everything may take to be as before.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// What happens to a run that is ahead of its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Pause,
    Spill,
}

impl Mode {
    /// As the configuration says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Spill => "spill",
        }
    }
}

/// What a fault cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Until the worker told of it, if it did.
    pub(super) noticed: Option<Duration>,
    /// From its end until nothing was behind and viewers had all that there was at its end.
    pub(super) recovered: Duration,
    /// The most that waited for the store, in bytes.
    pub(super) waiting: f64,
    /// The longest time in which the viewers of the worker, of the other instance, got nothing.
    pub(super) silence: [Duration; 2],
    /// The most memory of the worker, of the other instance, in bytes.
    pub(super) rss: [u64; 2],
}

/// A busy run of a worker, watched there and on an instance that only serves.
pub(super) struct Cluster {
    pub(super) mode: Mode,
    pub(super) database: String,
    /// Of the worker, of the other instance; they end before these.
    gauges: [Gauges; 2],
    /// On the worker; on the other one; there, cut again and again.
    viewers: Vec<Viewer>,
    worker: Service,
    api: Service,
    /// Takes over what it finds without an owner, where leases are at stake.
    _heir: Option<Service>,
    load: Load,
    run: String,
    failures_before: f64,
}

impl Cluster {
    /// Starts it in a place of its own, and waits until the run is busy.
    pub(super) async fn start(servers: &Servers, store: Store, mode: Mode) -> Self {
        let of_role = |role: &str| of_role(role, mode);
        let (builder, database) = servers.place(of_role("worker")).await;
        let worker = builder.start().await;
        let api = of_role("api").beside(&worker).start().await;
        let load = Load::new();
        let run = api.api().submit(&load.run()).await;
        api.api().wait_node_running(&run, "lines").await;
        // It comes when the run has an owner already.
        let heir = match store {
            Store::Postgres => Some(of_role("worker").beside(&worker).start().await),
            Store::Redis | Store::S3 => None,
        };
        let seed = u64::from(mode == Mode::Spill);
        let mut viewers = vec![
            Viewer::staying(worker.api(), &run),
            Viewer::staying(api.api(), &run),
            Viewer::cut(api.api(), &run, seed),
        ];
        let gauges = [Gauges::of(&worker), Gauges::of(&api)];
        for viewer in &mut viewers {
            wait_for("a viewer gets something", RUN_LIMIT, async || {
                (viewer.progress().await.cursor > WARM_EVENTS).then_some(())
            })
            .await;
        }
        wait_for("all stores are up", RUN_LIMIT, async || {
            gauges.iter().all(Gauges::is_up).then_some(())
        })
        .await;
        Self {
            mode,
            database,
            worker,
            api,
            _heir: heir,
            load,
            run,
            gauges,
            viewers,
            failures_before: 0.0,
        }
    }

    /// What is measured is of what comes from now on.
    pub(super) fn mark(&mut self, store: Store) {
        self.load.busy();
        self.gauges.iter().for_each(Gauges::mark);
        self.viewers.iter().for_each(Viewer::mark);
        self.failures_before = self.gauges[0].now(store.failures());
    }

    /// Waits until everything is as before the fault, and tells what it has cost.
    pub(super) async fn recover(&mut self, store: Store, began: Instant, ended: Instant) -> Cost {
        self.load.calm();
        let tail = self.worker.api().run(&self.run).await["lastSeq"].as_u64().expect("a number");
        let mut left = String::new();
        let recovering = wait_for("it recovers", 2 * RECOVERY_LIMIT, async || {
            // The viewer that is cut is always a little behind.
            let [worker, other, _] = self.viewers.as_mut_slice() else { panic!("three viewers") };
            let cursors = [worker.progress().await.cursor, other.progress().await.cursor];
            let waiting =
                [Store::Redis, Store::S3].map(|store| self.gauges[0].now(store.waiting()));
            left = format!(
                "{} viewers have {cursors:?} of {tail}, {waiting:?} bytes wait, {:?}",
                self.mode.name(),
                self.gauges[0].states()
            );
            let is_recovered = cursors.iter().all(|cursor| *cursor >= tail)
                && waiting.iter().all(|bytes| *bytes < NEARLY_NOTHING);
            is_recovered.then_some(())
        });
        let is_recovered = tokio::time::timeout(RECOVERY_LIMIT, recovering).await.is_ok();
        assert!(is_recovered, "{left}");
        let recovered = ended.elapsed();
        wait_for("all stores are up again", RECOVERY_LIMIT, async || {
            self.gauges.iter().all(Gauges::is_up).then_some(())
        })
        .await;
        let noticed = self.gauges[0].told_at(store.name());
        let [worker, other, _] = self.viewers.as_mut_slice() else { panic!("three viewers") };
        Cost {
            noticed: noticed.map(|at| at.duration_since(began)),
            recovered,
            waiting: self.gauges[0].peak(store.waiting()),
            silence: [worker.progress().await.silence, other.progress().await.silence],
            rss: [self.gauges[0].peak_rss(), self.gauges[1].peak_rss()],
        }
    }

    /// Panics unless the fault was told as it should be.
    pub(super) fn assert_told(&self, case: &Case, cost: &Cost) {
        let Case { store, .. } = *case;
        let place = format!("{case:?} {}: {cost:?}", self.mode.name());
        if case.told != Told::Perhaps {
            assert!(cost.noticed.is_some(), "{place}: the worker has not told");
        }
        if case.told == Told::ByAll {
            assert!(
                self.gauges[1].told_at(store.name()).is_some(),
                "{place}: the other has not told"
            );
        }
        if case.fails {
            let failures = self.gauges[0].now(store.failures());
            assert!(failures > self.failures_before, "{place}: {failures} failures");
        }
        assert!(cost.waiting > 0.0, "{place}: something waits");
    }

    /// Ends the run; panics unless nothing of it was lost, doubled or disordered.
    pub(super) async fn finish(mut self, case: &Case) {
        self.load.stop();
        let (worker, api) = (self.worker.api(), self.api.api());
        let view = api.wait_ended(&self.run).await;
        assert_eq!(view["status"], "COMPLETED", "{view}");
        assert_eq!(view["epoch"], 0, "nobody was declared dead: {view}");
        let mut seen = Vec::new();
        for viewer in self.viewers.drain(..) {
            let all = tokio::time::timeout(RUN_LIMIT, viewer.end()).await;
            seen.push(all.expect("a viewer sees the end"));
        }
        let [of_worker, of_api, of_cuts] = seen.as_slice() else { panic!("three viewers") };
        of_api.assert_complete();
        of_api.assert_same(of_worker);
        of_cuts.assert_same_events(of_api);
        let expected = self.load.expected();
        let streams: Vec<&StreamId> = of_api.streams.keys().collect();
        assert_eq!(streams, expected.keys().collect::<Vec<_>>());
        for ((node, stream), bytes) in &expected {
            let seen = &of_api.streams[&(node.clone(), stream.clone())].output;
            assert!(seen == bytes, "{node}/{stream}: {}", difference(bytes, seen));
        }
        assert_finalised(&api, &self.run, of_api).await;
        for ((node, stream), bytes) in &expected {
            let path =
                format!("/runs/{}/terminal/{node}/cast?format=raw&stream={stream}", self.run);
            let raw = api.get(&path).await.expect(200).body;
            assert!(raw == *bytes, "{node}/{stream} of the archive: {}", difference(bytes, &raw));
        }
        self.assert_pauses(case, &api).await;
        for gauge in [Store::Redis, Store::S3].map(Store::waiting) {
            wait_for("nothing waits any more", RUN_LIMIT, async || {
                (self.gauges[0].now(gauge) == 0.0).then_some(())
            })
            .await;
        }
        let again = worker.submit(&run_of([pty("a", "seq 9")])).await;
        assert_eq!(api.wait_ended(&again).await["status"], "COMPLETED");
    }

    /// Panics unless the terminals waited where they should, and nowhere else.
    async fn assert_pauses(&self, case: &Case, api: &Api) {
        let traces = api.traces(&self.run).await;
        let reasons: Vec<&Value> = traces
            .iter()
            .filter(|trace| trace["type"] == "CAPTURE_PAUSED")
            .map(|trace| &trace["data"]["reason"])
            .collect();
        let place = format!("{case:?} {}: {reasons:?}", self.mode.name());
        if case.store == Store::Redis && self.mode == Mode::Pause {
            assert!(reasons.iter().all(|reason| *reason == "replicaBehind"), "{place}");
            assert!(!case.pauses || !reasons.is_empty(), "{place}");
        } else {
            assert!(reasons.is_empty(), "{place}");
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        for trace in &traces {
            *counts.entry(trace["type"].as_str().expect("a type")).or_default() += 1;
        }
        assert_eq!(counts.get("RUN_TAKEN_OVER"), None, "{counts:?}");
    }
}

fn of_role(role: &str, mode: Mode) -> ServiceBuilder {
    let config = format!(
        "[server]\nrole = \"{role}\"\n[lease]\nttl_secs = {LEASE_SECS}\n\
         [redis]\nwhen_full = \"{}\"\nmax_lag_bytes = 1048576\n\
         max_bytes_per_run = 33554432\n\
         [archive]\nsegment_bytes = 262144\nflush_interval_ms = 300\ndelete_after_secs = 0\n\
         [retention]\nhot_min_secs = 0",
        mode.name()
    );
    // Each look at metrics and `/readyz` would be a line.
    let told = "warn,runcast=info,runcast_actors=info,runcast::http::request_id=warn";
    Service::builder().config(&config).env("RUST_LOG", told)
}

/// Where two outputs begin to differ.
fn difference(expected: &[u8], seen: &[u8]) -> String {
    let place = expected.iter().zip(seen).position(|(left, right)| left != right);
    let place = place.unwrap_or(expected.len().min(seen.len()));
    let shown = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[place..bytes.len().min(place + 80)]).into_owned()
    };
    format!(
        "{} bytes were printed, {} came; from {place} on {:?} became {:?}",
        expected.len(),
        seen.len(),
        shown(expected),
        shown(seen)
    )
}
