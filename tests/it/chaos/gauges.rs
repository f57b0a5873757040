//! What an instance says of itself while something happens to its stores: metrics, `/readyz`, memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::support::api::Api;
use crate::support::service::Service;

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What was seen of an instance.
#[derive(Default)]
struct Seen {
    /// Each change of the state of a store.
    states: Vec<(Instant, BTreeMap<String, String>)>,
    metrics: BTreeMap<String, f64>,
    peaks: BTreeMap<String, f64>,
    peak_rss: u64,
}

/// Watches one instance.
pub(super) struct Gauges {
    seen: Arc<Mutex<Seen>>,
    tasks: [JoinHandle<()>; 2],
}

impl Gauges {
    /// Of this instance, from now on.
    pub(super) fn of(service: &Service) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let readiness = tokio::spawn(watch_readiness(service.api(), seen.clone()));
        let metrics = watch_metrics(service.api(), service.pid(), seen.clone());
        Self { seen, tasks: [readiness, tokio::spawn(metrics)] }
    }

    /// Peaks are of what comes from now on.
    pub(super) fn mark(&self) {
        let mut seen = lock(&self.seen);
        seen.peaks.clear();
        let last = seen.states.pop();
        seen.states = last.into_iter().collect();
    }

    /// A metric at the last look.
    pub(super) fn now(&self, metric: &str) -> f64 {
        lock(&self.seen).metrics.get(metric).copied().unwrap_or_default()
    }

    /// The highest value of a metric since the mark.
    pub(super) fn peak(&self, metric: &str) -> f64 {
        lock(&self.seen).peaks.get(metric).copied().unwrap_or_default()
    }

    /// The most memory that was resident, in bytes, since the beginning.
    pub(super) fn peak_rss(&self) -> u64 {
        lock(&self.seen).peak_rss
    }

    /// When a store was told not to be `up` for the first time since the mark.
    pub(super) fn told_at(&self, store: &str) -> Option<Instant> {
        let seen = lock(&self.seen);
        let is_told = |states: &BTreeMap<String, String>| {
            states.get(store).is_some_and(|state| state != "up")
        };
        seen.states.iter().find(|(_, states)| is_told(states)).map(|(at, _)| *at)
    }

    /// True if every store was told to be `up` at the last look.
    pub(super) fn is_up(&self) -> bool {
        let seen = lock(&self.seen);
        seen.states.last().is_some_and(|(_, states)| states.values().all(|state| state == "up"))
    }

    /// What was told last of the stores.
    pub(super) fn states(&self) -> BTreeMap<String, String> {
        lock(&self.seen).states.last().map(|(_, states)| states.clone()).unwrap_or_default()
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch_readiness(api: Api, seen: Arc<Mutex<Seen>>) {
    loop {
        let ready = api.try_get("/readyz").await.expect("the instance answers").json();
        let stores = ready["stores"].as_object().expect("stores").iter();
        let states: BTreeMap<String, String> = stores
            .map(|(name, store)| {
                (name.clone(), store["state"].as_str().expect("a state").to_owned())
            })
            .collect();
        {
            let mut seen = lock(&seen);
            if seen.states.last().is_none_or(|(_, known)| *known != states) {
                seen.states.push((Instant::now(), states));
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn watch_metrics(api: Api, pid: u32, seen: Arc<Mutex<Seen>>) {
    loop {
        let reply = api.try_get("/metrics").await.expect("the instance answers");
        let text = String::from_utf8(reply.expect(200).body).expect("text");
        // Those without labels.
        let metrics: BTreeMap<String, f64> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect();
        let rss = resident(pid);
        {
            let mut seen = lock(&seen);
            seen.peak_rss = seen.peak_rss.max(rss);
            for (name, value) in &metrics {
                let peak = seen.peaks.entry(name.clone()).or_insert(*value);
                *peak = peak.max(*value);
            }
            seen.metrics = metrics;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Memory of a process that is resident, in bytes; 0 once it is gone.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or_default() * 1024
}
