//! P1, one cursor: whoever comes back with the last `seq` gets exactly the rest.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::api::{Api, is_terminal, node_of};
use crate::support::collect::{Collected, Logged};
use crate::support::deadline::wait_for;
use crate::support::programs::{after, pipe, pty, run_of, ticking};
use crate::support::service::{Keeping, Service, hot_and_cold};
use crate::support::sse::Message;

hot_and_cold!(
    p1_a_viewer_that_is_cut_hundreds_of_times_has_what_one_that_never_left_has,
    p1_a_cursor_goes_on_over_a_stop_and_a_start,
    p1_p6_a_cursor_goes_on_over_a_kill_and_everything_seen_is_still_there,
    p1_pages_streams_filters_and_polling_share_the_cursor,
    nothing_after_the_cursor_of_an_ended_run_is_204,
);

/// How many nodes are busy at one time.
const NODES: usize = 8;
/// How long a run, a stop and a start may take together.
const LIMIT: Duration = Duration::from_secs(120);

/// Eight nodes that print at the same time, six under terminals and two into pipes, for `ticks` times
/// 2 ms each, and one node after them.
fn busy_run(ticks: u32) -> Value {
    let mut nodes: Vec<Value> = (0..NODES)
        .map(|number| {
            let name = format!("node-{number}");
            let script = ticking(&name, ticks, 20);
            if number % 4 == 3 { pipe(&name, &script) } else { pty(&name, &script) }
        })
        .collect();
    nodes.push(after(pty("last", "echo the end"), &["node-0", "node-3"]));
    run_of(nodes)
}

/// Watches until `done`, coming back whenever the connection ends; never cut by itself.
fn steady(api: &Api, run: &str) -> JoinHandle<Collected> {
    let (api, run) = (api.clone(), run.to_owned());
    tokio::spawn(async move {
        let mut seen = Collected::new();
        while seen.done.is_none() {
            let request = api.stream(&run).last_event_id(seen.cursor);
            // While the service is away nobody answers.
            let Ok(mut client) = request.try_open().await else {
                pause().await;
                continue;
            };
            if client.status() == 204 {
                break;
            }
            seen.read(&mut client).await;
        }
        seen
    })
}

/// Watches until the end, cut after a random number of bytes again and again, `cuts` of them counted.
fn cut_again_and_again(
    api: &Api,
    run: &str,
    seed: u64,
    mean_bytes: usize,
) -> JoinHandle<(Collected, usize)> {
    let (api, run) = (api.clone(), run.to_owned());
    tokio::spawn(async move {
        let mut random = StdRng::seed_from_u64(seed);
        let mut seen = Collected::new();
        let mut cuts = 0;
        loop {
            let request = api.stream(&run).last_event_id(seen.cursor);
            let Ok(mut client) = request.try_open().await else {
                pause().await;
                continue;
            };
            if client.status() == 204 || seen.done.is_some() {
                assert_eq!(client.status(), 204, "after done nothing is left");
                return (seen, cuts);
            }
            // Seldom so many that much passes at once, sometimes so few that not one event is whole.
            let most = random.random_range(1..=mean_bytes * 2);
            let (messages, ended) = client.read_bytes(most).await;
            messages.into_iter().for_each(|message| seen.push(message));
            cuts += usize::from(!ended);
        }
    })
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    let joined = tokio::time::timeout(LIMIT, task).await;
    joined.expect("it ends in time").expect("it does not panic")
}

/// A viewer that comes when everything is over.
async fn latecomer(api: &Api, run: &str) -> Collected {
    let mut seen = Collected::new();
    seen.read(&mut api.stream(run).open().await).await;
    seen
}

/// Whoever has seen a part of the ended run gets exactly the rest.
async fn assert_resumes(api: &Api, run: &str, reference: &Collected) {
    let count = reference.events.len();
    for place in [0, count / 3, count - count / 5, count - 2] {
        let cursor = reference.events[place].seq;
        let mut rest = Collected::partial();
        rest.read(&mut api.stream(run).last_event_id(Some(cursor)).open().await).await;
        assert_eq!(rest.events, reference.events[place + 1..], "after {cursor}");
        assert_eq!(rest.done, reference.done);
    }
}

async fn p1_a_viewer_that_is_cut_hundreds_of_times_has_what_one_that_never_left_has(
    keeping: Keeping,
) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = api.submit(&busy_run(2500)).await;
    let reference = steady(&api, &run);
    let cut: Vec<_> = (0..4).map(|seed| cut_again_and_again(&api, &run, seed, 12_000)).collect();
    let reference = joined(reference).await;
    reference.assert_complete();
    assert_eq!(reference.streams.len(), NODES + 2 + 1, "two nodes have two streams");
    let mut all_cuts = 0;
    for cut in cut {
        let (seen, cuts) = joined(cut).await;
        seen.assert_same_events(&reference);
        all_cuts += cuts;
    }
    println!("{} events, {all_cuts} cuts", reference.events.len());
    assert!(all_cuts >= 300, "{all_cuts} cuts");
    service.wait_log_empty().await;
    latecomer(&api, &run).await.assert_same(&reference);
    assert_resumes(&api, &run, &reference).await;

    // The same after the end, where nothing is live.
    let (seen, cuts) = joined(cut_again_and_again(&api, &run, 99, 12_000)).await;
    seen.assert_same_events(&reference);
    assert!(cuts >= 50, "{cuts} cuts after the end");
}

async fn p1_a_cursor_goes_on_over_a_stop_and_a_start(keeping: Keeping) {
    let mut service = Service::keeping(keeping).await;
    let api = service.api();
    let run = api.submit(&busy_run(1500)).await;
    let reference = steady(&api, &run);
    let cut: Vec<_> = (10..13).map(|seed| cut_again_and_again(&api, &run, seed, 8_000)).collect();
    api.wait_node_running(&run, "node-7").await;
    wait_for_events(&api, &run, 500).await;
    assert!(service.stop().await.success());
    service.restart().await;
    let reference = joined(reference).await;
    for cut in cut {
        joined(cut).await.0.assert_same_events(&reference);
    }
    service.wait_log_empty().await;
    let late = latecomer(&api, &run).await;
    late.assert_complete();
    late.assert_same_events(&reference);
    assert_resumes(&api, &run, &late).await;
    let view = api.run(&run).await;
    assert_eq!(view["status"], "COMPLETED", "the drain lets it finish: {view}");
    assert_eq!(view["epoch"], 0, "nothing was taken over: {view}");
}

async fn p1_p6_a_cursor_goes_on_over_a_kill_and_everything_seen_is_still_there(keeping: Keeping) {
    let mut service = Service::keeping(keeping).await;
    let api = service.api();
    let run = api.submit(&busy_run(20_000)).await;
    let reference = steady(&api, &run);
    let cut: Vec<_> = (20..23).map(|seed| cut_again_and_again(&api, &run, seed, 8_000)).collect();
    api.wait_node_running(&run, "node-7").await;
    wait_for_events(&api, &run, 1500).await;
    service.kill9();
    service.restart().await;
    let view = api.wait_ended(&run).await;
    assert_eq!(view["status"], "FAILED", "{view}");
    assert_eq!(view["failure"]["kind"], "LOST", "{view}");
    assert_eq!(node_of(&view, "last")["status"], "SKIPPED", "{view}");

    // All three have seen the time before the kill with their own eyes, and none sees a gap.
    let reference = joined(reference).await;
    reference.assert_complete();
    for cut in cut {
        joined(cut).await.0.assert_same_events(&reference);
    }
    service.wait_log_empty().await;
    latecomer(&api, &run).await.assert_same(&reference);
    assert_resumes(&api, &run, &reference).await;
    let taken_over =
        reference.events.iter().position(|event| event.data.contains("RUN_TAKEN_OVER"));
    let taken_over = taken_over.expect("RUN_TAKEN_OVER");
    let event: Value = serde_json::from_str(&reference.events[taken_over].data).expect("JSON");
    assert_eq!(event["seq"], (1_u64 << 32) + 1, "the first of its epoch");
    assert_eq!(event["data"]["continuesSeq"], reference.events[taken_over - 1].seq);
    for ((node, stream), bytes) in &reference.streams {
        let exit = bytes.exit.as_ref().expect("every stream has an exit");
        assert_eq!(exit["complete"], false, "{node}/{stream}: nobody saw its end");
    }
}

async fn wait_for_events(api: &Api, run: &str, count: u64) {
    wait_for("the run is busy", LIMIT, async || {
        (api.run(run).await["lastSeq"].as_u64()? >= count).then_some(())
    })
    .await;
}

async fn p1_pages_streams_filters_and_polling_share_the_cursor(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = api.submit(&busy_run(1200)).await;
    let reference = steady(&api, &run);
    wait_for_events(&api, &run, 200).await;

    let mut seen = Collected::partial();
    let mut expected: Vec<(u64, u64, Option<&[&str]>)> = Vec::new();
    let mut from = 0;
    let mut stretch = |through: u64, nodes| {
        expected.push((from, through, nodes));
        from = through;
    };
    // It begins by pages.
    for _ in 0..3 {
        seen.push_page(
            &api.events(&run, &format!("after={}&limit=50", seen.cursor.unwrap_or(0))).await,
        );
    }
    stretch(seen.cursor.expect("a cursor"), None);
    // It joins the stream with `after=`.
    let mut client = api.stream(&run).query("after", seen.cursor.expect("a cursor")).open().await;
    let (messages, _) = client.read_bytes(100_000).await;
    messages.into_iter().for_each(|message| seen.push(message));
    drop(client);
    stretch(seen.cursor.expect("a cursor"), None);
    // It looks at fewer nodes.
    let few: &[&str] = &["node-1", "node-3"];
    let request = api.stream(&run).last_event_id(seen.cursor).query("nodes", few.join(","));
    let (messages, _) = request.open().await.read_bytes(60_000).await;
    messages.into_iter().for_each(|message| seen.push(message));
    stretch(seen.cursor.expect("a cursor"), Some(few));
    // It falls back to polling, with another node, to the end.
    let other: &[&str] = &["node-2"];
    while seen.done.is_none() {
        let after = seen.cursor.expect("a cursor");
        let query = format!("after={after}&limit=1000&waitSecs=10&nodes=node-2");
        seen.push_page(&api.events(&run, &query).await);
    }
    stretch(u64::MAX, Some(other));

    let reference = joined(reference).await;
    reference.assert_complete();
    service.wait_log_empty().await;
    let passes = |event: &Logged| {
        let stretch =
            expected.iter().find(|(from, through, _)| (from + 1..=*through).contains(&event.seq));
        let (_, _, nodes) = stretch.expect("the stretches have no hole");
        let Some(nodes) = nodes else { return true };
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        event.name != "terminal" || nodes.iter().any(|node| data["nodeRef"] == *node)
    };
    let wanted: Vec<&Logged> = reference.events.iter().filter(|event| passes(event)).collect();
    assert!(wanted.len() > 200, "{}", wanted.len());
    assert_eq!(seen.events.iter().collect::<Vec<_>>(), wanted);

    // Pages of chunks have the data of the stream, member for member.
    for (node, stream) in reference.streams.keys() {
        let mut paged = Vec::new();
        api.each_chunk(&run, node, stream, 100, |data| paged.push(data.to_owned())).await;
        let of_stream = |event: &&Logged| {
            event.name == "terminal" && {
                let data: Value = serde_json::from_str(&event.data).expect("JSON");
                data["nodeRef"] == **node && data["stream"] == **stream
            }
        };
        let streamed: Vec<String> =
            reference.events.iter().filter(of_stream).map(|event| event.data.clone()).collect();
        assert_eq!(paged, streamed, "{node}/{stream}");
    }
}

async fn nothing_after_the_cursor_of_an_ended_run_is_204(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", "echo a"), after(pty("b", "echo b"), &["a"])])).await;
    let seen = latecomer(&api, &run).await;
    seen.assert_complete();
    service.wait_log_empty().await;
    let final_seq = seen.cursor.expect("a cursor");
    assert_eq!(api.run(&run).await["lastSeq"], final_seq);
    let status = async |request: crate::support::sse::SseRequest| {
        request.try_open().await.expect("an answer").status()
    };
    let at = |seq| api.stream(&run).last_event_id(Some(seq));
    assert_eq!(status(at(final_seq)).await, 204);
    assert_eq!(status(at(final_seq - 1)).await, 200);
    assert_eq!(status(at(final_seq).query("nodes", "a")).await, 204);
    assert_eq!(status(at(final_seq).query("types", "terminal")).await, 204);
    assert_eq!(status(api.stream(&run).query("after", final_seq)).await, 204);
    // Nothing of a console comes after the last chunk, though events of the run do.
    let last_chunk = seen.events.iter().rfind(|event| event.name == "terminal").expect("chunks");
    assert!(last_chunk.seq < final_seq);
    assert_eq!(status(at(last_chunk.seq).query("types", "terminal")).await, 204);
    assert_eq!(status(at(last_chunk.seq - 1).query("types", "terminal")).await, 200);
    let last_of_a = seen.events.iter().rfind(|event| event.data.contains("\"nodeRef\":\"a\""));
    let last_of_a = last_of_a.expect("events of a").seq;
    let of_a = |seq| api.node_stream(&run, "a").last_event_id(Some(seq));
    assert_eq!(status(of_a(final_seq)).await, 204);
    assert_eq!(status(of_a(last_of_a - 1)).await, 200);
    // Without a cursor there is always an answer.
    assert_eq!(status(api.stream(&run)).await, 200);
}

#[tokio::test]
async fn a_stream_opens_with_the_run_and_says_when_it_is_live() {
    let service = Service::start().await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let waiting = crate::support::programs::wait_for_file(&gate);
    let run = run_of([pty("first", "echo one"), after(pty("second", &waiting), &["first"])]);
    let run = api.submit(&run).await;
    api.wait_node_running(&run, "second").await;

    let mut client = api.stream(&run).open().await;
    assert_eq!(client.header("content-type"), Some("text/event-stream"));
    assert_eq!(client.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(client.header("x-accel-buffering"), Some("no"));
    assert_eq!(client.next().await, Some(Message::Retry(3000)));
    let first = client.next_event().await.expect("an event");
    assert_eq!((first.name.as_str(), first.id), ("status", None));
    let view = &first.json()["run"];
    assert_eq!(node_of(view, "first")["status"], "COMPLETED", "{view}");
    assert_eq!(node_of(view, "second")["status"], "RUNNING", "{view}");
    let true_up_to = view["lastSeq"].as_u64().expect("lastSeq");
    assert_eq!(first.json()["seq"], true_up_to);

    let mut seen = Collected::new();
    let live = loop {
        let event = client.next_event().await.expect("an event");
        if event.name == "live" {
            break event;
        }
        seen.push(Message::Event(event));
    };
    assert_eq!(live.id, None, "it is of this connection");
    let live_at = live.json()["seq"].as_u64().expect("seq");
    assert!(live_at >= true_up_to && seen.cursor >= Some(live_at), "{live_at} {:?}", seen.cursor);
    std::fs::write(&gate, "").expect("the gate opens");
    seen.read(&mut client).await;
    seen.assert_complete();
    assert!(seen.live.is_empty(), "it is told once");

    // The node's own stream ends with the node.
    let mut of_node = Collected::partial();
    of_node.read(&mut api.node_stream(&run, "first").open().await).await;
    let done = of_node.done.expect("done");
    assert_eq!(done["status"], "COMPLETED");
    assert_eq!(done["streams"].as_array().map(Vec::len), Some(1), "{done}");
    let foreign = of_node
        .events
        .iter()
        .find(|event| event.name == "terminal" && event.data.contains("\"nodeRef\":\"second\""));
    assert_eq!(foreign, None);
}

#[tokio::test]
async fn silence_is_broken_by_comments_and_with_filters_by_the_cursor() {
    let service = Service::builder().config("[sse]\nkeep_alive_secs = 1").start().await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let waiting = crate::support::programs::wait_for_file(&gate);
    // Node `loud` prints now and then, so a viewer of `quiet` has to be told how far the run is.
    let quiet_node = pty("quiet", &waiting);
    let loud = format!(
        "for i in $(seq 300); do test -e '{}' && break; echo $i; sleep 0.2; done",
        gate.display()
    );
    let run = api.submit(&run_of([quiet_node, pty("loud", &loud)])).await;
    api.wait_node_running(&run, "loud").await;
    api.wait_node_running(&run, "quiet").await;

    let mut client = api.stream(&run).query("nodes", "quiet").open().await;
    let mut seen = Collected::partial();
    let mut bare_ids = Vec::new();
    while bare_ids.len() < 2 {
        let message = client.next().await.expect("the stream goes on");
        if let Message::BareId(id) = message {
            bare_ids.push(id);
        }
        seen.push(message);
    }
    assert!(bare_ids[0] < bare_ids[1], "{bare_ids:?}");
    drop(client);
    // The bare cursor is as good as one that came with an event.
    let mut client =
        api.stream(&run).query("nodes", "quiet").last_event_id(seen.cursor).open().await;
    std::fs::write(&gate, "").expect("the gate opens");
    seen.read(&mut client).await;
    assert!(seen.done.is_some());
    let reference = latecomer(&api, &run).await;
    let of_loud =
        |event: &&Logged| event.name == "terminal" && event.data.contains("\"nodeRef\":\"loud\"");
    let wanted: Vec<&Logged> = reference.events.iter().filter(|event| !of_loud(event)).collect();
    assert_eq!(seen.events.iter().collect::<Vec<_>>(), wanted);

    // Where nothing happens at all, comments come.
    std::fs::remove_file(&gate).expect("the gate closes");
    let run = api.submit(&run_of([pty("quiet", &waiting)])).await;
    let mut client = api.stream(&run).open().await;
    client.find("live").await;
    let mut comments = 0;
    while comments < 2 {
        comments +=
            usize::from(client.next().await.expect("the stream goes on") == Message::Comment);
    }
    std::fs::write(&gate, "").expect("the gate opens");
    client.find("done").await;
}

#[tokio::test]
async fn a_stream_that_has_lasted_long_enough_ends_and_the_viewer_comes_back() {
    let service = Service::builder().config("[sse]\nmax_duration_secs = 1").start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", &ticking("a", 3000, 12))])).await;
    let mut seen = Collected::new();
    let mut connections = 0;
    while seen.done.is_none() {
        let mut client = api.stream(&run).last_event_id(seen.cursor).open().await;
        connections += 1;
        let mut last = None;
        while let Some(message) = client.next().await {
            last = Some(message.clone());
            seen.push(message);
        }
        let Some(last) = last else { panic!("nothing came") };
        if seen.done.is_none() {
            let Message::Retry(retry_ms) = last else { panic!("it ends with {last:?}") };
            assert!((1000..=10_000).contains(&retry_ms), "{retry_ms}");
        }
    }
    assert!(connections >= 3, "{connections} connections");
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    seen.assert_complete();
    latecomer(&api, &run).await.assert_same(&seen);
}

#[tokio::test]
async fn a_viewer_too_many_is_told_to_come_back() {
    let service = Service::builder().config("[sse]\nmax_viewers = 2").start().await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let run = run_of([pty("a", &crate::support::programs::wait_for_file(&gate))]);
    let run = api.submit(&run).await;
    api.wait_node_running(&run, "a").await;
    let mut first = api.stream(&run).open().await;
    let mut second = api.stream(&run).open().await;
    first.find("live").await;
    second.find("live").await;
    let mut third = api.stream(&run).open().await;
    let mut retries = 0;
    let mut error = None;
    while let Some(message) = third.next().await {
        match message {
            Message::Retry(_) => retries += 1,
            Message::Event(event) if event.name == "error" => error = Some(event.json()),
            _ => assert_eq!(error, None, "nothing follows the error"),
        }
    }
    let error = error.expect("an error");
    assert_eq!(error["retryable"], true, "{error}");
    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
    assert!(retries >= 1);
    // Room is made as soon as a viewer has gone.
    drop(first);
    wait_for("there is room again", LIMIT, async || {
        let mut client = api.stream(&run).open().await;
        loop {
            match client.next_event().await?.name.as_str() {
                "live" => return Some(()),
                "error" => return None,
                _ => {}
            }
        }
    })
    .await;
    std::fs::write(&gate, "").expect("the gate opens");
    second.find("done").await;
    assert!(is_terminal(&api.wait_ended(&run).await["status"]));
    service.signal(Signal::TERM);
}
