//! Interactive terminals from their opening to their end, on terminals that echo and a clock that waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session_world::{BREAK, World, attach, read, request};
use super::world::SEC;
use crate::entry::TerminalSize;
use crate::ids::TenantId;
use crate::roles::session::{AttachOptions, Told, TypeError};
use crate::roles::session_manager::{OpenError, Opened};
use crate::sessions::{EndReason, SessionState};
use crate::testing::store_memory::MemoryStore;
use crate::testing::terminal_host_echo::{BROKEN_PROGRAM, HOME, MISSING_PROGRAM};

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_session_lives_from_its_opening_to_the_end_of_its_program() {
    let world = World::new();
    let view = world.open("a").await;
    assert_eq!(view.state, SessionState::Active);
    assert_eq!((view.pid, view.current_path.as_str(), view.persisted), (Some(1), HOME, true));
    assert_eq!((view.cols, view.rows), (80, 24));
    // Only what the profile lists reaches the program.
    let opened = world.host.opened();
    assert_eq!(opened[0].env.keys().collect::<Vec<_>>(), ["LANG"]);

    let handle = world.handle(&view);
    let mut client = attach(&handle);
    assert_eq!(handle.view().attached, 1);
    client.typist().type_in(b"hello\rexit 3\r").await.expect("it lives");
    let (output, others) = read(&mut client, usize::MAX).await;
    assert_eq!(output, b"hello\rexit 3\r");
    let Some(Told::Ended(end)) = others.last() else { panic!("{others:?}") };
    assert_eq!(
        (end.state, end.exit_code, end.reason),
        (SessionState::Terminated, Some(3), Some(EndReason::Exited))
    );
    assert!(!end.active && end.pid.is_none() && end.ended_at.is_some());
    assert_eq!(client.typist().type_in(b"x").await, Err(TypeError::Ended));
    // Who comes late sees the same.
    let mut late = handle.attach(AttachOptions { offset: Some(6), readonly: true }).expect("room");
    assert_eq!(read(&mut late, usize::MAX).await.0, b"exit 3\r");
    assert_eq!(handle.screen().1.text(), "exit 3");
    // Its row tells it when it is long gone from memory.
    drop((client, late));
    tokio::time::sleep(60 * SEC).await;
    assert!(world.manager.find(&TenantId::default_tenant(), &view.id).is_none());
    let row = world.manager.rows().find(&TenantId::default_tenant(), &view.id).await;
    let row = row.expect("the store answers").expect("a row");
    assert_eq!((row.view.state, row.view.exit_code), (SessionState::Terminated, Some(3)));
    assert!(row.screen.is_some());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_same_request_means_the_same_session_also_at_the_same_time() {
    let world = World::new();
    let asked = (0..3).map(|_| world.manager.open(request("a")));
    let all = futures_util::future::join_all(asked).await;
    let mut new = 0;
    let mut ids = Vec::new();
    for opened in all {
        let view = match opened.expect("it opens") {
            Opened::New(view) => {
                new += 1;
                view
            }
            Opened::Existing(view) => view,
        };
        assert_eq!(view.state, SessionState::Active);
        ids.push(view.id);
    }
    ids.dedup();
    assert_eq!((new, ids.len(), world.host.opened().len()), (1, 1, 1));
    // Another user's is another one.
    let mut other = request("a");
    other.key.user = Some("ada".to_owned());
    assert!(matches!(world.manager.open(other).await, Ok(Opened::New(_))));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn limits_hold_for_those_that_live() {
    let world = World::new();
    let first = world.opened("a").await;
    for tab in ["b", "c"] {
        world.open(tab).await;
    }
    let refused = world.manager.open(request("d")).await;
    assert_eq!(refused, Err(OpenError::Limit { scope: "in this project", max: 3 }));
    first.end(EndReason::Closed);
    assert_eq!(first.gone().await.reason, Some(EndReason::Closed));
    world.open("d").await;
    let in_project = |name: &str, user: Option<&str>| {
        let mut request = request("x");
        request.key.project = name.parse().expect("a name");
        request.key.user = user.map(str::to_owned);
        request
    };
    world.manager.open(in_project("second", None)).await.expect("it opens");
    world.manager.open(in_project("third", None)).await.expect("it opens");
    let refused = world.manager.open(in_project("fourth", None)).await;
    assert_eq!(refused, Err(OpenError::Limit { scope: "on this instance", max: 5 }));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_cannot_be_opened_is_refused_and_leaves_nothing() {
    let world = World::new();
    let of = |profile: &str| {
        let mut request = request("a");
        request.key.profile = profile.to_owned();
        request
    };
    let unknown = world.manager.open(of("zsh")).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "`zsh` is no type of session; allowed: broken, echo, missing");
    let missing = world.manager.open(of(MISSING_PROGRAM)).await.expect_err("not installed");
    assert!(matches!(missing, OpenError::NotInstalled { .. }), "{missing}");
    let broken = world.manager.open(of(BROKEN_PROGRAM)).await.expect_err("broken");
    assert!(matches!(&broken, OpenError::Failed(why) if why.contains("it is broken")), "{broken}");
    for (path, is_allowed) in [
        ("/projects", true),
        ("/projects/a", true),
        ("/projects/../etc", false),
        ("/etc", false),
        ("/projectsx", false),
        (HOME, false),
        ("projects", false),
    ] {
        let mut request = request(path);
        request.project_path = Some(path.to_owned());
        let opened = world.manager.open(request).await;
        assert_eq!(opened.is_ok(), is_allowed, "{path}: {opened:?}");
        if let Ok(Opened::New(view)) = opened {
            assert_eq!(view.current_path, path);
        }
    }
    let live = world.manager.sessions().iter().filter(|handle| handle.state().is_live()).count();
    assert_eq!(live, 2);
    world.manager.set_full(true);
    assert_eq!(world.manager.open(request("b")).await, Err(OpenError::Memory));
    world.manager.set_full(false);
    world.open("b").await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_session_that_nobody_uses_becomes_inactive_and_ends() {
    let world = World::new();
    let handle = world.opened("a").await;
    tokio::time::sleep(59 * SEC).await;
    assert_eq!(handle.state(), SessionState::Active);
    tokio::time::sleep(2 * SEC).await;
    assert_eq!(handle.state(), SessionState::Inactive);
    // Somebody comes and stays, without a word.
    let client = attach(&handle);
    assert_eq!(handle.state(), SessionState::Active);
    tokio::time::sleep(3600 * SEC).await;
    assert_eq!(handle.state(), SessionState::Active);
    let left = Instant::now();
    drop(client);
    tokio::time::sleep(61 * SEC).await;
    assert_eq!(handle.state(), SessionState::Inactive);
    assert_eq!(handle.gone().await.reason, Some(EndReason::Idle));
    let after = left.elapsed();
    assert!((600 * SEC..=602 * SEC).contains(&after), "{after:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_program_that_ignores_the_request_to_end_is_killed() {
    let world = World::new();
    let handle = world.opened("a").await;
    let mut client = attach(&handle);
    client.typist().type_in(b"ignore\r").await.expect("it lives");
    read(&mut client, 7).await;
    let asked = Instant::now();
    handle.end(EndReason::Closed);
    let view = handle.gone().await;
    assert_eq!((view.signal, view.reason), (Some(9), Some(EndReason::Closed)));
    assert!((5 * SEC..6 * SEC).contains(&asked.elapsed()), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_one_who_typed_last_sets_the_size_and_answers() {
    let world = World::new();
    let handle = world.opened("a").await;
    let (first, second) = (attach(&handle), attach(&handle));
    let watcher = handle.attach(AttachOptions { offset: None, readonly: true }).expect("room");
    let size = |cols| TerminalSize { cols, rows: 20 };
    let now = || (handle.view().cols, handle.view().rows);
    watcher.typist().resize(size(10));
    assert_eq!(now(), (80, 24), "who only reads sets no size");
    first.typist().resize(size(100));
    second.typist().resize(size(50));
    assert_eq!(now(), (100, 20), "the one who came first");
    second.typist().type_in(b"x").await.expect("it lives");
    assert_eq!(now(), (50, 20));
    // The program asks; all terminals answer.
    first.typist().type_in(b"\x1b[6n").await.expect("it lives");
    assert_eq!(now(), (100, 20), "a question in the echo was typed");
    let mut all = attach(&handle);
    read(&mut all, 5).await;
    for (client, answer) in
        [(&second, b"\x1b[2;2R"), (&first, b"\x1b[3;3R"), (&second, b"\x1b[4;4R")]
    {
        client.typist().type_in(answer).await.expect("it lives");
    }
    watcher.typist().type_in(b"\x1b[5;5R").await.expect("an answer is no wish to type");
    assert_eq!(watcher.typist().type_in(b"q").await, Err(TypeError::ReadOnly));
    assert_eq!(read(&mut all, 6).await.0, b"\x1b[3;3R");
    drop(first);
    assert_eq!(now(), (50, 20), "the one who typed last of those who are left");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_terminal_waits_for_the_fastest_client_and_for_nobody_else() {
    const FLOOD: usize = 3_000_000;
    let world = World::new();
    let handle = world.opened("a").await;
    let mut stalled = attach(&handle);
    stalled.typist().type_in(format!("flood {FLOOD}\r").as_bytes()).await.expect("it lives");
    tokio::time::sleep(SEC).await;
    let waiting = handle.figures().bytes_out;
    assert!(
        waiting < 400 * 1024,
        "{waiting} were read of a terminal whose only client does not read"
    );
    // A second one reads: everything comes by, and the first one is told what it missed.
    let mut reader = attach(&handle);
    let whole = FLOOD + format!("flood {FLOOD}\r").len();
    let (output, others) = read(&mut reader, whole).await;
    assert_eq!(output.len(), whole);
    assert!(others.iter().all(|told| matches!(told, Told::Resized { .. })), "{others:?}");
    assert!(matches!(stalled.next(1000).await, Told::Truncated { .. }));
    let Told::Screen(screen) = stalled.next(1000).await else { panic!("a screen") };
    assert_eq!(screen.offset, whole as u64);
    assert_eq!(stalled.offset(), whole as u64);
    // Nobody is attached: it goes on.
    drop((stalled, reader));
    let client = attach(&handle);
    client.typist().type_in(b"flood 2000000\r").await.expect("it lives");
    drop(client);
    tokio::time::sleep(SEC).await;
    assert!(handle.figures().bytes_out >= whole as u64 + 2_000_000);
    assert!(handle.figures().buffer_bytes < 2 * 1024 * 1024 + 512 * 1024);
    // Who comes back to what has left gets the screen, and all that is kept.
    let mut late = handle.attach(AttachOptions { offset: Some(0), readonly: true }).expect("room");
    assert!(matches!(late.next(1000).await, Told::Truncated { .. }));
    assert!(matches!(late.next(1000).await, Told::Screen(_)));
    assert!(handle.attach(AttachOptions { offset: Some(1 << 40), readonly: true }).is_err());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn without_the_database_sessions_are_opened_and_written_later() {
    let world = World::new();
    world.store.set_unavailable(true);
    let view = world.open("a").await;
    assert!(!view.persisted);
    let handle = world.handle(&view);
    tokio::time::sleep(30 * SEC).await;
    assert!(!handle.view().persisted);
    world.store.set_unavailable(false);
    tokio::time::sleep(SEC).await;
    assert!(!handle.view().persisted, "the breaker is open");
    std::thread::park_timeout(2 * BREAK);
    tokio::time::sleep(SEC).await;
    assert!(handle.view().persisted);
    let row = world.manager.rows().find(&TenantId::default_tenant(), &view.id).await;
    assert!(row.expect("it answers").is_some_and(|row| row.view.active));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_later_life_goes_on_where_the_session_was() {
    let store = Arc::new(MemoryStore::new());
    let before = {
        let world = World::of("one", store.clone());
        let mut request = request("a");
        request.project_path = Some("/projects/deep".to_owned());
        let Ok(Opened::New(view)) = world.manager.open(request).await else { panic!("it opens") };
        let handle = world.handle(&view);
        let client = attach(&handle);
        client.typist().type_in(b"$ make\r").await.expect("it lives");
        tokio::time::sleep(10 * SEC).await;
        world.kept.abort();
        view
        // As if it had been killed: its row says that it lives.
    };
    // The wall clock, which tells one life from another, is not paused.
    std::thread::park_timeout(Duration::from_millis(5));
    let world = World::of("one", store);
    let view = world.open("a").await;
    assert_eq!(view.restored_from, Some(before.id.clone()));
    assert_eq!(view.current_path, "/projects/deep");
    let row = world.manager.rows().find(&TenantId::default_tenant(), &before.id).await;
    let row = row.expect("it answers").expect("it is kept");
    assert_eq!(
        (row.view.state, row.view.reason),
        (SessionState::Terminated, Some(EndReason::Restarted))
    );
    assert!(row.screen.is_some(), "the last screen is kept");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn another_instance_gives_way_to_the_session_that_lives() {
    use crate::ports::InstanceStore as _;
    use crate::testing::instances_conformance::instance;

    let store = Arc::new(MemoryStore::new());
    store.enter(&instance("one")).await.expect("it answers");
    let (one, two) = (World::of("one", store.clone()), World::of("two", store.clone()));
    let first = one.open("a").await;
    let Ok(Opened::Existing(found)) = two.manager.open(request("a")).await else { panic!("found") };
    assert_eq!((found.id, found.instance.as_str()), (first.id, "one"));
    assert!(two.host.opened().is_empty(), "nothing was started");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stop_ends_all_and_takes_no_more() {
    let world = World::new();
    let (first, second) = (world.opened("a").await, world.opened("b").await);
    let client = attach(&second);
    client.typist().type_in(b"ignore\r").await.expect("it lives");
    tokio::time::sleep(SEC).await;
    world.manager.stop().await;
    for handle in [first, second] {
        assert_eq!(handle.view().reason, Some(EndReason::Stopped));
        assert!(handle.view().persisted);
    }
    assert_eq!(world.manager.open(request("c")).await, Err(OpenError::Stopping));
}
