//! What every [`InstanceStore`] must do, as one suite that each adapter runs against itself.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::InstanceId;
use crate::ports::{Instance, InstanceStore, SeenInstance};

/// Longer than the step of any clock.
const A_MOMENT: Duration = Duration::from_millis(20);

/// An instance without a replica, for tests.
pub fn instance(id: &str) -> Instance {
    Instance {
        id: id.parse().expect("a valid name"),
        name: None,
        role: "all".to_owned(),
        url: format!("http://{id}.example"),
        has_replica: false,
    }
}

async fn seen(store: &dyn InstanceStore) -> Vec<SeenInstance> {
    let rows = store.instances().await.expect("the store answers");
    tokio::time::sleep(A_MOMENT).await;
    rows
}

fn ids(rows: &[SeenInstance]) -> Vec<&str> {
    rows.iter().map(|row| row.instance.id.as_str()).collect()
}

/// Runs every check on one empty store.
pub async fn check(store: Arc<dyn InstanceStore>) {
    let store = &*store;
    assert!(seen(store).await.is_empty());
    let (first, second) = (instance("second-1"), instance("first-2"));
    store.enter(&first).await.expect("entered");
    let at_first = seen(store).await;
    assert_eq!(at_first[0].instance, first);
    assert_eq!(at_first[0].started_at, at_first[0].seen_at);
    assert!(at_first[0].unseen_for < Duration::from_secs(60));

    let changed = Instance { name: Some("ü".to_owned()), has_replica: true, ..first.clone() };
    store.announce(&changed).await.expect("announced");
    store.enter(&second).await.expect("entered");
    let later = seen(store).await;
    assert_eq!(ids(&later), ["second-1", "first-2"], "in the order of their starts");
    assert_eq!((&later[0].instance, later[0].started_at), (&changed, at_first[0].started_at));
    assert!(later[0].seen_at > at_first[0].seen_at, "it moves");
    let still = seen(store).await;
    assert_eq!(still[0].seen_at, later[0].seen_at);
    assert!(still[0].unseen_for > later[0].unseen_for, "by the clock of the store");

    store.enter(&first).await.expect("entered again");
    let again = seen(store).await;
    assert_eq!(ids(&again), ["first-2", "second-1"], "it has started again");
    store.leave(&first.id).await.expect("left");
    store.leave(&first.id).await.expect("who is not there leaves, too");
    assert_eq!(ids(&seen(store).await), ["first-2"]);
    store.announce(&first).await.expect("announced");
    assert_eq!(ids(&seen(store).await), ["first-2", "second-1"], "a lost row comes back");
    let unknown: InstanceId = "unknown".parse().expect("a valid name");
    store.leave(&unknown).await.expect("left");
}
