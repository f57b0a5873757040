//! Supervision as its callers see it, on a paused clock.

mod actors;

use std::future::pending;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Key, KeyName, Metadata, SharedString, Unit};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::*;

const MS: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_secs(3);

fn restarts(max_restarts: u32) -> RestartPolicy {
    RestartPolicy::OnFault(Backoff {
        initial: 100 * MS,
        max: 350 * MS,
        jitter: 0.0,
        max_restarts,
        window: Duration::from_mins(1),
    })
}

fn group() -> (Supervisor, Observers) {
    let observers = Observers::new();
    let group = Supervisor::new("acme/run-1", &KillSwitch::new(), observers.clone());
    (group.with_grace(GRACE), observers)
}

/// What must come, with a deadline that a paused clock reaches at once.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(1), future).await.expect("it comes before the deadline")
}

/// Runs until it is told to stop.
fn follower(group: &Supervisor, name: &'static str) -> TaskHandle {
    let here = ArbiterHandle::current();
    group.spawn_task(name, restarts(1), &here, |child| async move {
        child.killed().await;
        ExitStatus::Stopped
    })
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn faults_are_restarted_after_exactly_the_backoff() {
    let (group, _) = group();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&starts);
    let begin = Instant::now();
    let task = group.spawn_task("loop", restarts(4), &ArbiterHandle::current(), move |child| {
        seen.lock().unwrap().push((child.incarnation, begin.elapsed()));
        async { ExitStatus::failed("no luck") }
    });

    assert_eq!(soon(task.ended()).await, ExitStatus::failed("no luck"));
    let at = [0, 100, 300, 650, 1000];
    let expected: Vec<_> = (1..).zip(at.map(|at| at * MS)).collect();
    assert_eq!(*starts.lock().unwrap(), expected);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_panic_is_caught_and_restarted() {
    let (group, observers) = group();
    let task =
        group.spawn_task("loop", restarts(1), &ArbiterHandle::current(), |child| async move {
            assert!(child.incarnation > 1, "incarnation {} breaks", child.incarnation);
            child.killed().await
        });
    let row = wait_for_row(&observers, |row| row.incarnation == 2).await;
    assert_eq!(row.last_exit, Some(ExitStatus::Panicked("incarnation 1 breaks".into())));
    assert_eq!(row.restarts, 1);
    task.stop();
    assert_eq!(soon(task.ended()).await, ExitStatus::Stopped);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_factory_that_panics_is_a_fault_of_the_child() {
    let (group, _) = group();
    let task = group.spawn_task(
        "loop",
        RestartPolicy::Never,
        &ArbiterHandle::current(),
        |child| -> std::future::Pending<ExitStatus> {
            panic!("no incarnation {}", child.incarnation)
        },
    );
    assert_eq!(soon(task.ended()).await, ExitStatus::Panicked("no incarnation 1".into()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn too_many_faults_kill_the_siblings_and_the_first_fault_is_kept() {
    let root = KillSwitch::new();
    let group = Supervisor::new("acme/run-1", &root, Observers::new()).with_grace(GRACE);
    let here = ArbiterHandle::current();
    let faulty = group.spawn_task("faulty", restarts(2), &here, |child| async move {
        ExitStatus::failed(format!("incarnation {}", child.incarnation))
    });
    let deaf = group.spawn_task("deaf", restarts(2), &here, |_| pending());
    let sore = group.spawn_task("sore", restarts(2), &here, |child| async move {
        child.killed().await;
        ExitStatus::failed("as a consequence")
    });
    let polite = follower(&group, "polite");

    let fault = ExitStatus::failed("incarnation 3");
    assert_eq!(soon(group.ended()).await, fault);
    assert_eq!(faulty.status(), Some(fault.clone()));
    assert_eq!(deaf.status(), Some(ExitStatus::Killed));
    assert_eq!(sore.status(), Some(ExitStatus::failed("as a consequence")));
    assert_eq!(polite.status(), Some(ExitStatus::Stopped));
    assert_eq!(group.kill_switch().status(), Some(fault));
    assert!(!root.is_dead());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_clean_end_does_not_spread() {
    let (group, _) = group();
    let here = ArbiterHandle::current();
    let other = follower(&group, "other");
    for clean in [ExitStatus::Finished, ExitStatus::DownstreamClosed, ExitStatus::Killed] {
        let ends = clean.clone();
        let task = group.spawn_task("clean", restarts(9), &here, move |child| {
            assert_eq!(child.incarnation, 1);
            std::future::ready(ends.clone())
        });
        assert_eq!(soon(task.ended()).await, clean);
    }
    assert!(!group.kill_switch().is_dead());
    assert_eq!(other.status(), None);
    assert_eq!(group.children(), 1);

    other.stop();
    assert_eq!(soon(group.ended()).await, ExitStatus::Finished);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stop_waits_for_the_work_and_for_no_longer_than_the_grace() {
    let (group, _) = group();
    let here = ArbiterHandle::current();
    let (told, tells) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let busy = group.spawn_task("busy", restarts(1), &here, move |child| {
        let told = Arc::clone(&told);
        async move {
            let reason = child.killed().await;
            sleep(GRACE / 2).await;
            let told = told.lock().unwrap().take();
            let _ = told.expect("there is one incarnation").send(reason);
            ExitStatus::Finished
        }
    });
    let deaf = group.spawn_task("deaf", restarts(1), &here, |_| pending());
    tokio::task::yield_now().await;

    let begin = Instant::now();
    assert_eq!(soon(group.stop()).await, ExitStatus::Stopped);
    assert!((GRACE..GRACE + 2 * MS).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!(soon(tells).await, Ok(ExitStatus::Stopped));
    assert_eq!(busy.status(), Some(ExitStatus::Finished));
    assert_eq!(deaf.status(), Some(ExitStatus::Killed));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_follower_is_dropped_at_once() {
    let (group, _) = group();
    let here = ArbiterHandle::current();
    group.spawn_follower("follower", restarts(1), &here, |_| pending::<ExitStatus>());
    let asked = Instant::now();
    assert_eq!(soon(group.stop()).await, ExitStatus::Stopped);
    assert_eq!(asked.elapsed(), Duration::ZERO, "it has nothing to finish");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_runs_again_after_a_stop() {
    let (group, observers) = group();
    let here = ArbiterHandle::current();
    let incarnations = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&incarnations);
    let task = group.spawn_task("loop", restarts(4), &here, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { ExitStatus::failed("no luck") }
    });
    // It waits for its restart now.
    wait_for_row(&observers, |row| row.last_exit.is_some()).await;
    let begin = Instant::now();
    assert_eq!(soon(group.stop()).await, ExitStatus::Stopped);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(task.status(), Some(ExitStatus::Stopped));

    let counted = Arc::clone(&incarnations);
    let late = group.spawn_task("loop", restarts(4), &here, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        pending()
    });
    assert_eq!(soon(late.ended()).await, ExitStatus::Stopped);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(incarnations.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_dropped_group_leaves_no_child() {
    let (group, observers) = group();
    let task = follower(&group, "loop");
    tokio::task::yield_now().await;
    drop(group);
    assert_eq!(soon(task.ended()).await, ExitStatus::Stopped);
    assert_eq!(observers.snapshot(), []);
}

#[tokio::test]
async fn a_child_whose_thread_stops_is_told_of_as_killed() {
    let pool = ArbiterPool::new(1, "runs").expect("a thread starts");
    let (group, observers) = group();
    let (running, runs) = watch::channel(false);
    let task = group.spawn_task("loop", restarts(1), &pool.pick(7), move |_| {
        running.send_replace(true);
        pending()
    });
    assert!(soon(runs.clone().wait_for(|runs| *runs)).await.is_ok());
    let arbiter = pool.pick(7);
    pool.stop();
    assert_eq!(task.status(), Some(ExitStatus::Killed));

    let late = group.spawn_task("loop", restarts(1), &arbiter, |_| pending());
    assert_eq!(soon(late.ended()).await, ExitStatus::Killed);
    assert_eq!(group.children(), 0);
    assert_eq!(observers.snapshot(), []);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn observation_shows_a_child_and_forgets_it() {
    let (group, observers) = group();
    let (lag, lags) = watch::channel(7);
    let task = group.spawn_task("loop", restarts(1), &ArbiterHandle::current(), move |child| {
        let shown = lags.clone();
        child.observe(move || Shown::new(*shown.borrow()));
        async move { child.killed().await }
    });
    let row = wait_for_row(&observers, |row| row.is_running).await;
    assert_eq!((row.kind, &*row.group, row.incarnation), ("loop", "acme/run-1", 1));
    assert_eq!(row.state, Some(json!(7)));
    lag.send_replace(8);
    assert_eq!(observers.snapshot()[0].state, Some(json!(8)));

    task.stop();
    soon(task.ended()).await;
    assert_eq!(observers.snapshot(), []);
    assert_eq!(observers.kinds()["loop"].spawned, 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn restarts_are_counted_by_name() {
    let metrics = RestartCounter::default();
    let _recording = metrics::set_default_local_recorder(&metrics);
    let (group, _) = group();
    let task = group.spawn_task("loop", restarts(2), &ArbiterHandle::current(), |_| async {
        ExitStatus::failed("no luck")
    });
    soon(task.ended()).await;
    assert_eq!(metrics.0.load(Ordering::SeqCst), 2);
}

/// Sums the restarts of the actor `loop`, and takes nothing else.
#[derive(Default)]
struct RestartCounter(Arc<AtomicU64>);

impl metrics::Recorder for RestartCounter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        if key.name() == "runcast_actor_restarts_total" && labels == [("actor", "loop")] {
            return metrics::Counter::from_arc(Arc::clone(&self.0));
        }
        metrics::Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

/// The row of the only child, once it is as asked.
async fn wait_for_row(
    observers: &Observers,
    is_there: impl Fn(&Observation) -> bool,
) -> Observation {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let row = observers.snapshot().pop().filter(&is_there);
        if let Some(row) = row {
            return row;
        }
        assert!(Instant::now() < deadline, "{observers:?} never got there");
        sleep(MS).await;
    }
}
