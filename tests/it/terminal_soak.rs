//! Sessions that come and go by the hundred leave nothing behind: no memory, no descriptor, no process.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::deadline::wait_for;
use crate::support::processes::zombies_of;
use crate::support::service::Service;
use crate::support::socket::Socket;
use crate::terminals::{PROFILE, id_of, wanted};

/// Sessions at one time.
const AT_ONCE: usize = 25;
/// Sessions in all; more in the long form.
const SESSIONS: usize = 500;
const SESSIONS_OF_SOAK: usize = 10_000;
/// Those before the first measure, so that what is made once is there.
const WARM: usize = 100;
/// How long what was let go may take to go.
const SETTLE: Duration = Duration::from_secs(60);

/// How many sessions come and go, or for how long they do.
enum Extent {
    Sessions(usize),
    Time(Duration),
}

impl Extent {
    fn of_environment() -> Self {
        if let Ok(hours) = std::env::var("RUNCAST_SOAK_HOURS") {
            let hours: f64 = hours.parse().expect("RUNCAST_SOAK_HOURS is a number");
            return Self::Time(Duration::from_secs_f64(hours * 3600.0));
        }
        let is_soak = std::env::var_os("RUNCAST_SOAK").is_some();
        Self::Sessions(if is_soak { SESSIONS_OF_SOAK } else { SESSIONS })
    }
}

/// One session from its opening to its end: by its own program, by request, or with a client that just goes.
async fn come_and_go(api: Api, number: usize) {
    let session = api.open_terminal(&wanted(&format!("tab {number}"))).await;
    let id = id_of(&session).to_owned();
    let mut socket = Socket::open(&api, &id, "").await.expect("attached");
    socket.shows("ready$").await;
    socket.resize(100, 20).await;
    socket.type_in("seq -s ' ' 3000; echo do''ne\r").await;
    socket.shows("done").await;
    match number % 3 {
        0 => {
            socket.type_in("exit 0\r").await;
            socket.last("exit").await;
        }
        1 => drop(socket),
        _ => {}
    }
    if !number.is_multiple_of(3) {
        api.delete(&format!("/terminals/{id}")).await.expect(200);
    }
}

async fn batch(api: &Api, first: usize) {
    join_all((first..first + AT_ONCE).map(|number| come_and_go(api.clone(), number))).await;
}

/// Resident memory and open descriptors when nothing of the sessions is in memory any more.
async fn measured(service: &Service, api: &Api, most: Option<u64>) -> (u64, usize) {
    wait_for("no session is in memory", RUN_LIMIT, async || {
        let sessions = api.get("/admin/sessions?limit=1").await.expect(200).json();
        (sessions["total"] == 0).then_some(())
    })
    .await;
    let deadline = Instant::now() + SETTLE;
    loop {
        api.post("/admin/cleanup", &json!({})).await.expect(200);
        let rss = service.rss_bytes();
        if most.is_none_or(|most| rss <= most) || Instant::now() > deadline {
            let descriptors = std::fs::read_dir(format!("/proc/{}/fd", service.pid()));
            return (rss, descriptors.expect("its descriptors").count());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_and_go_leave_nothing_behind() {
    let config = "[sessions]\nmax_per_project = 100\nkeep_secs = 5";
    let service = Service::builder().config(PROFILE).config(config).embedded().start().await;
    let api = service.api();
    for first in (0..WARM).step_by(AT_ONCE) {
        batch(&api, first).await;
    }
    let (rss, descriptors) = measured(&service, &api, None).await;
    let began = Instant::now();
    let mut number = WARM;
    loop {
        batch(&api, number).await;
        number += AT_ONCE;
        let is_enough = match Extent::of_environment() {
            Extent::Sessions(count) => number >= WARM + count,
            Extent::Time(span) => began.elapsed() >= span,
        };
        if is_enough {
            break;
        }
        if number.is_multiple_of(1000) {
            println!("{number} sessions, {} KiB", service.rss_bytes() / 1024);
        }
    }
    let most = rss + rss / 20;
    let (rss_after, descriptors_after) = measured(&service, &api, Some(most)).await;
    println!("{number} sessions: {rss} → {rss_after} bytes, {descriptors} → {descriptors_after}");
    assert!(rss_after <= most, "{rss} → {rss_after} bytes of memory");
    let spared = (descriptors / 20).max(1);
    assert!(descriptors_after <= descriptors + spared, "{descriptors} → {descriptors_after}");
    assert_eq!(zombies_of(service.pid()), Vec::<u32>::new());
    let threads = std::fs::read_dir(format!("/proc/{}/task", service.pid())).expect("its threads");
    assert!(threads.count() < 100);
}
