//! What goes of a run when its time is over, and what stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::world::*;
use crate::entry::{ProcessEnd, ProcessIdentity};
use crate::history::Item;
use crate::ids::{RunKey, Seq, StreamKey, StreamName};
use crate::kernel::ExitStatus;
use crate::ports::{NodeCommand, RecordingStore as _, RunStore as _, Runner, StartError, Started};
use crate::roles::reaper::{Reaper, Retention};
use crate::testing::log_memory::run_key;
use crate::testing::runner_scripted::{ScriptedRunner, Step};

const DAY: Duration = Duration::from_hours(24);
const FOR_EVER: Retention =
    Retention { hot_min: DAY, superseded: DAY, recordings: None, work: None };

/// Has nothing but directories.
struct Directories(Mutex<Vec<RunKey>>);

#[async_trait]
impl Runner for Directories {
    async fn start(&self, _: NodeCommand) -> Result<Started, StartError> {
        Err(StartError("it starts nothing".to_owned()))
    }

    async fn kill_leftovers(&self, _: ProcessIdentity) {}

    async fn directories(&self) -> Vec<RunKey> {
        self.0.lock().unwrap().clone()
    }

    async fn remove_directory(&self, run: &RunKey) {
        self.0.lock().unwrap().retain(|known| known != run);
    }
}

/// A world with a run that has ended.
async fn ended() -> World {
    let script = vec![
        Step::Write(StreamName::Pty, Bytes::from_static(b"output")),
        Step::Exit(ProcessEnd::Code(0)),
    ];
    let runner = ScriptedRunner::new().with_script(&node("a"), script);
    let world = World::with(&runner, Limits { hot_min: Duration::ZERO, ..Limits::default() });
    let owned = world.begin(&json!({ "nodes": [{ "ref": "a", "command": ["x"] }] })).await;
    assert_eq!(soon(owned.group.ended()).await, ExitStatus::Finished);
    world
}

/// Looks for two minutes.
async fn look(world: &World, runner: Arc<dyn Runner>, retention: Retention) {
    let reaper = Reaper {
        log: world.log.clone(),
        store: world.store.clone(),
        history: world.service.history.clone(),
        runner,
        retention,
    };
    let looking =
        tokio::task::spawn_local(Arc::new(reaper).look(crate::kernel::ChildContext::of_test()));
    tokio::time::sleep(120 * SEC).await;
    looking.abort();
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_retention_removed_is_a_gap_that_says_so() {
    let world = ended().await;
    let over = Retention {
        hot_min: Duration::ZERO,
        superseded: Duration::ZERO,
        recordings: Some(Duration::ZERO),
        ..FOR_EVER
    };
    look(&world, world.service.runner.clone(), over).await;
    assert!(world.objects.keys().is_empty(), "no object is left: {:?}", world.objects.keys());
    let items = world.items(Seq::START, 1 << 20).await;
    let gaps = items.iter().filter(|item| matches!(item, Item::Gap(gap) if gap.reason == "purged"));
    assert!(gaps.count() > 0);
    assert!(items.iter().any(|item| matches!(item, Item::Entry(_))), "what happened is still told");
    let key = StreamKey { node_ref: node("a"), stream: StreamName::Pty };
    let recording = world.store.recording(&run(), &key).await.unwrap().expect("it has a row");
    assert!(recording.purged_at.is_some());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn directories_go_with_their_time_or_their_run_and_those_of_others_stay() {
    let world = ended().await;
    let foreign = run_key("of-another-database");
    let runner = Arc::new(Directories(Mutex::new(vec![run(), foreign.clone()])));
    for keep in [None, Some(DAY)] {
        look(&world, runner.clone(), Retention { work: keep, ..FOR_EVER }).await;
        assert_eq!(runner.directories().await.len(), 2, "kept for {keep:?}");
    }
    look(&world, runner.clone(), Retention { work: Some(Duration::ZERO), ..FOR_EVER }).await;
    assert_eq!(runner.directories().await, std::slice::from_ref(&foreign));

    runner.0.lock().unwrap().push(run());
    world.store.purge(&run()).await.unwrap();
    look(&world, runner.clone(), FOR_EVER).await;
    assert_eq!(runner.directories().await, [foreign], "also if another instance was asked");
}
