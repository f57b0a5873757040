//! Objects that are missing or damaged: told with exact bounds, while the rest is served.

use std::collections::BTreeSet;
use std::path::Path;

use runcast_actors::cast::compress;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::archive::{
    ARCHIVES_AT_ONCE, database, directory, recording, segment_rows, wait_final,
};
use crate::support::collect::{Chunk, Collected, Logged};
use crate::support::deadline::wait_for;
use crate::support::programs::{cat_raw, log_lines, pty, run_of, ticking, wait_for_file};
use crate::support::service::Service;

/// What is done to an object.
type Damage = fn(&Path);

/// Nodes that are damaged, each in its own way, and one that is not.
const DAMAGES: [(&str, Option<Damage>); 5] = [
    ("deleted", Some(delete)),
    ("truncated", Some(truncate)),
    ("flipped", Some(flip)),
    ("replaced", Some(replace_frame)),
    ("whole", None),
];

fn delete(object: &Path) {
    std::fs::remove_file(object).expect("it was there");
}

fn truncate(object: &Path) {
    let bytes = std::fs::read(object).expect("an object");
    std::fs::write(object, &bytes[..bytes.len() / 2]).expect("it is written");
}

fn flip(object: &Path) {
    let mut bytes = std::fs::read(object).expect("an object");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(object, bytes).expect("it is written");
}

/// Puts a valid frame of the same length, with other text of the same length, in the place of the only one.
fn replace_frame(object: &Path) {
    let bytes = std::fs::read(object).expect("an object");
    let other = frame_like(&bytes);
    std::fs::write(object, other).expect("it is written");
}

/// Another valid frame with as many bytes and as much text.
fn frame_like(frame: &[u8]) -> Vec<u8> {
    let text = zstd::decode_all(frame).expect("one frame");
    // Somewhere in the digits of a line there is one that can be another at no cost.
    let digits = text.iter().enumerate().rev().filter(|(_, byte)| byte.is_ascii_digit());
    for (place, _) in digits.take(2000) {
        let mut other = text.clone();
        other[place] = if other[place] == b'7' { b'3' } else { b'7' };
        let other = compress(&other);
        if other.len() == frame.len() {
            return other;
        }
    }
    panic!("no frame of {} bytes was found", frame.len());
}

/// The numbers of the chunks of a stream that a viewer got.
fn numbers(seen: &Collected, node: &str, chunks: impl Fn(u64) -> bool) -> BTreeSet<u64> {
    let terminal = seen.events.iter().filter(|event| event.name == "terminal");
    terminal
        .filter(|event| {
            let chunk = Chunk::of(&event.data);
            chunk.node_ref == node && chunks(chunk.chunk_index)
        })
        .map(|event| event.seq)
        .collect()
}

/// What gaps tell of, neighbours as one.
fn told_gaps(events: &[Logged], reason: &str) -> Vec<(u64, u64)> {
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    for event in events.iter().filter(|event| event.name == "gap") {
        let gap: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!(gap["reason"], reason, "{gap}");
        let bound = |member: &str| gap[member].as_u64().expect("a number");
        assert_eq!(bound("toSeq"), event.seq, "{gap}");
        extend(&mut gaps, bound("fromSeq"), bound("toSeq"));
    }
    gaps
}

fn extend(gaps: &mut Vec<(u64, u64)>, from: u64, to: u64) {
    match gaps.last_mut() {
        Some(last) if last.1 + 1 == from => last.1 = to,
        _ => gaps.push((from, to)),
    }
}

/// Panics unless exactly these numbers are told as lost and everything else is served as it was seen.
#[track_caller]
fn assert_lost(served: &Collected, seen: &Collected, lost: &BTreeSet<u64>) {
    assert!(!lost.is_empty(), "nothing was damaged");
    let mut expected = Vec::new();
    lost.iter().for_each(|seq| extend(&mut expected, *seq, *seq));
    assert_eq!(told_gaps(&served.events, "lost"), expected);
    let last = served.events.last().expect("events").seq;
    let kept = seen.events.iter().filter(|event| !lost.contains(&event.seq) && event.seq <= last);
    let mut events = served.events.iter().filter(|event| event.name != "gap");
    for kept in kept {
        assert_eq!(events.next(), Some(kept));
    }
}

/// Reads from the beginning up to what there is now.
async fn replay_to_live(api: &Api, run: &str) -> Collected {
    let mut client = api.stream(run).open().await;
    let mut served = Collected::partial();
    while served.live.is_empty() && served.done.is_none() {
        served.push(client.next().await.expect("it goes on"));
    }
    served
}

/// Reads the whole run.
pub(crate) async fn replay(api: &Api, run: &str) -> Collected {
    let mut served = Collected::partial();
    served.read(&mut api.stream(run).open().await).await;
    assert!(served.done.is_some(), "{:?}", served.errors);
    served
}

/// Panics unless what is damaged is incomplete and says why, and the rest is complete.
async fn assert_states(api: &Api, run: &str) {
    for (node, damage) in DAMAGES {
        let row = recording(api, run, node, "pty").await;
        if damage.is_some() {
            assert_eq!((&row["state"], &row["reason"]), (&"incomplete".into(), &"archive".into()));
        } else {
            assert_eq!((&row["state"], &row["reason"]), (&"complete".into(), &Value::Null));
        }
    }
    let counts = api.run(run).await["recordings"].clone();
    assert_eq!((&counts["live"], &counts["incomplete"]), (&0.into(), &4.into()), "{counts}");
}

/// Panics if something that reads a damaged recording is answered with a fault of the service.
async fn assert_no_fault(api: &Api, run: &str) {
    for (node, _) in DAMAGES {
        for path in [
            "?stream=pty&limit=5000",
            "/screen",
            "/screen?atMs=100&format=text",
            "/lines?tail=5",
            "/lines?q=line",
            "/index",
            "/cast",
            "/cast?version=2",
            "/cast?format=raw",
            "/cast?format=txt",
        ] {
            let path = format!("/runs/{run}/terminal/{node}{path}");
            let status = api.try_get(&format!("/api/v1{path}")).await.map(|reply| reply.status);
            // A download that cannot be finished is cut off.
            assert!(!matches!(status, Ok(500)), "{path}");
        }
    }
}

#[tokio::test]
async fn p2_segments_that_are_damaged_while_live_are_told_with_exact_bounds() {
    let folder = TempDir::new().expect("a directory");
    let (go, pass) = (folder.path().join("go"), folder.path().join("pass"));
    let file = folder.path().join("lines");
    std::fs::write(&file, log_lines(6_000_000, 3)).expect("a file");
    let service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    let api = service.api();
    // So much that what viewers share in memory is of this node alone.
    let filler = pty("filler", &format!("{}; {}", wait_for_file(&pass), cat_raw(&file)));
    let nodes = DAMAGES.map(|(node, _)| {
        let script = ticking(node, 1000, 5).replacen("exec ", "", 1);
        pty(
            node,
            &format!("{script}; until test -e '{}'; do sleep 0.05; done; echo over", go.display()),
        )
    });
    let run = api.submit(&run_of(nodes.into_iter().chain([filler]))).await;
    let mut viewer = api.stream(&run).open().await;
    let mut seen = Collected::new();
    let has_all = |seen: &Collected, node: &str| {
        let stream = seen.streams.get(&(node.to_owned(), "pty".to_owned()));
        stream.is_some_and(|stream| stream.output.windows(5).any(|text| text == b" 1000"))
    };
    while !DAMAGES.iter().all(|(node, _)| has_all(&seen, node)) {
        seen.push(viewer.next().await.expect("it goes on"));
    }

    // The second segment of each.
    let database = database(&service).await;
    let rows = wait_for("several segments of each", RUN_LIMIT, async || {
        let rows = segment_rows(&database).await;
        let count = |node: &str| rows.iter().filter(|row| row.stream.0 == node).count();
        DAMAGES.iter().all(|(node, _)| count(node) >= 3).then_some(rows)
    })
    .await;
    let mut lost = BTreeSet::new();
    for (node, damage) in DAMAGES {
        let Some(damage) = damage else { continue };
        let row = rows.iter().filter(|row| row.stream.0 == node).nth(1).expect("a segment");
        damage(&directory(&service).join(&row.object));
        let name = row.object.rsplit('/').next().expect("a name");
        let mut parts = name.split('-').skip(1).map(str::parse::<u64>);
        let (first, last) = (parts.next(), parts.next());
        let first = first.expect("a first chunk").expect("a number");
        let last = last.expect("a last chunk").expect("a number");
        lost.extend(numbers(&seen, node, |chunk| (first..=last).contains(&chunk)));
    }
    std::fs::write(&pass, "").expect("a file");
    let is_filled = |seen: &Collected| {
        let filler = seen.streams.get(&("filler".to_owned(), "pty".to_owned()));
        filler.is_some_and(|stream| stream.exit.is_some())
    };
    while !is_filled(&seen) {
        seen.push(viewer.next().await.expect("it goes on"));
    }
    let served = wait_for("the log is trimmed behind them", RUN_LIMIT, async || {
        let served = replay_to_live(&api, &run).await;
        let told: u64 = told_gaps(&served.events, "lost").iter().map(|gap| gap.1 - gap.0 + 1).sum();
        (told >= lost.len() as u64).then_some(served)
    })
    .await;
    assert_lost(&served, &seen, &lost);

    std::fs::write(&go, "").expect("a file");
    seen.read(&mut viewer).await;
    seen.assert_complete();
    wait_final(&api, &run, DAMAGES.len() + 1, RUN_LIMIT).await;
    assert_states(&api, &run).await;
    assert_lost(&replay(&api, &run).await, &seen, &lost);
    assert_no_fault(&api, &run).await;
}

/// A frame of a recording as its index tells of it.
struct Frame {
    bytes: std::ops::Range<usize>,
    first_chunk: u64,
    last_chunk: u64,
}

fn frames(folder: &Path) -> Vec<Frame> {
    let index = std::fs::read(folder.join("index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let number = |frame: &Value, member: &str| frame[member].as_u64().expect("a number");
    let frame = |frame: &Value| {
        let at = |bytes: u64| usize::try_from(bytes).expect("small");
        let offset = number(frame, "offset");
        Frame {
            bytes: at(offset)..at(offset + number(frame, "length")),
            first_chunk: number(frame, "firstChunk"),
            last_chunk: number(frame, "lastChunk"),
        }
    };
    index["frames"].as_array().expect("frames").iter().map(frame).collect()
}

#[tokio::test]
async fn p2_recordings_that_are_damaged_after_their_end_are_told_with_exact_bounds() {
    let folder = TempDir::new().expect("a directory");
    let file = folder.path().join("lines");
    std::fs::write(&file, log_lines(2_500_000, 11)).expect("a file");
    let mut service = Service::builder().config(ARCHIVES_AT_ONCE).start().await;
    let nodes = DAMAGES.map(|(node, _)| pty(node, &cat_raw(&file)));
    let run = service.api().submit(&run_of(nodes)).await;
    let mut seen = Collected::new();
    seen.read(&mut service.api().stream(&run).open().await).await;
    seen.assert_complete();
    wait_final(&service.api(), &run, DAMAGES.len(), RUN_LIMIT).await;
    // Nothing of it stays in memory.
    assert!(service.stop().await.success());

    let mut lost = BTreeSet::new();
    for (node, damage) in DAMAGES {
        let folder = directory(&service).join(format!("recordings/default/{run}/{node}/pty"));
        let object = folder.join("recording.cast.zst");
        let frames = frames(&folder);
        assert!(frames.len() >= 3, "{} frames", frames.len());
        let (second, end) = (&frames[1], &frames[frames.len() - 1]);
        let mut bytes = std::fs::read(&object).expect("a recording");
        let (first, last) = match node {
            "deleted" => {
                delete(&object);
                (0, end.last_chunk)
            }
            "truncated" => {
                bytes.truncate(second.bytes.start + 100);
                std::fs::write(&object, &bytes).expect("it is written");
                (second.first_chunk, end.last_chunk)
            }
            "flipped" => {
                bytes[second.bytes.start + second.bytes.len() / 2] ^= 1;
                std::fs::write(&object, &bytes).expect("it is written");
                (second.first_chunk, second.last_chunk)
            }
            "replaced" => {
                let other = frame_like(&bytes[second.bytes.clone()]);
                bytes[second.bytes.clone()].copy_from_slice(&other);
                std::fs::write(&object, &bytes).expect("it is written");
                (second.first_chunk, second.last_chunk)
            }
            _ => continue,
        };
        assert!(damage.is_some(), "{node}");
        lost.extend(numbers(&seen, node, |chunk| (first..=last).contains(&chunk)));
    }

    service.restart().await;
    let api = service.api();
    assert_lost(&replay(&api, &run).await, &seen, &lost);
    assert_states(&api, &run).await;
    assert_no_fault(&api, &run).await;
}
