//! P5, any moment at once: joining in the middle shows the same as having been there from the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use runcast_actors::entry::TerminalSize;
use runcast_actors::screen::{LineCollector, VirtualTerminal};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::support::api::Api;
use crate::support::collect::{Collected, Logged};
use crate::support::deadline::wait_for;
use crate::support::programs::{log_lines, perl, pipe, pty, run_of, wait_for_file};
use crate::support::service::{Keeping, Service, hot_and_cold};
use crate::support::sse::Message;

hot_and_cold!(
    p5_joining_in_the_middle_shows_what_everybody_sees,
    p5_what_is_above_and_what_was_piped_comes_with_the_snapshot,
    p5_joining_behind_much_output_is_quick,
);

/// How often somebody joins where the log is hot; where it is cold, half as often.
const JOINS: u64 = 200;
/// How many do so at one time.
const AT_ONCE: usize = 6;

/// Draws until it is ended what a late viewer gets wrong most easily: the alternate screen and back,
/// scroll regions, colours, wide characters, saved cursors, inserted and deleted lines, wrapped lines.
/// Sequences and characters are cut by writes and pauses.
pub(crate) const FULL_SCREEN: &str = r#"
    use bytes; $| = 1; srand(7);
    my ($rows, $cols) = (30, 120);
    my @words = ("plain", "漢字かな", "😀👍🏽", "é", "\e[1;3${\ int(rand 8)}mbold\e[0m", "\e[48;5;200mpaint\e[0m",
                 "\e[38;2;10;200;90mrgb\e[0m", "\e[7mreverse\e[27m", "\e[4munder\e[24m");
    sub out { my $text = shift;
        while (length $text) {
            my $part = substr($text, 0, 1 + int(rand 40), '');
            syswrite(STDOUT, $part);
            select(undef, undef, undef, 0.0015) if rand() < 0.4;
        } }
    for my $round (1 .. 1000) {
        if ($round % 4 == 1) { out("\e[?1049h\e[2J\e[?25l") }
        if ($round % 4 == 0) { out("\e[r\e[?25h\e[?1049l"); out("line $round.$_ $words[$_ % @words]\n") for 1 .. 12 }
        my $top = 1 + int(rand 10); my $bottom = $top + 5 + int(rand 14);
        out("\e[$top;${bottom}r") if $round % 4;
        for (1 .. 25) {
            my $pick = int(rand 9);
            out(sprintf "\e[%d;%dH%s", 1 + rand $rows, 1 + rand $cols, $words[rand @words]) if $pick < 4;
            out("\e7\e[1;1H$words[rand @words]\e8") if $pick == 4;
            out(sprintf "\e[%dL", 1 + rand 3) if $pick == 5;
            out(sprintf "\e[%dM", 1 + rand 3) if $pick == 6;
            out("\n" x 4) if $pick == 7;
            out("wrap " x 60) if $pick == 8;
        }
        out("\e[?2004h") if $round == 10; out("\e[?1000h") if $round == 20; out("\e[?2004l") if $round == 30;
    }
"#;

/// What a terminal shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    text: String,
    cursor: (usize, usize, bool),
    is_alternate: bool,
    repaint: String,
}

impl Shown {
    pub(crate) fn of(terminal: &VirtualTerminal) -> Self {
        let cursor = terminal.cursor();
        Self {
            text: terminal.text(),
            cursor: (cursor.col, cursor.row, cursor.is_visible),
            is_alternate: terminal.is_alternate(),
            repaint: String::from_utf8_lossy(&terminal.repaint()).into_owned(),
        }
    }
}

pub(crate) fn size_of(data: &Value) -> TerminalSize {
    let side = |name: &str| u16::try_from(data[name].as_u64().expect(name)).expect("a side");
    TerminalSize { cols: side("cols"), rows: side("rows") }
}

pub(crate) fn payload_of(data: &Value) -> Vec<u8> {
    STANDARD.decode(data["payload"].as_str().expect("a payload")).expect("base64")
}

/// Gives a chunk of the node to a terminal, which its first chunk makes.
pub(crate) fn feed(terminal: &mut Option<VirtualTerminal>, data: &Value) {
    match data["kind"].as_str().expect("kind") {
        "resize" => match terminal {
            Some(terminal) => terminal.resize(size_of(data)),
            None => *terminal = Some(VirtualTerminal::new(size_of(data))),
        },
        "output" => terminal.as_mut().expect("resize comes first").feed(&payload_of(data)),
        _ => {}
    }
}

/// What one who joined late saw.
struct Join {
    /// As of which entry its snapshot was, and what that showed.
    snapshot_seq: u64,
    at_snapshot: Shown,
    /// What it saw right after the next chunks: what a snapshot lacks is soon drawn over.
    soon: Vec<(u64, Shown)>,
    /// The last entry it had when it left, and what it saw then.
    last_seq: u64,
    at_last: Shown,
    lines_above: u64,
    latency: Duration,
}

/// Joins, follows for some chunks, and leaves. None if the node has not started.
async fn join(api: &Api, run: &str, scrollback: u64, follow: u64) -> Option<Join> {
    let asked = Instant::now();
    let request = api.stream(run).query("from", "live").query("nodes", "screen");
    let mut client = request.query("scrollback", scrollback).open().await;
    let mut terminal = None;
    let mut snapshot = None;
    let mut last_seq = 0;
    let mut followed = 0;
    let mut soon = Vec::new();
    while followed < follow {
        let Some(message) = client.next().await else { break };
        let event = match message {
            Message::BareId(seq) => {
                last_seq = seq;
                continue;
            }
            Message::Event(event) => event,
            Message::Comment | Message::Retry(_) => continue,
        };
        let data = event.json();
        match event.name.as_str() {
            "snapshot" => {
                assert_eq!(event.id, None, "the cursor comes after all snapshots");
                assert!(snapshot.is_none(), "one snapshot a terminal");
                let mut joined = VirtualTerminal::new(size_of(&data));
                joined.feed(&payload_of(&data));
                let shown = Shown::of(&joined);
                terminal = Some(joined);
                snapshot = Some((data, shown, asked.elapsed()));
            }
            "terminal" => {
                assert_eq!(data["nodeRef"], "screen");
                let seq = event.id.expect("an id");
                let (snapshot, ..) = snapshot.as_ref()?;
                assert!(seq > snapshot["seq"].as_u64().expect("seq"), "only what comes later");
                last_seq = seq;
                feed(&mut terminal, &data);
                if soon.len() < 4 {
                    soon.push((seq, Shown::of(terminal.as_ref().expect("the snapshot made it"))));
                }
                followed += 1;
            }
            "error" => panic!("{data}"),
            _ => {}
        }
    }
    let (data, at_snapshot, latency) = snapshot?;
    Some(Join {
        snapshot_seq: data["seq"].as_u64().expect("seq"),
        at_snapshot,
        soon,
        last_seq: last_seq.max(data["seq"].as_u64().expect("seq")),
        at_last: Shown::of(terminal.as_ref().expect("the snapshot made it")),
        lines_above: data["linesAbove"].as_u64().expect("linesAbove"),
        latency,
    })
}

/// The statuses of nodes as one sees them who joins now and stays to the end.
async fn statuses(api: &Api, run: &str) -> BTreeMap<String, String> {
    let mut client = api.stream(run).query("from", "live").open().await;
    let (mut known, mut seen) = (0, BTreeMap::new());
    while let Some(message) = client.next().await {
        let Message::Event(event) = message else { continue };
        let data = event.json();
        if event.name == "done" {
            break;
        }
        let seq = data["seq"].as_u64().unwrap_or_default();
        if event.name != "status" || (seq <= known && known > 0) {
            continue;
        }
        known = seq;
        let nodes = data["run"]["nodes"].as_array().into_iter().flatten();
        for node in nodes.chain(data.get("node")) {
            let text = |member: &str| node[member].as_str().expect(member).to_owned();
            seen.insert(text("ref"), text("status"));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_who_joins_while_nodes_end_misses_no_status() {
    const NODES: usize = 40;
    let service = Service::start().await;
    let api = service.api();
    let nodes = (0..NODES).map(|place| {
        let shell = format!("sleep 0.{:03}; seq 200", place * 23);
        pty(&format!("n{place}"), &shell)
    });
    let run = api.submit(&run_of(nodes)).await;
    api.wait_node_running(&run, "n39").await;
    let mut joins = Vec::new();
    while api.run(&run).await["status"] != "COMPLETED" {
        let (api, run) = (api.clone(), run.clone());
        joins.push(tokio::spawn(async move { statuses(&api, &run).await }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(joins.len() > 10, "{} joins", joins.len());
    for join in joins {
        let seen = join.await.expect("a viewer");
        let open: Vec<_> = seen.iter().filter(|(_, status)| *status != "COMPLETED").collect();
        assert!(seen.len() == NODES && open.is_empty(), "{open:?}");
    }
}

/// What one who was there from the start saw after each of these entries.
fn references(events: &[Logged], wanted: impl Iterator<Item = u64>) -> BTreeMap<u64, Shown> {
    let mut shown: BTreeMap<u64, Option<Shown>> = wanted.map(|seq| (seq, None)).collect();
    let mut terminal = None;
    let mut pending: Vec<u64> = shown.keys().rev().copied().collect();
    for event in events {
        while pending.last().is_some_and(|seq| *seq < event.seq) {
            let seq = pending.pop().expect("there is one");
            shown.insert(seq, terminal.as_ref().map(Shown::of));
        }
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        if event.name == "terminal" && data["nodeRef"] == "screen" {
            feed(&mut terminal, &data);
        }
    }
    for seq in pending {
        shown.insert(seq, terminal.as_ref().map(Shown::of));
    }
    shown.into_iter().filter_map(|(seq, shown)| Some((seq, shown?))).collect()
}

async fn p5_joining_in_the_middle_shows_what_everybody_sees(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    // Beside it another node is loud, so that the screen is not all there is.
    let loud = "for i in $(seq 400); do echo \"$i: something else\"; sleep 0.02; done";
    let run = api.submit(&run_of([perl("screen", FULL_SCREEN), pty("loud", loud)])).await;
    api.wait_node_running(&run, "screen").await;

    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut random = StdRng::seed_from_u64(5);
    let mut joins = Vec::new();
    let joins_wanted = if service.is_cold() { JOINS / 2 } else { JOINS };
    for _ in 0..joins_wanted {
        let place = places.clone().acquire_owned().await.expect("never closed");
        let scrollback = [0, 0, 10, 200][random.random_range(0..4)];
        let follow = random.random_range(0..150);
        let (api, run) = (api.clone(), run.clone());
        joins.push(tokio::spawn(async move {
            let joined = join(&api, &run, scrollback, follow.max(1)).await;
            drop(place);
            joined.map(|joined| (joined, scrollback))
        }));
    }
    let mut joined = Vec::new();
    for join in joins {
        joined.extend(join.await.expect("a join does not panic"));
    }
    api.cancel_if_running(&run).await;
    service.wait_log_empty().await;
    let mut reference = Collected::new();
    reference.read(&mut api.stream(&run).open().await).await;
    reference.assert_complete();
    let wanted = joined.iter().flat_map(|(join, _)| {
        let soon = join.soon.iter().map(|(seq, _)| *seq);
        soon.chain([join.snapshot_seq, join.last_seq])
    });
    let shown = references(&reference.events, wanted);
    let mut in_alternate = 0;
    for (join, scrollback) in &joined {
        let at = join.snapshot_seq;
        assert_eq!(
            Some(&join.at_snapshot),
            shown.get(&at),
            "the snapshot at {at}, {scrollback} lines above"
        );
        for (seq, soon) in &join.soon {
            assert_eq!(Some(soon), shown.get(seq), "from {at} to {seq}");
        }
        assert_eq!(
            Some(&join.at_last),
            shown.get(&join.last_seq),
            "from {at} to {}",
            join.last_seq
        );
        assert!(join.lines_above <= *scrollback);
        in_alternate += usize::from(join.at_snapshot.is_alternate);
    }
    let mut latencies: Vec<Duration> = joined.iter().map(|(join, _)| join.latency).collect();
    latencies.sort();
    let places: std::collections::BTreeSet<u64> =
        joined.iter().map(|(join, _)| join.snapshot_seq).collect();
    println!(
        "{} events, {} joins at {} places, {in_alternate} on the alternate screen; latency p50 {:?}, max {:?}",
        reference.events.len(),
        joined.len(),
        places.len(),
        latencies[latencies.len() / 2],
        latencies[latencies.len() - 1],
    );
    assert!(joined.len() as u64 >= joins_wanted * 9 / 10, "{} joins", joined.len());
    assert!(places.len() as u64 > joins_wanted / 4, "the joins are spread: {}", places.len());
    assert!(in_alternate > 20 && in_alternate < joined.len() - 10, "{in_alternate}");
    let some_above = joined.iter().any(|(join, _)| join.lines_above > 0);
    assert!(some_above, "the primary screen has scrolled");
}

async fn p5_what_is_above_and_what_was_piped_comes_with_the_snapshot(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let wait = wait_for_file(&gate);
    let run = run_of([
        pty("scrolled", &format!("seq -f 'row %g' 500; {wait}")),
        pty("ended", "printf 'a\\nb\\nover'"),
        pipe("piped", &format!("seq -f 'line %g' 1000; echo oops >&2; {wait}")),
    ]);
    let run = api.submit(&run).await;
    api.wait_run(&run, "it has written", Duration::from_secs(30), |view| {
        view["progress"]["completed"] == 1
    })
    .await;
    let is_written = async |node: &str, stream: &str, text: &str| {
        let mut output = Vec::new();
        api.each_chunk(&run, node, stream, 500, |data| {
            let data: Value = serde_json::from_str(data).expect("JSON");
            if data["kind"] == "output" {
                output.extend(payload_of(&data));
            }
        })
        .await;
        String::from_utf8_lossy(&output).contains(text).then_some(())
    };
    let limit = Duration::from_secs(30);
    wait_for("rows", limit, async || is_written("scrolled", "pty", "row 500").await).await;
    wait_for("lines", limit, async || is_written("piped", "stdout", "line 1000").await).await;
    wait_for("oops", limit, async || is_written("piped", "stderr", "oops").await).await;

    let snapshot = async |scrollback: u64| {
        let request = api.stream(&run).query("from", "live").query("scrollback", scrollback);
        let mut client = request.open().await;
        let (mut snapshots, mut chunks, mut cursor) = (BTreeMap::new(), Vec::new(), None);
        while cursor.is_none() {
            match client.next().await.expect("the stream goes on") {
                Message::Event(event) if event.name == "snapshot" => {
                    let data = event.json();
                    snapshots.insert(data["nodeRef"].as_str().expect("a node").to_owned(), data);
                }
                Message::Event(event) if event.name == "terminal" => {
                    assert_eq!(event.id, None, "chunks of a snapshot do not move the cursor");
                    chunks.push(event.json());
                }
                Message::BareId(seq) => cursor = Some(seq),
                _ => {}
            }
        }
        (snapshots, chunks, cursor.expect("a cursor"))
    };
    for scrollback in [0, 7, 200, 5000] {
        let (snapshots, chunks, cursor) = snapshot(scrollback).await;
        assert_eq!(snapshots.keys().collect::<Vec<_>>(), ["ended", "scrolled"]);
        for data in snapshots.values() {
            assert_eq!(data["seq"], cursor, "all as of one entry");
        }
        let scrolled = &snapshots["scrolled"];
        // A terminal of 30 rows shows the last 29 and the empty one with the cursor.
        let above = scrollback.min(500 - 29);
        assert_eq!(scrolled["linesAbove"], above);
        let size = TerminalSize { cols: 120, rows: 30 };
        let mut scrolled_off = Vec::new();
        LineCollector::terminal(size).feed(&payload_of(scrolled), &mut scrolled_off);
        let expected: Vec<String> =
            (500 - 29 - above + 1..=500 - 29).map(|row| format!("row {row}")).collect();
        let above = usize::try_from(above).expect("a number of lines");
        assert_eq!(scrolled_off[..above], expected, "{scrollback} lines above");
        let mut terminal = VirtualTerminal::new(size);
        terminal.feed(&payload_of(scrolled));
        let text = terminal.text();
        assert!(text.starts_with("row 472\n") && text.ends_with("row 500"), "{scrollback}: {text}");
        let mut ended = VirtualTerminal::new(TerminalSize { cols: 120, rows: 30 });
        ended.feed(&payload_of(&snapshots["ended"]));
        assert_eq!(ended.text(), "a\nb\nover");

        let of = |stream: &str| {
            let bytes: Vec<u8> = chunks
                .iter()
                .filter(|data| data["stream"] == stream)
                .flat_map(payload_of)
                .collect();
            String::from_utf8(bytes).expect("text")
        };
        let out = of("stdout");
        assert!(out.ends_with("line 999\nline 1000\n"), "{out}");
        assert!(out.lines().count() >= 200, "at least the last 200 lines: {}", out.lines().count());
        assert_eq!(of("stderr"), "oops\n");
    }
    std::fs::write(&gate, "").expect("the gate opens");
    let ended = api.wait_ended(&run).await;
    service.wait_log_empty().await;

    // One who comes after the end sees the last screens, and then done.
    let mut client = api.stream(&run).query("from", "live").open().await;
    let shown = client.find("snapshot").await.json();
    assert_eq!(shown["seq"], ended["lastSeq"]);
    client.find("done").await;
}

async fn p5_joining_behind_much_output_is_quick(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let file = service.data_dir().join("lines");
    // The archive is written by a build that is not optimised, so less goes through it.
    let output_bytes = if service.is_cold() { 10_000_000 } else { 50_000_000 };
    std::fs::write(&file, log_lines(output_bytes, 9)).expect("the file is written");
    let script = format!("cat '{}'; echo caught up; {}", file.display(), wait_for_file(&gate));
    let run = api.submit(&run_of([pty("screen", &script)])).await;
    let mut watching = Collected::sums_only();
    let mut client = api.stream(&run).open().await;
    while watching.streams.values().next().is_none_or(|stream| stream.bytes < output_bytes as u64) {
        watching.push(client.next().await.expect("the stream goes on"));
    }
    drop(client);
    // The first one may have to wait until the screen has caught up, the others may not.
    let first = join(&api, &run, 200, 0).await;
    assert!(first.is_none(), "nothing was read");
    let mut latencies = Vec::new();
    for _ in 0..5 {
        let asked = Instant::now();
        let request = api.stream(&run).query("from", "live");
        let snapshot = request.open().await.find("snapshot").await.json();
        latencies.push(asked.elapsed());
        assert_eq!(snapshot["linesAbove"], 200);
    }
    println!("from=live behind {output_bytes} bytes: {latencies:?}");
    let best = latencies.iter().min().expect("five");
    assert!(*best < Duration::from_secs(3), "{latencies:?}");
    std::fs::write(&gate, "").expect("the gate opens");
    api.wait_ended(&run).await;
}
