//! What becomes of a run when its stores or its own parts fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;

use super::world::*;
use crate::entry::{ProcessEnd, ProcessIdentity, TraceKind};
use crate::ids::{Epoch, RunKey, StreamName};
use crate::kernel::{ArbiterHandle, ChildSpec, ExitStatus, RestartPolicy, Supervisor};
use crate::ports::{NodeCommand, RunLog as _, RunStore as _, Runner, StartError, Started};
use crate::roles::run_manager::RunManager;
use crate::run_view::{FailureKind, NodeStatus, RunStatus};
use crate::testing::runner_scripted::{ScriptedRunner, Step, Told};

fn writer(times: usize) -> ScriptedRunner {
    let step = [
        Step::Write(StreamName::Pty, Bytes::from_static(b"0123456789abcdef")),
        Step::Wait(20 * MS),
    ];
    let script = std::iter::repeat_n(step, times).flatten().collect();
    ScriptedRunner::new().with_script(&node("a"), script)
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn appends_that_fail_are_repeated_without_loss_and_without_a_repeat() {
    let world = World::new(&writer(500));
    let owned = world.begin(&single()).await;
    let failing = async {
        for times in (0..8).cycle() {
            world.log.fail_appends(times);
            tokio::time::sleep(300 * MS).await;
        }
    };
    let story = tokio::select! {
        story = world.ended(&owned) => story,
        () = failing => unreachable!("the cycle has no end"),
    };
    assert_eq!(story.output("a"), b"0123456789abcdef".repeat(500));
    assert_eq!(story.run().status, RunStatus::Completed);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_run_goes_on_while_the_database_is_away() {
    let world = World::new(&writer(500));
    let owned = world.begin(&single()).await;
    world.until(|story| story.output("a").len() > 100).await;
    world.store.set_unavailable(true);
    let story = world.until(|story| story.count(TraceKind::RunCompleted) == 1).await;
    assert_eq!(story.output("a"), b"0123456789abcdef".repeat(500));
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(owned.group.kill_switch().status(), None, "it waits for the rows");
    world.store.set_unavailable(false);
    world.ended(&owned).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_owner_that_was_fenced_kills_its_nodes_and_writes_nothing_more() {
    let world = World::new(&writer(1_000_000));
    let owned = world.begin(&single()).await;
    world.until(|story| story.output("a").len() > 100).await;
    world.log.fence(&run(), Epoch(1)).await.unwrap();
    let left = world.log.entries(&run()).len();
    let status = soon(owned.group.ended()).await;
    assert!(status.is_fault(), "{status}");
    world.told(Told::Drop(node("a"))).await;
    tokio::time::sleep(60 * SEC).await;
    assert_eq!(world.log.entries(&run()).len(), left);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_owner_whose_rows_were_taken_kills_its_nodes() {
    let world = World::new(&writer(1_000_000));
    let owned = world.begin(&single()).await;
    world.until(|story| story.output("a").len() > 100).await;
    let taken =
        world.store.take_over(&run(), Epoch(0).into(), &instance("other"), LEASE).await.unwrap();
    assert_eq!(taken.expect("it is taken").epoch, Epoch(1));
    let status = soon(owned.group.ended()).await;
    assert!(status.is_fault(), "{status}");
    world.told(Told::Drop(node("a"))).await;
}

/// A runner that panics at the start of the node `boom`.
struct PanickingRunner(ScriptedRunner, AtomicBool);

#[async_trait]
impl Runner for PanickingRunner {
    async fn start(&self, command: NodeCommand) -> Result<Started, StartError> {
        let is_boom = command.node_ref == node("boom");
        if is_boom {
            // The others have started by then, and the log knows it.
            tokio::time::sleep(SEC).await;
        }
        assert!(!is_boom || self.1.swap(true, Ordering::SeqCst), "a fault of {}", command.run);
        self.0.start(command).await
    }

    async fn kill_leftovers(&self, _: ProcessIdentity) {}

    async fn directories(&self) -> Vec<RunKey> {
        Vec::new()
    }

    async fn remove_directory(&self, _: &RunKey) {}
}

fn manage(world: &World) -> Supervisor {
    let core = Supervisor::new("service", &world.service.root, world.service.observers.clone());
    let (service, count) = (world.service.clone(), watch::Sender::default());
    let factory = move |child| RunManager::new(service.clone(), 10, count.clone(), child);
    let spec = ChildSpec { name: "RunManager", policy: RestartPolicy::Never, factory };
    core.spawn_actor(&ArbiterHandle::current(), spec);
    core
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_panic_of_a_node_ends_its_run_as_internal_and_no_other_run() {
    let scripted = ScriptedRunner::new()
        .with_script(&node("calm"), vec![Step::Hang])
        .with_script(&node("boom"), vec![Step::Exit(ProcessEnd::Code(0))]);
    let runner = PanickingRunner(scripted.clone(), AtomicBool::new(false));
    let world = World::with_runner(&scripted, Arc::new(runner), Limits::default());
    let _core = manage(&world);
    let document = json!({ "nodes": [
        { "ref": "calm", "command": ["x"] },
        { "ref": "boom", "command": ["x"] },
        { "ref": "after", "command": ["x"], "dependsOn": ["boom"] },
    ] });
    world.submit(&document).await;
    let story = world
        .until(|story| {
            !story.0.is_empty() && story.count(TraceKind::RunFailed) == 1 && {
                matches!(story.0.last().map(|entry| &entry.body),
                    Some(crate::entry::Body::Status(change)) if change.run.status.is_terminal())
            }
        })
        .await;
    story.check();
    assert_eq!(story.count(TraceKind::RunTakenOver), 1);
    assert_eq!(story.run().status, RunStatus::Failed);
    assert_eq!(
        story.run().failure.as_ref().map(|failure| failure.kind),
        Some(FailureKind::Internal)
    );
    assert_eq!(story.node("calm").status, NodeStatus::Failed);
    assert_eq!(story.failure("calm"), FailureKind::Internal);
    assert_eq!(story.node("after").status, NodeStatus::Skipped);
    world.told(Told::Drop(node("calm"))).await;
    assert_eq!(world.service.root.status(), None, "the fault stays in its run");
    soon(async {
        while !world.store.leases().await.unwrap().is_empty() {
            tokio::time::sleep(MS).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_fault_names_what_a_node_said_when_it_panicked() {
    let scripted = ScriptedRunner::new();
    let runner = PanickingRunner(scripted.clone(), AtomicBool::new(false));
    let world = World::with_runner(&scripted, Arc::new(runner), Limits::default());
    let owned = world.begin(&graph(&[("boom", &[])])).await;
    let status = soon(owned.group.ended()).await;
    assert_eq!(status, ExitStatus::failed("a node panicked: a fault of default/run-1"));
}
