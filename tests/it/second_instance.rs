//! Without a replica one instance alone uses a database.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::deadline::wait_for;
use crate::support::servers::Postgres;
use crate::support::servers::redis::Redis;
use crate::support::service::{Service, ServiceBuilder};

/// How long a lease holds here.
const LEASE: Duration = Duration::from_secs(2);
/// How long a start may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn builder() -> ServiceBuilder {
    Service::builder().config(&format!("[lease]\nttl_secs = {}", LEASE.as_secs()))
}

/// The start of a service that shares the database is refused, and nothing happens to the first one.
async fn assert_refused(first: &Service, second: &mut Service) {
    second.spawn();
    let status = second.wait_exit(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{}", second.log());
    let log = second.log();
    assert!(log.contains("redis.url") && log.contains("the same database"), "{log}");
    let ready = first.api().try_get("/readyz").await.expect("an answer");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["stores"].get("replica").is_none(), "{}", ready.json());
}

async fn one_alone(first: ServiceBuilder) {
    let mut first = first.start().await;
    let mut second = builder().beside(&first).prepare();
    assert_refused(&first, &mut second).await;
    // Who comes back to its data directory does not wait.
    first.kill9();
    first.restart().await;
    assert!(!first.log().contains("the start waits"), "{}", first.log());
    assert_refused(&first, &mut second).await;
    // A killed one is waited for until it is clear that it is dead.
    first.kill9();
    let asked = Instant::now();
    second.restart().await;
    assert!(asked.elapsed() >= LEASE, "{:?}", asked.elapsed());
    assert!(second.log().contains("the start waits"), "{}", second.log());
    // One that was stopped has said so.
    assert!(second.stop().await.success());
    first.restart().await;
    assert!(!first.log().contains("the start waits"), "{}", first.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_without_a_replica_is_refused_on_postgresql() {
    one_alone(builder().postgres(Postgres::shared().await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_without_a_replica_is_refused_on_sqlite() {
    let folder = TempDir::with_prefix("runcast-it-").expect("a temporary directory");
    let url = format!("sqlite://{}", folder.path().join("shared.db").display());
    one_alone(builder().env("DATABASE_URL", &url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_a_replica_tells_that_it_lacks_one() {
    let first = builder().postgres(Postgres::shared().await).await.start().await;
    let redis = Redis::start().await;
    let mut second = builder().beside(&first).redis(&redis).start().await;
    let replica = async || {
        let ready = first.api().try_get("/readyz").await.expect("an answer");
        assert_eq!(ready.status, 200);
        ready.json()["stores"]["replica"]["state"].as_str().map(str::to_owned)
    };
    wait_for("it is told", LIMIT, async || {
        (replica().await.as_deref() == Some("degraded")).then_some(())
    })
    .await;
    assert!(first.log().contains("redis.url"), "{}", first.log());
    second.stop().await;
    wait_for("it is alone again", LIMIT, async || replica().await.is_none().then_some(())).await;
}
