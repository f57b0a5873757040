//! Runners without an operating system: one plays a script, one echoes.
//!
//! A script is what a program does, step by step. It is as faithful as a process where it matters:
//! a write waits while the reader leaves 64 KiB unread, outputs end only when the script does, and
//! the steps after `Exit` are what a grandchild still does with the terminal.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, watch};

use crate::entry::{ProcessEnd, ProcessIdentity, RunnerKind, TerminalSize};
use crate::ids::{NodeRef, RunKey, StreamName};
use crate::ports::{NodeCommand, NodeProcess, Output, Runner, StartError, Started};
use crate::run_view::TerminalMode;

/// What an output holds unread, like a pipe of the kernel.
const BUFFER_BYTES: usize = 64 * 1024;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What a program does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Writes to one of its streams; waits while that is full.
    Write(StreamName, Bytes),
    /// Writes a line to `RUNCAST_EVENTS`.
    Event(String),
    /// Does nothing for a while.
    Wait(Duration),
    /// Does nothing until the test says so.
    WaitFor(Arc<Notify>),
    /// From here on only a kill ends it.
    IgnoreTerminate,
    /// Does nothing until it is ended.
    Hang,
    /// Ends. Steps after it are a grandchild's.
    Exit(ProcessEnd),
}

/// What a runner was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To start a node, for this attempt.
    Start(NodeRef, u32),
    /// To give its terminal another size.
    Resize(NodeRef, TerminalSize),
    /// To ask it to end.
    Terminate(NodeRef),
    /// To kill it.
    Kill(NodeRef),
    /// To forget it, which kills what is left.
    Drop(NodeRef),
}

type Scripts = HashMap<NodeRef, Vec<Result<Vec<Step>, StartError>>>;

/// Plays a script for each attempt of a node.
#[derive(Clone, Default)]
pub struct ScriptedRunner {
    scripts: Arc<Mutex<Scripts>>,
    told: Arc<watch::Sender<Vec<Told>>>,
    commands: Arc<Mutex<Vec<NodeCommand>>>,
}

impl ScriptedRunner {
    /// A runner whose nodes exit with 0 at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the next attempt of a node does; the last script given stays for later attempts.
    #[must_use]
    pub fn with_script(self, node_ref: &NodeRef, steps: Vec<Step>) -> Self {
        self.push(node_ref, Ok(steps))
    }

    /// The next attempt of a node cannot be started.
    #[must_use]
    pub fn with_start_error(self, node_ref: &NodeRef, message: &str) -> Self {
        self.push(node_ref, Err(StartError(message.to_owned())))
    }

    /// What it was told, in order.
    pub fn told(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    /// Waits until it was told this.
    pub async fn wait_told(&self, expected: &Told) {
        let mut told = self.told.subscribe();
        // The sender is ours, so it cannot be gone.
        let _ = told.wait_for(|told| told.contains(expected)).await;
    }

    /// The commands it was given, in order.
    pub fn commands(&self) -> Vec<NodeCommand> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(self, node_ref: &NodeRef, script: Result<Vec<Step>, StartError>) -> Self {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.entry(node_ref.clone()).or_default().push(script);
        drop(scripts);
        self
    }

    fn next_script(&self, node_ref: &NodeRef) -> Result<Vec<Step>, StartError> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        match scripts.get_mut(node_ref) {
            None => Ok(Vec::new()),
            Some(scripts) if scripts.len() > 1 => scripts.remove(0),
            Some(scripts) => scripts[0].clone(),
        }
    }
}

#[async_trait]
impl Runner for ScriptedRunner {
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError> {
        let node_ref = command.node_ref.clone();
        let told = Told::Start(node_ref.clone(), command.attempt);
        self.told.send_modify(|all| all.push(told));
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command.clone());
        let script = self.next_script(&node_ref)?;
        Ok(play(&command, script, Some(Arc::clone(&self.told))))
    }

    // Its processes are no processes of this machine, and it has no directories.
    async fn kill_leftovers(&self, _: ProcessIdentity) {}

    async fn directories(&self) -> Vec<RunKey> {
        Vec::new()
    }

    async fn remove_directory(&self, _: &RunKey) {}
}

/// Writes its arguments, joined by spaces, and a line end, and exits with 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct EchoRunner;

#[async_trait]
impl Runner for EchoRunner {
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError> {
        let line = Bytes::from(command.argv.join(" ") + "\r\n");
        let stream = streams(&command)[0];
        let script = vec![Step::Write(stream, line), Step::Exit(ProcessEnd::Code(0))];
        Ok(play(&command, script, None))
    }

    // Its processes are no processes of this machine, and it has no directories.
    async fn kill_leftovers(&self, _: ProcessIdentity) {}

    async fn directories(&self) -> Vec<RunKey> {
        Vec::new()
    }

    async fn remove_directory(&self, _: &RunKey) {}
}

fn streams(command: &NodeCommand) -> &'static [StreamName] {
    match command.terminal.mode {
        TerminalMode::Pty => &[StreamName::Pty],
        TerminalMode::Pipe => &[StreamName::Stdout, StreamName::Stderr],
    }
}

/// Where the bytes of a program wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Stream(StreamName),
    Events,
}

/// What the program and those who watch it share.
#[derive(Default)]
struct Scene {
    unread: BTreeMap<Place, BytesMut>,
    end: Option<ProcessEnd>,
    outputs_ended: bool,
    ignores_terminate: bool,
    /// The signal that shall end it.
    signal: Option<i32>,
}

type Stage = Arc<watch::Sender<Scene>>;

fn play(
    command: &NodeCommand,
    script: Vec<Step>,
    told: Option<Arc<watch::Sender<Vec<Told>>>>,
) -> Started {
    let stage: Stage = Arc::new(watch::Sender::new(Scene::default()));
    let actor = Arc::clone(&stage);
    tokio::spawn(async move {
        let mut scene = actor.subscribe();
        tokio::select! {
            () = perform(&actor, script) => {}
            // The sender is held by this task, so waiting cannot fail.
            _ = scene.wait_for(|scene| scene.signal.is_some()) => {}
        }
        actor.send_modify(|scene| {
            let end = scene.signal.map_or(ProcessEnd::Code(0), ProcessEnd::Signal);
            scene.end.get_or_insert(end);
            scene.outputs_ended = true;
        });
    });
    let output = |place| -> Box<dyn Output> {
        Box::new(ScriptedOutput { stage: Arc::clone(&stage), place })
    };
    let outputs = streams(command).iter().map(|name| (*name, output(Place::Stream(*name))));
    Started {
        outputs: outputs.collect(),
        events: Some(output(Place::Events)),
        identity: None,
        kind: RunnerKind::Local,
        process: Box::new(ScriptedProcess { stage, told, node_ref: command.node_ref.clone() }),
    }
}

async fn perform(stage: &Stage, script: Vec<Step>) {
    for step in script {
        match step {
            Step::Write(stream, bytes) => write(stage, Place::Stream(stream), &bytes).await,
            Step::Event(line) => {
                write(stage, Place::Events, (line + "\n").as_bytes()).await;
            }
            Step::Wait(duration) => tokio::time::sleep(duration).await,
            Step::WaitFor(notify) => notify.notified().await,
            Step::IgnoreTerminate => stage.send_modify(|scene| scene.ignores_terminate = true),
            Step::Hang => std::future::pending().await,
            Step::Exit(end) => stage.send_modify(|scene| {
                scene.end.get_or_insert(end);
            }),
        }
    }
}

async fn write(stage: &Stage, place: Place, bytes: &[u8]) {
    let mut scene = stage.subscribe();
    for piece in bytes.chunks(BUFFER_BYTES / 16) {
        let has_room = |scene: &Scene| {
            scene.unread.get(&place).map_or(0, BytesMut::len) + piece.len() <= BUFFER_BYTES
        };
        // The caller holds the sender, so waiting cannot fail.
        let _ = scene.wait_for(has_room).await;
        stage.send_modify(|scene| {
            scene.unread.entry(place).or_default().extend_from_slice(piece);
        });
    }
}

struct ScriptedOutput {
    stage: Stage,
    place: Place,
}

#[async_trait(?Send)]
impl Output for ScriptedOutput {
    async fn readable(&mut self) -> io::Result<()> {
        let place = self.place;
        let mut scene = self.stage.subscribe();
        let has_news = |scene: &Scene| {
            scene.outputs_ended || scene.unread.get(&place).is_some_and(|bytes| !bytes.is_empty())
        };
        scene.wait_for(has_news).await.map(drop).map_err(io::Error::other)
    }

    fn try_read(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<Option<usize>> {
        let mut result = None;
        self.stage.send_if_modified(|scene| {
            let unread = scene.unread.entry(self.place).or_default();
            let len = unread.len().min(limit);
            if len > 0 {
                buffer.extend_from_slice(&unread.split_to(len));
                result = Some(len);
            } else if scene.outputs_ended && limit > 0 {
                result = Some(0);
            }
            len > 0
        });
        Ok(result)
    }
}

struct ScriptedProcess {
    stage: Stage,
    told: Option<Arc<watch::Sender<Vec<Told>>>>,
    node_ref: NodeRef,
}

impl ScriptedProcess {
    fn note(&self, told: Told) {
        if let Some(all) = &self.told {
            all.send_modify(|all| all.push(told));
        }
    }
}

#[async_trait(?Send)]
impl NodeProcess for ScriptedProcess {
    async fn wait(&mut self) -> ProcessEnd {
        let mut scene = self.stage.subscribe();
        let ended = scene.wait_for(|scene| scene.end.is_some()).await;
        ended.ok().and_then(|scene| scene.end).unwrap_or(ProcessEnd::Unknown)
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.note(Told::Resize(self.node_ref.clone(), size));
        Ok(())
    }

    fn has_group(&mut self) -> bool {
        false
    }

    fn terminate(&mut self) {
        self.note(Told::Terminate(self.node_ref.clone()));
        self.stage.send_modify(|scene| {
            if !scene.ignores_terminate {
                scene.signal.get_or_insert(SIGTERM);
            }
        });
    }

    fn kill(&mut self) {
        self.note(Told::Kill(self.node_ref.clone()));
        self.stage.send_modify(|scene| scene.signal = Some(SIGKILL));
    }
}

impl Drop for ScriptedProcess {
    fn drop(&mut self) {
        self.note(Told::Drop(self.node_ref.clone()));
        self.stage.send_modify(|scene| scene.signal = Some(SIGKILL));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::ids::RunKey;
    use crate::run_view::TerminalView;

    fn command(argv: &[&str]) -> NodeCommand {
        NodeCommand {
            run: RunKey { tenant: "default".parse().unwrap(), run: "run-1".parse().unwrap() },
            node_ref: "node".parse().unwrap(),
            attempt: 1,
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: BTreeMap::new(),
            cwd: None,
            terminal: TerminalView { mode: TerminalMode::Pty, cols: 80, rows: 24 },
            inputs: Map::new(),
        }
    }

    async fn read_all(output: &mut Box<dyn Output>) -> BytesMut {
        let mut buffer = BytesMut::new();
        loop {
            output.readable().await.unwrap();
            if output.try_read(&mut buffer, 1000).unwrap() == Some(0) {
                return buffer;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_script_is_played_and_a_grandchild_outlives_the_exit() {
        let line = Bytes::from(vec![b'x'; 3 * BUFFER_BYTES]);
        let script = vec![
            Step::Write(StreamName::Pty, line.clone()),
            Step::Exit(ProcessEnd::Code(3)),
            Step::Wait(Duration::from_secs(60)),
            Step::Write(StreamName::Pty, Bytes::from_static(b"late")),
        ];
        let node_ref: NodeRef = "node".parse().unwrap();
        let runner = ScriptedRunner::new().with_script(&node_ref, script);
        let mut started = runner.start(command(&["a"])).await.unwrap();
        let output = read_all(&mut started.outputs[0].1).await;
        assert_eq!(output.len(), line.len() + 4);
        assert_eq!(started.process.wait().await, ProcessEnd::Code(3));
        drop(started);
        assert_eq!(runner.told(), [Told::Start(node_ref.clone(), 1), Told::Drop(node_ref)]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_kill_ends_what_ignores_terminate() {
        let node_ref: NodeRef = "node".parse().unwrap();
        let ready = Bytes::from_static(b"r");
        let script = vec![Step::IgnoreTerminate, Step::Write(StreamName::Pty, ready), Step::Hang];
        let runner = ScriptedRunner::new().with_script(&node_ref, script);
        let mut started = runner.start(command(&["a"])).await.unwrap();
        started.outputs[0].1.readable().await.unwrap();
        started.process.terminate();
        let waited = tokio::time::timeout(Duration::from_secs(5), started.process.wait()).await;
        assert!(waited.is_err());
        started.process.kill();
        assert_eq!(started.process.wait().await, ProcessEnd::Signal(SIGKILL));
    }

    #[tokio::test]
    async fn echo_says_its_arguments() {
        let mut started = EchoRunner.start(command(&["hello", "world"])).await.unwrap();
        assert_eq!(&read_all(&mut started.outputs[0].1).await[..], b"hello world\r\n");
        assert_eq!(started.process.wait().await, ProcessEnd::Code(0));
    }
}
