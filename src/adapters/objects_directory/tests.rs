use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use runcast_actors::ports::{ObjectError, ObjectKey, ObjectStore};
use runcast_actors::testing::objects_conformance;

use super::DirectoryObjects;

fn open(root: &Path) -> DirectoryObjects {
    DirectoryObjects::open(root.to_owned()).expect("opened")
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::stored(text).expect("a key")
}

/// Everything below a folder but the folders, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

fn message(error: &ObjectError) -> String {
    assert!(error.is_passing(), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_the_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("made/archive");
    objects_conformance::check(Arc::new(open(&root))).await;
    assert_eq!(names(&root), [".tmp"], "empty folders are gone");
    assert!(names(&root.join(".tmp")).is_empty(), "and nothing half written is left");
    let mode = fs::metadata(&root).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn objects_and_nothing_else_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let temporary = folder.path().join(".tmp");
    let object = key("recordings/default/run/build/pty/recording.cast.zst");
    {
        let store = open(folder.path());
        store.put(&object, Bytes::from_static(b"whole")).await.expect("put");
    }
    fs::write(temporary.join("left-by-a-dead-process"), b"half").expect("written");
    let living = open(folder.path());
    assert!(names(&temporary).is_empty(), "it is removed at the start");
    let next = key("recordings/default/run/test/pty/recording.cast.zst");
    let mut writer = living.create(&next).await.expect("begun");
    writer.write(Bytes::from_static(b"next")).await.expect("written");
    let second = open(folder.path());
    second.remove_all("recordings/other/").await.expect("removed");
    assert_eq!(names(&temporary).len(), 1, "what a living writer has stays");
    writer.finish().await.expect("finished");
    assert_eq!(second.read(&next, 0..4).await, Ok(Bytes::from_static(b"next")));
    assert_eq!(second.read(&object, 0..5).await, Ok(Bytes::from_static(b"whole")));
    assert!(names(&temporary).is_empty());
}

#[tokio::test]
async fn what_a_killed_process_was_writing_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let half = folder.path().join(".tmp/half");
    let mut writer = Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(&half)
        .args(["sh", "-c", "echo locked; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut output = std::io::BufReader::new(writer.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).expect("it says that it has the lock");
    assert_eq!(line, "locked\n");
    store.remove_all("recordings/x/").await.expect("removed");
    assert!(half.exists(), "its process lives");
    writer.kill().expect("killed");
    writer.wait().expect("waited for");
    store.remove_all("recordings/x/").await.expect("removed");
    assert!(!half.exists(), "its process is dead");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let object = key("recordings/default/run/build/pty/seg-0-9-0.cast.zst");
    let mut writer = store.create(&object).await.expect("begun");
    {
        // More than can be written before the first look at it.
        let mut write = writer.write(Bytes::from(vec![7; 128 << 20]));
        let polled = futures_util::poll!(&mut write);
        assert!(polled.is_pending(), "{polled:?}");
    }
    let next = writer.write(Bytes::from_static(b"more")).await;
    assert!(message(&next.expect_err("it may lack the last write")).contains("earlier write"));
    drop(writer);
    // The call that was given up ends by itself, and takes its file with it.
    let gone = async {
        while !files(folder.path()).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(30), gone).await;
    assert!(gone.is_ok(), "{:?}", files(folder.path()));
}

#[tokio::test]
async fn a_probe_whose_caller_gives_up_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    for _ in 0..20 {
        let mut probe = store.probe();
        let _ = futures_util::poll!(&mut probe);
    }
    // Who has all the turns knows that the calls that were given up have ended.
    let turns = u32::try_from(super::PARALLEL_CALLS).expect("small");
    let _turns = store.calls.acquire_many(turns).await.expect("they come back");
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    assert!(!folder.path().join("probe").exists());
}

#[tokio::test]
async fn failures_of_the_disk_pass_and_are_told_with_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("archive");
    let store = open(&root);
    let object = key("recordings/default/run/build/pty/seg-0-9-0.cast.zst");
    let body = Bytes::from_static(b"bytes");

    // A file stands where a folder should be.
    fs::write(root.join("recordings"), b"").expect("written");
    let error = store.put(&object, body.clone()).await.expect_err("it cannot be there");
    let text = message(&error);
    assert!(text.contains("archive/recordings") && text.contains("os error"), "{text}");
    assert!(names(&root.join(".tmp")).is_empty(), "nothing half written stays");
    message(&store.read(&object, 0..1).await.expect_err("nobody can tell"));
    fs::remove_file(root.join("recordings")).expect("removed");
    store.put(&object, body.clone()).await.expect("it works again");

    // A folder stands where the object should be.
    let taken = key("recordings/default/run/build/pty/taken");
    fs::create_dir(root.join(taken.as_str())).expect("made");
    let text = message(&store.put(&taken, body.clone()).await.expect_err("it cannot be there"));
    assert!(text.contains("pty/taken"), "{text}");
    assert!(names(&root.join(".tmp")).is_empty(), "nothing half written stays");
    let found = store.length(&taken).await;
    assert!(matches!(found, Err(ObjectError::Damaged(_, _))), "{found:?}");

    // The whole archive is away, as if its disk were not mounted: nothing is lost by that.
    let away = folder.path().join("away");
    fs::rename(&root, &away).expect("moved");
    fs::create_dir(&root).expect("the empty mount point");
    message(&store.read(&object, 0..1).await.expect_err("nobody can tell"));
    message(&store.length(&object).await.expect_err("nobody can tell"));
    message(&store.list("recordings/").await.expect_err("nobody can tell"));
    message(&store.put(&object, body.clone()).await.expect_err("not into the mount point"));
    message(&store.delete(&object).await.expect_err("it is elsewhere"));
    message(&store.remove_all("recordings/default/run/").await.expect_err("it is elsewhere"));
    message(&store.probe().await.expect_err("it is away"));
    assert!(names(&root).is_empty());
    fs::remove_dir(&root).expect("removed");
    fs::rename(&away, &root).expect("moved back");
    assert_eq!(store.read(&object, 0..5).await, Ok(body));
    store.probe().await.expect("it is back");

    // A directory that cannot be opened at all.
    let file = folder.path().join("file");
    fs::write(&file, b"").expect("written");
    let refused = DirectoryObjects::open(file.join("archive")).expect_err("no directory");
    assert!(message(&refused).contains("file/archive"), "{refused}");
}

#[tokio::test]
async fn an_archive_that_has_objects_is_not_begun_anew_in_its_empty_mount_point() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("archive");
    let object = key("recordings/default/run/build/pty/recording.cast.zst");
    let body = Bytes::from_static(b"bytes");
    open(&root).put(&object, body.clone()).await.expect("put");
    let away = folder.path().join("away");
    fs::rename(&root, &away).expect("moved");

    // Neither without a mount point nor with an empty one is anything made or said to be lost.
    for has_mount_point in [false, true] {
        if has_mount_point {
            fs::create_dir(&root).expect("the mount point");
        }
        let store = DirectoryObjects::open_existing(root.clone()).expect("it waits");
        let errors = [
            store.put(&object, body.clone()).await.expect_err("put"),
            store.create(&object).await.map(drop).expect_err("create"),
            store.read(&object, 0..1).await.expect_err("read"),
            store.length(&object).await.expect_err("length"),
            store.delete(&object).await.expect_err("delete"),
            store.list("recordings/").await.expect_err("list"),
            store.remove_all("recordings/default/run/").await.expect_err("remove_all"),
            store.probe().await.expect_err("probe"),
        ];
        for error in errors {
            let text = message(&error);
            let [root, mark] = [&root, &root.join(".tmp")].map(|path| path.display().to_string());
            assert!(
                text.contains("mount") && text.contains(&root) && text.contains(&mark),
                "{text}"
            );
        }
    }
    assert!(names(&root).is_empty());

    let store = DirectoryObjects::open_existing(root.clone()).expect("it waits");
    fs::remove_dir(&root).expect("removed");
    fs::rename(&away, &root).expect("mounted");
    assert_eq!(store.read(&object, 0..5).await, Ok(body), "without a start");
    store.probe().await.expect("it is back");
}

#[tokio::test]
async fn a_truncated_object_is_damaged_and_a_foreign_file_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let object = key("recordings/default/run/build/pty/recording.cast.zst");
    store.put(&object, Bytes::from(vec![1; 1000])).await.expect("put");
    let path = folder.path().join(object.as_str());
    fs::OpenOptions::new().write(true).open(&path).expect("opened").set_len(400).expect("cut");
    let short = store.read(&object, 300..500).await;
    assert!(matches!(short, Err(ObjectError::Damaged(_, _))), "{short:?}");
    assert_eq!(store.read(&object, 300..400).await.map(|bytes| bytes.len()), Ok(100));
    fs::write(path.with_file_name("a foreign file"), b"x").expect("written");
    let listed = store.list("recordings/").await.expect("listed");
    assert_eq!(listed.len(), 1);
    for outside in ["", "/", "../", "recordings/../../", "a b/"] {
        assert_eq!(store.list(outside).await, Ok(Vec::new()), "{outside:?}");
        store.remove_all(outside).await.expect("nothing has such a name");
    }
    assert_eq!(store.list("recordings/").await.expect("listed"), listed);
}
