//! Interactive terminals: real shells, real programs, real sockets.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::api::{Api, RUN_LIMIT};
use crate::support::deadline::wait_for;
use crate::support::processes::{MARK, marked, wait_gone};
use crate::support::service::Service;
use crate::support::socket::Socket;

/// A shell without the habits of whoever runs the tests.
pub(crate) const PROFILE: &str = "[sessions.profiles.plain]\n\
    command = [\"bash\", \"--norc\", \"--noprofile\"]\nenv = [\"PS1\", \"TEST_MARK\", \"LANG\"]";

pub(crate) fn wanted(tab: &str) -> Value {
    json!({ "projectId": "demo", "type": "plain", "tabName": tab, "env": { "PS1": "ready$ " } })
}

pub(crate) async fn service(config: &str) -> Service {
    Service::builder().config(PROFILE).config(config).start().await
}

pub(crate) fn id_of(session: &Value) -> &str {
    session["id"].as_str().expect("an id")
}

/// A new session and a client at its prompt.
pub(crate) async fn at_prompt(api: &Api, tab: &str) -> (Value, Socket) {
    let session = api.open_terminal(&wanted(tab)).await;
    let mut socket = Socket::open(api, id_of(&session), "").await.expect("attached");
    socket.shows("ready$").await;
    (session, socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_is_opened_used_resized_and_ended() {
    let service = service("").await;
    let api = service.api();
    let reply = api.post("/terminals", &wanted("one")).await.expect(201);
    let document = reply.json();
    let session = &document["session"];
    assert_eq!(document["success"], true);
    assert_eq!(session["state"], "active", "{session}");
    assert_eq!(session["persisted"], true);
    assert!(session["pid"].as_i64().is_some_and(|pid| pid > 1));
    let id = id_of(session);
    let url = document["connectionUrl"].as_str().expect("a URL");
    assert_eq!(url, format!("{}/api/v1/terminals/{id}/ws", api.base().replacen("http", "ws", 1)));

    let mut socket = Socket::open(&api, id, "").await.expect("attached");
    socket.shows("ready$").await;
    socket.type_in("echo $((6*7)); tty; stty size\r").await;
    socket.shows("42\n/dev/pts/").await;
    socket.shows("30 120").await;
    socket.resize(100, 20).await;
    socket.type_in("stty size\r").await;
    socket.shows("20 100").await;
    // The same request finds it.
    let again = api.post("/terminals", &wanted("one")).await.expect(200).json();
    assert_eq!(again["session"]["id"], id);
    assert_eq!(again["session"]["attached"], 1);
    assert_eq!(again["session"]["cols"], 100);
    api.post(&format!("/terminals/{id}/resize"), &json!({ "cols": 70, "rows": 10 }))
        .await
        .expect(200);
    socket.type_in("stty size; cd /tmp\r").await;
    socket.shows("10 70").await;
    wait_for("the directory is known", RUN_LIMIT, async || {
        let view = api.get(&format!("/terminals/{id}")).await.expect(200).json();
        (view["session"]["currentPath"] == "/tmp").then_some(())
    })
    .await;
    let list = api.get("/terminals").await.expect(200).json();
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(1), "{list}");
    assert!(list["memoryUsage"]["rss"].as_u64().is_some_and(|rss| rss > 1024 * 1024));
    let project = api.get("/projects/demo/terminals").await.expect(200).json();
    assert_eq!((&project["activeCount"], &project["projectId"]), (&json!(1), &json!("demo")));
    let other = api.get("/projects/other/terminals").await.expect(200).json();
    assert_eq!(other["activeCount"], 0);

    socket.type_in("echo over; exit 3\r").await;
    let exit = socket.last("exit").await;
    assert_eq!((&exit["exitCode"], &exit["session"]["reason"]), (&json!(3), &json!("exited")));
    assert_eq!(socket.closed, Some(1000));
    // It is gone from the list, and its screen is still there.
    let list = api.get("/terminals").await.expect(200).json();
    assert_eq!(list["sessions"], json!([]), "{list}");
    let ended = api.get("/terminals?state=terminated").await.expect(200).json();
    assert_eq!(ended["sessions"][0]["id"], id);
    let screen = api.get(&format!("/terminals/{id}/screen?format=text")).await.expect(200).body;
    assert!(String::from_utf8_lossy(&screen).contains("over"), "{screen:?}");
    let new = api.post("/terminals", &wanted("one")).await.expect(201).json();
    assert_ne!(new["session"]["id"], id);
    assert_eq!(new["session"]["currentPath"], "/tmp", "it goes on where it was");
    assert_eq!(new["session"]["restoredFrom"], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_passes_both_ways() {
    let service = service("").await;
    let api = service.api();
    let (_, mut socket) = at_prompt(&api, "one").await;
    // A raw terminal takes every byte; the sum of what came in is told.
    let pasted: Vec<u8> = (0..1_000_000_u32).map(|place| (place % 251) as u8).collect();
    let script = "stty raw -echo; echo go; head -c 1000000 | sha256sum; stty sane\r";
    socket.type_in(script).await;
    socket.until("the program reads", |socket| socket.output.ends_with(b"go\n")).await;
    for part in pasted.chunks(60_000) {
        socket.type_in(part).await;
    }
    let expected = runcast_actors::flow::sequencer::hex(&Sha256::digest(&pasted));
    socket.shows(&expected).await;
    // The other way: 10 MB, each byte once.
    socket.type_in("stty raw -echo; echo; echo begin; head -c 10000000 /dev/zero | tr '\\0' 'x'; echo end\r").await;
    let is_over = |socket: &Socket| {
        let tail = &socket.output[socket.output.len().saturating_sub(100)..];
        tail.windows(4).any(|part| part == b"end\n")
    };
    socket.until("everything has come", is_over).await;
    let count = socket
        .output
        .iter()
        .rev()
        .skip_while(|byte| **byte != b'x')
        .take_while(|byte| **byte == b'x')
        .count();
    assert_eq!(count, 10_000_000);
    let end = socket.offset;
    assert_eq!(end, socket.output.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_goes_on_where_they_were_and_two_see_the_same() {
    let service = service("").await;
    let api = service.api();
    let (session, mut first) = at_prompt(&api, "one").await;
    let id = id_of(&session);
    first.type_in("for i in $(seq 500); do echo line $i; done; echo fini''shed\r").await;
    first.shows("finished").await;
    let offset = first.offset;
    let seen = first.output.clone();
    drop(first);
    let mut back =
        Socket::open(&api, id, &format!("offset={}", offset - 1000)).await.expect("back");
    assert!(back.told.iter().all(|told| told["type"] != "truncated"));
    back.until("the rest", |socket| socket.offset >= offset).await;
    let missed = &seen[seen.len() - 1000..];
    assert_eq!(&back.output[..1000], missed);
    // A second one sees the same, also what is typed by the other.
    let mut second = Socket::open(&api, id, "").await.expect("attached");
    second.type_in("echo fr''om second\r").await;
    back.shows("from second").await;
    second.shows("from second").await;
    assert_eq!(back.terminal.text(), second.terminal.text());
    let view = api.get(&format!("/terminals/{id}")).await.expect(200).json();
    assert_eq!(view["session"]["attached"], 2);
    // What was long ago is gone; the screen comes instead.
    second.type_in("seq 100000; echo to''p\r").await;
    second.until("the end", |socket| socket.terminal.text().contains("top")).await;
    let mut late = Socket::open(&api, id, "offset=10").await.expect("late");
    let truncated = late.told("truncated").await;
    assert!(truncated["fromOffset"].as_u64().is_some_and(|from| from > 10));
    late.shows("top").await;
    assert_eq!(late.terminal.text(), second.terminal.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_of_a_program_is_answered_once() {
    let service = service("").await;
    let api = service.api();
    let (session, mut first) = at_prompt(&api, "one").await;
    let mut second = Socket::open(&api, id_of(&session), "").await.expect("attached");
    let mut watcher = Socket::open(&api, id_of(&session), "readonly=true").await.expect("attached");
    // Asks where the cursor is, and counts what is answered within a second.
    let ask = "stty raw -echo; printf '\\033[6n'; timeout --foreground 1 cat | od -c | head -5; stty sane; echo as''ked\r";
    first.type_in(ask).await;
    for socket in [&mut first, &mut second, &mut watcher] {
        socket
            .until("the question", |socket| socket.output.windows(4).any(|part| part == b"\x1b[6n"))
            .await;
    }
    for (socket, answer) in
        [(&mut watcher, "\x1b[1;3R"), (&mut second, "\x1b[2;2R"), (&mut first, "\x1b[7;1R")]
    {
        socket.type_in(answer).await;
    }
    first.shows("asked").await;
    let text = first.terminal.text();
    assert_eq!(text.matches('R').count(), 1, "{text}");
    assert!(text.contains('7'), "the one who typed last answers: {text}");
    // Who only reads is told that it does.
    watcher.type_in("rm -rf nothing\r").await;
    let refused = watcher.told("error").await;
    assert_eq!(refused["code"], "FORBIDDEN", "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_and_full_screen_programs_work() {
    let service = service("").await;
    let api = service.api();
    let (_, mut socket) = at_prompt(&api, "one").await;
    // A key counts for the program only when the shell has put it into the foreground.
    socket.type_in("sh -c 'echo fir''st; exec sleep 1000'\r").await;
    socket.shows("first").await;
    socket.type_in("\x03").await;
    socket.shows("^C").await;
    socket.type_in("sh -c 'echo sec''ond; exec sleep 1000'\r").await;
    socket.shows("second").await;
    socket.type_in("\x1a").await;
    socket.shows("Stopped").await;
    socket.type_in("kill %1; wait; clear; echo cle''ared\r").await;
    socket.shows("cleared").await;
    // Input passes while output floods.
    socket.type_in("yes\r").await;
    socket.until("the flood", |socket| socket.output.len() > 2_000_000).await;
    socket.type_in("\x03").await;
    socket.type_in("echo st''ill here\r").await;
    socket.shows("still here").await;
    socket.type_in("printf '\\033[?1049h\\033[2;3Hfull sc''reen'; read -n 1\r").await;
    socket.shows("full screen").await;
    assert!(socket.terminal.is_alternate());
    socket.resize(90, 20).await;
    socket.until("the size", |socket| socket.terminal.size().cols == 90).await;
    socket.type_in("qprintf '\\033[?1049l'; stty size\r").await;
    socket.shows("20 90").await;
    socket.type_in("printf '\\033[38;2;1;2;3mcol''our\\033[0m 日本 \\U1F600\\n'\r").await;
    socket.shows("colour 日本").await;
    assert!(socket.terminal.ansi_text().contains("38;2;1;2;3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_session_outlives_it() {
    let service = service("").await;
    let api = service.api();
    let mark = format!("session-{}", std::process::id());
    let mut wanted = wanted("one");
    wanted["env"][MARK] = json!(mark);
    let session = api.open_terminal(&wanted).await;
    let mut socket = Socket::open(&api, id_of(&session), "").await.expect("attached");
    socket.shows("ready$").await;
    socket.type_in("sleep 1000 & nohup sleep 1001 >/dev/null 2>&1 & (trap '' TERM HUP; sleep 1002) & echo sta''rted\r").await;
    socket.shows("started").await;
    assert!(marked(&mark).len() >= 4, "{:?}", marked(&mark));
    let ended = api.delete(&format!("/terminals/{}", id_of(&session))).await.expect(200).json();
    assert_eq!(ended["session"]["state"], "terminated", "{ended}");
    assert_eq!(ended["session"]["reason"], "closed");
    wait_gone(&mark, RUN_LIMIT).await;
    socket.last("exit").await;
    api.delete(&format!("/terminals/{}", id_of(&session))).await.expect(409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_attaches_detaches_and_comes_back() {
    let service = service("").await;
    let api = service.api();
    // A terminal in a terminal: the outer one is a real one for the command.
    let (_, mut outer) = at_prompt(&api, "outer").await;
    let command = format!(
        "{} term inner --type plain --server {}",
        env!("CARGO_BIN_EXE_runcast"),
        api.base()
    );
    outer.type_in(format!("{command}\r")).await;
    outer.shows("Ctrl-] detaches").await;
    outer.type_in("echo in''side; stty size\r").await;
    outer.shows("inside").await;
    outer.shows("30 120").await;
    outer.resize(90, 20).await;
    outer.until("the size", |socket| socket.terminal.size().cols == 90).await;
    outer.type_in("clear; stty size\r").await;
    outer.shows("20 90").await;
    outer.type_in("\x1d").await;
    outer.shows("detached; the terminal goes on\nready$").await;
    outer.type_in("echo out''side\r").await;
    outer.shows("outside").await;
    outer
        .type_in(format!(
            "clear; {} term --list --server {}\r",
            env!("CARGO_BIN_EXE_runcast"),
            api.base()
        ))
        .await;
    outer.shows("inner  plain  main  active").await;
    // It is as it was left, and its end is the end of the command.
    outer.type_in(format!("clear; {command}\r")).await;
    outer.shows("20 90").await;
    outer.type_in("exit 7\r").await;
    outer.shows("the terminal has ended: code 7").await;
    outer.type_in("echo was $?\r").await;
    outer.shows("was 1").await;
    let wrong = command.replace("plain", "zsh");
    outer.type_in(format!("clear; {wrong}\r")).await;
    outer.shows("no type of session").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_just_ended_is_not_found_again() {
    let service = service("").await;
    let api = service.api();
    for round in 0..5 {
        let session = api.open_terminal(&wanted("one")).await;
        assert_eq!(session["state"], "active", "{round}: {session}");
        let path = format!("/terminals/{}", id_of(&session));
        let ended = api.delete(&path).await.expect(200).json();
        assert_eq!(ended["session"]["state"], "terminated");
        let again = api.post("/terminals", &wanted("one")).await.expect(201).json();
        assert_eq!(again["session"]["restoredFrom"], session["id"], "{round}");
        api.delete(&format!("/terminals/{}", id_of(&again["session"]))).await.expect(200);
    }
}
