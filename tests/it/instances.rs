//! Several instances as processes of their own, over one PostgreSQL, one S3 and one Redis: any of them serves
//! any run, and the death of one harms only what it ran.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::{assert_finalised, recordings};
use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::processes::{MARK, marked, wait_gone};
use crate::support::programs::{after, pipe, pty, run_of, ticking};
use crate::support::servers::redis::Redis;
use crate::support::servers::{Postgres, SeaweedFs};
use crate::support::service::{Service, ServiceBuilder};

/// How long a lease holds here.
const LEASE: Duration = Duration::from_secs(2);
/// Runs at once; more in the long form.
const RUNS: usize = 12;
const RUNS_OF_SOAK: usize = 50;

struct Cluster {
    redis: Redis,
    workers: Vec<Service>,
    apis: Vec<Service>,
    /// What each worker calls itself in its events.
    names: Vec<Value>,
}

fn of_role(role: &str, config: &str) -> ServiceBuilder {
    let lease = format!("[lease]\nttl_secs = {}", LEASE.as_secs());
    let role =
        format!("[server]\nrole = \"{role}\"\ndrain_secs = 2\n[runners.local]\nmax_parallel = 100");
    Service::builder().config(&role).config(&lease).config(config)
}

impl Cluster {
    async fn start(config: &str) -> Self {
        let redis = Redis::start().await;
        let (postgres, s3) = (Postgres::shared().await, SeaweedFs::shared().await);
        let first = of_role("worker", config).postgres(postgres).await.s3(s3).redis(&redis);
        let first = first.start().await;
        let beside = |role| of_role(role, config).beside(&first);
        let second = beside("worker").start().await;
        let apis = vec![beside("api").start().await, beside("api").start().await];
        let workers = vec![first, second];
        let mut names = Vec::new();
        for worker in &workers {
            let ready = worker.api().try_get("/readyz").await.expect("an answer").json();
            names.push(ready["instance"].clone());
        }
        Self { redis, workers, apis, names }
    }

    fn apis(&self) -> Vec<Api> {
        self.apis.iter().map(Service::api).collect()
    }

    /// The worker that runs a run, as its events say.
    async fn owner_of(&self, run: &str) -> usize {
        let page = self.apis[0].api().events(run, "types=terminal&limit=1").await;
        let first: Value = serde_json::from_str(page.events[0].data.get()).expect("JSON");
        self.names.iter().position(|name| *name == first["origin"]).expect("a worker has it")
    }
}

/// Watches a run to its end, cut again and again, each time on another instance.
fn watch(apis: Vec<Api>, run: &str, seed: u64) -> JoinHandle<Collected> {
    let run = run.to_owned();
    tokio::spawn(async move {
        let mut random = StdRng::seed_from_u64(seed);
        let mut seen = Collected::new();
        while seen.done.is_none() {
            let api = &apis[random.random_range(0..apis.len())];
            let request = api.stream(&run).last_event_id(seen.cursor);
            // Nobody answers where an instance was killed.
            let Ok(mut client) = request.try_open().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if client.status() == 204 {
                break;
            }
            // Sometimes less than one event, often more than the largest.
            let most = random.random_range(1..=100_000);
            let (messages, _) = client.read_bytes(most).await;
            messages.into_iter().for_each(|message| seen.push(message));
        }
        seen
    })
}

fn four_nodes(lines: u32) -> Value {
    four_nodes_of(pty("a", &ticking("a", lines, 20)), lines)
}

fn four_nodes_of(first: Value, lines: u32) -> Value {
    let both = "for i in $(seq 100); do echo out $i; echo err $i >&2; sleep 0.02; done";
    run_of([
        first,
        pty("b", &ticking("b", lines / 2, 20)),
        pipe("c", both),
        after(pty("d", "seq 5000"), &["c"]),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p6_any_instance_serves_any_run_and_the_death_of_two_harms_only_what_they_ran() {
    let mut cluster = Cluster::start("").await;
    let apis = cluster.apis();
    let runs = if std::env::var_os("RUNCAST_SOAK").is_some() { RUNS_OF_SOAK } else { RUNS };
    // No run ends before the two are dead, however slow the machine.
    let folder = tempfile::tempdir().expect("a folder");
    let dead = folder.path().join("dead");
    let script = format!(
        "seq 3000; until test -e '{}'; do echo tick; sleep 0.1; done; {}",
        dead.display(),
        ticking("a", 3000, 20)
    );
    let mut watched = Vec::new();
    for place in 0..runs {
        let run = apis[place % 2].submit(&four_nodes_of(pty("a", &script), 15_000)).await;
        let viewers = [0, 1].map(|seed| watch(apis.clone(), &run, (2 * place + seed) as u64));
        watched.push((run, viewers));
    }
    let mut owned = Vec::new();
    for (run, _) in &watched {
        wait_for("the run has output", RUN_LIMIT, async || {
            let page = apis[0].events(run, "types=terminal&limit=1").await;
            (!page.events.is_empty()).then_some(())
        })
        .await;
        if cluster.owner_of(run).await == 0 {
            owned.push(run.clone());
        }
    }
    assert!(!owned.is_empty() && owned.len() < runs, "both workers run something");
    cluster.workers[0].kill9();
    cluster.apis[0].kill9();
    let ended = tokio::time::Instant::now();
    for run in &owned {
        let view = apis[1].wait_ended(run).await;
        assert_eq!(view["failure"]["kind"], "LOST", "{view}");
    }
    // Twice the lease, and what a busy machine takes for it.
    assert!(ended.elapsed() < LEASE * 2 + Duration::from_secs(10), "{:?}", ended.elapsed());
    std::fs::write(&dead, "").expect("a file");
    for (run, viewers) in watched {
        let view = apis[1].wait_ended(&run).await;
        let is_victim = owned.contains(&run);
        assert_eq!(view["status"] == "COMPLETED", !is_victim, "{view}");
        let [one, other] = viewers.map(|viewer| async { viewer.await.expect("a viewer") });
        let (one, other) = tokio::join!(one, other);
        one.assert_same_events(&other);
        if is_victim {
            one.assert_dense_but_for_what_died_with_the_owner();
        } else {
            one.assert_dense();
            assert_finalised(&apis[1], &run, &one).await;
        }
        for node in ["a", "b"] {
            let path = format!("/runs/{run}/terminal/{node}/cast?format=raw");
            wait_for("the recording is final", RUN_LIMIT, async || {
                let rows = recordings(&apis[1], &run).await;
                rows.iter().all(|row| row["state"] != "live").then_some(())
            })
            .await;
            let raw = apis[1].get(&path).await.expect(200).body;
            assert!(raw == one.stream(node, "pty").output, "{run}/{node}: all that viewers had");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_worker_that_slept_for_three_leases_finds_itself_fenced_and_changes_nothing() {
    let cluster = Cluster::start("").await;
    let api = cluster.apis[0].api();
    let mark = format!("asleep-{}", std::process::id());
    let mut node = pty("a", &ticking("a", 100_000, 20));
    node["env"] = json!({ MARK: mark });
    let run = api.submit(&run_of([node])).await;
    wait_for("the run has output", RUN_LIMIT, async || {
        (api.events(&run, "types=terminal&limit=50").await.events.len() == 50).then_some(())
    })
    .await;
    let owner = cluster.owner_of(&run).await;
    assert!(!marked(&mark).is_empty(), "the node runs");
    cluster.workers[owner].signal(Signal::STOP);
    tokio::time::sleep(LEASE * 3).await;
    let view = api.wait_ended(&run).await;
    assert_eq!(view["failure"]["kind"], "LOST", "{view}");
    let mut before = Collected::new();
    before.read(&mut api.stream(&run).open().await).await;
    cluster.workers[owner].signal(Signal::CONT);
    wait_for("it has ended what it ran", RUN_LIMIT, async || {
        let log = cluster.workers[owner].log();
        (log.contains("another instance owns the run now") || log.contains("fenced")).then_some(())
    })
    .await;
    wait_gone(&mark, RUN_LIMIT).await;
    tokio::time::sleep(LEASE).await;
    let mut later = Collected::new();
    later.read(&mut cluster.apis[1].api().stream(&run).open().await).await;
    later.assert_same(&before);
    // It goes on working.
    let next = api.submit(&four_nodes(10)).await;
    assert_eq!(api.wait_ended(&next).await["status"], "COMPLETED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_redis_that_is_killed_and_comes_back_empty_costs_no_byte() {
    for when_full in ["pause", "spill"] {
        let config = format!("[redis]\nwhen_full = \"{when_full}\"\nmax_lag_bytes = 1048576");
        let mut cluster = Cluster::start(&config).await;
        let apis = cluster.apis();
        let run = apis[0].submit(&four_nodes(6000)).await;
        let viewer = watch(apis.clone(), &run, 7);
        apis[0].wait_node_running(&run, "a").await;
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.redis.stop().await;
            wait_for("the replica is away", RUN_LIMIT, async || {
                let ready = cluster.workers[0].api().try_get("/readyz").await.expect("an answer");
                assert_eq!(ready.status, 200, "runs go on");
                (ready.json()["stores"]["replica"]["state"] == "down").then_some(())
            })
            .await;
            cluster.redis.restart().await;
        }
        let view = apis[1].wait_ended(&run).await;
        assert_eq!(view["status"], "COMPLETED", "{view}");
        let seen = viewer.await.expect("a viewer");
        seen.assert_dense();
        assert_finalised(&apis[0], &run, &seen).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_reach_a_run_from_an_instance_that_does_not_own_it() {
    let cluster = Cluster::start("").await;
    let api = cluster.apis[1].api();
    let run = api
        .submit(&run_of([pty("a", "trap 'stty size' WINCH; while :; do sleep 0.05; done")]))
        .await;
    api.wait_node_running(&run, "a").await;
    let at = |rest: &str| format!("/runs/{run}/{rest}");
    api.post(&at("nodes/a/resize"), &json!({ "cols": 91, "rows": 17 })).await.expect(202);
    api.post(&at("terminal/a/markers"), &json!({ "label": "here" })).await.expect(202);
    api.post(&at("nodes/none/resize"), &json!({ "cols": 91, "rows": 17 })).await.expect(404);
    wait_for("both were done", RUN_LIMIT, async || {
        let page = api.events(&run, "types=terminal&limit=100").await;
        let all: String = page.events.iter().map(|event| event.data.get()).collect();
        (all.contains("\"label\":\"here\"") && all.contains("\"cols\":91")).then_some(())
    })
    .await;
    api.cancel(&run).await;
    assert_eq!(api.wait_ended(&run).await["status"], "CANCELLED");
    wait_for("its recordings are final", RUN_LIMIT, async || {
        (api.run(&run).await["recordings"]["live"] == 0).then_some(())
    })
    .await;
    wait_for("it is purged", RUN_LIMIT, async || {
        (api.delete(&at("")[..at("").len() - 1]).await.status == 204).then_some(())
    })
    .await;
    cluster.apis[0].api().get(&at("status")).await.expect(410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_of_a_run_has_a_life_time_and_none_is_left_after_its_end() {
    const HOT_TTL: Duration = Duration::from_secs(2);
    let config = format!("[retention]\nhot_ttl_secs = {}", HOT_TTL.as_secs());
    let cluster = Cluster::start(&config).await;
    let api = cluster.apis[0].api();
    let mut redis = cluster.redis.observer().expect("it listens");
    let run =
        api.submit(&run_of([pty("a", "seq 1000; exec sleep 1000"), pipe("b", "seq 9")])).await;
    let names =
        ["meta:{T}", "events:{T}", "screen:{T}", "terminal:{T}:a:pty", "terminal:{T}:b:stdout"];
    let tag = format!("{{default/{run}}}");
    let keys = wait_for("all its keys are there", RUN_LIMIT, async || {
        let keys = redis.keys(&run).expect("an answer");
        let is_there = |name: &str| keys.contains(&name.replace("{T}", &tag));
        names.into_iter().all(is_there).then_some(keys)
    })
    .await;
    for key in keys {
        let life_ms = redis.life_ms(&key).expect("an answer");
        assert!(life_ms > 0, "{key} lives {life_ms} ms");
    }
    // The command makes one more key.
    api.cancel(&run).await;
    assert_eq!(api.wait_ended(&run).await["status"], "CANCELLED");
    wait_for("its recordings are final", RUN_LIMIT, async || {
        (api.run(&run).await["recordings"]["live"] == 0).then_some(())
    })
    .await;
    // What a busy machine takes is more than the time itself.
    wait_for("no key is left", HOT_TTL + Duration::from_secs(15), async || {
        redis.keys(&run).expect("an answer").is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_ends_what_it_runs_and_leaves_the_rest_to_others() {
    let mut cluster = Cluster::start("").await;
    let api = cluster.apis[0].api();
    let mut owned = [Vec::new(), Vec::new()];
    while owned[0].is_empty() {
        let run = api.submit(&run_of([pty("a", &ticking("a", 100_000, 20))])).await;
        wait_for("the run has output", RUN_LIMIT, async || {
            let page = api.events(&run, "types=terminal&limit=1").await;
            (!page.events.is_empty()).then_some(())
        })
        .await;
        owned[cluster.owner_of(&run).await].push(run);
    }
    cluster.workers[0].signal(Signal::TERM);
    let draining = cluster.workers[0].api();
    wait_for("it takes no more", RUN_LIMIT, async || {
        (draining.try_get("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await;
    // While it drains and when it is gone, others take what comes.
    for _ in 0..3 {
        let next = api.submit(&run_of([pty("a", "echo next")])).await;
        assert_eq!(api.wait_ended(&next).await["status"], "COMPLETED");
    }
    let status = cluster.workers[0].wait_exit(RUN_LIMIT).await;
    assert!(status.success(), "{status:?}");
    for run in &owned[0] {
        let view = api.wait_ended(run).await;
        assert_eq!((&view["status"], &view["epoch"]), (&json!("CANCELLED"), &json!(0)), "{view}");
        assert_eq!(view["recordings"]["live"], 0, "all is recorded before it goes: {view}");
    }
    for run in &owned[1] {
        assert_eq!(api.run(run).await["status"], "RUNNING", "nobody else is disturbed");
        api.cancel(run).await;
        api.wait_ended(run).await;
    }
}
