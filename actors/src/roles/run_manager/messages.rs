//! What the manager is told and asked.

use std::time::Duration;

use actix::{Addr, Message};

use crate::ids::RunKey;
use crate::ports::{Annotation, Claim};
use crate::roles::run::Run;

/// A run was submitted: look for it now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunSubmitted;

/// Own this run, which was claimed for this instance.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct OwnRun(pub Box<Claim>);

/// Own nothing new; end what still runs at the deadline.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long running runs may go on.
    pub within: Duration,
}

/// The actor of a run, if this instance runs it.
#[derive(Debug, Message)]
#[rtype(result = "Option<Addr<Run>>")]
pub struct GetRun(pub RunKey);

/// Whether this instance owns a run.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct IsHeld(pub RunKey);

/// Metadata or links of a run were changed in the rows. Tells whether this instance owns the run.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct AnnotateRun(pub RunKey, pub Annotation);

/// Somebody asked for the end of a run; the wish is in the rows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CancelRun(pub RunKey);
