//! The same events as text, lines and JSON lines, and for clients that poll.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::api::Api;
use crate::support::collect::Collected;
use crate::support::programs::{after, pipe, pty, run_of, wait_for_file};
use crate::support::service::{Keeping, Service, hot_and_cold};

hot_and_cold!(
    text_has_lines_as_a_terminal_shows_them,
    ndjson_has_the_events_of_the_stream,
    lines_come_as_events_that_a_resume_never_loses,
    a_poll_waits_for_an_event_and_wakes_with_it,
);

async fn body(api: &Api, run: &str, query: &[(&str, &str)]) -> (String, String) {
    let request = api.stream(run);
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    let mut client = request.open().await;
    let content_type = client.header("content-type").expect("a content type").to_owned();
    (content_type, String::from_utf8(client.rest().await).expect("text"))
}

/// A run that has ended, and with a cold service also has left the log.
async fn ended_run(service: &Service) -> String {
    let api = service.api();
    let colours = "printf '\\033[31mred\\033[0m\\n50%%\\r100%%\\nno end'";
    let nodes = [
        pty("colours", colours),
        after(pipe("piped", "echo one; echo two; echo three"), &["colours"]),
    ];
    let run = api.submit(&run_of(nodes)).await;
    api.wait_ended(&run).await;
    service.wait_log_empty().await;
    run
}

async fn text_has_lines_as_a_terminal_shows_them(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = ended_run(&service).await;
    let (content_type, text) = body(&api, &run, &[("format", "text")]).await;
    assert_eq!(content_type, "text/plain; charset=utf-8");
    let lines = "[colours] red\n[colours] 100%\n[colours] no end\n[piped] one\n[piped] two\n[piped] three\n";
    assert_eq!(text, lines);
    let (_, text) = body(&api, &run, &[("format", "text"), ("nodes", "piped")]).await;
    assert_eq!(text, "one\ntwo\nthree\n", "one node needs no name");
    let (_, text) = body(&api, &run, &[("format", "text"), ("tail", "2")]).await;
    assert_eq!(text, "[piped] two\n[piped] three\n");
    let (_, text) = body(&api, &run, &[("format", "text"), ("tail", "0")]).await;
    assert_eq!(text, "");
    let mut of_node = api.node_stream(&run, "colours").query("format", "text").open().await;
    assert_eq!(of_node.rest().await, b"red\n100%\nno end\n");
}

async fn ndjson_has_the_events_of_the_stream(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = ended_run(&service).await;
    api.wait_recorded(&run).await;
    let (content_type, text) = body(&api, &run, &[("format", "ndjson")]).await;
    assert_eq!(content_type, "application/x-ndjson");
    let mut client = api.stream(&run).open().await;
    let mut expected = Vec::new();
    while let Some(event) = client.next_event().await {
        expected.push(format!("{{\"event\":\"{}\",\"data\":{}}}", event.name, event.data));
    }
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);

    let (_, text) = body(&api, &run, &[("format", "ndjson"), ("tail", "3")]).await;
    let names: Vec<String> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["event"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(names.first().map(String::as_str), Some("status"), "the run comes first");
    assert_eq!(names[names.len() - 2..], ["live", "done"]);
    assert_eq!(names.len(), 1 + 3 + 2, "{names:?}");
}

async fn lines_come_as_events_that_a_resume_never_loses(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let run = ended_run(&service).await;
    let lines = async |after: Option<u64>| {
        let request = api.stream(&run).query("format", "lines").last_event_id(after);
        let mut client = request.open().await;
        let mut lines = Vec::new();
        while let Some(event) = client.next_event().await {
            if event.name == "output" {
                let data = event.json();
                assert!(event.id.is_none_or(|id| data["seq"] == id));
                let text = data["text"].as_str().expect("text").to_owned();
                let line = data["line"].as_u64().expect("line");
                lines.push((data["seq"].as_u64().expect("seq"), event.id, line, text));
            }
        }
        lines
    };
    let all = lines(None).await;
    let texts: Vec<&str> = all.iter().map(|(.., text)| text.as_str()).collect();
    assert_eq!(texts, ["red", "100%", "no end", "one", "two", "three"]);
    assert_eq!(all.iter().map(|(_, _, line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    for (place, (_, id, ..)) in all.iter().enumerate() {
        let Some(id) = id else { continue };
        assert_eq!(lines(Some(*id)).await, all[place + 1..], "after {id}");
    }
    let ends: Vec<bool> = all.iter().map(|(_, id, ..)| id.is_some()).collect();
    assert!(ends.iter().any(|has_id| *has_id) && *ends.last().expect("lines"));
}

async fn a_poll_waits_for_an_event_and_wakes_with_it(keeping: Keeping) {
    let service = Service::keeping(keeping).await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let run = run_of([pty("a", &format!("echo first; {}; echo second", wait_for_file(&gate)))]);
    let run = api.submit(&run).await;
    let mut seen = Collected::new();
    // Everything there is before the gate.
    while seen.streams.values().next().is_none_or(|stream| stream.bytes < 7) {
        let after = seen.cursor.unwrap_or(0);
        seen.push_page(&api.events(&run, &format!("after={after}&waitSecs=10")).await);
    }
    let after = seen.cursor.expect("a cursor");
    // Nothing comes, so the whole wait passes.
    let asked = Instant::now();
    let page = api.events(&run, &format!("after={after}&waitSecs=1")).await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(page.events.is_empty() && page.live && page.done.is_none(), "{page:?}");
    assert_eq!(page.next_after, after);
    // Something comes in the middle of the wait.
    let asked = Instant::now();
    let opened = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::write(&gate, "").expect("the gate opens");
    };
    let query = format!("after={after}&waitSecs=25");
    let (page, ()) = tokio::join!(api.events(&run, &query), opened);
    assert!(!page.events.is_empty());
    let took = asked.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&took), "{took:?}");
    seen.push_page(&page);
    while seen.done.is_none() {
        let after = seen.cursor.expect("a cursor");
        seen.push_page(&api.events(&run, &format!("after={after}&waitSecs=25")).await);
    }
    seen.assert_complete();
    assert_eq!(seen.stream("a", "pty").output, b"first\r\nsecond\r\n");
    service.wait_log_empty().await;
    // A poll of an ended run does not wait.
    let asked = Instant::now();
    let after = seen.cursor.expect("a cursor");
    let page = api.events(&run, &format!("after={after}&waitSecs=25")).await;
    assert!(page.done.is_some() && page.events.is_empty(), "{page:?}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    // Pages of any size are the same.
    for limit in [1, 7, 1000] {
        let mut paged = Collected::new();
        while paged.done.is_none() {
            let after = paged.cursor.unwrap_or(0);
            let page = api.events(&run, &format!("after={after}&limit={limit}")).await;
            assert!(page.events.len() <= limit);
            paged.push_page(&page);
        }
        paged.assert_same(&seen);
    }
}
