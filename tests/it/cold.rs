//! What is left of a run when its log holds nothing any more: all of it, the same, in bounded memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use runcast_actors::screen::VirtualTerminal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::faults::is_soak;
use crate::snapshot::{FULL_SCREEN, Shown, feed, payload_of, size_of};
use crate::support::api::{Api, node_of};
use crate::support::collect::{Collected, Logged};
use crate::support::deadline::wait_for;
use crate::support::programs::{after, cat_raw, perl, pipe, pty, run_of, wait_for_file};
use crate::support::service::{Keeping, Service};
use crate::support::sse::Message;

/// How long anything of these tests may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How much more memory a service may have for having replayed a run: what it keeps of runs and of the
/// archive, the pieces that it puts together at one time, and what the allocator holds back of them …
const MAX_GROWTH_BYTES: u64 = 96 * 1024 * 1024;
/// … which is more for a million tiny chunks, whose pieces are the largest in memory.
const MAX_GROWTH_BYTES_OF_SOAK: u64 = 256 * 1024 * 1024;

/// Writes CR, LF, text and bytes that are no text in a mixed order to one stream, each by itself with a
/// pause, and every third time to the other stream too.
const LINE_ENDS: &str = r#"
    use bytes; my @pieces = ("\r", "\n", "x", "\xff", "\xe2\x82", "\xac");
    my $state = 7;
    for my $round (1 .. 240) {
        $state = ($state * 1103515245 + 12345) % 2147483648;
        syswrite(STDOUT, $pieces[($state >> 8) % @pieces]);
        syswrite(STDERR, "$round\r\n\xc3") if $round % 3 == 0;
        select(undef, undef, undef, 0.004);
    }
"#;

/// Every kind of event there is, and every kind of byte in every kind of stream.
fn all_kinds(bytes: &Path, gate: &Path) -> Value {
    let tell = r#"printf '{"type":"progress","message":"half","data":{"percent":50}}\n' > "$RUNCAST_EVENTS""#;
    let mark = r#"printf '{"type":"marker","label":"größe\\r\\n\\u0000"}\n' > "$RUNCAST_EVENTS""#;
    let told =
        format!("echo before; {}; {tell}; echo 'between'; {mark}; echo after", wait_for_file(gate));
    let mut fails = pipe("fails", "echo out $RUNCAST_ATTEMPT; echo err >&2; exit 3");
    fails["retries"] = json!(1);
    let mut run = run_of([
        pty("raw", &cat_raw(bytes)),
        pipe("piped-raw", &format!("cat '{0}'; cat '{0}' >&2", bytes.display())),
        pipe("line-ends", &format!("exec perl -e '{LINE_ENDS}'")),
        perl("cooked-line-ends", LINE_ENDS),
        pty("told", &told),
        pty("killed", "echo last words; kill -KILL $$"),
        pty("silent", "true"),
        fails,
        after(pty("skipped", "true"), &["fails"]),
    ]);
    run["name"] = json!("every kind");
    run["labels"] = json!({ "of": "cold" });
    run
}

/// All byte values, and characters that are cut where pieces of a recording may be.
fn odd_bytes() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend("aé€😀\r\n漢字\n\r".as_bytes().repeat(3000));
    bytes.extend((0..=255).rev());
    bytes.extend_from_slice(b"no end \xf0\x9f\x98");
    bytes
}

fn watch(api: &Api, run: &str) -> JoinHandle<Collected> {
    let (api, run) = (api.clone(), run.to_owned());
    tokio::spawn(async move {
        let mut seen = Collected::new();
        seen.read(&mut api.stream(&run).open().await).await;
        seen.assert_complete();
        seen
    })
}

async fn watched(watching: JoinHandle<Collected>) -> Collected {
    let joined = tokio::time::timeout(LIMIT, watching).await;
    joined.expect("it ends in time").expect("it does not panic")
}

/// Starts the service anew, so that nothing is left in its memory, once its log is empty.
async fn forget_everything(service: &mut Service) {
    service.wait_log_empty().await;
    assert!(service.stop().await.success());
    service.restart().await;
    assert_eq!(service.log_runs().await, 0, "a start does not fill the log");
}

async fn by_event_pages(api: &Api, run: &str, limit: usize) -> Collected {
    let mut paged = Collected::new();
    while paged.done.is_none() {
        let after = paged.cursor.unwrap_or(0);
        paged.push_page(&api.events(run, &format!("after={after}&limit={limit}")).await);
    }
    paged
}

/// The chunks of one stream.
fn of_stream<'a>(events: &'a [Logged], node: &str, stream: &str) -> Vec<&'a str> {
    let (node, stream) = (format!("\"nodeRef\":\"{node}\""), format!("\"stream\":\"{stream}\""));
    let is_of = |event: &&Logged| {
        event.name == "terminal" && event.data.contains(&node) && event.data.contains(&stream)
    };
    events.iter().filter(is_of).map(|event| event.data.as_str()).collect()
}

/// Panics unless every way to read the run gives what was seen live.
async fn assert_replays(api: &Api, run: &str, live: &Collected, limit: usize) {
    // The first status is the run as it is now, with the counts of its recordings.
    api.wait_recorded(run).await;
    let mut replayed = Collected::new();
    replayed.read(&mut api.stream(run).open().await).await;
    replayed.assert_complete();
    replayed.assert_same(live);
    let first = &replayed.first[0];
    let last = replayed.events.last().expect("events").seq;
    assert_eq!((replayed.first.len(), &first["seq"]), (1, &json!(last)));
    assert_eq!(first["run"], api.run(run).await, "the first status is the run as it is");
    by_event_pages(api, run, limit).await.assert_same(live);
    for (node, stream) in live.streams.keys() {
        let mut paged = Vec::new();
        api.each_chunk(run, node, stream, limit, |data| paged.push(data.to_owned())).await;
        assert_eq!(paged, of_stream(&live.events, node, stream), "{node}/{stream}");
        let first = api.chunk_page(run, node, stream, "&limit=1").await;
        assert_eq!(first.source, "archive", "{node}/{stream}");
    }
    let traces: Vec<Value> = live
        .events
        .iter()
        .filter(|event| event.name == "trace")
        .map(|event| serde_json::from_str(&event.data).expect("JSON"))
        .collect();
    assert_eq!(api.traces(run).await, traces);
}

/// Lets the run of every kind happen, resized and marked from outside too, and gives what was seen live.
async fn let_it_happen(service: &Service, bytes: &[u8]) -> (String, Collected) {
    let api = service.api();
    let (gate, file) = (service.data_dir().join("gate"), service.data_dir().join("bytes"));
    std::fs::write(&file, bytes).expect("the file is written");
    let run = api.submit(&all_kinds(&file, &gate)).await;
    let live = watch(&api, &run);
    api.wait_node_running(&run, "told").await;
    for (cols, rows) in [(100, 40), (1, 1), (1000, 500)] {
        let size = json!({ "cols": cols, "rows": rows });
        api.post(&format!("/runs/{run}/nodes/told/resize"), &size).await.expect(202);
        let label = json!({ "label": format!("{cols} × {rows} \u{1b}[31m") });
        api.post(&format!("/runs/{run}/terminal/told/markers"), &label).await.expect(202);
    }
    std::fs::write(&gate, "").expect("the gate opens");
    (run, watched(live).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_an_event_of_the_archive_equals_the_live_one_member_for_member() {
    // Archived while it went on, in pieces, and in one piece after its end.
    for (flush_interval_ms, segment_bytes) in [("100", "65536"), ("600000", "4194304")] {
        let service = Service::builder().keeping(Keeping::Cold);
        let service = service.env("RUNCAST__ARCHIVE__FLUSH_INTERVAL_MS", flush_interval_ms);
        let service = service.env("RUNCAST__ARCHIVE__SEGMENT_BYTES", segment_bytes);
        let mut service = service.start().await;
        let bytes = odd_bytes();
        let (run, live) = let_it_happen(&service, &bytes).await;
        assert_eq!(live.stream("raw", "pty").output, bytes);
        assert_eq!(live.stream("piped-raw", "stdout").output, bytes);
        assert_eq!(live.stream("piped-raw", "stderr").output, bytes);
        let kinds = ["output", "resize", "marker", "exit"];
        for kind in kinds {
            let kind = format!("\"kind\":\"{kind}\"");
            assert!(live.events.iter().any(|event| event.data.contains(&kind)), "{kind}");
        }
        let api = service.api();
        service.wait_log_empty().await;
        assert_replays(&api, &run, &live, 37).await;
        forget_everything(&mut service).await;
        assert_replays(&api, &run, &live, 1000).await;
        let view = api.run(&run).await;
        assert_eq!(
            view["recordings"],
            json!({ "live": 0, "complete": live.streams.len(), "incomplete": 0 })
        );
        assert_eq!(node_of(&view, "killed")["signal"], 9, "{view}");
        assert_filters(&api, &run, &live).await;
    }
}

/// Filters leave out what they say and nothing else, from any cursor.
async fn assert_filters(api: &Api, run: &str, live: &Collected) {
    let middle = live.events[live.events.len() / 2].seq;
    for (name, value, keeps) in [
        (
            "nodes",
            "told",
            (|event| !is_chunk(event) || is_about(event, "told")) as fn(&Logged) -> bool,
        ),
        ("types", "terminal", is_chunk),
        ("types", "status", |event| event.name == "status"),
    ] {
        for cursor in [0, middle] {
            let mut seen = Collected::partial();
            let request = api.stream(run).query(name, value).query("after", cursor);
            seen.read(&mut request.open().await).await;
            let wanted = live.events.iter().filter(|event| event.seq > cursor && keeps(event));
            assert_eq!(
                seen.events.iter().collect::<Vec<_>>(),
                wanted.collect::<Vec<_>>(),
                "{name}={value} after {cursor}"
            );
            let final_seq = |done: &Option<Value>| done.as_ref().expect("done")["finalSeq"].clone();
            assert_eq!(final_seq(&seen.done), final_seq(&live.done));
        }
    }
}

fn is_chunk(event: &Logged) -> bool {
    event.name == "terminal"
}

fn is_about(event: &Logged, node: &str) -> bool {
    event.data.contains(&format!("\"nodeRef\":\"{node}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_from_live_on_a_run_that_ended_before_a_restart_shows_its_last_screens() {
    let mut service = Service::keeping(Keeping::Cold).await;
    let api = service.api();
    let run = run_of([
        perl("screen", FULL_SCREEN),
        pty("text", "seq -f 'row %g' 400; printf '\\033[31mno end \\342\\202'"),
        pipe("piped", "seq -f 'line %g' 3000; echo oops >&2"),
    ]);
    let run = api.submit(&run).await;
    let live = watch(&api, &run);
    wait_for("the screen is busy", LIMIT, async || {
        (api.run(&run).await["lastSeq"].as_u64()? >= 400).then_some(())
    })
    .await;
    api.cancel_if_running(&run).await;
    let live = watched(live).await;
    forget_everything(&mut service).await;

    let mut expected: BTreeMap<String, Option<VirtualTerminal>> = BTreeMap::new();
    for event in live.events.iter().filter(|event| is_chunk(event)) {
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        if data["stream"] == "pty" {
            let node = data["nodeRef"].as_str().expect("a node").to_owned();
            feed(expected.entry(node).or_default(), &data);
        }
    }
    let expected: BTreeMap<String, Shown> = expected
        .into_iter()
        .map(|(node, terminal)| (node, Shown::of(&terminal.expect("a size comes first"))))
        .collect();
    let final_seq = live.cursor.expect("a cursor");
    // The second time whatever the first one has left in memory is used.
    for _ in 0..2 {
        let mut client = api.stream(&run).query("from", "live").open().await;
        let (mut shown, mut piped, mut names) = (BTreeMap::new(), Vec::new(), Vec::new());
        while let Some(message) = client.next().await {
            match message {
                Message::BareId(id) => {
                    assert_eq!(id, final_seq);
                    names.push("id".to_owned());
                }
                Message::Event(event) => {
                    let data = event.json();
                    names.push(event.name.clone());
                    match event.name.as_str() {
                        "snapshot" => {
                            assert_eq!(data["seq"], final_seq, "as of the end");
                            let mut joined = VirtualTerminal::new(size_of(&data));
                            joined.feed(&payload_of(&data));
                            let node = data["nodeRef"].as_str().expect("a node").to_owned();
                            shown.insert(node, Shown::of(&joined));
                        }
                        "terminal" if data["stream"] == "stdout" => piped.extend(payload_of(&data)),
                        "done" => assert_eq!(Some(&data), live.done.as_ref()),
                        _ => {}
                    }
                }
                Message::Comment | Message::Retry(_) => {}
            }
        }
        let end = names.iter().rposition(|name| name == "id").expect("a cursor");
        assert_eq!(names[end..], ["id", "live", "done"], "nothing comes after the end");
        assert_eq!(shown, expected);
        let piped = String::from_utf8(piped).expect("text");
        assert!(
            piped.ends_with("line 2999\nline 3000\n") && piped.lines().count() >= 200,
            "{piped}"
        );
    }
    let request = api.stream(&run).last_event_id(Some(final_seq));
    assert_eq!(request.try_open().await.expect("an answer").status(), 204);
}

/// Many nodes of which every fourth says something.
fn many_nodes(count: usize) -> Value {
    run_of((0..count).map(|number| {
        let node_ref = format!("n{number}");
        match number % 4 {
            0 => pipe(&node_ref, &format!("echo node {number}; echo {number} >&2")),
            _ => json!({ "ref": node_ref, "command": ["true"] }),
        }
    }))
}

/// Nodes that leave `count` marks between them, and numbers that they print in tiny chunks beside them.
fn tiny_chunks(count: usize) -> Value {
    const NODES: usize = 4;
    let script = format!(
        r#"open my $events, '>', $ENV{{RUNCAST_EVENTS}} or die; $events->autoflush(1); $| = 1;
        for my $i (1 .. {}) {{
            print $events qq({{"type":"marker","label":"$i"}}\n);
            print "$i\n";
            select undef, undef, undef, 0.001 if $i % 4 == 0;
        }}"#,
        count / NODES
    );
    run_of((0..NODES).map(|number| perl(&format!("n{number}"), &script)))
}

/// The run from 0 by stream and by pages, each of which has the sums of what was seen live.
async fn assert_replays_in_bounded_memory(what: &str, run: &Value, at_least: usize) {
    // A small cache: what grows with the run must show. Pieces are of the usual size, or there would be
    // thousands.
    let service = Service::builder().keeping(Keeping::Cold);
    let service = service.env("RUNCAST__ARCHIVE__CACHE_BYTES", "16777216");
    let service = service.env("RUNCAST__ARCHIVE__SEGMENT_BYTES", "4194304");
    let mut service = service.env("RUNCAST__CAPTURE__FLUSH_MS", "1").start().await;
    let api = service.api();
    let run = api.submit(run).await;
    let mut live = Collected::sums_only();
    live.read(&mut api.stream(&run).open().await).await;
    live.assert_complete();
    let chunks = live.events.iter().filter(|event| is_chunk(event)).count();
    assert!(chunks >= at_least, "{chunks} chunks");
    forget_everything(&mut service).await;

    let before = service.rss_bytes();
    let mut most = before;
    let began = Instant::now();
    let mut client = api.stream(&run).open().await;
    let mut replayed = Collected::sums_only();
    while let Some(message) = client.next().await {
        replayed.push(message);
        if replayed.events.len().is_multiple_of(1000) {
            most = most.max(service.rss_bytes());
        }
    }
    let took = began.elapsed();
    replayed.assert_complete();
    replayed.assert_same(&live);
    let mut paged = Collected::sums_only();
    while paged.done.is_none() {
        let after = paged.cursor.unwrap_or(0);
        paged.push_page(&api.events(&run, &format!("after={after}&limit=1000")).await);
        most = most.max(service.rss_bytes());
    }
    paged.assert_same(&live);
    let kib = |bytes: u64| bytes / 1024;
    println!(
        "{what}: {} events, {chunks} chunks; replayed in {took:?}; resident {} KiB, at most {} KiB",
        live.events.len(),
        kib(before),
        kib(most),
    );
    let allowed = if is_soak() { MAX_GROWTH_BYTES_OF_SOAK } else { MAX_GROWTH_BYTES };
    assert!(most - before < allowed, "{} KiB more", kib(most - before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_replay_in_bounded_memory() {
    let count = if is_soak() { 1000 } else { 200 };
    let what = format!("{count} nodes");
    assert_replays_in_bounded_memory(&what, &many_nodes(count), count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tiny_chunks_replay_in_bounded_memory() {
    let count = if is_soak() { 1_000_000 } else { 30_000 };
    let what = format!("{count} tiny chunks");
    assert_replays_in_bounded_memory(&what, &tiny_chunks(count), count).await;
}
