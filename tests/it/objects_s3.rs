//! The archive in a real S3: the contract of the port, uploads in parts, failures and what is left over.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::Client;
use bytes::Bytes;
use runcast::adapters::objects_s3::{CALL_TIMEOUT, PART_BYTES, S3Objects, S3Settings};
use runcast_actors::ports::{ObjectError, ObjectKey, ObjectStore, ObjectWriter};
use runcast_actors::testing::objects_conformance;

use crate::support::deadline::wait_for;
use crate::support::servers::{BUCKET, SeaweedFs};

const MIB: usize = 1024 * 1024;
/// How soon what was given up is gone.
const ABORT_LIMIT: Duration = Duration::from_secs(30);
/// What a writer is given at once; parts do not end where these do.
const PIECE: usize = 700_001;

fn key(name: &str) -> ObjectKey {
    ObjectKey::stored(&format!("recordings/default/{name}/build/pty/recording.cast.zst"))
        .expect("a key")
}

/// Bytes that differ at each place.
fn body(length: usize, seed: usize) -> Bytes {
    (0..length).map(|place| (place * 31 + place / 251 + seed).to_le_bytes()[0]).collect()
}

/// Keys of objects that are being uploaded below a prefix.
async fn uploads(client: &Client, prefix: &str) -> Vec<String> {
    let listed = client.list_multipart_uploads().bucket(BUCKET).prefix(prefix).send().await;
    let listed = listed.expect("uploads are listed");
    listed.uploads().iter().filter_map(|upload| upload.key().map(str::to_owned)).collect()
}

async fn wait_no_uploads(client: &Client, prefix: &str) {
    wait_for("no upload is left", ABORT_LIMIT, async || {
        uploads(client, prefix).await.is_empty().then_some(())
    })
    .await;
}

async fn write(writer: &mut dyn ObjectWriter, body: &Bytes) -> Result<(), ObjectError> {
    let mut rest = body.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(PIECE.min(rest.len()));
        writer.write(piece).await?;
    }
    Ok(())
}

/// A store at a place of its own, and the prefix of that place.
async fn open(server: &SeaweedFs) -> (S3Objects, String) {
    let settings = server.settings();
    let prefix = settings.prefix.clone();
    (S3Objects::open(settings).await, prefix)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_the_port() {
    let server = SeaweedFs::shared().await;
    let (store, prefix) = open(server).await;
    objects_conformance::check(Arc::new(store.clone())).await;
    wait_no_uploads(&server.client(), &prefix).await;
    for outside in ["", "/", "../", "recordings/../../", "a b/"] {
        store.put(&key("kept"), body(5, 1)).await.expect("put");
        assert_eq!(store.list(outside).await, Ok(Vec::new()), "{outside:?}");
        store.remove_all(outside).await.expect("nothing has such a name");
    }
    assert_eq!(store.length(&key("kept")).await, Ok(5));
    // Nothing but the object, below the prefix.
    let listed = server.client().list_objects_v2().bucket(BUCKET).prefix(&prefix).send().await;
    let listed = listed.expect("listed");
    let names: Vec<&str> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(names, [format!("{prefix}{}", key("kept"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_objects_go_in_parts_and_are_exact() {
    let server = SeaweedFs::shared().await;
    let (store, prefix) = open(server).await;
    let client = server.client();
    // Above, at and below the border of a part, and far above.
    for length in [30 * MIB + 12_345, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES] {
        let expected = body(length, length);
        let object = key(&format!("long-{length}"));
        let mut writer = store.create(&object).await.expect("begun");
        write(&mut *writer, &expected).await.expect("written");
        let is_long = length > PART_BYTES;
        assert_eq!(uploads(&client, &prefix).await.len(), usize::from(is_long), "{length}");
        assert!(store.length(&object).await.is_err(), "{length}: it is not there yet");
        writer.finish().await.expect("finished");
        assert!(uploads(&client, &prefix).await.is_empty());
        assert_eq!(store.length(&object).await, Ok(length as u64));
        let whole = store.read(&object, 0..length as u64).await.expect("read");
        assert!(whole == expected, "{length} bytes");
        let border = PART_BYTES as u64;
        if is_long {
            let around = store.read(&object, border - 5..border + 1).await.expect("read");
            assert_eq!(around, expected.slice(PART_BYTES - 5..=PART_BYTES));
        }
        // What is put at once is cut up, too.
        store.put(&object, body(length, 1)).await.expect("put");
        let whole = store.read(&object, 0..length as u64).await.expect("read");
        assert!(whole == body(length, 1), "{length} bytes");
    }
    assert!(uploads(&client, &prefix).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_or_left_by_the_dead_is_no_object_and_no_upload() {
    let server = SeaweedFs::shared().await;
    let (store, prefix) = open(server).await;
    let client = server.client();
    let mut given_up = store.create(&key("given-up")).await.expect("begun");
    write(&mut *given_up, &body(20 * MIB, 1)).await.expect("written");
    assert_eq!(uploads(&client, &prefix).await.len(), 1);
    drop(given_up);
    wait_no_uploads(&client, &prefix).await;
    assert!(matches!(store.length(&key("given-up")).await, Err(ObjectError::NotFound(_))));

    // The call itself is given up.
    let mut writer = store.create(&key("given-up")).await.expect("begun");
    {
        let mut writing = writer.write(body(20 * MIB, 2));
        assert!(futures_util::poll!(&mut writing).is_pending());
    }
    let next = writer.write(body(5, 2)).await.expect_err("it may lack the last write");
    assert!(next.to_string().contains("earlier write"), "{next}");
    drop(writer);
    wait_no_uploads(&client, &prefix).await;

    // What another process has left: of the same object, below a prefix, or long ago.
    let leave = async |object: &ObjectKey| {
        let begun =
            client.create_multipart_upload().bucket(BUCKET).key(format!("{prefix}{object}"));
        begun.send().await.expect("begun");
    };
    for name in ["same", "below", "other"] {
        leave(&key(name)).await;
        leave(&key(name)).await;
    }
    assert_eq!(uploads(&client, &prefix).await.len(), 6);
    store.put(&key("same"), body(PART_BYTES + 1, 3)).await.expect("put");
    assert_eq!(uploads(&client, &prefix).await.len(), 4);
    store.remove_all("recordings/default/below/").await.expect("removed");
    assert_eq!(uploads(&client, &prefix).await, vec![format!("{prefix}{}", key("other")); 2]);
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    store.remove_abandoned(yesterday).await.expect("looked");
    assert_eq!(uploads(&client, &prefix).await.len(), 2, "its process may live");
    let foreign = format!("{prefix}backups/of-others");
    let begun = client.create_multipart_upload().bucket(BUCKET).key(&foreign).send().await;
    begun.expect("begun");
    store.remove_abandoned(SystemTime::now() + Duration::from_secs(60)).await.expect("looked");
    assert_eq!(uploads(&client, &prefix).await, [foreign], "what is not ours stays");
    assert_eq!(store.length(&key("same")).await, Ok(PART_BYTES as u64 + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_goes_and_comes_back_in_an_upload_takes_the_next_one() {
    let mut server = SeaweedFs::start().await;
    let (store, prefix) = open(&server).await;
    let expected = body(20 * MIB, 1);
    store.put(&key("before"), body(100, 2)).await.expect("put");
    let mut writer = store.create(&key("long")).await.expect("begun");
    writer.write(expected.slice(..12 * MIB)).await.expect("written");

    server.kill().await;
    let asked = Instant::now();
    let rest = async {
        writer.write(expected.slice(12 * MIB..)).await?;
        writer.finish().await
    };
    let failed = rest.await.expect_err("nobody is there");
    assert!(failed.is_passing() && failed.to_string().contains(&server.url()), "{failed}");
    assert!(asked.elapsed() < CALL_TIMEOUT, "{:?}", asked.elapsed());
    let objects: Vec<Result<(), ObjectError>> = vec![
        store.put(&key("before"), body(5, 1)).await,
        store.read(&key("before"), 0..1).await.map(drop),
        store.length(&key("before")).await.map(drop),
        store.delete(&key("before")).await,
        store.list("recordings/").await.map(drop),
        store.remove_all("recordings/").await,
        store.probe().await,
    ];
    for answer in objects {
        assert!(answer.as_ref().is_err_and(ObjectError::is_passing), "{answer:?}");
    }

    server.restart().await;
    let mut writer = store.create(&key("long")).await.expect("begun");
    write(&mut *writer, &expected).await.expect("written");
    writer.finish().await.expect("finished");
    let length = expected.len() as u64;
    assert!(store.read(&key("long"), 0..length).await.expect("read") == expected);
    assert_eq!(store.read(&key("before"), 0..100).await, Ok(body(100, 2)));
    // The first one could not be aborted while nobody was there.
    wait_no_uploads(&server.client(), &prefix).await;
    store.probe().await.expect("it is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_cannot_be_used_says_what_to_do_and_loses_nothing() {
    let server = SeaweedFs::shared().await;
    let missing = S3Settings { bucket: "never-made".to_owned(), ..server.settings() };
    let mut foreign = server.settings();
    if let Some(key) = &mut foreign.credentials {
        key.secret_access_key = "another".to_owned();
    }
    // Nobody listens there.
    let away = S3Settings { endpoint: Some("http://127.0.0.1:9".to_owned()), ..server.settings() };
    for (settings, told) in [(missing, "create it"), (foreign, "credentials"), (away, ":9")] {
        let bucket = settings.bucket.clone();
        let store = S3Objects::open(settings).await;
        let object = key("some");
        let long = body(PART_BYTES + 1, 1);
        let answers = [
            ("put", store.put(&object, body(5, 1)).await),
            ("put of parts", store.put(&object, long).await),
            ("read", store.read(&object, 0..1).await.map(drop)),
            ("empty read", store.read(&object, 0..0).await.map(drop)),
            ("length", store.length(&object).await.map(drop)),
            ("delete", store.delete(&object).await),
            ("list", store.list("recordings/").await.map(drop)),
            ("remove_all", store.remove_all("recordings/").await),
            ("probe", store.probe().await),
        ];
        for (call, answer) in answers {
            let error = answer.expect_err(call);
            assert!(error.is_passing(), "{call}: {error}");
            let text = error.to_string();
            assert!(text.contains(&bucket) && text.contains(told), "{call}: {text}");
            assert!(!text.contains("only-for-tests"), "{call}: {text}");
        }
    }
}

#[test]
fn connections_outlast_the_threads_that_call() {
    let clients = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let clients = clients.expect("a runtime");
    let store = clients.block_on(async { open(SeaweedFs::shared().await).await.0 });
    for turn in 0..3 {
        let store = store.clone();
        let caller = std::thread::spawn(move || {
            // It has neither sockets nor timers of its own.
            let caller = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            caller.block_on(async {
                store.put(&key("shared"), body(1000, turn)).await.expect("put");
                assert_eq!(store.read(&key("shared"), 0..1000).await, Ok(body(1000, turn)));
            });
        });
        caller.join().expect("no panic");
    }
}
