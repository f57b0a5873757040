//! What every [`ObjectStore`] must do, as one suite that each adapter runs against itself.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{ChunkIndex, Epoch, RunKey, StreamKey, StreamName, TenantId};
use crate::ports::{ObjectError, ObjectKey, ObjectStore};

/// Objects that are put at one time.
const WRITERS: usize = 32;
/// What a writer is given at once; several of these are larger than any buffer on the way.
const PIECE: usize = 700 * 1024;

/// Runs every check on an empty store.
pub async fn check(store: Arc<dyn ObjectStore>) {
    objects_are_kept_and_replaced(&*store).await;
    ranges_are_exact(&*store).await;
    writers_are_whole_or_nothing(&*store).await;
    lists_and_removals_go_by_folder(&*store).await;
    many_are_put_at_one_time(&store).await;
    store.probe().await.expect("the store answers");
    store.remove_all("recordings/").await.expect("removed");
    assert!(names(&*store, "recordings/").await.is_empty());
}

fn run(name: &str) -> RunKey {
    RunKey { tenant: TenantId::default_tenant(), run: name.parse().expect("a valid name") }
}

fn stream(node_ref: &str) -> StreamKey {
    StreamKey { node_ref: node_ref.parse().expect("a valid name"), stream: StreamName::Pty }
}

fn segment(name: &str, first: u64) -> ObjectKey {
    let chunks = (ChunkIndex(first), ChunkIndex(first + 9));
    ObjectKey::segment(&run(name), &stream("build"), chunks.0, chunks.1, Epoch(0))
}

/// Bytes that differ at each place and in each object.
fn body(length: usize, seed: usize) -> Bytes {
    (0..length).map(|place| (place * 31 + place / 251 + seed).to_le_bytes()[0]).collect()
}

async fn whole(store: &dyn ObjectStore, key: &ObjectKey) -> Bytes {
    let length = store.length(key).await.expect("it is there");
    store.read(key, 0..length).await.expect("it is readable")
}

async fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix).await.expect("the store answers");
    let mut found: Vec<String> = listed.iter().map(|object| object.key.to_string()).collect();
    found.sort();
    found
}

async fn is_missing(store: &dyn ObjectStore, key: &ObjectKey) -> bool {
    let read = store.read(key, 0..1).await;
    let length = store.length(key).await;
    let expected = ObjectError::NotFound(key.clone());
    read.is_err_and(|error| error == expected) && length.is_err_and(|error| error == expected)
}

async fn objects_are_kept_and_replaced(store: &dyn ObjectStore) {
    let key = segment("kept", 0);
    assert!(is_missing(store, &key).await);
    store.delete(&key).await.expect("what is not there is deleted");
    for length in [PIECE, 5, 0, 100_000] {
        store.put(&key, body(length, 1)).await.expect("put");
        assert_eq!(store.length(&key).await, Ok(length as u64));
        assert!(whole(store, &key).await == body(length, 1), "{length} bytes");
    }
    assert_eq!(names(store, "recordings/").await, [key.as_str()]);
    store.delete(&key).await.expect("deleted");
    assert!(is_missing(store, &key).await);
    store.put(&key, body(10, 2)).await.expect("put again");
    assert!(whole(store, &key).await == body(10, 2));
    store.delete(&key).await.expect("deleted");
}

async fn ranges_are_exact(store: &dyn ObjectStore) {
    let key = ObjectKey::index(&ObjectKey::recording(&run("ranges"), &stream("build")));
    let bytes = body(1000, 3);
    store.put(&key, bytes.clone()).await.expect("put");
    for range in [0..1000, 0..1, 999..1000, 250..750, 0..0, 1000..1000] {
        let found = store.read(&key, range.clone()).await.expect("within it");
        let place = |offset: u64| usize::try_from(offset).expect("small");
        assert_eq!(found, bytes.slice(place(range.start)..place(range.end)), "{range:?}");
    }
    let beyond: [Range<u64>; 4] = [0..1001, 999..1001, 1001..1001, 5000..u64::MAX];
    for range in beyond {
        let found = store.read(&key, range.clone()).await;
        assert!(matches!(&found, Err(ObjectError::Damaged(at, _)) if *at == key), "{range:?}");
    }
    store.delete(&key).await.expect("deleted");
}

async fn writers_are_whole_or_nothing(store: &dyn ObjectStore) {
    let key = ObjectKey::recording(&run("written"), &stream("build"));
    let mut abandoned = store.create(&key).await.expect("begun");
    abandoned.write(body(PIECE, 4)).await.expect("written");
    assert!(is_missing(store, &key).await, "it is not there before it is finished");
    assert!(names(store, "recordings/").await.is_empty(), "nor is it listed");
    drop(abandoned);
    assert!(is_missing(store, &key).await && names(store, "recordings/").await.is_empty());

    let mut writer = store.create(&key).await.expect("begun");
    let mut expected = Vec::new();
    for piece in 0..8 {
        let bytes = body(if piece == 3 { 0 } else { PIECE }, piece);
        expected.extend_from_slice(&bytes);
        writer.write(bytes).await.expect("written");
    }
    writer.finish().await.expect("finished");
    assert!(whole(store, &key).await == expected);

    let mut late = store.create(&key).await.expect("begun");
    late.write(body(7, 5)).await.expect("written");
    drop(late);
    assert!(whole(store, &key).await == expected, "an abandoned one replaces nothing");
    // Short and long ones may take different ways.
    for length in [7, 9 * 1024 * 1024] {
        let mut second = store.create(&key).await.expect("begun");
        second.write(body(length, 6)).await.expect("written");
        assert_eq!(second.finish().await, Err(ObjectError::Exists(key.clone())), "{length}");
        assert!(whole(store, &key).await == expected, "nor does a finished one");
    }
    let (one, other) = tokio::join!(store.create(&key), store.create(&key));
    let (one, other) = (one.expect("begun"), other.expect("begun"));
    store.delete(&key).await.expect("deleted");
    let (one, other) = tokio::join!(one.finish(), other.finish());
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    assert_eq!(store.length(&key).await, Ok(0), "an empty one is one");
    store.delete(&key).await.expect("deleted");
}

async fn lists_and_removals_go_by_folder(store: &dyn ObjectStore) {
    // `run-1` begins `run-10`, too: prefixes end with a slash for that.
    for name in ["run-1", "run-10"] {
        for first in [0, 10] {
            store.put(&segment(name, first), body(20, 6)).await.expect("put");
        }
    }
    let other = ObjectKey::recording(&run("run-1"), &stream("test"));
    store.put(&other, body(30, 7)).await.expect("put");
    let of_run = names(store, &ObjectKey::run_prefix(&run("run-1"))).await;
    assert_eq!(
        of_run,
        [segment("run-1", 0).as_str(), segment("run-1", 10).as_str(), other.as_str()]
    );
    let of_stream = ObjectKey::stream_prefix(&run("run-1"), &stream("test"));
    let listed = store.list(&of_stream).await.expect("the store answers");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), listed[0].length), (other.as_str(), 30));
    assert_eq!(names(store, "recordings/").await.len(), 5);

    store.remove_all(&of_stream).await.expect("removed");
    assert!(is_missing(store, &other).await);
    store.remove_all(&ObjectKey::run_prefix(&run("run-1"))).await.expect("removed");
    store.remove_all(&ObjectKey::run_prefix(&run("run-1"))).await.expect("nothing is left");
    assert_eq!(
        names(store, "recordings/").await,
        [segment("run-10", 0).as_str(), segment("run-10", 10).as_str()]
    );
    store.remove_all("recordings/").await.expect("removed");
    assert!(store.list("recordings/none/").await.expect("the store answers").is_empty());
}

async fn many_are_put_at_one_time(store: &Arc<dyn ObjectStore>) {
    let put = |number: usize| {
        let store = store.clone();
        tokio::spawn(async move {
            // Half of them fight for one key, and whoever deletes may take the folder away from others.
            let own = segment(&format!("many-{}", number % 3), number as u64 * 10);
            let shared = segment("shared", 0);
            for turn in 0..4 {
                store.put(&own, body(5000 + number, turn)).await.expect("put");
                store.put(&shared, body(3000, number)).await.expect("put");
                store.delete(&own).await.expect("deleted");
            }
            store.put(&own, body(5000 + number, number)).await.expect("put");
            assert!(whole(&*store, &own).await == body(5000 + number, number));
        })
    };
    let putting: Vec<_> = (0..WRITERS).map(put).collect();
    for task in putting {
        task.await.expect("no panic");
    }
    let last = whole(&**store, &segment("shared", 0)).await;
    assert!((0..WRITERS).any(|number| last == body(3000, number)), "it is one of them, whole");
    assert_eq!(names(&**store, "recordings/").await.len(), WRITERS + 1);
}
