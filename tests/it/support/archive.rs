//! What an archive has on its disk, and what its rows say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use runcast::adapters::objects_directory::DirectoryObjects;
use runcast::adapters::objects_s3::{S3Objects, S3Settings};
use runcast_actors::ports::ObjectStore;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::Value;

use super::api::Api;
use super::collect::{Collected, StreamId};
use super::deadline::wait_for;
use super::servers::SeaweedFs;
use super::service::Service;

/// Segments at each moment, nothing kept in the log, and what was replaced is deleted at once.
pub(crate) const ARCHIVES_AT_ONCE: &str = "[archive]\nsegment_bytes = 65536\n\
     flush_interval_ms = 100\ndelete_after_secs = 0\n[retention]\nhot_min_secs = 0";

/// How soon recordings are final after the end of their run, or a restart. Ten seconds are promised, which the
/// benchmark `recovery` measures; here several services in debug builds share two cores.
const FINAL_LIMIT: Duration = Duration::from_secs(30);
/// The reaper looks every five seconds.
const TIDY_LIMIT: Duration = Duration::from_secs(30);

/// A second connection to the database of a service.
pub(crate) async fn database(service: &Service) -> DatabaseConnection {
    let embedded = format!("sqlite://{}", service.data_dir().join("runcast.db").display());
    let url = service.variable("DATABASE_URL").unwrap_or(&embedded);
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("a second connection")
}

/// A row that names an object.
#[derive(Debug)]
pub(crate) struct SegmentRow {
    pub(crate) run: String,
    pub(crate) stream: StreamId,
    pub(crate) object: String,
    pub(crate) is_superseded: bool,
}

/// Every row that names an object.
pub(crate) async fn segment_rows(database: &DatabaseConnection) -> Vec<SegmentRow> {
    let sql = "SELECT run_id, node_ref, stream, object, superseded_at FROM archive_segments \
         ORDER BY run_id, first_seq";
    let statement = sea_orm::Statement::from_string(database.get_database_backend(), sql);
    let rows = database.query_all_raw(statement).await.expect("the rows of segments");
    let text = |row: &sea_orm::QueryResult, name: &str| -> String {
        row.try_get("", name).expect("a text")
    };
    let segment = |row: &sea_orm::QueryResult| SegmentRow {
        run: text(row, "run_id"),
        stream: (text(row, "node_ref"), text(row, "stream")),
        object: text(row, "object"),
        is_superseded: row
            .try_get::<Option<i64>>("", "superseded_at")
            .expect("a time or none")
            .is_some(),
    };
    rows.iter().map(segment).collect()
}

/// The directory of a service's archive, unless the configuration says otherwise.
pub(crate) fn directory(service: &Service) -> PathBuf {
    service.data_dir().join("archive")
}

/// The objects of a service's archive, wherever they are.
pub(crate) async fn objects_of(service: &Service) -> Box<dyn ObjectStore> {
    let Some(prefix) = service.variable("RUNCAST__ARCHIVE__S3__PREFIX") else {
        let opened = DirectoryObjects::open_existing(directory(service));
        return Box::new(opened.expect("the archive is there"));
    };
    let settings = SeaweedFs::shared().await.settings();
    Box::new(S3Objects::open(S3Settings { prefix: prefix.to_owned(), ..settings }).await)
}

/// The keys of all objects of recordings.
pub(crate) fn objects(archive: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![archive.join("recordings")];
    while let Some(folder) = folders.pop() {
        // It may be taken away by the service at this moment.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(archive).expect("below the archive");
                found.insert(key.display().to_string());
            }
        }
    }
    found
}

/// Files that are being written, or were when a process died.
pub(crate) fn unfinished(archive: &Path) -> usize {
    std::fs::read_dir(archive.join(".tmp")).map_or(0, Iterator::count)
}

/// The rows of the run's recordings, as the API tells them.
pub(crate) async fn recordings(api: &Api, run: &str) -> Vec<Value> {
    let answer = api.get(&format!("/runs/{run}/recordings")).await.expect(200).json();
    answer["recordings"].as_array().expect("recordings").clone()
}

/// The recording of one stream.
pub(crate) async fn recording(api: &Api, run: &str, node: &str, stream: &str) -> Value {
    let all = recordings(api, run).await;
    let found = all.iter().find(|row| row["nodeRef"] == node && row["stream"] == stream);
    found.unwrap_or_else(|| panic!("no recording of {node}/{stream}: {all:?}")).clone()
}

/// Waits until the run has ended and so many recordings, all that it has, have their final state.
pub(crate) async fn wait_final(api: &Api, run: &str, count: usize, within: Duration) -> Vec<Value> {
    wait_for("every recording is final", within, async || {
        let view = api.run(run).await;
        let is_final = super::api::is_terminal(&view["status"]) && view["recordings"]["live"] == 0;
        if !is_final {
            return None;
        }
        let all = recordings(api, run).await;
        // One begins when its first chunk is archived.
        let is_all = all.len() == count && all.iter().all(|row| row["state"] != "live");
        is_all.then_some(all)
    })
    .await
}

/// Panics unless every recording is final soon, and has the state, the counts and the hash of what the
/// viewer got.
pub(crate) async fn assert_finalised(api: &Api, run: &str, whole: &Collected) {
    let recordings = wait_final(api, run, whole.streams.len(), FINAL_LIMIT).await;
    for row in &recordings {
        let text = |member: &str| row[member].as_str().expect(member);
        let stream = whole.stream(text("nodeRef"), text("stream"));
        let exit = stream.exit.as_ref().expect("an exit");
        if exit["complete"] == true {
            assert_eq!(
                (&row["state"], &row["reason"]),
                (&"complete".into(), &Value::Null),
                "{row}"
            );
        } else {
            assert_eq!((text("state"), text("reason")), ("incomplete", "lost"), "{row}");
        }
        assert_eq!(row["chunkCount"], stream.next_index, "{row}");
        assert_eq!(row["firstChunkIndex"], 0, "{row}");
        assert_eq!(row["lastChunkIndex"], stream.next_index - 1, "{row}");
        assert_eq!(row["byteCount"], stream.bytes, "{row}");
        assert_eq!(row["sha256"], stream.sha256(), "{row}");
        assert_eq!(row["gapCount"], 0, "{row}");
    }
}

/// Panics unless soon there are exactly the objects that rows name and those derived from them, one of each
/// stream, and nothing is half written. Every run must have ended.
pub(crate) async fn assert_nothing_left_over(archive: &Path, database: &DatabaseConnection) {
    let mut told = String::new();
    let tidy = wait_for("the archive is tidy", 2 * TIDY_LIMIT, async || {
        let rows = segment_rows(database).await;
        let mut counting: BTreeMap<(String, StreamId), usize> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.is_superseded) {
            *counting.entry((row.run.clone(), row.stream.clone())).or_default() += 1;
        }
        let named: BTreeSet<String> = rows.iter().map(|row| row.object.clone()).collect();
        let stored = objects(archive);
        let derived = |key: &&String| {
            let is_derived = key.ends_with("/index.json") || key.ends_with("/keyframes.json.zst");
            let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
            is_derived && named.contains(&format!("{folder}/recording.cast.zst"))
        };
        let kept: BTreeSet<String> = stored.iter().filter(|key| !derived(key)).cloned().collect();
        let is_single = counting.values().all(|count| *count == 1);
        let superseded = rows.iter().filter(|row| row.is_superseded).count();
        let unfinished = unfinished(archive);
        let left: Vec<_> = kept.symmetric_difference(&named).collect();
        told = format!(
            "{left:?} differ, {superseded} superseded, {unfinished} unfinished, {counting:?}"
        );
        (left.is_empty() && is_single && superseded == 0 && unfinished == 0).then_some(())
    });
    let is_tidy = tokio::time::timeout(TIDY_LIMIT, tidy).await.is_ok();
    assert!(is_tidy, "{told}");
}
