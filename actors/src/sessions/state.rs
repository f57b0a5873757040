//! What becomes of an interactive terminal, and what cannot.

use serde::{Deserialize, Serialize};

/// The states of a session: `creating → active ⇄ inactive → terminating → terminated`, and `error` from any but
/// the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Its program is being started.
    Creating,
    /// Somebody is attached, or something moved of late.
    Active,
    /// Nobody is attached and nothing has moved for a while.
    Inactive,
    /// Its program is asked to end, or has ended and its last output is read.
    Terminating,
    /// It has ended.
    Terminated,
    /// Its program could not be started, or the service lost it.
    Error,
}

/// A step that no session takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session that is {} cannot become {}", from.as_str(), to.as_str())]
pub struct WrongTransition {
    /// The state it is in.
    pub from: SessionState,
    /// The one it was to be in.
    pub to: SessionState,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// Its program ended by itself.
    Exited,
    /// Somebody closed it.
    Closed,
    /// Nobody was attached and nothing moved for `sessions.idle_timeout_secs`.
    Idle,
    /// The service needed its memory.
    Memory,
    /// The service stopped.
    Stopped,
    /// The service died or was started again without having ended it.
    Restarted,
    /// Its program could not be started, or the service lost it.
    Failed,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Creating,
        Self::Active,
        Self::Inactive,
        Self::Terminating,
        Self::Terminated,
        Self::Error,
    ];

    /// The word as it stands in documents and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Terminating => "terminating",
            Self::Terminated => "terminated",
            Self::Error => "error",
        }
    }

    /// True until it has ended, well or not.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Terminated | Self::Error)
    }

    /// The state after this one, if it may follow.
    pub fn then(self, to: Self) -> Result<Self, WrongTransition> {
        let may_follow = match (self, to) {
            (Self::Creating | Self::Inactive, Self::Active)
            | (Self::Active, Self::Inactive)
            | (Self::Active | Self::Inactive, Self::Terminating)
            | (Self::Terminating, Self::Terminated) => true,
            (from, Self::Error) => from.is_live(),
            _ => false,
        };
        if may_follow { Ok(to) } else { Err(WrongTransition { from: self, to }) }
    }
}

impl EndReason {
    /// The word as it stands in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::Stopped => "stopped",
            Self::Restarted => "restarted",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_states_follow_each_other_and_nothing_else_does() {
        use SessionState::{Active, Creating, Error, Inactive, Terminated, Terminating};
        let allowed = [
            (Creating, Active),
            (Active, Inactive),
            (Inactive, Active),
            (Active, Terminating),
            (Inactive, Terminating),
            (Terminating, Terminated),
            (Creating, Error),
            (Active, Error),
            (Inactive, Error),
            (Terminating, Error),
        ];
        for from in SessionState::ALL {
            for to in SessionState::ALL {
                let result = from.then(to);
                assert_eq!(result.is_ok(), allowed.contains(&(from, to)), "{from:?} → {to:?}");
            }
        }
        let wrong = Terminated.then(Active).expect_err("it has ended");
        assert_eq!(wrong.to_string(), "a session that is terminated cannot become active");
    }

    #[test]
    fn session_words_are_those_of_the_documents() {
        for state in SessionState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(serde_json::to_value(EndReason::Restarted).unwrap(), "restarted");
    }
}
