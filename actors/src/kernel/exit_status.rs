//! How a child ended: a closed set, of which only two are faults.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// How a child ended. Cheap to clone; in JSON the sentence that `Display` gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExitStatus {
    /// Its work is done.
    #[error("finished")]
    Finished,
    /// It was asked to stop, and did.
    #[error("stopped")]
    Stopped,
    /// Whoever took its output is gone, so there is nothing left to do.
    #[error("downstream closed")]
    DownstreamClosed,
    /// It was ended from outside: a sibling faulted, its grace ran out, or its thread went away.
    #[error("killed")]
    Killed,
    /// It gave up with an error.
    #[error("failed: {0}")]
    Failed(Arc<str>),
    /// It panicked.
    #[error("panicked: {0}")]
    Panicked(Arc<str>),
}

impl ExitStatus {
    /// The failure that this error is.
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string().into())
    }

    /// Whether it is the child's own failure: only those are restarted, and only those spread.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Panicked(_))
    }

    /// The panic whose payload this is.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a payload that is no text");
        Self::Panicked(message.into())
    }

    /// How a child ends that says nothing of its own when its kill switch died of `self`.
    pub(super) fn of_the_killed(&self) -> Self {
        match self {
            Self::Finished | Self::Stopped | Self::DownstreamClosed => Self::Stopped,
            Self::Killed | Self::Failed(_) | Self::Panicked(_) => Self::Killed,
        }
    }
}

impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_and_panics_are_faults() {
        assert!(ExitStatus::failed("disk full").is_fault());
        assert!(ExitStatus::Panicked("index".into()).is_fault());
        for clean in [
            ExitStatus::Finished,
            ExitStatus::Stopped,
            ExitStatus::DownstreamClosed,
            ExitStatus::Killed,
        ] {
            assert!(!clean.is_fault(), "{clean}");
        }
    }

    #[test]
    fn panic_payloads_keep_their_text() {
        let literal: Box<dyn Any + Send> = Box::new("literal");
        let formatted: Box<dyn Any + Send> = Box::new(String::from("formatted"));
        assert_eq!(ExitStatus::panicked(&*literal), ExitStatus::Panicked("literal".into()));
        assert_eq!(ExitStatus::panicked(&*formatted), ExitStatus::Panicked("formatted".into()));
        assert!(ExitStatus::panicked(&7_u8).is_fault());
    }

    #[test]
    fn json_is_the_sentence() {
        let json = serde_json::to_value(ExitStatus::failed("disk full"));
        assert_eq!(json.ok(), Some(serde_json::json!("failed: disk full")));
    }
}
