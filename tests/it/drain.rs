//! TERM: nothing new begins, what runs may end, viewers have everything and are told to come back.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::collect::Collected;
use crate::support::deadline::wait_for;
use crate::support::programs::{after, pty, run_of, wait_for_file};
use crate::support::service::Service;
use crate::support::sse::Message;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_run_may_end_while_the_service_drains_and_nothing_new_begins() {
    let mut service = Service::start().await;
    let api = service.api();
    let gate = service.data_dir().join("gate");
    let script = format!("echo before; {}; echo after", wait_for_file(&gate));
    let nodes = [pty("first", &script), after(pty("second", "echo second"), &["first"])];
    let run = api.submit(&run_of(nodes)).await;
    let mut client = api.stream(&run).open().await;
    let mut seen = Collected::new();
    while seen.streams.values().next().is_none_or(|stream| stream.bytes == 0) {
        seen.push(client.next().await.expect("the stream goes on"));
    }
    service.signal(Signal::TERM);
    wait_for("it is not ready any more", LIMIT, async || {
        let reply = api.try_get("/readyz").await.expect("an answer");
        (reply.status == 503).then(|| assert_eq!(reply.json()["draining"], true))
    })
    .await;
    let refused = api.post("/runs", &run_of([pty("new", "true")])).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    assert_eq!(refused.json()["error"]["code"], "UNAVAILABLE");
    // Viewers may still come, and see the run end.
    let mut late = Collected::new();
    let mut late_client = api.stream(&run).open().await;
    std::fs::write(&gate, "").expect("the gate opens");
    seen.read(&mut client).await;
    late.read(&mut late_client).await;
    seen.assert_complete();
    late.assert_same(&seen);
    assert_eq!(seen.done.as_ref().expect("done")["status"], "COMPLETED");
    assert_eq!(seen.stream("second", "pty").output, b"second\r\n");
    let status = service.wait_exit(LIMIT).await;
    assert!(status.success(), "{status}");

    // The directory is free for the next start, which has nothing to bring to an end.
    service.restart().await;
    let view = api.run(&run).await;
    assert_eq!((&view["status"], &view["epoch"]), (&"COMPLETED".into(), &0.into()), "{view}");
    let mut again = Collected::new();
    again.read(&mut api.stream(&run).open().await).await;
    again.assert_same(&seen);
}

#[tokio::test]
async fn what_runs_too_long_is_ended_at_the_deadline() {
    let config = "[server]\ndrain_secs = 1\n[runners.local]\nkill_grace_secs = 1";
    let mut service = Service::builder().config(config).start().await;
    let api = service.api();
    // It ignores what asks it to end.
    let stubborn = "trap '' TERM HUP; echo started; while :; do sleep 0.1; done";
    let nodes = [pty("stubborn", stubborn), after(pty("never", "true"), &["stubborn"])];
    let run = api.submit(&run_of(nodes)).await;
    let idle = run_of([pty("waits", "sleep 60")]);
    let other = api.submit(&idle).await;
    api.wait_node_running(&other, "waits").await;
    let mut client = api.stream(&run).open().await;
    let mut seen = Collected::new();
    while seen.streams.values().next().is_none_or(|stream| stream.bytes == 0) {
        seen.push(client.next().await.expect("the stream goes on"));
    }
    let asked = Instant::now();
    service.signal(Signal::TERM);
    seen.read(&mut client).await;
    seen.assert_complete();
    let status = service.wait_exit(LIMIT).await;
    assert!(status.success(), "{status}");
    let took = asked.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(seen.stream("stubborn", "pty").output, b"started\r\n");

    service.restart().await;
    for run in [&run, &other] {
        let view = api.run(run).await;
        assert_eq!(view["status"], "CANCELLED", "{view}");
        assert_eq!(view["failure"]["kind"], "CANCELLED", "{view}");
        assert_eq!(view["failure"]["message"], "the service was stopped", "{view}");
        assert_eq!(view["epoch"], 0, "the stopped instance wrote the end itself: {view}");
    }
    assert_eq!(api.run(&run).await["progress"]["cancelled"], 2);
}

#[tokio::test]
async fn viewers_of_what_goes_on_are_told_to_come_back() {
    let mut service = Service::start().await;
    let api = service.api();
    let run = api.submit(&run_of([pty("a", "echo a")])).await;
    api.wait_ended(&run).await;
    // A cursor above the tail of an ended run waits for nothing; of a queued one it waits for ever.
    let gate = service.data_dir().join("gate");
    let waiting = api.submit(&run_of([pty("b", &wait_for_file(&gate))])).await;
    api.wait_node_running(&waiting, "b").await;
    let mut client = api.stream(&waiting).query("types", "trace").open().await;
    client.find("live").await;
    service.signal(Signal::TERM);
    // Its node is not ended before the deadline; a second signal stops the service at once.
    wait_for("it drains", LIMIT, async || {
        (api.try_get("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await;
    service.signal(Signal::TERM);
    let status = service.wait_exit(LIMIT).await;
    assert_eq!(status.code(), Some(1), "a stop that was not waited for is no success");
    while client.next().await.is_some() {}

    // The next start brings the run to its end, and the viewer goes on with its cursor.
    service.restart().await;
    let view = api.wait_ended(&waiting).await;
    assert_eq!(view["failure"]["kind"], "LOST", "{view}");
}

#[tokio::test]
async fn a_stream_that_is_open_when_all_runs_have_ended_is_closed_with_a_retry() {
    let service = Service::builder().config("[server]\ndrain_secs = 2").start().await;
    let api = service.api();
    // More runs than may be held: the second stays queued, so its stream has no end.
    let settings = "[runners.local]\nmax_parallel = 1";
    let mut one = Service::builder().config(settings).start().await;
    drop(service);
    drop(api);
    let api = one.api();
    let gate = one.data_dir().join("gate");
    let running = api.submit(&run_of([pty("a", &wait_for_file(&gate))])).await;
    api.wait_node_running(&running, "a").await;
    let queued = api.submit(&run_of([pty("b", "true")])).await;
    let mut client = api.stream(&queued).open().await;
    client.find("live").await;
    one.signal(Signal::TERM);
    std::fs::write(&gate, "").expect("the gate opens");
    let mut last = Vec::new();
    while let Some(message) = client.next().await {
        last.push(message);
    }
    assert!(matches!(last[last.len() - 2], Message::Retry(_)), "{last:?}");
    let Message::Event(error) = &last[last.len() - 1] else { panic!("{last:?}") };
    assert_eq!((error.name.as_str(), error.id), ("error", None));
    assert_eq!(error.json()["retryable"], true);
    assert!(one.wait_exit(LIMIT).await.success());
    // What was queued runs after the next start.
    one.restart().await;
    assert_eq!(api.wait_ended(&queued).await["status"], "COMPLETED");
    let mut seen = Collected::new();
    seen.read(&mut api.stream(&queued).open().await).await;
    seen.assert_complete();
}
