//! P5, any moment at once: screens, lines and search at any place of a stream, live and when it has ended.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use runcast_actors::entry::TerminalSize;
use runcast_actors::ports::ObjectKey;
use runcast_actors::screen::{LineCollector, VirtualTerminal};
use serde_json::{Value, json};

use crate::support::api::{Api, RUN_LIMIT, node_of};
use crate::support::archive::objects_of;
use crate::support::deadline::wait_for;
use crate::support::programs::{after, cat_raw, log_lines, pipe, pty, run_of, wait_for_file};
use crate::support::service::{Keeping, Service, hot_and_cold};

hot_and_cold!(p5_any_moment_of_a_stream_is_there_live_ended_and_after_a_restart);

fn size_of(data: &Value) -> TerminalSize {
    let side = |name: &str| u16::try_from(data[name].as_u64().expect(name)).expect("a side");
    TerminalSize { cols: side("cols"), rows: side("rows") }
}

fn bytes_of(data: &Value) -> Vec<u8> {
    STANDARD.decode(data["payload"].as_str().expect("a payload")).expect("base64")
}

async fn chunks(api: &Api, run: &str, node: &str, stream: &str) -> Vec<Value> {
    let mut chunks = Vec::new();
    let each = |chunk: &str| chunks.push(serde_json::from_str(chunk).expect("JSON"));
    api.each_chunk(run, node, stream, 1000, each).await;
    chunks
}

async fn get(api: &Api, path: &str) -> Value {
    api.get(path).await.expect(200).json()
}

/// The screen after some chunks, against a terminal of ours that was fed from the first chunk on.
async fn check_screens(api: &Api, run: &str, chunks: &[Value]) {
    let mut terminal = VirtualTerminal::new(size_of(&chunks[0]));
    let step = chunks.len() / 12 + 1;
    let base = format!("/runs/{run}/terminal/show/screen");
    for (place, chunk) in chunks.iter().enumerate() {
        match chunk["kind"].as_str().expect("kind") {
            "resize" => terminal.resize(size_of(chunk)),
            "output" => terminal.feed(&bytes_of(chunk)),
            _ => {}
        }
        let is_last = place + 1 == chunks.len();
        if place % step != 0 && !is_last {
            continue;
        }
        let next_at = chunks.get(place + 1).map(|next| &next["atMs"]);
        let mut moments = vec![format!("chunkIndex={place}&")];
        if next_at != Some(&chunk["atMs"]) {
            moments.push(format!("atMs={}&", chunk["atMs"]));
        }
        if is_last {
            moments.extend([String::new(), "atMs=1e15&".to_owned()]);
        }
        for moment in moments {
            let screen = get(api, &format!("{base}?{moment}format=json")).await;
            for member in ["seq", "chunkIndex", "atMs"] {
                assert_eq!(screen[member], chunk[member], "{member} of {moment}");
            }
            assert_eq!(screen["text"], terminal.text(), "{moment}");
            assert_eq!(screen["ansi"], terminal.ansi_text());
            assert!(bytes_of(&screen) == terminal.repaint());
            assert_eq!(size_of(&screen), terminal.size());
            assert_eq!(screen["cursor"]["row"], terminal.cursor().row);
        }
        let text = api.get(&format!("{base}?chunkIndex={place}&format=text")).await.expect(200);
        assert_eq!(String::from_utf8_lossy(&text.body), terminal.text() + "\n");
        let ansi = api.get(&format!("{base}?chunkIndex={place}")).await.expect(200);
        assert_eq!(String::from_utf8_lossy(&ansi.body), terminal.ansi_text() + "\n");
    }
}

/// Each line with the chunk that ended it.
fn lines_of(chunks: &[Value]) -> Vec<(String, Value)> {
    let mut collector = LineCollector::terminal(size_of(&chunks[0]));
    let mut lines = Vec::new();
    for chunk in chunks {
        let each = |line: &str| lines.push((line.to_owned(), chunk["seq"].clone()));
        match chunk["kind"].as_str().expect("kind") {
            "resize" => collector.resize_each(size_of(chunk), each),
            "output" => collector.feed_each(&bytes_of(chunk), each),
            "exit" => {
                collector.rest_each(each);
            }
            _ => {}
        }
    }
    lines
}

fn assert_lines(page: &Value, expected: impl Iterator<Item = (usize, (String, Value))>) {
    let found: Vec<Value> = page["lines"].as_array().expect("lines").clone();
    let expected: Vec<_> = expected.collect();
    assert_eq!(found.len(), expected.len());
    for (line, (number, (text, seq))) in found.iter().zip(expected) {
        assert_eq!(
            (&line["line"], &line["text"], &line["seq"]),
            (&json!(number), &json!(text), &seq)
        );
        assert!(line["atMs"].as_f64().is_some() && line.get("stream").is_none());
    }
}

async fn check_lines(api: &Api, run: &str, lines: &[(String, Value)]) {
    let base = format!("/runs/{run}/terminal/show/lines");
    let all = || lines.iter().cloned().enumerate();
    let count = lines.len();
    for (from, limit) in [(0, 100), (1, 1000), (count / 2, 7), (count - 3, 1000), (count, 5)] {
        let page = get(api, &format!("{base}?from={from}&limit={limit}")).await;
        assert_lines(&page, all().skip(from).take(limit));
        assert_eq!(page["nextFrom"], (from + limit).min(count));
        assert_eq!(page["totalLines"], count);
    }
    let first = get(api, &base).await;
    assert_lines(&first, all().take(100));
    let tail = get(api, &format!("{base}?tail=13")).await;
    assert_lines(&tail, all().skip(count - 13));
    assert_eq!((&tail["nextFrom"], &tail["totalLines"]), (&json!(count), &json!(count)));

    let is_hit = |line: &(usize, (String, Value))| line.1.0.contains("id=00");
    let hits = get(api, &format!("{base}?q=id%3D00&limit=1000")).await;
    assert_lines(&hits, all().filter(is_hit));
    assert!(hits["lines"].as_array().expect("lines").len() > 10);
    assert_eq!((&hits["nextFrom"], &hits["totalLines"]), (&json!(count), &json!(count)));
    let none = get(api, &format!("{base}?q=ID%3D00")).await;
    assert_eq!(none["lines"], json!([]), "case matters");
    let pattern = "ERROR.*worker=1%5B0-3%5D%20.*id=0%5Ba-f%5D";
    let regex = |line: &(usize, (String, Value))| {
        let text = &line.1.0;
        let worker = ["10", "11", "12", "13"]
            .iter()
            .any(|number| text.contains(&format!("worker={number} ")));
        let id = text.split("id=0").nth(1).and_then(|rest| rest.chars().next());
        text.contains("ERROR") && worker && id.is_some_and(|digit| ('a'..='f').contains(&digit))
    };
    let found = get(api, &format!("{base}?q={pattern}&regex=true&from=20&limit=5")).await;
    assert_lines(&found, all().skip(20).filter(regex).take(5));
    let last = found["lines"][4]["line"].as_u64().expect("five hits");
    assert_eq!(found["nextFrom"], last + 1);
}

async fn check_index(api: &Api, run: &str, chunks: &[Value]) {
    let index = get(api, &format!("/runs/{run}/terminal/show/index")).await;
    let of_kind = |kind: &'static str| chunks.iter().filter(move |chunk| chunk["kind"] == kind);
    let bytes: usize = of_kind("output").map(|chunk| bytes_of(chunk).len()).sum();
    assert_eq!((&index["chunks"], &index["bytes"]), (&json!(chunks.len()), &json!(bytes)));
    let activity = index["activity"].as_array().expect("activity");
    assert_eq!(activity.len(), 500);
    assert_eq!(activity.iter().filter_map(Value::as_u64).sum::<u64>(), bytes as u64);
    let last = chunks.last().expect("chunks")["atMs"].as_f64().expect("atMs");
    assert!((index["durationMs"].as_f64().expect("durationMs") - last).abs() <= 1.0);
    for (kind, list, member) in [("marker", "markers", "label"), ("resize", "resizes", "cols")] {
        let found = index[list].as_array().expect(list);
        assert_eq!(found.len(), of_kind(kind).count(), "{list}");
        for (found, chunk) in found.iter().zip(of_kind(kind)) {
            for member in ["seq", "chunkIndex", "atMs", member] {
                assert_eq!(found[member], chunk[member]);
            }
        }
    }
    assert!(index["keyframes"].as_array().expect("keyframes").len() >= 2, "{}", index["keyframes"]);
    for keyframe in index["keyframes"].as_array().expect("keyframes") {
        let chunk = &chunks
            [usize::try_from(keyframe["chunkIndex"].as_u64().expect("index")).expect("small")];
        assert_eq!((&keyframe["seq"], &keyframe["atMs"]), (&chunk["seq"], &chunk["atMs"]));
    }
}

async fn check_all(api: &Api, run: &str) -> Vec<Value> {
    // Who does not run it counts in the background.
    wait_for("the lines are counted", RUN_LIMIT, async || {
        let page = get(api, &format!("/runs/{run}/terminal/show/lines?limit=1")).await;
        page["totalLines"].as_u64()
    })
    .await;
    let chunks = chunks(api, run, "show", "pty").await;
    check_screens(api, run, &chunks).await;
    check_lines(api, run, &lines_of(&chunks)).await;
    check_index(api, run, &chunks).await;
    chunks
}

async fn p5_any_moment_of_a_stream_is_there_live_ended_and_after_a_restart(keeping: Keeping) {
    let mut service = Service::keeping(keeping).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (text, gate) = (directory.path().join("text"), directory.path().join("gate"));
    std::fs::write(&text, log_lines(2_500_000, 11)).expect("a file");
    let cat = cat_raw(&text).replace("exec ", "");
    let script = format!(
        "cat '{0}' | head -c 30000; stty cols 100 rows 20 2>/dev/null; {cat}; stty sane; \
         printf 'half a line'; {1}; printf '\\nthe end'",
        text.display(),
        wait_for_file(&gate),
    );
    let api = service.api();
    let run = api.submit(&run_of([pty("show", &script)])).await;
    wait_for("everything is shown", RUN_LIMIT, async || {
        let tail = api.get(&format!("/runs/{run}/terminal/show/screen?format=text")).await;
        String::from_utf8_lossy(&tail.expect(200).body).contains("half a line").then_some(())
    })
    .await;
    let marked = json!({ "label": "here" });
    api.post(&format!("/runs/{run}/terminal/show/markers"), &marked).await.expect(202);
    let size = json!({ "cols": 90, "rows": 40 });
    api.post(&format!("/runs/{run}/nodes/show/resize"), &size).await.expect(202);
    wait_for("marker and size are there", RUN_LIMIT, async || {
        let index = get(&api, &format!("/runs/{run}/terminal/show/index")).await;
        let has = |list: &str, count| index[list].as_array().expect(list).len() == count;
        (has("markers", 1) && has("resizes", 2) && index["state"] == "live").then_some(())
    })
    .await;
    check_all(&api, &run).await;

    std::fs::write(&gate, "").expect("the gate opens");
    api.wait_ended(&run).await;
    check_all(&api, &run).await;
    let recording = wait_for("the recording is complete", RUN_LIMIT, async || {
        let rows = get(&api, &format!("/runs/{run}/recordings")).await;
        let row = rows["recordings"][0].clone();
        (row["state"] == "complete" && !row["fileUrl"].is_null()).then_some(row)
    })
    .await;
    let view = api.run(&run).await;
    let totals = &node_of(&view, "show")["final"][0];
    assert_eq!(recording["sha256"], totals["sha256"]);
    assert_eq!(
        (&recording["byteCount"], &recording["chunkCount"]),
        (&totals["bytes"], &totals["chunks"])
    );
    assert_eq!((&recording["nodeRef"], &recording["stream"]), (&json!("show"), &json!("pty")));

    let file =
        recording["fileUrl"].as_str().expect("a file").replace("recording.cast", "keyframes.json");
    let (stored, objects) = (ObjectKey::stored(&file).expect("a key"), objects_of(&service).await);
    wait_for("the keyframes are stored", RUN_LIMIT, async || objects.length(&stored).await.ok())
        .await;
    service.stop().await;
    service.restart().await;
    let before = check_all(&service.api(), &run).await;
    service.stop().await;
    let damaged = Bytes::from_static(b"no keyframes");
    objects.put(&stored, damaged).await.expect("it is damaged");
    service.restart().await;
    assert_eq!(check_damaged(&service.api(), &run).await, before);
}

/// While keyframes are computed again everything is answered, only the number of lines may be unknown.
async fn check_damaged(api: &Api, run: &str) -> Vec<Value> {
    let chunks = chunks(api, run, "show", "pty").await;
    check_screens(api, run, &chunks).await;
    wait_for("the keyframes are there again", RUN_LIMIT, async || {
        let index = get(api, &format!("/runs/{run}/terminal/show/index")).await;
        (index["keyframes"].as_array().expect("keyframes").len() >= 3).then_some(())
    })
    .await;
    check_all(api, run).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_pipes_are_interleaved_or_apart_and_have_no_screen() {
    let service = Service::start().await;
    let api = service.api();
    let script = "for i in 1 2 3; do echo out $i; sleep 0.05; echo err $i >&2; sleep 0.05; done; printf rest";
    let run = api.submit(&run_of([pipe("two", script)])).await;
    api.wait_ended(&run).await;
    let base = format!("/runs/{run}/terminal/two");
    let texts = |page: &Value| -> Vec<(String, Value)> {
        let lines = page["lines"].as_array().expect("lines").iter();
        lines
            .map(|line| (line["text"].as_str().expect("text").to_owned(), line["stream"].clone()))
            .collect()
    };
    let page = get(&api, &format!("{base}/lines")).await;
    let all = [
        ("out 1", "stdout"),
        ("err 1", "stderr"),
        ("out 2", "stdout"),
        ("err 2", "stderr"),
        ("out 3", "stdout"),
        ("err 3", "stderr"),
        ("rest", "stdout"),
    ];
    let expected: Vec<(String, Value)> =
        all.iter().map(|(text, stream)| ((*text).to_owned(), json!(stream))).collect();
    assert_eq!(texts(&page), expected);
    assert_eq!((&page["nextFrom"], &page["totalLines"]), (&json!(7), &json!(7)));
    let tail = get(&api, &format!("{base}/lines?tail=2&stream=all")).await;
    assert_eq!(texts(&tail), expected[5..]);
    let hits = get(&api, &format!("{base}/lines?q=r%202")).await;
    assert_eq!(texts(&hits), expected[3..4]);
    assert_eq!(hits["lines"][0]["line"], 3);
    let errors = get(&api, &format!("{base}/lines?stream=stderr&from=1")).await;
    let apart: Vec<String> = texts(&errors).into_iter().map(|line| line.0).collect();
    assert_eq!(
        (apart, &errors["lines"][0]["stream"]),
        (vec!["err 2".into(), "err 3".into()], &Value::Null)
    );
    let refused = api.get(&format!("{base}/screen")).await.expect(400).json();
    assert!(
        refused["error"]["message"].as_str().expect("a message").contains("lines"),
        "{refused}"
    );
    let refused = api.get(&format!("{base}/index")).await.expect(400).json();
    assert_eq!(refused["error"]["details"]["field"], "stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_is_named_and_what_has_not_begun_is_empty() {
    let service = Service::start().await;
    let api = service.api();
    let mut second = pty("later", "true");
    second["dependsOn"] = json!(["show"]);
    let silent = pipe("silent", "echo out; sleep 60");
    let skipped = after(pty("skipped", "true"), &["broken"]);
    let nodes = [pty("show", "sleep 60"), second, silent, pty("broken", "exit 1"), skipped];
    let run = api.submit(&run_of(nodes)).await;
    api.wait_run(&run, "the node is skipped", RUN_LIMIT, |view| {
        node_of(view, "skipped")["status"] == "SKIPPED"
    })
    .await;
    api.wait_node_running(&run, "show").await;
    api.wait_node_running(&run, "silent").await;
    // A stream that nobody has written to is as empty as one of a node that waits.
    let silent = api.get(&format!("/runs/{run}/terminal/silent/index?stream=stderr")).await;
    let silent = silent.expect(200).json();
    assert_eq!((silent["state"].as_str(), silent["chunks"].as_u64()), (Some("live"), Some(0)));
    let long = "x".repeat(1025);
    let cases = [
        ("screen?chunkIndex=-1", "chunkIndex"),
        ("screen?chunkIndex=x", "chunkIndex"),
        ("screen?atMs=-0.5", "atMs"),
        ("screen?atMs=NaN", "atMs"),
        ("screen?atMs=1&chunkIndex=1", "atMs"),
        ("screen?format=png", "format"),
        ("screen?stream=stdout", "stream"),
        ("screen?what=1", "what"),
        ("lines?from=-1", "from"),
        ("lines?tail=0", "tail"),
        ("lines?tail=1001", "tail"),
        ("lines?tail=1&from=1", "tail"),
        ("lines?tail=1&q=a", "tail"),
        ("lines?limit=1001", "limit"),
        ("lines?q=", "q"),
        (&format!("lines?q={long}"), "q"),
        ("lines?q=%28&regex=true", "q"),
        ("lines?q=%28a%7B1000%7D%29%7B1000%7D&regex=true", "q"),
        ("lines?regex=true", "regex"),
        ("lines?q=a&regex=yes", "regex"),
        ("lines?stream=stderr", "stream"),
        ("index?stream=all", "stream"),
        ("index?from=1", "from"),
    ];
    for (path, field) in cases {
        let path = format!("/runs/{run}/terminal/show/{path}");
        let refused = api.get(&path).await.expect(400).json();
        assert_eq!(refused["error"]["details"]["field"], field, "{path}: {refused}");
    }
    api.get(&format!("/runs/{run}/terminal/none/screen")).await.expect(404);
    api.get("/runs/none/recordings").await.expect(404);
    api.get(&format!("/runs/{run}/recordings?limit=1")).await.expect(400);

    let base = format!("/runs/{run}/terminal/later");
    let screen = get(&api, &format!("{base}/screen?format=json")).await;
    assert_eq!(
        (&screen["text"], &screen["chunkIndex"], &screen["cols"]),
        (&json!(""), &Value::Null, &json!(120))
    );
    for query in ["", "?tail=5", "?q=a"] {
        let lines = get(&api, &format!("{base}/lines{query}")).await;
        assert_eq!(lines, json!({ "lines": [], "nextFrom": 0, "totalLines": 0 }), "{query}");
    }
    let index = get(&api, &format!("{base}/index")).await;
    assert_eq!((&index["chunks"], &index["state"]), (&json!(0), &json!("live")));
    // A node that was skipped never wrote: it has nothing that could have been purged.
    let base = format!("/runs/{run}/terminal/skipped");
    assert_eq!(get(&api, &format!("{base}/screen?format=json")).await["text"], "");
    assert_eq!(get(&api, &format!("{base}/index")).await["chunks"], 0);
    api.cancel(&run).await;
    api.wait_ended(&run).await;
    wait_for("the cancelled stream is kept", Duration::from_secs(60), async || {
        let rows = get(&api, &format!("/runs/{run}/recordings")).await;
        (rows["recordings"][0]["state"] == "complete").then_some(())
    })
    .await;
}
