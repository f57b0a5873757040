use std::sync::Arc;
use std::time::{Duration, Instant};

use runcast_actors::ports::{RunStore, StoreError, Submitted};
use runcast_actors::testing::store_conformance::{check, run_key, submission};
use runcast_actors::testing::{
    instances_conformance, recordings_conformance, sessions_conformance,
};
use sea_orm::{ConnectionTrait, Database};

use super::{SqlStore, SqlStoreSettings};

fn settings(folder: &std::path::Path, name: &str) -> SqlStoreSettings {
    SqlStoreSettings {
        url: format!("sqlite://{}/data/{name}.db", folder.display()),
        max_connections: 4,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(20),
    }
}

async fn applied(store: &SqlStore) -> usize {
    let steps = store.migrate_status().await.expect("the status is told");
    steps.iter().filter(|step| step.applied).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_the_port() {
    let folder = tempfile::tempdir().expect("a folder");
    check(|number| {
        let settings = settings(folder.path(), &number.to_string());
        async move {
            let store = SqlStore::connect(settings).await.expect("connected");
            store.migrate_up().await.expect("migrated");
            Arc::new(store) as Arc<dyn RunStore>
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_recordings() {
    let folder = tempfile::tempdir().expect("a folder");
    recordings_conformance::check(|number| {
        let settings = settings(folder.path(), &number.to_string());
        async move {
            let store = SqlStore::connect(settings).await.expect("connected");
            store.migrate_up().await.expect("migrated");
            Arc::new(store)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    sessions_conformance::check(|number| {
        let settings = settings(folder.path(), &number.to_string());
        async move {
            let store = SqlStore::connect(settings).await.expect("connected");
            store.migrate_up().await.expect("migrated");
            Arc::new(store)
        }
    })
    .await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_instances() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqlStore::connect(settings(folder.path(), "shared")).await.expect("connected");
    store.migrate_up().await.expect("migrated");
    instances_conformance::check(Arc::new(store)).await;
}

#[tokio::test]
async fn the_schema_goes_up_and_down_and_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqlStore::connect(settings(folder.path(), "steps")).await.expect("connected");
    assert_eq!(applied(&store).await, 0);
    store.migrate_up().await.expect("up");
    let all = store.migrate_status().await.expect("the status is told").len();
    assert_eq!(applied(&store).await, all);
    store.migrate_down(1).await.expect("one down");
    assert_eq!(applied(&store).await, all - 1);
    store.migrate_down(u32::try_from(all).expect("few")).await.expect("all down");
    assert_eq!(applied(&store).await, 0);
    assert!(matches!(store.find(&run_key("a")).await, Err(StoreError::Broken(_))));
    store.migrate_up().await.expect("up again");
    let again = store.submit(submission("a", "x")).await.expect("submitted");
    assert!(matches!(again, Submitted::Created(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_writer_stops_writes_in_time_but_no_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Duration::from_secs(1);
    let settings =
        SqlStoreSettings { statement_timeout: limit, ..settings(folder.path(), "locked") };
    let store = SqlStore::connect(settings.clone()).await.expect("connected");
    store.migrate_up().await.expect("migrated");
    store.submit(submission("before", "x")).await.expect("submitted");
    let other = Database::connect(settings.url.as_str()).await.expect("connected");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock is taken");
    let asked = Instant::now();
    let refused = store.submit(submission("during", "x")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(asked.elapsed() < limit * 3, "{:?}", asked.elapsed());
    assert!(store.find(&run_key("before")).await.expect("reads go on").is_some());
    other.execute_unprepared("ROLLBACK").await.expect("the lock is given back");
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.submit(submission("after", "x")).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(Instant::now() < deadline, "it does not recover: {error}");
    }
    assert!(store.find(&run_key("during")).await.expect("reads go on").is_none());
}
