//! Real processes through the port.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use runcast_actors::entry::{ProcessEnd, TerminalSize};
use runcast_actors::ids::StreamName;
use runcast_actors::run_view::TerminalView;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::adapters::process_group::{self, Processes};
use crate::adapters::process_guard::GuardCommand;

const DEADLINE: Duration = Duration::from_secs(20);

struct Setup {
    runner: LocalRunner,
    work_dir: TempDir,
}

fn setup() -> Setup {
    let work_dir = tempfile::tempdir().unwrap();
    let spawner = ProcessSpawner::start().unwrap();
    let guard = GuardCommand { program: "cat".into(), arguments: Vec::new() };
    let guard = ProcessGuard::start(guard, spawner.clone()).unwrap();
    let settings = LocalRunnerSettings::new(work_dir.path().to_owned());
    Setup { runner: LocalRunner::new(settings, guard, spawner).unwrap(), work_dir }
}

fn command(mode: TerminalMode, argv: &[&str]) -> NodeCommand {
    NodeCommand {
        run: RunKey { tenant: "default".parse().unwrap(), run: "run-1".parse().unwrap() },
        node_ref: "node".parse().unwrap(),
        attempt: 2,
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: None,
        terminal: TerminalView { mode, cols: 90, rows: 25 },
        inputs: serde_json::Map::new(),
    }
}

fn shell(mode: TerminalMode, line: &str) -> NodeCommand {
    command(mode, &["/bin/sh", "-c", line])
}

async fn read_until(
    output: &mut Box<dyn Output>,
    mut stop: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    let reading = async {
        loop {
            output.readable().await.unwrap();
            if output.try_read(&mut buffer, 32 * 1024).unwrap() == Some(0) {
                return;
            }
            if stop(&buffer).is_break() {
                return;
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("the output goes on");
    buffer.to_vec()
}

async fn read_all(output: &mut Box<dyn Output>) -> Vec<u8> {
    read_until(output, |_| ControlFlow::Continue(())).await
}

async fn read_word(output: &mut Box<dyn Output>, word: &str) -> String {
    let found = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(word);
    let stop = |bytes: &[u8]| {
        if found(bytes) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let bytes = read_until(output, stop).await;
    assert!(found(&bytes), "`{word}` came: {:?}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn wait(started: &mut Started) -> ProcessEnd {
    timeout(DEADLINE, started.process.wait()).await.expect("the process ends")
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn pipes_carry_every_byte_and_keep_the_streams_apart() {
    let setup = setup();
    let octal = (0..=255).map(|byte| format!("\\{byte:03o}")).collect::<Vec<_>>().concat();
    let line = format!("printf '{octal}'; printf err >&2; exit 7");
    let mut started = setup.runner.start(shell(TerminalMode::Pipe, &line)).await.unwrap();
    assert_eq!(read_all(&mut started.outputs[0].1).await, (0..=255).collect::<Vec<u8>>());
    assert_eq!(read_all(&mut started.outputs[1].1).await, b"err");
    let names: Vec<StreamName> = started.outputs.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [StreamName::Stdout, StreamName::Stderr]);
    assert_eq!(wait(&mut started).await, ProcessEnd::Code(7));
    assert_eq!(wait(&mut started).await, ProcessEnd::Code(7));
}

#[tokio::test]
async fn a_terminal_ends_with_its_last_user_and_has_its_size() {
    let setup = setup();
    let line = "stty size; tty >/dev/null && echo tty; echo $TERM; kill -USR1 $$";
    let mut started = setup.runner.start(shell(TerminalMode::Pty, line)).await.unwrap();
    // Together: the terminal is kept open until the end of the process is seen.
    let (outputs, process) = (&mut started.outputs, &mut started.process);
    let (output, end) = tokio::join!(read_all(&mut outputs[0].1), process.wait());
    assert_eq!(String::from_utf8_lossy(&output), "25 90\r\ntty\r\nxterm-256color\r\n");
    assert_eq!(end, ProcessEnd::Signal(10));
}

#[tokio::test]
async fn a_terminal_that_is_closed_and_opened_again_is_read_to_its_end() {
    let setup = setup();
    let line = "exec < /dev/null > /dev/null 2>&1; sleep 0.2; echo back > /dev/tty; exit 4";
    let mut started = setup.runner.start(shell(TerminalMode::Pty, line)).await.unwrap();
    let (outputs, process) = (&mut started.outputs, &mut started.process);
    let (output, end) = tokio::join!(read_all(&mut outputs[0].1), process.wait());
    assert_eq!(String::from_utf8_lossy(&output), "back\r\n");
    assert_eq!(end, ProcessEnd::Code(4));
}

#[tokio::test]
async fn a_resize_reaches_the_program() {
    let setup = setup();
    let line = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut started = setup.runner.start(shell(TerminalMode::Pty, line)).await.unwrap();
    read_word(&mut started.outputs[0].1, "ready").await;
    started.process.resize(TerminalSize { cols: 70, rows: 20 }).unwrap();
    read_word(&mut started.outputs[0].1, "20 70").await;
    let mut piped = setup.runner.start(shell(TerminalMode::Pipe, ":")).await.unwrap();
    assert!(piped.process.resize(TerminalSize { cols: 70, rows: 20 }).is_err());
}

#[tokio::test]
async fn what_ignores_terminate_is_killed() {
    let setup = setup();
    let line =
        "trap 'echo hup' HUP; trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done";
    let mut started = setup.runner.start(shell(TerminalMode::Pty, line)).await.unwrap();
    read_word(&mut started.outputs[0].1, "ready").await;
    started.process.terminate();
    read_word(&mut started.outputs[0].1, "term").await;
    started.process.kill();
    assert_eq!(wait(&mut started).await, ProcessEnd::Signal(9));
    read_all(&mut started.outputs[0].1).await;
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_terminal_is_heard_and_then_killed() {
    let setup = setup();
    let line = "(trap '' HUP; sleep 0.3; echo late; sleep 600) & sleep 0.1; exit 3";
    let mut started = setup.runner.start(shell(TerminalMode::Pty, line)).await.unwrap();
    assert_eq!(wait(&mut started).await, ProcessEnd::Code(3));
    read_word(&mut started.outputs[0].1, "late").await;
    let identity = started.identity.unwrap();
    assert!(Processes::read().has_members(&identity));
    drop(started);
    eventually("the grandchild is gone", || !Processes::read().has_members(&identity)).await;
}

#[tokio::test]
async fn a_background_job_with_a_group_of_its_own_is_killed() {
    let setup = setup();
    let line = "set -m; sleep 600 & echo ready; wait";
    let argv = ["bash", "-c", line];
    let mut started = setup.runner.start(command(TerminalMode::Pty, &argv)).await.unwrap();
    read_word(&mut started.outputs[0].1, "ready").await;
    let identity = started.identity.unwrap();
    started.process.kill();
    assert_eq!(wait(&mut started).await, ProcessEnd::Signal(9));
    eventually("the job is gone", || !Processes::read().has_members(&identity)).await;
}

#[tokio::test]
async fn no_zombie_and_no_descriptor_is_left() {
    let setup = setup();
    let mut pids = BTreeSet::new();
    let own_fds = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = own_fds();
    for round in 0..200 {
        let mode = if round % 2 == 0 { TerminalMode::Pty } else { TerminalMode::Pipe };
        let mut started = setup.runner.start(command(mode, &["true"])).await.unwrap();
        pids.insert(started.identity.unwrap().pid);
        // Also those that were never waited for.
        if round % 4 < 2 {
            assert_eq!(wait(&mut started).await, ProcessEnd::Code(0));
        }
    }
    let is_child = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("PPid:\t{}\n", std::process::id()))
    };
    eventually("every child is reaped", || !pids.iter().any(is_child)).await;
    // Other tests of this process open some at the same time.
    eventually("descriptors are closed", || own_fds() < before + 100).await;
}

#[tokio::test]
async fn a_failed_start_says_why() {
    let setup = setup();
    let dir = setup.work_dir.path();
    fs::write(dir.join("plain"), "text").unwrap();
    let plain = dir.join("plain").display().to_string();
    let missing = dir.join("missing").display().to_string();
    let mut cases = vec![
        (
            command(TerminalMode::Pipe, &["no-such-program"]),
            "cannot start `no-such-program`: no such program in PATH".to_owned(),
        ),
        (command(TerminalMode::Pty, &["./foo"]), "cannot start `./foo`: no such file".to_owned()),
        (
            command(TerminalMode::Pty, &[&plain]),
            format!("cannot start `{plain}`: it is not executable"),
        ),
    ];
    for (cwd, reason) in [
        (missing.as_str(), "No such file or directory (os error 2)"),
        (plain.as_str(), "it is no directory"),
        ("../up", "it leads out of the run's directory"),
    ] {
        let mut command = shell(TerminalMode::Pipe, ":");
        command.cwd = Some(cwd.to_owned());
        cases.push((command, format!("cannot work in `{cwd}`: {reason}")));
    }
    for (command, message) in cases {
        assert_eq!(setup.runner.start(command).await.err().unwrap().to_string(), message);
    }
}

#[tokio::test]
async fn events_arrive_while_the_program_runs() {
    let setup = setup();
    let line =
        r#"echo '{"a":1}' > "$RUNCAST_EVENTS"; echo '{"a":2}' > "$RUNCAST_EVENTS"; sleep 600"#;
    let mut started = setup.runner.start(shell(TerminalMode::Pipe, line)).await.unwrap();
    let mut events = started.events.take().unwrap();
    assert_eq!(read_word(&mut events, "2}\n").await, "{\"a\":1}\n{\"a\":2}\n");
    started.process.kill();
    assert_eq!(wait(&mut started).await, ProcessEnd::Signal(9));
}

#[tokio::test]
async fn a_node_gets_its_own_environment_directory_and_inputs() {
    let setup = setup();
    let line = "env | cut -d= -f1 | sort | tr '\\n' ' '; echo; pwd; cat $RUNCAST_INPUTS; echo; \
                echo $A $RUNCAST_RUN_ID $RUNCAST_NODE_REF $RUNCAST_ATTEMPT";
    let mut command = shell(TerminalMode::Pipe, line);
    command.cwd = Some("work/deep".to_owned());
    command.env.insert("A".to_owned(), "own".to_owned());
    command.inputs.insert("target".to_owned(), "x".into());
    let run = command.run.clone();
    let mut started = setup.runner.start(command).await.unwrap();
    let output = String::from_utf8(read_all(&mut started.outputs[0].1).await).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    let allowed = [
        "PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR", "PWD", "OLDPWD",
        "SHLVL", "_", "A",
    ];
    for name in lines[0].split_whitespace() {
        let is_ours = name.starts_with("RUNCAST_") && name.len() > 8;
        assert!(allowed.contains(&name) || name.starts_with("LC_") || is_ours, "{name} leaked");
    }
    let run_dir = setup.work_dir.path().join("default/run-1");
    assert_eq!(lines[1], run_dir.join("work/deep").display().to_string());
    assert_eq!(lines[2..], [r#"{"target":"x"}"#, "own run-1 node 2"]);
    drop(started);
    assert_eq!(setup.runner.directories().await, std::slice::from_ref(&run));
    setup.runner.remove_run_dir(&run).await.unwrap();
    assert!(!run_dir.exists());
    assert_eq!(setup.runner.directories().await, []);
    setup.runner.remove_run_dir(&run).await.unwrap();
}

#[tokio::test]
async fn dropping_a_start_kills_what_it_started() {
    let setup = setup();
    let mut command = shell(TerminalMode::Pipe, "echo $$ > pid; exec sleep 600");
    command.cwd = Some("work".to_owned());
    {
        let starting = setup.runner.start(command);
        tokio::pin!(starting);
        assert!(futures_util::poll!(&mut starting).is_pending());
    }
    // The queue is in order: once this one runs, the dropped one was started.
    setup.runner.start(shell(TerminalMode::Pipe, ":")).await.unwrap();
    let path = setup.work_dir.path().join("default/run-1/work/pid");
    let pid = || fs::read_to_string(&path).ok()?.trim().parse::<i32>().ok();
    // It may be dead before it has written its number.
    eventually("the process is gone", || {
        pid().is_none_or(|pid| process_group::identify(pid).is_err())
    })
    .await;
}
