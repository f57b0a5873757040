//! A run as its manager holds it.

use actix::Addr;
use serde::Serialize;

use crate::ids::Epoch;
use crate::ports::Annotation;
use crate::roles::owner::{OwnedRun, RunActor};
use crate::roles::run::Run;

/// How many runs an instance owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HeldRuns {
    /// Those that were submitted.
    pub runs: usize,
    /// Those that are recordings of sessions.
    pub sessions: usize,
}

/// What the manager shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManagerState {
    #[serde(flatten)]
    pub(super) held: HeldRuns,
    pub(super) max_runs: usize,
}

/// A run that this instance owns.
pub(super) struct Held {
    /// Under this epoch.
    pub(super) epoch: Epoch,
    /// Its group and its actor.
    pub(super) owned: OwnedRun,
    /// What the actor of the run is told once it is there.
    pub(super) annotation: Option<Annotation>,
    /// It is the recording of a session, which ends when that ends.
    pub(super) is_session: bool,
}

impl Held {
    /// Waits for the actor of the run, which comes between its claim and its first entry; none if there is none
    /// any more.
    pub(super) fn settled(&self) -> impl Future<Output = Option<Addr<Run>>> + use<> {
        let mut actor = self.owned.run.clone();
        let group = self.owned.group.kill_switch().clone();
        async move {
            tokio::select! {
                found = actor.wait_for(RunActor::is_settled) => found.ok()?.address(),
                _ = group.dead() => None,
            }
        }
    }
}
