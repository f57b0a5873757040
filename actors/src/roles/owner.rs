//! Owns: one claimed run, from the claim until everything of it is recorded and archived and its lease is
//! given back.
//! Takes: nothing; the group ends through its kill switch.
//! Sends: the closing entries of a run that was left by another owner; the release of the lease.
//! Queue: none.
//! Stops: when the run's end is recorded and its recordings are final, or when another owner has fenced it.
//! Restart: never; a fault ends the group, which kills the processes, and the manager takes the run over anew.

mod beginning;
mod followers;
mod replication;
mod run_actor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::fail_point::fail_point;
use crate::flow::capture_gate::{CaptureGate, GateLimits};
use crate::flow::inbox::Inbox;
use crate::flow::permits::CaptureBudget;
use crate::history::History;
use crate::ids::{Epoch, InstanceId, RunKey, Seq, hash_of};
use crate::kernel::{
    ArbiterHandle, ArbiterPool, Backoff, ChildContext, ChildSpec, ExitStatus, KillSwitch,
    Observers, RestartPolicy, Shown, Supervisor,
};
use crate::ports::{Claim, LogHealth, RunLog, RunStore, Runner, StoreError};
use crate::roles::archivist::{ArchiveSettings, ArchivedThrough, Archivist};
use crate::roles::log_writer::Journal;
use crate::roles::node::{CaptureSettings, EndReason, NodeContext};
use crate::roles::recorder::Recorder;
use crate::roles::run::Run;
use crate::roles::screens::Screens;
use crate::roles::trimmer::Trimmer;
use crate::run_view::FailureKind;
use crate::takeover::{Survey, closing_entries, taken_over};

use self::followers::Followers;
pub use self::replication::Replication;
pub use self::run_actor::RunActor;

/// What all runs of an instance share.
pub struct Service {
    /// Who we are.
    pub instance: InstanceId,
    /// The log.
    pub log: Arc<dyn RunLog>,
    /// The rows.
    pub store: Arc<dyn RunStore>,
    /// Both behind one cursor.
    pub history: History,
    /// What starts processes.
    pub runner: Arc<dyn Runner>,
    /// The screens of runs.
    pub screens: Arc<Screens>,
    /// The threads of runs.
    pub arbiters: Arc<ArbiterPool>,
    /// What is shown to operators.
    pub observers: Observers,
    /// Ends everything.
    pub root: KillSwitch,
    /// How the log is.
    pub log_health: watch::Receiver<LogHealth>,
    /// The room of all captures.
    pub budget: CaptureBudget,
    /// So many nodes run at once.
    pub slots: Arc<Semaphore>,
    /// Sizes and times of captures.
    pub capture: CaptureSettings,
    /// Bytes of a run that only the log has, at most (`log.max_bytes_per_run`).
    pub max_bytes_per_run: u64,
    /// How long a lease holds without renewal.
    pub lease: Duration,
    /// The threads that write archives, which should have a low priority.
    pub archivers: Arc<ArbiterPool>,
    /// When archives are written.
    pub archiving: ArchiveSettings,
    /// How long the log keeps what is archived and recorded (`retention.hot_min_secs`).
    pub hot_min: Duration,
    /// Where other instances follow the runs of this one; none if there are no others.
    pub replication: Option<Replication>,
}

impl Service {
    /// The thread of a run.
    pub fn arbiter_of(&self, run: &RunKey) -> ArbiterHandle {
        self.arbiters.pick(hash_of(run))
    }
}

/// A run that this instance owns.
pub struct OwnedRun {
    /// The group; dropping it ends the run's actors and processes.
    pub group: Arc<Supervisor>,
    /// The actor of the run.
    pub run: watch::Receiver<RunActor>,
    /// The run has ended; only rows and archive have not followed yet.
    pub has_ended: Arc<AtomicBool>,
}

/// How a run came to its new owner.
#[derive(Debug, Clone)]
pub struct Succession {
    /// Who owned it before, as far as that is known.
    pub previous: Option<InstanceId>,
    /// What its nodes are told to have died of, if another owner left them.
    pub cause: FailureKind,
}

/// Begins to own a claimed run.
pub fn own(service: &Arc<Service>, claim: Claim, succession: Succession) -> OwnedRun {
    let group =
        Arc::new(Supervisor::new(claim.run.to_string(), &service.root, service.observers.clone()));
    let (published, run) = watch::channel(RunActor::Awaited);
    let has_ended = Arc::new(AtomicBool::new(false));
    let owner = Arc::new(Owner {
        service: service.clone(),
        claim,
        succession,
        group: Arc::downgrade(&group),
        published,
        has_ended: has_ended.clone(),
    });
    let arbiter = service.arbiter_of(&owner.claim.run);
    group.spawn_follower("Owner", RestartPolicy::Never, &arbiter, move |child| {
        owner.clone().own(child)
    });
    OwnedRun { group, run, has_ended }
}

struct Owner {
    service: Arc<Service>,
    claim: Claim,
    succession: Succession,
    group: std::sync::Weak<Supervisor>,
    published: watch::Sender<RunActor>,
    has_ended: Arc<AtomicBool>,
}

/// What an owner shows of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnerState {
    epoch: Epoch,
    taken_over_from: Option<InstanceId>,
    /// Only rows and archive have not followed yet.
    has_ended: bool,
}

/// The wait between tries of something that a store refused for a moment.
const RETRY: Duration = Duration::from_millis(500);

impl Owner {
    async fn own(self: Arc<Self>, child: ChildContext) -> ExitStatus {
        let owner = self.clone();
        child.observe(move || {
            Shown::new(OwnerState {
                epoch: owner.claim.epoch,
                taken_over_from: owner.succession.previous.clone(),
                has_ended: owner.has_ended.load(Ordering::Relaxed),
            })
        });
        match self.run_to_the_end().await {
            Ok(()) => ExitStatus::Finished,
            Err(status) => status,
        }
    }

    async fn run_to_the_end(&self) -> Result<(), ExitStatus> {
        let Service { log, history, store, instance, .. } = self.service.as_ref();
        let run = &self.claim.run;
        self.begin_log().await?;
        let recordings = history.archive().recordings();
        let survey = loop {
            let origin = instance.as_str().into();
            let surveyed = Survey::of(&self.claim, &**log, &**store, &**recordings, origin).await;
            match surveyed {
                Ok(survey) => break survey,
                Err(error) if error.is_passing() => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(ExitStatus::failed(error)),
            }
        };
        let inbox = Arc::new(Inbox::default());
        let health = self.service.log_health.clone();
        let replication = self.service.replication.as_ref();
        let limits = GateLimits {
            unrecorded: self.service.max_bytes_per_run,
            unreplicated: replication.and_then(|replication| replication.max_lag_bytes),
        };
        let gate = CaptureGate::new(limits, health);
        if replication.is_none() {
            gate.replicated(Seq::MAX);
        }
        gate.appended(survey.last, survey.bytes);
        let last_known = survey.last;
        let mut stored = self.claim.stored.clone();
        stored.view = survey.view.clone();
        stored.view.recordings = self.claim.stored.view.recordings;
        stored.view.last_seq = last_known;
        let live = history.live().begin(run.clone(), stored, gate.clone());
        let followers = self.spawn_followers(&gate)?;
        let is_fresh = survey.has_not_begun();
        if !is_fresh {
            self.published.send_replace(RunActor::Gone);
        }

        if survey.has_ended() {
            self.has_ended.store(true, Ordering::Relaxed);
            followers.wait(last_known).await;
            return self.release(last_known, &followers).await;
        }
        for identity in &survey.processes {
            self.service.runner.kill_leftovers(*identity).await;
        }
        if is_fresh && self.claim.epoch.0 > 0 {
            inbox.push(taken_over(&survey));
        }
        if !is_fresh {
            closing_entries(&survey, self.succession.cause)
                .into_iter()
                .for_each(|draft| inbox.push(draft));
        }
        let journal = Arc::new(Journal::new(
            run.clone(),
            self.claim.epoch,
            log.clone(),
            inbox.clone(),
            gate.clone(),
            survey.sequencer,
            self.group()?.0.kill_switch().clone(),
            live,
        ));
        self.spawn_writer(&journal)?;
        if is_fresh {
            self.execute(inbox, gate, &journal).await?;
        }
        let last = journal.flushed().await;
        self.has_ended.store(true, Ordering::Relaxed);
        followers.wait(last).await;
        self.release(last, &followers).await
    }

    /// Runs the graph until the run's last entry stands in the inbox.
    async fn execute(
        &self,
        inbox: Arc<Inbox>,
        gate: CaptureGate,
        journal: &Journal,
    ) -> Result<(), ExitStatus> {
        let (group, arbiter) = self.group()?;
        let (begun, has_begun) = watch::channel(false);
        let (ended, mut has_ended) = watch::channel(false);
        let stored = self.claim.stored.clone();
        let context = NodeContext {
            run: self.claim.run.clone(),
            inbox,
            gate,
            budget: self.service.budget.clone(),
            runner: self.service.runner.clone(),
            slots: self.slots(),
            settings: self.service.capture,
            inputs: Arc::new(stored.spec.inputs.clone()),
            group: group.kill_switch().clone(),
            observers: self.service.observers.clone(),
            has_begun,
        };
        let ending = self.claim.cancel_requested.then_some(EndReason::Cancelled);
        let epoch = self.claim.epoch;
        let factory = move |child| {
            let mut view = stored.view.clone();
            view.epoch = epoch;
            Run::new(stored.spec.clone(), view, context.clone(), ending, ended.clone(), child)
        };
        let spec = ChildSpec { name: "Run", policy: RestartPolicy::Never, factory };
        let handle = group.spawn_actor(&arbiter, spec);
        if let Ok(address) = handle.ready().await {
            self.published.send_replace(RunActor::Here(address));
        }
        self.service.screens.follow(&self.claim.run);
        drop(group);
        journal.flushed().await;
        begun.send_replace(true);
        let finished = has_ended.wait_for(|ended| *ended).await.is_ok();
        self.published.send_replace(RunActor::Gone);
        if finished {
            Ok(())
        } else {
            Err(ExitStatus::failed("the run ended without its last entry"))
        }
    }

    /// Who gives nodes their turn.
    fn slots(&self) -> Arc<Semaphore> {
        if self.service.runner.takes_slot(&self.claim.run) {
            self.service.slots.clone()
        } else {
            Arc::new(Semaphore::new(1))
        }
    }

    fn spawn_writer(&self, journal: &Arc<Journal>) -> Result<(), ExitStatus> {
        let (group, arbiter) = self.group()?;
        let journal = journal.clone();
        let policy = RestartPolicy::OnFault(Backoff::default());
        group.spawn_follower("LogWriter", policy, &arbiter, move |child| {
            journal.clone().write(child)
        });
        Ok(())
    }

    /// Rows and archive follow the log from their checkpoints, and the trimmer follows both.
    fn spawn_followers(&self, gate: &CaptureGate) -> Result<Followers, ExitStatus> {
        let (group, arbiter) = self.group()?;
        let Service { log, store, history, .. } = self.service.as_ref();
        let (run, epoch) = (self.claim.run.clone(), self.claim.epoch);
        let recorded = Arc::new(watch::Sender::new(self.claim.recorded_through));
        let archived = Arc::new(watch::Sender::new(ArchivedThrough {
            seq: self.claim.archived_through,
            ..ArchivedThrough::default()
        }));
        let policy = RestartPolicy::OnFault(Backoff::default());
        let recorder = Arc::new(Recorder {
            run: run.clone(),
            epoch,
            log: log.clone(),
            store: store.clone(),
            recorded: recorded.clone(),
            live: history.live().clone(),
            group: group.kill_switch().clone(),
        });
        group.spawn_follower("Recorder", policy, &arbiter, move |child| {
            recorder.clone().follow(child)
        });
        let archivist = Arc::new(Archivist {
            run: run.clone(),
            epoch,
            log: log.clone(),
            archive: history.archive().clone(),
            settings: self.service.archiving,
            title: self.claim.stored.view.name.clone().unwrap_or_else(|| run.run.to_string()),
            archived: archived.clone(),
            live: history.live().clone(),
            group: group.kill_switch().clone(),
            has_begun: AtomicBool::new(false),
        });
        let archivers = self.service.archivers.pick(hash_of(&run));
        group.spawn_follower("Archivist", policy, &archivers, move |child| {
            archivist.clone().follow(child)
        });
        let replicated = self.spawn_replicator(gate, &archived, &recorded)?;
        let trimmer = Arc::new(Trimmer {
            run,
            log: log.clone(),
            archived: archived.subscribe(),
            recorded: recorded.subscribe(),
            gate: gate.clone(),
            hot_min: self.service.hot_min,
            health: self.service.log_health.clone(),
        });
        group.spawn_follower("Trimmer", policy, &arbiter, move |child| {
            trimmer.clone().follow(child)
        });
        Ok(Followers { recorded, archived, replicated })
    }

    /// Gives the lease back: everything up to `last` is recorded and archived.
    async fn release(&self, last: Seq, followers: &Followers) -> Result<(), ExitStatus> {
        self.leave_replica(last, followers).await;
        if self.service.hot_min.is_zero()
            && let Err(error) = self.service.log.trim(&self.claim.run, last).await
        {
            // The reaper does it later.
            tracing::warn!(run = %self.claim.run, %error, "the log was not trimmed");
        }
        fail_point("owner.trimmed");
        loop {
            match self.service.store.release(&self.claim.run, self.claim.epoch).await {
                Ok(()) => break,
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(ExitStatus::failed(error)),
            }
        }
        // The followers have seen everything.
        if let Some(group) = self.group.upgrade() {
            group.kill_switch().kill(ExitStatus::Finished);
        }
        Ok(())
    }

    fn group(&self) -> Result<(Arc<Supervisor>, ArbiterHandle), ExitStatus> {
        let group = self.group.upgrade().ok_or(ExitStatus::Stopped)?;
        Ok((group, self.service.arbiter_of(&self.claim.run)))
    }
}
