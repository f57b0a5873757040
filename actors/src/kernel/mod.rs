//! Supervision over actix: who runs, on which thread, how it ended, and whether it runs again.
//!
//! Nothing of the domain is in here. A [`Supervisor`] is a group of children under one
//! [`KillSwitch`]; a child is an actor or a plain task, built afresh for each incarnation. A child
//! that ends cleanly is gone; one that faults is restarted as its [`RestartPolicy`] says, or takes its
//! group with it. Only faults spread.

mod arbiters;
mod child;
mod exit_status;
mod kill_switch;
mod observation;
mod restart_policy;
mod supervision;
mod supervisor;

/// How the service tells an actor something; only this crate names the actor library.
pub use actix::Addr;

pub use arbiters::{ArbiterHandle, ArbiterPool};
pub use child::{ActorHandle, ChildContext, ExitCell, TaskHandle};
pub use exit_status::ExitStatus;
pub use kill_switch::KillSwitch;
pub use observation::{KindTotals, Observation, Observed, Observers, Shown};
pub use restart_policy::{Backoff, Decision, RestartPolicy};
pub use supervisor::{ChildSpec, Supervisor};

#[cfg(test)]
mod tests;
