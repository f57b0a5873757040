//! Where the actor of an owned run is.

use actix::Addr;

use crate::roles::run::Run;

/// Where the actor of an owned run is.
#[derive(Debug, Clone)]
pub enum RunActor {
    /// It comes: the run is claimed, and its log and its first entry are prepared.
    Awaited,
    /// It is there.
    Here(Addr<Run>),
    /// The run has ended, or is brought to its end by its new owner.
    Gone,
}

impl RunActor {
    /// The actor, if it is there.
    pub fn address(&self) -> Option<Addr<Run>> {
        match self {
            Self::Here(address) => Some(address.clone()),
            Self::Awaited | Self::Gone => None,
        }
    }

    /// False as long as it may come.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Awaited)
    }
}
